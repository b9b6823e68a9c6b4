/* Rows that wait to be written down: made by the hub's thread, written by another, in order. */
#ifndef TRIB_JOURNAL_ROWS_H
#define TRIB_JOURNAL_ROWS_H

#include "journal/journal.h"

/* A copy of the record and of its bytes. */
void trib_batch_put(struct trib_batch *batch, enum trib_store_table_id table, const void *record);
/* All records whose first n_keys keys are those of this one go. */
void trib_batch_remove(struct trib_batch *batch, enum trib_store_table_id table, const void *record, size_t n_keys);
/* In a transaction of the caller's. Entries of the audit trail get their numbers here, after *audit_number, which is
 * counted up: so none is missing. */
TRIB_MUST_CHECK enum trib_status trib_batch_write(const struct trib_batch *batch, struct trib_store *store,
                                                  uint64_t *audit_number, struct trib_error *error);

#endif
