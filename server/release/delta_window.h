/* The deltas from which a client that is some versions behind makes the present model: a window that slides with each
 * version. No lock of its own: see the owner. */
#ifndef TRIB_RELEASE_DELTA_WINDOW_H
#define TRIB_RELEASE_DELTA_WINDOW_H

#include "base/blob.h"
#include "crypto/hash.h"

#include <stddef.h>

/* Added to version from_version, this frame gives the next one. */
struct trib_delta {
    uint64_t from_version;
    struct trib_blob *blob;
    uint8_t sha256[TRIB_SHA256_LEN];
};

struct trib_delta_window {
    struct trib_delta *deltas; /* [capacity], oldest first, without a gap; the last one leads to the present version */
    size_t n, capacity;
    uint64_t bytes; /* of all their blobs */
};

TRIB_MUST_CHECK enum trib_status trib_delta_window_init(struct trib_delta_window *window, size_t capacity,
                                                        struct trib_error *error);
void trib_delta_window_clear(struct trib_delta_window *window);
/* Take over the delta that leads to the new version (blob NULL: there is none, so no chain leads there). The oldest go
 * when there are more than `capacity`, or when all together are not shorter than the whole model, `whole_len` bytes. */
void trib_delta_window_push(struct trib_delta_window *window, const struct trib_delta *delta, uint64_t whole_len);
/* How many deltas at the end of the list lead from `version` to the present one; 0 when they are not all there. */
size_t trib_delta_window_since(const struct trib_delta_window *window, uint64_t version);
/* A blob by its hash, with a reference for the caller; NULL when there is none. */
struct trib_blob *trib_delta_window_find(const struct trib_delta_window *window, const uint8_t sha256[TRIB_SHA256_LEN]);

#endif
