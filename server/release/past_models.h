/* Models that were current a moment ago, for asynchronous rounds: a client whose task came just before a commit may
 * still fetch what it was promised. At least the last one is kept, and more while they are small. No lock of its own:
 * see the owner. */
#ifndef TRIB_RELEASE_PAST_MODELS_H
#define TRIB_RELEASE_PAST_MODELS_H

#include "base/blob.h"
#include "crypto/hash.h"

#include <stddef.h>

enum { TRIB_PAST_MODELS = 64, TRIB_PAST_BYTES = 64 << 20 }; /* the most that are kept; beyond so many bytes, one */

struct trib_past_models {
    struct {
        struct trib_blob *raw; /* one reference */
        uint8_t sha256[TRIB_SHA256_LEN];
    } models[TRIB_PAST_MODELS]; /* oldest first */
    size_t n;
    uint64_t bytes; /* of them all */
};

/* Takes over the reference. */
void trib_past_models_push(struct trib_past_models *past, struct trib_blob *raw, const uint8_t sha256[TRIB_SHA256_LEN]);
/* With a reference for the caller; NULL when it is not there. */
struct trib_blob *trib_past_models_find(const struct trib_past_models *past, const uint8_t sha256[TRIB_SHA256_LEN]);
void trib_past_models_clear(struct trib_past_models *past);

#endif
