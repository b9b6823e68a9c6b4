/* The disk budget reckons what a client keeps under its state directory, against the owner's limits.disk. What does not
 * fit is refused before a byte of it is written. In that order things are given up: first the model that is held
 * between tasks, then the finished update; a task that needs more than both leave is refused. Any thread; NULL for a
 * budget = no limit. */
#ifndef TRIB_CLIENT_DISK_BUDGET_H
#define TRIB_CLIENT_DISK_BUDGET_H

#include "base/status.h"

#include <stdint.h>

enum trib_disk_use {
    TRIB_DISK_MODEL,    /* that is held */
    TRIB_DISK_DOWNLOAD, /* under way, or on its way to the trainer */
    TRIB_DISK_FEEDBACK, /* both states */
    TRIB_DISK_UPDATE,   /* that is finished */
    TRIB_DISK_USES
};
struct trib_disk_budget; /* opaque */

/* trib_disk_budget_new: limit 0 = none. TRIB_NO_MEMORY. */
TRIB_MUST_CHECK enum trib_status trib_disk_budget_new(uint64_t limit, struct trib_disk_budget **budget,
                                                      struct trib_error *error);
void trib_disk_budget_free(struct trib_disk_budget *budget); /* NULL is allowed */
/* trib_disk_budget_look notes what an earlier process has left under the directory, but for downloads, which count once
 * they go on. */
void trib_disk_budget_look(struct trib_disk_budget *budget, const char *dir);
/* trib_disk_budget_set: a use takes `len` bytes from now on, whatever it took before. TRIB_LIMIT with the figures: it
 * is as it was. */
TRIB_MUST_CHECK enum trib_status trib_disk_budget_set(struct trib_disk_budget *budget, enum trib_disk_use use,
                                                      uint64_t len, struct trib_error *error);
/* trib_disk_budget_exchange sets a use in exchange for all that another one takes. */
TRIB_MUST_CHECK enum trib_status trib_disk_budget_exchange(struct trib_disk_budget *budget, enum trib_disk_use use,
                                                           uint64_t len, enum trib_disk_use other,
                                                           struct trib_error *error);
/* trib_disk_budget_note sets a use, allowed or not. */
void trib_disk_budget_note(struct trib_disk_budget *budget, enum trib_disk_use use, uint64_t len);
/* trib_disk_budget_take adds to a use (TRIB_LIMIT), trib_disk_budget_give takes from it. */
TRIB_MUST_CHECK enum trib_status trib_disk_budget_take(struct trib_disk_budget *budget, enum trib_disk_use use,
                                                       uint64_t len, struct trib_error *error);
void trib_disk_budget_give(struct trib_disk_budget *budget, enum trib_disk_use use, uint64_t len);

#endif
