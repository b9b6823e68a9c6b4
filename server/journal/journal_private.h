/* The inside of the journal: what is gathered (hub's thread), and records and files (the writing thread). */
#ifndef TRIB_JOURNAL_JOURNAL_PRIVATE_H
#define TRIB_JOURNAL_JOURNAL_PRIVATE_H

#include "journal/journal.h"
#include "rows.h"
#include "store/blobs.h"

struct noted_member { /* what is written down of a member's part in the round */
    bool valid;
    uint8_t state;
    uint64_t round, attempt;
};
struct noted_run {
    bool valid, open, decided;
    uint64_t number, attempt, bytes_left;
};

struct trib_journal {
    struct trib_journal_options options;
    char run[TRIB_STORE_RUN_LEN];
    struct trib_store_runs constants; /* what does not change in the run's row */
    struct trib_store_runs last;      /* the last run of the folder, as it was found; number 0 = none */
    uint8_t *last_selector_state, *last_run_state;

    /* hub's thread */
    struct trib_batch batch; /* not yet taken */
    struct noted_run noted_run;
    struct noted_member *noted; /* [n_noted] by client */
    size_t n_noted;
    bool writing;           /* a batch is on its way to the disk */
    bool committing;        /* the present is being written with the commit: nothing is noted meanwhile */
    bool note_all;          /* some rows were not written: all of the present once more, ... */
    int64_t note_all_at_ms; /* ... then, and not before */

    /* the writing thread */
    struct trib_store *store;
    struct trib_blobs *blobs;
    uint64_t audit_number; /* of the last entry that is written */
};

static inline uint64_t as_column(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : value;
}

/* observer_journal.c: rows of the past */
void trib_journal_put_round(struct trib_journal *journal, const struct trib_round_record *record, int64_t began_ms,
                            int64_t ended_ms);
void trib_journal_put_outcome(struct trib_journal *journal, const char *node, uint64_t round, int64_t at_ms,
                              uint64_t weight, const char *outcome, const char *reason);
/* The run began or goes on, by this software. */
void trib_journal_put_audit(struct trib_journal *journal, const char *event, uint64_t round, int64_t at_ms);
/* journal.c */
void trib_journal_put_run(struct trib_journal *journal, const struct trib_present *present, bool after_commit);
/* Is it among these hashes, 32 bytes each? */
bool trib_journal_lists_hash(const struct trib_buf *hashes, const uint8_t *hash);

#endif
