/* Making frames in tests, with the chain as its text. */
#ifndef TRIB_TEST_FRAMES_H
#define TRIB_TEST_FRAMES_H

#include "codec/frame.h"

#include "base/mem.h"
#include "base/rng.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* Parses or aborts. */
static inline struct trib_chain chain_of(const char *text)
{
    struct trib_chain chain;
    struct trib_error error;
    if (trib_chain_parse(text, &chain, &error) != TRIB_OK) {
        fprintf(stderr, "%s: %s\n", text, error.message);
        abort();
    }
    return chain;
}

static inline enum trib_status encode_frame(enum trib_frame_kind kind, const char *codec, uint64_t seed,
                                            const uint8_t *schema, const float *vector, size_t n,
                                            struct trib_blob **frame, struct trib_error *error)
{
    const struct trib_chain chain = chain_of(codec);
    const struct trib_frame_job job = {
        .kind = kind, .chain = &chain, .seed = seed, .schema = schema, .vector = vector, .n = n};
    return trib_frame_encode(&job, frame, error);
}

/* A whole frame there and back; its length. */
static inline size_t there_and_back(const char *codec, uint64_t seed, const float *vector, float *back, size_t n)
{
    static const uint8_t any_schema[TRIB_FRAME_HASH_LEN] = {5};
    struct trib_blob *frame = NULL;
    struct trib_error error = {.message = ""};
    ck_assert_msg(encode_frame(TRIB_FRAME_UPDATE, codec, seed, any_schema, vector, n, &frame, &error) == TRIB_OK,
                  "%s: %s", codec, error.message);
    const struct trib_frame_source source = trib_frame_source_memory(frame);
    ck_assert_msg(trib_frame_decode(&source, NULL, back, n, &error) == TRIB_OK, "%s: %s", codec, error.message);
    size_t len = trib_blob_len(frame);
    trib_blob_unref(frame);
    return len;
}

/* |a - b|^2 / |a|^2; of a vector of zeros |b|^2. */
static inline double nmse(const float *a, const float *b, size_t n)
{
    double error = 0, energy = 0;
    for (size_t i = 0; i < n; i++) {
        error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        energy += (double)a[i] * (double)a[i];
    }
    return energy > 0 ? error / energy : error;
}

/* The caller frees them by trib_free. */
static inline float *normal_values(size_t n, uint64_t seed)
{
    float *values = trib_malloc_aligned(n, sizeof *values);
    ck_assert_ptr_nonnull(values);
    struct trib_rng rng = trib_rng_init(seed, "normal", 0, 0);
    for (size_t i = 0; i < n; i++) {
        values[i] = (float)trib_rng_normal(&rng);
    }
    return values;
}

#endif
