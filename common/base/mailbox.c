/* A mailbox is a linked list under a mutex, with a condition for a reader that sleeps and an eventfd for one that
 * polls. */
#include "base/mailbox.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum trib_status trib_mailbox_init(struct trib_mailbox *mailbox, bool pollable, struct trib_error *error)
{
    int fd = pollable ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (pollable && fd < 0) {
        return trib_fail_errno(error, errno, "eventfd");
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&mailbox->mutex, NULL);
    pthread_cond_init(&mailbox->arrived, &monotonic);
    pthread_condattr_destroy(&monotonic);
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    mailbox->fd = fd;
    mailbox->closed = false;
    return TRIB_OK;
}

void trib_mailbox_clear(struct trib_mailbox *mailbox)
{
    if (mailbox->fd >= 0) {
        close(mailbox->fd);
    }
    pthread_cond_destroy(&mailbox->arrived);
    pthread_mutex_destroy(&mailbox->mutex);
}

/* Under the mutex, so that a pop which empties the list also takes the signal back. The counter cannot overflow. */
static void signal_fd(const struct trib_mailbox *mailbox)
{
    const uint64_t one = 1;
    if (mailbox->fd >= 0) {
        ssize_t wrote = write(mailbox->fd, &one, sizeof one);
        (void)wrote;
    }
}

static void clear_fd(const struct trib_mailbox *mailbox)
{
    uint64_t count;
    if (mailbox->fd >= 0) {
        ssize_t got = read(mailbox->fd, &count, sizeof count); /* nothing to read is fine */
        (void)got;
    }
}

void trib_mailbox_post(struct trib_mailbox *mailbox, struct trib_letter *letter)
{
    letter->next = NULL;
    pthread_mutex_lock(&mailbox->mutex);
    *mailbox->last = letter;
    mailbox->last = &letter->next;
    signal_fd(mailbox);
    pthread_cond_signal(&mailbox->arrived);
    pthread_mutex_unlock(&mailbox->mutex);
}

/* Under the mutex. */
static struct trib_letter *take_first(struct trib_mailbox *mailbox)
{
    struct trib_letter *letter = mailbox->first;
    if (letter) {
        mailbox->first = letter->next;
        letter->next = NULL;
    }
    if (!mailbox->first) {
        mailbox->last = &mailbox->first;
        clear_fd(mailbox);
    }
    return letter;
}

struct trib_letter *trib_mailbox_pop(struct trib_mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    struct trib_letter *letter = take_first(mailbox);
    pthread_mutex_unlock(&mailbox->mutex);
    return letter;
}

struct trib_letter *trib_mailbox_take(struct trib_mailbox *mailbox, int64_t until_ms)
{
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    pthread_mutex_lock(&mailbox->mutex);
    while (!mailbox->first && !mailbox->closed) {
        if (until_ms == INT64_MAX) {
            pthread_cond_wait(&mailbox->arrived, &mailbox->mutex);
        } else if (pthread_cond_timedwait(&mailbox->arrived, &mailbox->mutex, &until) != 0) {
            break;
        }
    }
    struct trib_letter *letters = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    clear_fd(mailbox);
    pthread_mutex_unlock(&mailbox->mutex);
    return letters;
}

struct trib_letter *trib_mailbox_wait(struct trib_mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    while (!mailbox->first && !mailbox->closed) {
        pthread_cond_wait(&mailbox->arrived, &mailbox->mutex);
    }
    struct trib_letter *letter = take_first(mailbox);
    pthread_mutex_unlock(&mailbox->mutex);
    return letter;
}

void trib_mailbox_close(struct trib_mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    mailbox->closed = true;
    signal_fd(mailbox);
    pthread_cond_broadcast(&mailbox->arrived);
    pthread_mutex_unlock(&mailbox->mutex);
}

int trib_mailbox_fd(const struct trib_mailbox *mailbox)
{
    return mailbox->fd;
}
