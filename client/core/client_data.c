/* The node's examples are loaded here, and cut down to the node's part. */
#include "client/client_data.h"
#include "base/mem.h"
#include "data/partition.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static enum trib_status probe_file(const struct trib_client_settings *settings, const char *key, const char *path,
                                   struct trib_error *error)
{
    if (!path || access(path, R_OK) == 0) {
        return TRIB_OK;
    }
    int errnum = errno;
    (void)trib_client_settings_fail(settings, key, error, "%s: %s", path, strerror(errnum));
    if (error) { /* the configuration is fine as such: the file's own fault decides the exit code */
        error->status = errnum == ENOENT ? TRIB_NOT_FOUND : errnum == EACCES ? TRIB_DENIED : TRIB_IO;
    }
    return errnum == ENOENT ? TRIB_NOT_FOUND : errnum == EACCES ? TRIB_DENIED : TRIB_IO;
}

enum trib_status trib_client_data_probe(const struct trib_client_settings *settings, struct trib_error *error)
{
    TRIB_TRY(probe_file(settings, "data.path", settings->data.path, error));
    TRIB_TRY(probe_file(settings, "data.labels", settings->data.labels, error));
    return probe_file(settings, "data.keys", settings->data.keys, error);
}

static void *gather(const void *from, size_t element_len, const uint32_t *indices, size_t n)
{
    size_t len = 0;
    uint8_t *to = trib_size_mul(n, element_len, &len) ? trib_malloc_aligned(1, len) : NULL;
    for (size_t i = 0; to && i < n; i++) {
        memcpy(to + i * element_len, (const uint8_t *)from + indices[i] * element_len, element_len);
    }
    return to;
}

/* Replace a dataset by some of its examples. On failure it is as it was. */
static enum trib_status keep_only(struct trib_dataset *dataset, const uint32_t *indices, size_t n,
                                  struct trib_error *error)
{
    struct trib_dataset kept = *dataset;
    size_t example_len = dataset->example_n * (dataset->is_u8 ? 1 : sizeof(float));
    kept.n = n;
    kept.data = gather(dataset->data, example_len, indices, n);
    kept.labels = !dataset->labels ? NULL : gather(dataset->labels, sizeof *kept.labels, indices, n);
    kept.targets = !dataset->targets ? NULL : gather(dataset->targets, sizeof *kept.targets, indices, n);
    kept.keys = NULL; /* the partition is made */
    kept.n_keys = 0;
    if (!kept.data || (dataset->labels && !kept.labels) || (dataset->targets && !kept.targets)) {
        trib_free(kept.data);
        trib_free(kept.labels);
        trib_free(kept.targets);
        return trib_fail_no_memory(error);
    }
    trib_dataset_clear(dataset);
    *dataset = kept;
    return TRIB_OK;
}

static enum trib_status take_part(const struct trib_client_settings *settings, struct trib_dataset *dataset,
                                  struct trib_error *error)
{
    struct trib_partition partition;
    size_t clients = (size_t)settings->data_clients, client = (size_t)settings->data_client;
    enum trib_status status = trib_partition_make(settings->data_partition, dataset, clients,
                                                  (uint64_t)settings->data_seed, &partition, error);
    if (status != TRIB_OK) {
        return trib_error_prefix(error, status, "data.partition");
    }
    size_t n = partition.offsets[client + 1] - partition.offsets[client];
    if (n == 0) {
        status = trib_client_settings_fail(settings, "data.partition", error,
                                           "\"%s\" leaves client %zu of %zu without an example",
                                           settings->data_partition, client, clients);
    } else {
        status = keep_only(dataset, partition.indices + partition.offsets[client], n, error);
    }
    trib_partition_clear(&partition);
    return status;
}

enum trib_status trib_client_data_load(const struct trib_client_settings *settings, struct trib_client_data *data,
                                       struct trib_error *error)
{
    struct trib_client_data loaded = {0};
    const struct trib_dataset_spec spec = trib_dataset_spec_of(&settings->data);
    TRIB_TRY(trib_dataset_open(&spec, &loaded.dataset, error));
    enum trib_status status = trib_dataset_normalise(&loaded.dataset, settings->data.normalise, error);
    if (status != TRIB_OK) {
        (void)trib_error_prefix(error, status, "data.normalise");
    } else if (strcmp(settings->data_partition, "file") != 0) {
        status = take_part(settings, &loaded.dataset, error);
    }
    if (status == TRIB_OK) {
        loaded.indices = trib_malloc_aligned(loaded.dataset.n, sizeof *loaded.indices);
        status = !loaded.indices ? trib_fail_no_memory(error) : TRIB_OK;
    }
    if (status != TRIB_OK) {
        trib_client_data_clear(&loaded);
        return status;
    }
    loaded.n = loaded.dataset.n;
    for (size_t i = 0; i < loaded.n; i++) {
        loaded.indices[i] = (uint32_t)i;
    }
    *data = loaded;
    return TRIB_OK;
}

void trib_client_data_clear(struct trib_client_data *data)
{
    trib_dataset_clear(&data->dataset);
    trib_free(data->indices);
    *data = (struct trib_client_data){0};
}
