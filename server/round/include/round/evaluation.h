/* Evaluation at clients, a phase beside the rounds: when a model is committed, some of the clients that are idle then
 * are asked to try it on examples that they hold out. The next round trains meanwhile: whoever evaluates may be picked
 * for it, so that the choice of cohorts does not depend on this phase. It is over when all have answered, at its
 * deadline, or when the next model is committed; it is before that round's COMMITTED, whose line may tell of it. */
#ifndef TRIB_ROUND_EVALUATION_H
#define TRIB_ROUND_EVALUATION_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct trib_round;

/* The options of the phase `evaluate`, a part of trib_round_options; all zero = off. */
struct trib_evaluate_options {
    double clients;       /* below 1: this share of those who are idle, rounded up; else this many of them; 0 = off */
    int64_t deadline_ms;  /* > 0 */
    int64_t max_examples; /* that one client may answer for; > 0 */
};

/* An answer is what one client has found. */
struct trib_evaluate_answer {
    uint64_t examples; /* at least 1 */
    uint64_t correct;  /* of these */
    double loss;       /* their mean */
    double accuracy;   /* correct / examples */
};
/* An answer's payload: u32 1, u64 examples, u64 correct, and the bits of loss and accuracy as u64, little-endian. */
enum { TRIB_EVALUATE_ANSWER_LEN = 36 };
void trib_evaluate_answer_write(const struct trib_evaluate_answer *answer, uint8_t to[TRIB_EVALUATE_ANSWER_LEN]);
/* trib_evaluate_answer_read reads a payload and checks it. TRIB_CORRUPT: the error says why it is not one. */
TRIB_MUST_CHECK enum trib_status trib_evaluate_answer_read(const void *bytes, size_t len,
                                                           const struct trib_evaluate_options *options,
                                                           struct trib_evaluate_answer *answer,
                                                           struct trib_error *error);

/* An evaluation's result covers the clients that answered it. The sums are made in the order of the clients' keys, so
 * that the order of their answers leaves no trace. */
struct trib_client_evaluation {
    uint64_t round, version;                          /* that made the model, and the model's number */
    uint32_t asked, answered, failed, rejected, late; /* clients: asked = the sum of the others, when it is over */
    uint64_t examples, correct;                       /* of those who answered */
    double loss;                                      /* mean over these examples; nan = nobody answered, as below */
    double accuracy;                                  /* correct / examples */
    double accuracy_min, accuracy_max;                /* of single clients */
    int64_t began_ms, closed_ms;
};
/* trib_round_evaluation returns the last one that is over (see PHASE_DONE); NULL: none is, in this process. */
const struct trib_client_evaluation *trib_round_evaluation(const struct trib_round *round);

#endif
