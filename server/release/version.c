/* Making versions: the delta that is broadcast, the model that it gives, and their names. */
#include "release/version.h"

#include "base/clones.h"
#include "base/rng.h"
#include "codec/frame.h"

void trib_version_clear(struct trib_version *version)
{
    trib_blob_unref(version->raw);
    trib_blob_unref(version->delta);
    trib_blob_unref(version->residual);
    *version = (struct trib_version){0};
}

static struct trib_blob *ref_or_null(struct trib_blob *blob)
{
    return blob ? trib_blob_ref(blob) : NULL;
}

struct trib_version trib_version_ref(const struct trib_version *version)
{
    struct trib_version copy = *version;
    ref_or_null(copy.raw);
    ref_or_null(copy.delta);
    ref_or_null(copy.residual);
    return copy;
}

bool trib_sealer_makes_deltas(const struct trib_sealer *sealer)
{
    return !(trib_chain_plain(&sealer->down) && sealer->down.caps & TRIB_CODEC_LOSSLESS);
}

struct trib_blob *trib_sealer_blank(const struct trib_sealer *sealer, float **vector)
{
    size_t payload_offset;
    struct trib_blob *raw = trib_blob_new(trib_frame_raw_len(sealer->n, &payload_offset));
    if (raw) {
        *vector = (float *)(void *)(trib_blob_fill(raw) + payload_offset);
    }
    return raw;
}

static enum trib_status hash_of(const void *bytes, size_t len, uint8_t sha256[TRIB_SHA256_LEN],
                                struct trib_error *error)
{
    enum trib_status status = trib_sha256(bytes, len, sha256);
    return status == TRIB_OK ? TRIB_OK : trib_fail(error, status, "hashing: %s", trib_status_text(status));
}

struct step {
    const float *base; /* [n] */
    float *next;       /* [n]: what is meant, then what is to be coded, then what clients will have */
    float *residual;   /* [n]; NULL: what is left out is forgotten */
};

/* next := (next - base) + residual of the base */
TRIB_CLONES
static void form_delta(const float *base, const float *residual, float *next, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        next[i] -= base[i];
    }
    for (size_t i = 0; residual && i < n; i++) {
        next[i] += residual[i];
    }
}

/* A block was coded: what clients will have, and what it lacks. */
TRIB_CLONES
static void take_decoded(void *context, size_t first, const float *values, size_t n)
{
    const struct step *step = context;
    const float *base = step->base + first;
    float *next = step->next + first;
    if (step->residual) {
        float *residual = step->residual + first;
        for (size_t i = 0; i < n; i++) {
            residual[i] = next[i] - values[i];
        }
    }
    for (size_t i = 0; i < n; i++) {
        next[i] = base[i] + values[i];
    }
}

static const float *floats_of(const struct trib_blob *blob)
{
    return blob ? (const float *)(const void *)trib_blob_data(blob) : NULL;
}

static enum trib_status make_delta(const struct trib_sealer *sealer, const struct trib_version *base, float *next,
                                   struct trib_version *version, struct trib_error *error)
{
    size_t n = sealer->n;
    struct step step = {.base = base->vector, .next = next};
    if (sealer->feedback) {
        version->residual = trib_blob_new(n * sizeof(float));
        if (!version->residual) {
            return trib_fail(error, TRIB_NO_MEMORY, "out of memory for what codec.down leaves out");
        }
        step.residual = (float *)(void *)trib_blob_fill(version->residual);
    }
    form_delta(base->vector, floats_of(base->residual), next, n);
    struct trib_rng rng = trib_rng_init(sealer->seed, "broadcast", version->number, 0);
    const struct trib_frame_job job = {.kind = TRIB_FRAME_UPDATE,
                                       .chain = &sealer->down,
                                       .seed = trib_rng_u64(&rng),
                                       .schema = sealer->schema,
                                       .vector = next,
                                       .n = n,
                                       .pool = sealer->pool,
                                       .decoded = take_decoded,
                                       .context = &step};
    enum trib_status status = trib_frame_encode(&job, &version->delta, error);
    if (status != TRIB_OK) {
        return trib_error_prefix(error, status, "codec.down");
    }
    return hash_of(trib_blob_data(version->delta), trib_blob_len(version->delta), version->delta_sha256, error);
}

enum trib_status trib_sealer_seal(const struct trib_sealer *sealer, struct trib_blob *raw,
                                  const struct trib_version *base, struct trib_version *version,
                                  struct trib_error *error)
{
    size_t payload_offset, n = sealer->n;
    size_t len = trib_frame_raw_len(n, &payload_offset);
    uint8_t *frame = trib_blob_fill(raw);
    float *vector = (float *)(void *)(frame + payload_offset);
    struct trib_version made = {.number = base ? base->number + 1 : 0, .raw = raw, .vector = vector};
    enum trib_status status = TRIB_OK;
    if (base && trib_sealer_makes_deltas(sealer)) {
        status = make_delta(sealer, base, vector, &made, error);
    }
    if (status == TRIB_OK) {
        status = trib_frame_seal_raw(TRIB_FRAME_MODEL, sealer->schema, n, frame, len, error);
    }
    if (status == TRIB_OK) {
        status = hash_of(frame, len, made.sha256, error);
    }
    if (status != TRIB_OK) {
        trib_version_clear(&made);
        return status;
    }
    *version = made;
    return TRIB_OK;
}
