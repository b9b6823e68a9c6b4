/* The clocks. Any thread. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t nanoseconds(clockid_t which)
{
    struct timespec now = {0};
    clock_gettime(which, &now); /* cannot fail for the clocks used here */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t trib_clock_ns(void)
{
    return nanoseconds(CLOCK_MONOTONIC);
}

int64_t trib_clock_ms(void)
{
    return nanoseconds(CLOCK_MONOTONIC) / 1000000;
}

int64_t trib_clock_wall_ms(void)
{
    return nanoseconds(CLOCK_REALTIME) / 1000000;
}

const char *trib_clock_format(int64_t wall_ms, char *to, size_t size)
{
    int64_t rest_ms = wall_ms % 1000;
    time_t seconds = (time_t)(wall_ms / 1000);
    if (rest_ms < 0) {
        rest_ms += 1000;
        seconds--;
    }
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || parts.tm_year + 1900 < 0 || parts.tm_year + 1900 > 9999) {
        snprintf(to, size, "invalid-time");
        return to;
    }
    snprintf(to, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
             parts.tm_hour, parts.tm_min, parts.tm_sec, (int)rest_ms);
    return to;
}
