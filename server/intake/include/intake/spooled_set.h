/* A spooled set is the updates of a round for a strategy that needs them all at once: verified uploads that stay in
 * their spool files, and are decoded a block at a time. Memory does not grow with the number or size of updates. The
 * adding thread is one; the set that it gives may be read by several. */
#ifndef TRIB_INTAKE_SPOOLED_SET_H
#define TRIB_INTAKE_SPOOLED_SET_H

#include "intake/uploads.h"
#include "intake/verify.h"
#include "strategy/update_set.h"

struct trib_spooled {
    struct trib_upload *upload; /* one reference */
    struct trib_frame_source source;
    struct trib_update_info info;
};
/* A set; zeroed = empty. */
struct trib_spooled_set {
    struct trib_spooled *list; /* [n] */
    size_t n, capacity;
    const struct trib_update_rules *rules; /* that they were verified by; borrowed */
};

/* trib_spooled_set_add adds an upload, with a reference of the set's own (NULL: `source` lives as long as the set, as
 * in tests). */
TRIB_MUST_CHECK enum trib_status trib_spooled_set_add(struct trib_spooled_set *set, struct trib_upload *upload,
                                                      const struct trib_frame_source *source,
                                                      const struct trib_update_info *info, struct trib_error *error);
/* trib_spooled_set_view is the set as strategies see it; valid until the next add or clear. */
struct trib_update_set trib_spooled_set_view(const struct trib_spooled_set *set);
/* trib_spooled_set_clear lets go of all uploads. */
void trib_spooled_set_clear(struct trib_spooled_set *set);

#endif
