/* A roster holds the open calls of one server or channel, so that stopping can wait until there are none.
 *
 * The lock is a leaf: whoever holds it takes no other lock, and no call's lock is held when it is taken. */
#ifndef TRIB_NET_INCOMING_CALLS_H
#define TRIB_NET_INCOMING_CALLS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trib_net_call;

struct trib_net_roster_links {
    struct trib_net_call *previous;
    struct trib_net_call *next;
};

struct trib_net_roster {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct trib_net_call *first;
    struct trib_net_call *last;
    size_t n;
    size_t n_holds;             /* other work that stopping has to wait for */
    _Atomic(int64_t) n_put_off; /* calls with a read that was put off; without the lock */
};

void trib_net_roster_init(struct trib_net_roster *roster);
void trib_net_roster_clear(struct trib_net_roster *roster);
void trib_net_roster_enter(struct trib_net_roster *roster, struct trib_net_call *call);
void trib_net_roster_leave(struct trib_net_roster *roster, struct trib_net_call *call);
/* Count work that is no call: armed requests, the shutdown notice. */
void trib_net_roster_hold(struct trib_net_roster *roster);
void trib_net_roster_release(struct trib_net_roster *roster);
/* Wait until no call is open, at most until the monotonic `until_ms`. True when none is left. */
bool trib_net_roster_wait_calls(struct trib_net_roster *roster, int64_t until_ms);
/* Wait until no call is open and nothing is held; INT64_MAX = for as long as it takes. */
bool trib_net_roster_wait_all(struct trib_net_roster *roster, int64_t until_ms);
/* Cancel every call that is open now; no new one may enter meanwhile. */
void trib_net_roster_cancel(struct trib_net_roster *roster);

size_t trib_net_roster_count(struct trib_net_roster *roster);
/* Calls that are due, up to `most`: those for which something is due, with a reference each; how many. */
size_t trib_net_roster_due(struct trib_net_roster *roster, int64_t now_ms, struct trib_net_call **calls, size_t most);

#endif
