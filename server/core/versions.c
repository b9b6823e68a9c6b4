/* The window of deltas. */
#include "versions.h"

#include "base/mem.h"

#include <string.h>

enum trib_status trib_versions_init(struct trib_versions *versions, size_t capacity, struct trib_error *error)
{
    *versions = (struct trib_versions){0};
    if (capacity > 0) {
        versions->deltas = trib_calloc(capacity, sizeof *versions->deltas);
        if (!versions->deltas) {
            return trib_fail_no_memory(error);
        }
        versions->capacity = capacity;
    }
    return TRIB_OK;
}

static void drop_oldest(struct trib_versions *versions, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        versions->bytes -= trib_blob_len(versions->deltas[i].blob);
        trib_blob_unref(versions->deltas[i].blob);
    }
    versions->n -= n;
    if (versions->n > 0) {
        memmove(versions->deltas, versions->deltas + n, versions->n * sizeof *versions->deltas);
    }
}

void trib_versions_clear(struct trib_versions *versions)
{
    drop_oldest(versions, versions->n);
    trib_free(versions->deltas);
    *versions = (struct trib_versions){0};
}

void trib_versions_push(struct trib_versions *versions, const struct trib_delta *delta, uint64_t whole_len)
{
    if (!delta->blob || versions->capacity == 0) {
        trib_blob_unref(delta->blob);
        drop_oldest(versions, versions->n);
        return;
    }
    if (versions->n == versions->capacity) {
        drop_oldest(versions, 1);
    }
    versions->deltas[versions->n++] = *delta;
    versions->bytes += trib_blob_len(delta->blob);
    while (versions->n > 0 && versions->bytes >= whole_len) {
        drop_oldest(versions, 1);
    }
}

size_t trib_versions_since(const struct trib_versions *versions, uint64_t version)
{
    uint64_t oldest = versions->n > 0 ? versions->deltas[0].from_version : 0;
    return versions->n > 0 && version >= oldest && version - oldest < versions->n
               ? versions->n - (size_t)(version - oldest)
               : 0;
}

struct trib_blob *trib_versions_find(const struct trib_versions *versions, const uint8_t sha256[TRIB_SHA256_LEN])
{
    for (size_t i = 0; i < versions->n; i++) {
        if (memcmp(versions->deltas[i].sha256, sha256, TRIB_SHA256_LEN) == 0) {
            return trib_blob_ref(versions->deltas[i].blob);
        }
    }
    return NULL;
}
