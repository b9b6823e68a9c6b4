/* A disk on top of another one (the system's, a simulated one) whose Nth call fails: for torture tests of real code.
 * Any thread. */
#ifndef TRIB_TEST_FAIL_DISK_H
#define TRIB_TEST_FAIL_DISK_H

#include "base/disk.h"

#include <stdbool.h>
#include <stdint.h>

struct fail_disk; /* opaque */

/* `under` is borrowed. NULL when memory is short. */
struct fail_disk *fail_disk_new(const struct trib_disk *under);
void fail_disk_free(struct fail_disk *disk);                     /* NULL is allowed */
const struct trib_disk *fail_disk_table(struct fail_disk *disk); /* for trib_disk_use */
/* Let `after` calls other than close happen, then let one (sticky: and all that follow) fail with errnum, and not
 * happen. A negative number switches it off. Returns the calls counted since the last time. */
int64_t fail_disk_after(struct fail_disk *disk, int64_t after, int errnum, bool sticky);
/* Calls that were made to fail since fail_disk_after. */
int64_t fail_disk_failures(struct fail_disk *disk);
/* Descriptors that were opened through it and are not closed. */
int64_t fail_disk_descriptors(struct fail_disk *disk);

#endif
