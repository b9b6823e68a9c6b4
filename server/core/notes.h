/* Records that wait to be written down: made by the engine's thread, written by the worker's, in order. */
#ifndef TRIB_CORE_NOTES_H
#define TRIB_CORE_NOTES_H

#include "store/store.h"

struct trib_note; /* opaque */

/* Zeroed = none. */
struct trib_notes {
    struct trib_note *first, *last;
    bool lost; /* memory was short: something is not there */
};

/* A copy of the record and of its bytes. */
void trib_notes_put(struct trib_notes *notes, enum trib_store_table_id table, const void *record);
/* All records whose first n_keys keys are those of this one go. */
void trib_notes_remove(struct trib_notes *notes, enum trib_store_table_id table, const void *record, size_t n_keys);
void trib_notes_clear(struct trib_notes *notes);
/* In a transaction of the caller's. Entries of the audit trail get their numbers here, after *audit_number, which is
 * counted up: so none is missing. */
TRIB_MUST_CHECK enum trib_status trib_notes_write(const struct trib_notes *notes, struct trib_store *store,
                                                  uint64_t *audit_number, struct trib_error *error);

#endif
