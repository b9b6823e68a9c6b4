/* Memory that runs out at every byte of what is written to a buffer: the room that the buffer has is set to each length
 * in turn, so that each single addition is once the one that has to grow it, and cannot. */
#ifndef TRIB_TEST_GROWTH_H
#define TRIB_TEST_GROWTH_H

#include "fail_memory.h"

#include "base/buf.h"
#include "base/mem.h"

#include <check.h>
#include <string.h>

typedef enum trib_status test_growth_write(void *context, struct trib_buf *buf);

/* One try with room for `room` bytes, whose allocation number `after` fails; true when none did. */
static inline bool test_growth_try(test_growth_write *write, void *context, size_t room, int64_t after,
                                   const struct trib_buf *whole)
{
    struct trib_buf buf = {.len = 0};
    ck_assert_int_eq(trib_buf_reserve(&buf, whole->len), TRIB_OK);
    buf.capacity = room + 1; /* it has more; what it believes counts */
    (void)fail_memory_after(after, false);
    enum trib_status status = write(context, &buf);
    bool failed = fail_memory_after(-1, false) > after;
    ck_assert_msg(status == (failed ? TRIB_NO_MEMORY : TRIB_OK), "room for %zu bytes: %s", room,
                  trib_status_text(status));
    ck_assert(buf.len <= whole->len && memcmp(buf.data, whole->data, buf.len) == 0);
    trib_buf_clear(&buf);
    return !failed;
}

/* `write` must write the same bytes each time. `allocations`: how many it makes beside the buffer's. */
static inline void test_each_growth(test_growth_write *write, void *context, int allocations)
{
    struct trib_buf whole = {.len = 0};
    ck_assert_int_eq(write(context, &whole), TRIB_OK);
    for (size_t room = 0; room <= whole.len; room++) {
        for (int64_t after = 0; after <= allocations && !test_growth_try(write, context, room, after, &whole);
             after++) {
        }
    }
    trib_buf_clear(&whole);
}

#endif
