/* The link's inside: its calls. A call object lives until its last holder lets go: the transport (until `closed`), the
 * link's slot, and whoever works on it. */
#ifndef TRIB_LINK_PRIVATE_H
#define TRIB_LINK_PRIVATE_H

#include "client_rpc/link.h"
#include "wire/chunk.h"

#include <pthread.h>
#include <stdatomic.h>

/* A partial is a blob on its way in; it survives a call that broke. */
struct trib_link_partial {
    struct trib_model_spool *spool;
    struct trib_chunk_receiver receiver;
};

struct trib_link_call {
    atomic_int references;
    struct trib_link *link;
    struct trib_link_call **slot; /* of the link, that it stands in while it is current; guarded by the link's lock */
    uint64_t job;
    struct trib_net_call *call;
    struct trib_session_event *final; /* posted at the end */
    bool settled;                     /* what `final` says is settled; by the call's events only */

    struct trib_session_event *incoming; /* stream: for the next message; handed over by the read */

    struct trib_link_partial *partial; /* download */
    bool drop;                         /* download: what came is not wanted any more; guarded by the link's lock */

    struct trib_blob *frame; /* upload */
    struct trib_chunk head;  /* of the next chunk */
    size_t chunk_bytes;      /* of a payload, at most */
    bool all_sent;
    pthread_mutex_t pump; /* serialises sending: the caller's start and the transport's `writable` */
};

struct trib_link {
    struct trib_link_config config;
    struct trib_net_channel *channel;
    pthread_mutex_t lock; /* guards the slots and what follows; no call of the transport is made under it */
    pthread_cond_t closed;
    struct trib_link_call *stream, *download, *upload;
    struct trib_link_partial *partial;                   /* may be resumed */
    struct trib_model_spool *complete[TRIB_TASK_DELTAS]; /* downloaded and verified, not taken yet */
    size_t n_complete;
};

/* link.c */
/* trib_link_call_new makes a call object with its final event, for `slot` (where the former one, if any, is left to end
 * by itself). The caller gets one reference and must start or abandon it. */
TRIB_MUST_CHECK enum trib_status trib_link_call_new(struct trib_link *link, struct trib_link_call **slot,
                                                    enum trib_session_event_kind final, uint64_t job,
                                                    struct trib_link_call **made, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_link_call_start(struct trib_link_call *call, const char *path,
                                                      const struct trib_net_events *events, struct trib_error *error);
void trib_link_call_unref(struct trib_link_call *call);
/* trib_link_call_fail notes a failure for the final event, the first one counts, and ends the call. From the call's
 * events. */
void trib_link_call_fail(struct trib_link_call *call, enum trib_status status, const char *message);
/* trib_link_call_done, at the end of `closed`, leaves the slot, posts the final event and lets go. */
void trib_link_call_done(struct trib_link_call *call);
/* trib_link_call_note puts what `closed` says into the final event, unless a failure stands there. */
void trib_link_call_note(struct trib_link_call *call, const struct trib_net_close *how);

/* link_download.c */
void trib_link_partial_free(struct trib_link_partial *partial);  /* with its file; NULL is allowed */
void trib_link_partial_leave(struct trib_link_partial *partial); /* the file stays */

#endif
