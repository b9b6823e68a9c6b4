/* The list of backends. Any thread. */
#include "backend/backend.h"

#include "base/str.h"

#include "tables.h"

static const struct trib_backend *const backends[] = {
#define BACKEND(name) &trib_backend_##name,
#include "backend_list.def"
#undef BACKEND
};
enum { BACKENDS_N = sizeof backends / sizeof backends[0] };

size_t trib_backends(const struct trib_backend *const **list)
{
    *list = backends;
    return BACKENDS_N;
}

const struct trib_backend *trib_backend_find(const char *name)
{
    for (size_t i = 0; i < BACKENDS_N; i++) {
        if (trib_str_equal(backends[i]->name, name)) {
            return backends[i];
        }
    }
    return NULL;
}

const struct trib_backend *trib_backend_default(void)
{
    for (size_t i = 0; i < BACKENDS_N; i++) {
        if (!backends[i]->probe || backends[i]->probe(NULL) == TRIB_OK) {
            return backends[i];
        }
    }
    return &trib_backend_reference;
}
