/* Offsets for buffers that live at different times and may therefore share bytes. */
#ifndef TRIB_GRAPH_PLAN_LAYOUT_H
#define TRIB_GRAPH_PLAN_LAYOUT_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { TRIB_LAYOUT_ALIGNMENT = 64 };

struct trib_interval {
    size_t size;          /* bytes, a multiple of the alignment, > 0 */
    uint32_t first, last; /* steps at which it is alive, both included */
    size_t offset;        /* result */
};

/* Give every interval an offset such that no two that are alive at one step overlap. *total = end of the highest. */
TRIB_MUST_CHECK enum trib_status trib_layout_assign(struct trib_interval *intervals, size_t n, size_t *total,
                                                    struct trib_error *error);

#endif
