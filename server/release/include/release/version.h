/* A version is one state of the model, with what leads to it. Clients hold it bit by bit: with a lossy codec.down a
 * version is made of the one before and of the delta that is broadcast, on both sides. Versions are values whose large
 * parts are immutable blobs; a copy that is kept takes references of its own. */
#ifndef TRIB_RELEASE_VERSION_H
#define TRIB_RELEASE_VERSION_H

#include "base/blob.h"
#include "codec/chain.h"
#include "crypto/hash.h"

struct trib_thread_pool;

struct trib_version {
    uint64_t number;       /* 0 is the initial model; one more for each commit */
    struct trib_blob *raw; /* the whole model as an f32 frame, which clients may always download */
    const float *vector;   /* [n] in raw */
    uint8_t sha256[TRIB_SHA256_LEN];
    struct trib_blob *delta; /* from the version before; NULL: there is none */
    uint8_t delta_sha256[TRIB_SHA256_LEN];
    struct trib_blob *residual; /* float [n]: what the deltas so far have left out of what was meant; NULL: nothing */
};

/* Drops the references; NULL blobs are fine. */
void trib_version_clear(struct trib_version *version);
/* A copy with references of its own. */
struct trib_version trib_version_ref(const struct trib_version *version);

/* A sealer is how versions are made, fixed for a run. A value that any thread may use. */
struct trib_sealer {
    struct trib_chain down; /* codec.down */
    bool feedback;          /* what one delta leaves out is a part of the next */
    uint64_t seed;
    const uint8_t *schema; /* [TRIB_SHA256_LEN] hash of the model's schema; borrowed */
    size_t n;              /* parameters */
    struct trib_thread_pool *pool;
};

/* False with f32, where clients get whole models: a delta would be as long. */
bool trib_sealer_makes_deltas(const struct trib_sealer *sealer);
/* A raw frame to be filled and sealed; *vector: [n], its values. NULL: out of memory. */
struct trib_blob *trib_sealer_blank(const struct trib_sealer *sealer, float **vector);
/* Seal a raw frame whose vector is filled with the version after `base` (NULL: with version 0), and name it. With a
 * lossy codec.down the vector becomes what base and delta give. Takes the caller's reference to `raw`, also on failure;
 * base is not changed, so that a version that is never published leaves no trace. Error feedback (Seide et al., 2014)
 * on the server's side, as in DoubleSqueeze (Tang et al., 2019). */
TRIB_MUST_CHECK enum trib_status trib_sealer_seal(const struct trib_sealer *sealer, struct trib_blob *raw,
                                                  const struct trib_version *base, struct trib_version *version,
                                                  struct trib_error *error);

#endif
