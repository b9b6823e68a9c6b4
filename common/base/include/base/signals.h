/* A daemon's signals as bytes on a descriptor: SIGTERM, SIGINT and SIGHUP are caught, SIGPIPE is ignored.
 *
 * Handlers and a pipe, not a blocked mask and a signalfd: a library may have started threads before main ran, and a
 * signal goes to any thread that does not block it. Main thread only; one set a process. */
#ifndef TRIB_BASE_SIGNALS_H
#define TRIB_BASE_SIGNALS_H

#include "base/status.h"

/* *fd becomes readable when a signal has come. */
TRIB_MUST_CHECK enum trib_status trib_signals_open(int *fd, struct trib_error *error);
/* The next signal that has come, or 0. Does not wait. */
int trib_signals_take(void);
/* Back to the defaults, so that a second signal ends a daemon that is ending; SIGHUP is ignored from here on. */
void trib_signals_default(void);
/* Before the process ends: later signals are ignored. */
void trib_signals_close(void);

#endif
