/* IDX bytes: a parser that says yes must have told the truth about where the data is and how much. */
#include "data/dataset.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const uint8_t element_len[] = {[0x08] = 1, [0x09] = 1, [0x0b] = 2, [0x0c] = 4, [0x0d] = 4, [0x0e] = 8};
    int type = 0;
    struct trib_shape shape;
    const uint8_t *data = NULL;
    struct trib_error error = {0};
    if (trib_idx_parse("fuzz", bytes, len, &type, &shape, &data, &error) != TRIB_OK) {
        if (error.message[0] == '\0') {
            abort();
        }
        return 0;
    }
    size_t want = element_len[type];
    for (int i = 0; i < shape.rank; i++) {
        want *= (size_t)shape.dims[i];
    }
    if (shape.rank < 1 || shape.rank > TRIB_MAX_RANK || data < bytes || want != (size_t)(bytes + len - data)) {
        abort();
    }
    return 0;
}
