/* A mailbox is a queue of letters from any thread to one reader, in the order in which they were posted. A letter is
 * embedded in what it carries and belongs to the mailbox while it is in it, so that posting allocates nothing, cannot
 * fail and never waits for the reader. A reader either sleeps in trib_mailbox_take until something comes or a moment is
 * reached, or polls the mailbox's file descriptor beside others. */
#ifndef TRIB_BASE_MAILBOX_H
#define TRIB_BASE_MAILBOX_H

#include "base/status.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct trib_letter {
    struct trib_letter *next;
};
struct trib_mailbox {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    struct trib_letter *first, **last;
    int fd; /* an eventfd, readable while letters may be waiting; -1: there is none */
    bool closed;
};

/* `pollable` gives the mailbox a file descriptor. */
TRIB_MUST_CHECK enum trib_status trib_mailbox_init(struct trib_mailbox *mailbox, bool pollable,
                                                   struct trib_error *error);
/* Letters that are left must have been taken. */
void trib_mailbox_clear(struct trib_mailbox *mailbox);
void trib_mailbox_post(struct trib_mailbox *mailbox, struct trib_letter *letter);
/* The oldest letter, which is the caller's from then on; NULL: there is none. Never waits. */
struct trib_letter *trib_mailbox_pop(struct trib_mailbox *mailbox);
/* All letters, oldest first and linked by `next`; waits for one until the monotonic clock says until_ms (INT64_MAX: for
 * ever). NULL: none came in time. */
struct trib_letter *trib_mailbox_take(struct trib_mailbox *mailbox, int64_t until_ms);
/* The oldest letter; waits for one for as long as the mailbox is open. NULL: the mailbox is closed and empty. */
struct trib_letter *trib_mailbox_wait(struct trib_mailbox *mailbox);
/* Readers that wait come back once the mailbox is empty. Letters may still be posted. */
void trib_mailbox_close(struct trib_mailbox *mailbox);
/* Readable while letters may be waiting; -1 when the mailbox is not pollable. */
int trib_mailbox_fd(const struct trib_mailbox *mailbox);

#endif
