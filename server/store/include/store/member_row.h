/* The way between a member's snapshot and its row in the table `members`, made of round/member_fields.def. */
#ifndef TRIB_STORE_MEMBER_ROW_H
#define TRIB_STORE_MEMBER_ROW_H

#include "round/round.h"
#include "store/store.h"

/* trib_member_row_fill writes a snapshot's fields into the row, whose other columns stay as they are. A number above
 * INT64_MAX, the most that a column holds, becomes INT64_MAX. */
void trib_member_row_fill(const struct trib_member_snapshot *snapshot, struct trib_store_members *row);
/* trib_member_row_read makes a snapshot of a row, for the client with this number and the key of the row's node.
 * TRIB_CORRUPT: the row holds a state that does not exist. */
TRIB_MUST_CHECK enum trib_status trib_member_row_read(const struct trib_store_members *row, uint32_t client,
                                                      struct trib_member_snapshot *snapshot, struct trib_error *error);

#endif
