/* The journal is what outlives a server's process: facts become rows, a commit is one durable transaction after the
 * files that it refers to, and a start reads all of it back.
 *
 * Two kinds of rows. The present, the run's row and one of each member, is together the round machine's snapshot; it
 * follows the machine's changes in transactions that survive this process, though maybe not the machine. The past is
 * nodes, offers, outcomes, rounds and the audit trail. What belongs to a commit is in the commit's own transaction.
 * Whatever is written late or never costs work, not correctness: a member that is not known to have delivered is asked
 * again.
 *
 * Threads: the hub's thread gathers; batches are values, which one thread writes (the last two sections), while the
 * hub's thread goes on gathering. */
#ifndef TRIB_JOURNAL_JOURNAL_H
#define TRIB_JOURNAL_JOURNAL_H

#include "aggregate/aggregate.h"
#include "journal/fact.h"
#include "journal/parts.h"
#include "model/checkpoint.h"
#include "release/release.h"
#include "roster/roster.h"
#include "select/relevance.h"
#include "store/store.h"
#include "strategy/proximal.h"

struct trib_journal; /* opaque */

struct trib_journal_options {
    const char *state_dir;
    const struct trib_schema *schema; /* of the model; all of these are borrowed */
    const char *software;
    uint64_t rounds;                          /* of the run */
    uint64_t history_rounds;                  /* whose offers and outcomes are kept */
    uint64_t checkpoints_keep, delta_history; /* versions whose model, whose delta is kept */
    bool keeps_past;                          /* members may outlive their round */
    size_t sketch_len;                        /* bytes of an offer's sketch; 0: there are none */
};
/* Opens the state directory's records and files. TRIB_CORRUPT, TRIB_MISMATCH, TRIB_UNAVAILABLE say what is wrong. */
TRIB_MUST_CHECK enum trib_status trib_journal_open(const struct trib_journal_options *options,
                                                   struct trib_journal **journal, struct trib_error *error);
void trib_journal_close(struct trib_journal *journal); /* NULL is allowed */

/* ---- the hub's thread: the present ---- */
/* A look is what the present is read from. */
struct trib_present {
    struct trib_round *round;
    const struct trib_roster *roster;
    const struct trib_parts *parts;
    const struct trib_proximal *proximal;
    int64_t now_ms, wall_ms;
};
/* A batch of rows that wait to be written. A value with one owner. */
struct trib_note;
struct trib_batch {
    struct trib_note *first, *last;
    bool lost; /* memory was short: something is not there */
};
void trib_batch_clear(struct trib_batch *batch);

/* trib_journal_gather notes what has changed since it was noted last. Nothing is noted while a commit is under way: it
 * carries the present. */
void trib_journal_gather(struct trib_journal *journal, const struct trib_present *present);
/* An upload is whole, and kept. */
void trib_journal_note_upload(struct trib_journal *journal, const struct trib_present *present, uint32_t client);
/* Take what was gathered to be written; false: there is nothing, or it is not the time (one batch is on its way, or the
 * last could not be written a moment ago). *batch is the caller's. */
bool trib_journal_take(struct trib_journal *journal, const struct trib_present *present, struct trib_batch *batch);
/* The last batch of the process, in any case. */
void trib_journal_take_last(struct trib_journal *journal, const struct trib_present *present, struct trib_batch *batch);
/* When a batch that could not be written is tried again; INT64_MAX: nothing waits for time. */
int64_t trib_journal_due_ms(const struct trib_journal *journal);
/* A batch that was taken is done with; !ok: nobody knows what is written, so all of it is noted again. */
void trib_journal_batch_done(struct trib_journal *journal, bool ok, bool last, int64_t now_ms);
/* A commit begins: its batch holds the present as it will be when it is done. */
void trib_journal_take_commit(struct trib_journal *journal, const struct trib_present *after,
                              const struct trib_round_record *record, int64_t began_ms, struct trib_batch *batch);
void trib_journal_commit_done(struct trib_journal *journal, bool ok, int64_t now_ms);

/* ---- the writing thread ---- */
/* doubtful: nobody knows what is on the disk. */
TRIB_MUST_CHECK enum trib_status trib_journal_write(struct trib_journal *journal, struct trib_batch *batch,
                                                    bool durable, bool *doubtful, struct trib_error *error);
/* The files of a version, synced, then one durable transaction that refers to them; then what older versions need no
 * more is removed. */
struct trib_commit {
    const struct trib_made *made;
    uint64_t round;
    uint32_t updates; /* that are in it */
    int64_t wall_ms;
};
TRIB_MUST_CHECK enum trib_status trib_journal_commit(struct trib_journal *journal, const struct trib_commit *commit,
                                                     struct trib_batch *batch, bool *doubtful,
                                                     struct trib_error *error);

/* ---- at the start, before any other thread ---- */
/* The last run of this state directory; NULL: there is none. Valid until close. */
const struct trib_store_runs *trib_journal_last_run(const struct trib_journal *journal);
/* TRIB_CORRUPT: there are models, but no run that they are of. */
TRIB_MUST_CHECK enum trib_status trib_journal_check_empty(struct trib_journal *journal, struct trib_error *error);
/* The columns of the run's row that do not change; number and began are set here for a run that begins. */
void trib_journal_describe(struct trib_journal *journal, const struct trib_store_runs *constants, bool resumes,
                           int64_t wall_ms);
/* The run's first rows, durably; a former run's go. */
TRIB_MUST_CHECK enum trib_status trib_journal_begin(struct trib_journal *journal, const struct trib_version *initial,
                                                    const struct trib_present *present, struct trib_error *error);
/* The run's rows once more, durably, as it goes on. */
TRIB_MUST_CHECK enum trib_status trib_journal_resumed(struct trib_journal *journal, const struct trib_present *present,
                                                      struct trib_error *error);
/* The model that this run has committed last, with all that belongs to it, into its rooms. */
struct trib_recall {
    struct trib_sealer *sealer;
    struct trib_release *release; /* holds version 0 */
    struct trib_aggregate *aggregate;
    struct trib_relevance *relevance;
};
TRIB_MUST_CHECK enum trib_status trib_journal_recall(struct trib_journal *journal, const struct trib_recall *recall,
                                                     struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_journal_recall_proximal(const struct trib_journal *journal,
                                                              struct trib_proximal *proximal, struct trib_error *error);
/* Every member's row: into roster and parts, and on to `visit`. */
TRIB_MUST_CHECK enum trib_status trib_journal_recall_members(
    struct trib_journal *journal, struct trib_roster *roster, struct trib_parts *parts,
    enum trib_status (*visit)(void *context, struct trib_member_snapshot *snapshot, struct trib_part *part,
                              struct trib_error *error),
    void *context, struct trib_error *error);
/* The round machine's snapshot as it was written last; `selector` is the settings', whose state it may not be. */
void trib_journal_snapshot(const struct trib_journal *journal, struct trib_round_snapshot *snapshot);
/* Files that no record refers to go. */
TRIB_MUST_CHECK enum trib_status trib_journal_sweep(struct trib_journal *journal, struct trib_error *error);

#endif
