/* Signals through a pipe. */
#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static int ends[2] = {-1, -1};

static void on_signal(int number)
{
    int callers_errno = errno;
    const unsigned char byte = (unsigned char)number;
    ssize_t wrote = write(ends[1], &byte, 1); /* full: enough of them wait already */
    (void)wrote;
    errno = callers_errno;
}

enum trib_status trib_signals_open(int *fd, struct trib_error *error)
{
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        return trib_fail_errno(error, errno, "a pipe for signals");
    }
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaction(numbers[i], &action, NULL);
    }
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    *fd = ends[0];
    return TRIB_OK;
}

int trib_signals_take(void)
{
    unsigned char number;
    return read(ends[0], &number, 1) == 1 ? number : 0;
}

void trib_signals_default(void)
{
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGHUP, SIG_IGN);
}

void trib_signals_close(void)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)signal(numbers[i], SIG_IGN); /* what comes now comes too late to matter */
    }
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0) {
            close(ends[i]);
            ends[i] = -1;
        }
    }
}
