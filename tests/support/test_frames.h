/* Making frames in tests, with the chain as its text. */
#ifndef TRIB_TEST_FRAMES_H
#define TRIB_TEST_FRAMES_H

#include "codec/frame.h"

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

#endif
