/* CSV text: the first byte chooses the settings. A table that is accepted must keep the dataset's promises. */
#include "data/dataset.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check(const struct trib_dataset *dataset, bool regression, bool keyed)
{
    const float *x = dataset->data;
    if (dataset->n == 0 || dataset->example_n == 0 || !!dataset->keys != keyed || !!dataset->targets != regression ||
        !!dataset->labels == regression) {
        abort();
    }
    for (size_t i = 0; i < dataset->n * dataset->example_n; i++) {
        if (!isfinite(x[i])) {
            abort();
        }
    }
    for (size_t i = 0; i < dataset->n; i++) {
        if ((!regression && (dataset->labels[i] < 0 || dataset->labels[i] >= dataset->classes)) ||
            (regression && !isfinite(dataset->targets[i])) ||
            (keyed && (dataset->keys[i] < 0 || dataset->keys[i] >= dataset->n_keys))) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    unsigned choice = len > 0 ? bytes[0] : 0;
    struct trib_dataset_spec spec = {
        .format = "csv",
        .label_column = (choice & 2)   ? "0"
                        : (choice & 4) ? "y"
                                       : NULL,
        .key_column = (choice & 8)    ? "1"
                      : (choice & 16) ? "key"
                                      : NULL,
        .classes = (choice & 32) ? 3 : 0,
        .max_bytes = 1 << 20,
        .regression = choice & 1,
    };
    struct trib_dataset dataset = {0};
    struct trib_error error = {0};
    size_t skip = len > 0;
    if (trib_csv_parse(&spec, "fuzz", bytes + skip, len - skip, &dataset, &error) == TRIB_OK) {
        check(&dataset, spec.regression, spec.key_column);
        trib_dataset_clear(&dataset);
    } else if (error.message[0] == '\0') {
        abort();
    }
    return 0;
}
