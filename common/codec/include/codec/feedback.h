/* Error feedback keeps what a biased chain leaves out of an update, which is not lost, but added to a later one.
 *
 *   ef    e <- 0;  send C(delta + e);  e <- delta + e - C(delta + e)     Seide et al., 2014; Karimireddy et al., 2019
 *   ef21  g <- 0;  send C(delta - g);  g <- g + C(delta - g)             Richtarik et al., 2021. The receiver keeps the
 *                                                                        same g and takes that for the update
 *   dgc   u, v <- 0;  u <- m u + delta;  v <- v + u;  send C(v);         Lin et al., 2018: m is the momentum. What was
 *         v <- v - C(v), and u <- 0 where C(v) is not 0                  sent less than it was stays in v
 *
 * Here are the formulas, on ranges of vectors; who keeps the state, and when an update counts as sent, is the caller's
 * affair. In three steps: `before` the vector is coded; `decoded` (made for struct trib_frame_job) while it is; `after`
 * it was, which makes the next state. Pure functions: any thread. */
#ifndef TRIB_CODEC_FEEDBACK_H
#define TRIB_CODEC_FEEDBACK_H

#include "codec/chain.h"

enum trib_feedback_kind {
    TRIB_FEEDBACK_NONE = 0,
    TRIB_FEEDBACK_EF = 1, /* numbers stand in files */
    TRIB_FEEDBACK_EF21 = 2,
    TRIB_FEEDBACK_DGC = 3
};
enum { TRIB_FEEDBACK_VECTORS = 2 /* of a state, at most */ };

struct trib_feedback {
    enum trib_feedback_kind kind;
    double momentum; /* of dgc, 0 <= m < 1 */
};

/* trib_feedback_read takes a name, of which "" is none. TRIB_UNSUPPORTED with what is known; TRIB_INVALID for a
 * momentum out of range. */
TRIB_MUST_CHECK enum trib_status trib_feedback_read(const char *name, double momentum, struct trib_feedback *feedback,
                                                    struct trib_error *error);
const char *trib_feedback_name(enum trib_feedback_kind kind);
/* trib_feedback_vectors returns the number of vectors in a state, of n elements each, zeros at first: ef e, ef21 g, dgc
 * u and v. */
unsigned trib_feedback_vectors(enum trib_feedback_kind kind);
/* trib_feedback_changes_before tells whether `after` needs the state as `before` has left it. Else `before` does not
 * change the state. */
bool trib_feedback_changes_before(enum trib_feedback_kind kind);
/* trib_feedback_reads_after tells whether `after` reads a state at all. */
bool trib_feedback_reads_after(enum trib_feedback_kind kind);

/* trib_feedback_before makes of delta what is to be coded; the state of dgc moves on. state: [trib_feedback_vectors]
 * pointers to [n]. */
void trib_feedback_before(const struct trib_feedback *feedback, float *delta, float *const *state, size_t n);

/* trib_feedback_decoded is the `decoded` of a frame's job, with this as its context: each block of `vector` becomes
 * what `after` wants to know, ef: the error, else: the decoded values. */
struct trib_feedback_coding {
    enum trib_feedback_kind kind;
    float *vector; /* that is being coded */
};
void trib_feedback_decoded(void *coding, size_t first, const float *values, size_t n);

/* trib_feedback_after makes the next state, from `vector` as trib_feedback_decoded left it and the state as `before`
 * left it. */
void trib_feedback_after(const struct trib_feedback *feedback, const float *vector, float *const *state, size_t n);

/* ---- the warm-up of sparse chains (Lin et al., 2018) ---- */

/* trib_warmup_share returns the share that is kept in a round (from 1): 1/4, 1/16, 1/64 and 1/256 in the four quarters
 * of the first `rounds` rounds, but never below `last`, which holds from then on. */
double trib_warmup_share(double last, uint64_t round, uint64_t rounds);
/* trib_chain_at_round makes the chain of a round: with that share instead of its sparsifier's; a chain without one as
 * it is. The chain is one that was parsed. TRIB_LIMIT: the text would be too long. */
TRIB_MUST_CHECK enum trib_status trib_chain_at_round(const struct trib_chain *chain, uint64_t round,
                                                     uint64_t warmup_rounds, struct trib_chain *out,
                                                     struct trib_error *error);

#endif
