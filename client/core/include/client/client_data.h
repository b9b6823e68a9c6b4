/* A client's data are the node's own examples. Loaded once, cut down to the node's part of the partition; the rest is
 * freed. A simulator, whose clients share one dataset, gives each its own list of indices instead. */
#ifndef TRIB_CLIENT_DATA_H
#define TRIB_CLIENT_DATA_H

#include "client/client_settings.h"
#include "data/dataset.h"

struct trib_client_data {
    struct trib_dataset dataset; /* this node's examples only */
    uint32_t *indices;           /* 0 .. dataset.n - 1, for the trainer */
    size_t n;                    /* of them */
};

/* trib_client_data_probe tells whether the files are there and readable: the fast part of the check, done before
 * anything else starts. */
TRIB_MUST_CHECK enum trib_status trib_client_data_probe(const struct trib_client_settings *settings,
                                                        struct trib_error *error);
/* trib_client_data_load reads, checks, normalises and partitions. Messages name the file and the fault. */
TRIB_MUST_CHECK enum trib_status trib_client_data_load(const struct trib_client_settings *settings,
                                                       struct trib_client_data *data, struct trib_error *error);
void trib_client_data_clear(struct trib_client_data *data);

#endif
