/* Time. Monotonic for intervals, wall for log lines only. Any thread. */
#ifndef TRIB_BASE_CLOCK_H
#define TRIB_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t trib_clock_ms(void);      /* monotonic */
int64_t trib_clock_ns(void);      /* monotonic */
int64_t trib_clock_wall_ms(void); /* since 1970 */
/* RFC 3339 in UTC with milliseconds; `to` holds at least 32 bytes. */
const char *trib_clock_format(int64_t wall_ms, char *to, size_t size);

#endif
