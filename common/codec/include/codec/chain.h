/* A chain is stages one after the other, as written in a config: "rotate|uniform:2|range", "topk:1%|q8|range", "f16".
 * It has at most one transform, one sparsifier, exactly one quantiser, at most one entropy coder, in this order.
 *
 * A chain is a value: copy it freely. The functions keep no state: any thread, each with its own work space. */
#ifndef TRIB_CODEC_CHAIN_H
#define TRIB_CODEC_CHAIN_H

#include "base/thread_pool.h"
#include "codec/stage.h"

enum { TRIB_CHAIN_STAGES = 8, TRIB_CHAIN_TEXT = 128 };

struct trib_chain {
    unsigned n;
    struct trib_stage_use uses[TRIB_CHAIN_STAGES];
    unsigned caps;              /* of the whole chain */
    char text[TRIB_CHAIN_TEXT]; /* as it was parsed, without spaces; of a chain from a frame: the names alone */
};

/* trib_chain_parse reads a text. TRIB_INVALID: what is wrong with which stage, and what is possible. TRIB_UNSUPPORTED:
 * a stage of that name is not known. */
TRIB_MUST_CHECK enum trib_status trib_chain_parse(const char *text, struct trib_chain *chain, struct trib_error *error);
/* trib_chain_from_ids makes the chain that a frame names: it decodes, but cannot encode what needs arguments.
 * TRIB_UNSUPPORTED: an id is not known. TRIB_CORRUPT: stages that make no chain. */
TRIB_MUST_CHECK enum trib_status trib_chain_from_ids(const uint8_t *ids, size_t n, struct trib_chain *chain,
                                                     struct trib_error *error);
/* trib_chain_same_stages tells whether stages are the same, whatever their arguments: what one encodes the other
 * decodes. */
bool trib_chain_same_stages(const struct trib_chain *a, const struct trib_chain *b);
/* trib_chain_lacks returns the first of the chain's stages that is not among n names; NULL when all are. */
const char *trib_chain_lacks(const struct trib_chain *chain, char *const *names, size_t n);
/* trib_chain_names writes the stages alone: "rotate|uniform|range". */
void trib_chain_names(const struct trib_chain *chain, char text[TRIB_CHAIN_TEXT]);
/* trib_chain_plain returns the stage of a chain of one plain quantiser (f32, f16, bf16), whose bytes are the numbers
 * themselves, else NULL. */
const struct trib_stage *trib_chain_plain(const struct trib_chain *chain);
/* trib_chain_bound returns the most bytes that a block of n elements can take under any chain; a plain chain takes
 * exactly n times its width. */
size_t trib_chain_bound(size_t n);

/* ---- blocks ---- */

struct trib_chain_work; /* scratch memory for one thread, about 1.3 MB; opaque */

struct trib_chain_work *trib_chain_work_new(void); /* NULL when out of memory */
void trib_chain_work_free(struct trib_chain_work *work);

struct trib_survey; /* what the chain's stages found in the whole vector; read only once made; opaque */

/* trib_survey_new runs the passes over the vector; *survey stays NULL when no stage needs one. TRIB_NO_MEMORY, or what
 * a stage says. */
TRIB_MUST_CHECK enum trib_status trib_survey_new(const struct trib_chain *chain, uint64_t seed, const float *vector,
                                                 size_t n, struct trib_survey **survey, struct trib_error *error);
void trib_survey_free(struct trib_survey *survey); /* NULL is allowed */

/* trib_chain_encode_block writes at most `capacity` bytes, *len of them, the same ones for the same chain, survey,
 * seed, number and values. 1 <= n <= TRIB_CODEC_BLOCK. TRIB_LIMIT when they do not fit; TRIB_NOT_FINITE for a value
 * that the chain cannot carry (nan, inf, or beyond its range). */
TRIB_MUST_CHECK enum trib_status trib_chain_encode_block(const struct trib_chain *chain,
                                                         const struct trib_survey *survey, struct trib_chain_work *work,
                                                         uint64_t seed, uint64_t number, const float *values, size_t n,
                                                         uint8_t *to, size_t capacity, size_t *len);
/* trib_chain_decode_block takes exactly n elements from exactly len bytes, which may be any bytes at any alignment,
 * else TRIB_CORRUPT; values that are not finite: TRIB_NOT_FINITE. On failure `to` may hold anything. */
TRIB_MUST_CHECK enum trib_status trib_chain_decode_block(const struct trib_chain *chain, struct trib_chain_work *work,
                                                         uint64_t seed, uint64_t number, const uint8_t *from,
                                                         size_t len, float *to, size_t n);

#endif
