/* Parts are what the fast kernels cut their work into. A partition depends on shapes alone, never on the number of
 * threads, so that results do not either. Private to this block. */
#ifndef TRIB_BACKEND_PARALLEL_H
#define TRIB_BACKEND_PARALLEL_H

#include "base/thread_pool.h"

#include <stddef.h>

/* The most parts: enough for every core of the machines meant here, few enough that handing parts out costs nothing. */
enum { TRIB_MAX_PARTS = 16 };
/* Below this many bytes moved, or multiply-adds done, a part costs less than handing it to another thread. */
enum { TRIB_PART_BYTES = 64 * 1024, TRIB_PART_MULTIPLIES = 512 * 1024 };

/* The number of parts for `n` items of which at least `grain` make a part. */
static inline size_t trib_parts(size_t n, size_t grain)
{
    size_t parts = n / (grain > 0 ? grain : 1);
    parts = parts < TRIB_MAX_PARTS ? parts : TRIB_MAX_PARTS;
    return parts > 0 ? parts : 1;
}

/* The first item of part `part`, a multiple of `multiple`; of part `parts` it is n. */
static inline size_t trib_part_start(size_t n, size_t parts, size_t part, size_t multiple)
{
    if (part >= parts) {
        return n;
    }
    size_t units = (n + multiple - 1) / multiple;
    return units * part / parts * multiple;
}

#endif
