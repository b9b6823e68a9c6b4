/* The feedback store keeps what a client's updates left out (codec/feedback.h), from round to round and across
 * restarts. One thread.
 *
 * Exactly once: the state counts as the next one only when the update that it belongs to is in the server's model.
 * So there are two of them, in `feedback` and `feedback.pending` under the client's state directory (without one: in
 * memory). A round begins from the committed one, that of the last update that was folded, and its outcome is pending;
 * it takes the committed one's place when the server says that it folded that round: by its outcome, or with a later
 * task (folded_round). Skipped, rejected, late, lost, begun again: then the pending one is dropped and the committed
 * one stands. Rounds ascend, but need not follow each other.
 *
 * So a skipped client keeps the residual that it had before the round, and the skipped update itself is let go: a
 * server skips what does not agree with where the model goes (CMFL, Wang et al. 2019), and to carry it over would only
 * send the same again later, when it agrees still less.
 *
 * A state is good for one run, one schema, one kind of feedback. If these change, a file is damaged, or the server's
 * last folded round is not the state's, the state is dropped with a line in the log and begins anew at zero: no fault
 * of a state ever stops training. Nor does a full disk, but for ef21 (trib_feedback_store_keep). */
#ifndef TRIB_CLIENT_FEEDBACK_STORE_H
#define TRIB_CLIENT_FEEDBACK_STORE_H

#include "codec/feedback.h"

struct trib_feedback_store; /* opaque */

/* trib_feedback_store_new: dir NULL or "" = in memory. The directory is made when it is first needed. TRIB_NO_MEMORY.
 */
TRIB_MUST_CHECK enum trib_status trib_feedback_store_new(const char *dir, struct trib_feedback_store **store,
                                                         struct trib_error *error);
void trib_feedback_store_free(struct trib_feedback_store *store); /* files stay; NULL is allowed */
/* trib_feedback_store_memory is the bytes of memory that states of n elements take. */
size_t trib_feedback_store_memory(const struct trib_feedback_store *store, enum trib_feedback_kind kind, size_t n);

struct trib_feedback_round { /* borrowed for the call */
    struct trib_feedback feedback;
    const char *run;
    const uint8_t *schema; /* [32] */
    uint64_t round;
    uint64_t folded_round; /* the server's word: the last round whose model holds an update of this client, 0 = none, or
                              it does not know; to ef21, always none */
};
/* trib_feedback_store_begin makes of vector[n], a round's delta, what is to be coded. *known: the folded round of the
 * state that was used, 0 = it began at zero. Settles what was pending. With kind none it forgets whatever it has. A
 * failure (TRIB_NO_MEMORY, TRIB_IO: a file that could not be read to its end) leaves the vector spoiled and the state
 * dropped, but ef21's: that may be read the next time. */
TRIB_MUST_CHECK enum trib_status trib_feedback_store_begin(struct trib_feedback_store *store,
                                                           const struct trib_feedback_round *round, float *vector,
                                                           size_t n, uint64_t *known, struct trib_error *error);
/* trib_feedback_store_keep makes the next state, after the vector was coded and as trib_feedback_decoded left it, and
 * keeps it as pending. When it cannot be kept, the state is dropped, and the update may be sent all the same: TRIB_OK.
 * But not with ef21, whose server could never again make sense of this client's updates: then it is a failure, and the
 * committed state stands. */
TRIB_MUST_CHECK enum trib_status trib_feedback_store_keep(struct trib_feedback_store *store, const float *vector,
                                                          struct trib_error *error);
/* trib_feedback_store_abandon comes instead when the vector was not coded. reason: the state may be to blame, so it is
 * dropped; NULL: it stands. */
void trib_feedback_store_abandon(struct trib_feedback_store *store, const char *reason);
/* trib_feedback_store_awaits tells whether the directory's pending state belongs to that round, for whoever has no
 * store yet. */
bool trib_feedback_store_awaits(const char *dir, const char *run, uint64_t round);
/* trib_feedback_store_disk is the bytes of the files, committed and pending, for states of n elements; 0 without a
 * directory. */
uint64_t trib_feedback_store_disk(const struct trib_feedback_store *store, enum trib_feedback_kind kind, size_t n);
/* trib_feedback_store_settle notes that a round has an outcome. Others than the pending one are ignored. */
void trib_feedback_store_settle(struct trib_feedback_store *store, const char *run, uint64_t round, bool folded);

#endif
