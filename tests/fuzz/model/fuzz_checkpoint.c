/* The safetensors header of a checkpoint. The first 8 bytes are the length of the data after it. */
#include "base/buf.h"
#include "base/mem.h"
#include "model/checkpoint.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8) {
        return 0;
    }
    struct trib_checkpoint_tensor *tensors = NULL;
    size_t n = 0;
    struct trib_error error;
    uint64_t data_len = trib_load_u64(data);
    if (trib_checkpoint_parse(data + 8, size - 8, data_len, &tensors, &n, &error) != TRIB_OK) {
        return 0;
    }
    /* what was accepted covers the data exactly */
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t elements;
        if (tensors[i].begin != at || trib_shape_elements(&tensors[i].shape, &elements, NULL) != TRIB_OK ||
            tensors[i].end - at != elements * sizeof(float)) {
            abort();
        }
        at = tensors[i].end;
    }
    if (at != data_len) {
        abort();
    }
    trib_free(tensors);
    return 0;
}
