/* The settings of what computes: the same keys for every program, under "compute". A backend adds rows of its own. */
#ifndef TRIB_BACKEND_COMPUTE_H
#define TRIB_BACKEND_COMPUTE_H

#include "backend/backend.h"
#include "base/config_table.h"

struct trib_compute_settings {
    char *backend;   /* a name of the list, or "auto" */
    int64_t threads; /* 0 = one for each core */
};
/* trib_compute_add_rows adds the rows under "compute"; their offsets count from `offset`. */
void trib_compute_add_rows(struct trib_config_table *table, size_t offset);
/* trib_compute_names are the values of compute.backend: "auto" and the backends. */
const char *trib_compute_names(size_t index);
/* trib_compute_backend returns the backend of that name, for "auto" the best there is; NULL when unknown. */
const struct trib_backend *trib_compute_backend(const char *name);

#endif
