/* Failing memory is for tests alone: the linker puts counting functions in front of trib_malloc and its kin (link with
 * trib_test_memory), and the Nth allocation of the process returns NULL. Any thread. */
#ifndef TRIB_TEST_FAIL_MEMORY_H
#define TRIB_TEST_FAIL_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* fail_memory_after lets `after` allocations succeed, then fails one (and, if `sticky`, all that follow). A negative
 * number switches failures off. Returns the allocations counted since the last call. */
int64_t fail_memory_after(int64_t after, bool sticky);

/* fail_memory_ask lets `fails` decide over every allocation instead; NULL ends that. */
void fail_memory_ask(bool (*fails)(void));

/* fail_memory_live returns the blocks that are allocated and not freed. */
int64_t fail_memory_live(void);

#endif
