/* .npy bytes: a parser that says yes must have told the truth about where the data is and how much. */
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char type[4] = "";
    struct trib_shape shape;
    const uint8_t *data = NULL;
    struct trib_error error = {0};
    if (trib_npy_parse("fuzz", bytes, len, type, &shape, &data, &error) != TRIB_OK) {
        if (error.message[0] == '\0') {
            abort();
        }
        return 0;
    }
    size_t want = (size_t)(type[2] - '0');
    for (int i = 0; i < shape.rank; i++) {
        want *= (size_t)shape.dims[i];
    }
    if (type[3] != '\0' || !memchr("148", type[2], 3) || shape.rank < 0 || shape.rank > TRIB_MAX_RANK || data < bytes ||
        want != (size_t)(bytes + len - data)) {
        abort();
    }
    return 0;
}
