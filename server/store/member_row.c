/* The way between a member's snapshot and its row in the store. */
#include "store/member_row.h"

#include "base/rng.h"

#include <inttypes.h>
#include <string.h>

static uint64_t as_column(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : value;
}

void trib_member_row_fill(const struct trib_member_snapshot *snapshot, struct trib_store_members *row)
{
#define TRIB_MEMBER_STATE(name)     row->name = trib_member_state_stored(snapshot->name);
#define TRIB_MEMBER_NUMBER(name)    row->name = as_column(snapshot->name);
#define TRIB_MEMBER_REAL(name)      row->name = snapshot->name;
#define TRIB_MEMBER_FLAGS(name)     row->name = 0;
#define TRIB_MEMBER_FLAG(name, bit) row->flags |= snapshot->name ? (bit) : 0;
#define TRIB_MEMBER_KEY(name)
#include "round/member_fields.def"
}

enum trib_status trib_member_row_read(const struct trib_store_members *row, uint32_t client,
                                      struct trib_member_snapshot *snapshot, struct trib_error *error)
{
    enum trib_member_state state;
    if (!trib_member_state_find(row->state, &state)) {
        return trib_fail(error, TRIB_CORRUPT, "members.state of %s: %" PRIu64 " is no state of a member", row->node,
                         row->state);
    }
    snapshot->client = client;
#define TRIB_MEMBER_STATE(name)  snapshot->name = state;
#define TRIB_MEMBER_NUMBER(name) snapshot->name = row->name;
#define TRIB_MEMBER_REAL(name)   snapshot->name = row->name;
#define TRIB_MEMBER_FLAGS(name)
#define TRIB_MEMBER_FLAG(name, bit) snapshot->name = row->flags & (bit);
#define TRIB_MEMBER_KEY(name)       snapshot->name = trib_hash64(row->node, strlen(row->node), 0);
#include "round/member_fields.def"
    return TRIB_OK;
}
