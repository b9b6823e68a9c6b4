/* The link is the client's way to the server over gRPC: the session stream, one download, one upload. What happens
 * becomes session events in a mailbox; the job numbers are the session's own.
 *
 * Called by the main thread alone. The transport's threads verify and store what arrives, and post events. */
#ifndef TRIB_CLIENT_RPC_LINK_H
#define TRIB_CLIENT_RPC_LINK_H

#include "client/limits.h"
#include "client/model_spool.h"
#include "client/session.h"
#include "net/net.h"
#include "wire/message.h"

struct trib_link; /* opaque */

struct trib_link_config { /* all borrowed for the link's life */
    const char *address;
    const char *server_name;        /* NULL = host of the address */
    const struct trib_net_tls *tls; /* NULL = plain text, for tests on loopback only */
    struct trib_net_limits net;
    struct trib_spool_place place; /* of what is downloaded */
    struct trib_mailbox *events;
};
TRIB_MUST_CHECK enum trib_status trib_link_new(const struct trib_link_config *config, struct trib_link **link,
                                               struct trib_error *error);
/* trib_link_free cancels what is open and waits; what is to be said must have been flushed by trib_link_finish. */
void trib_link_free(struct trib_link *link);

/* Calls that fail here post no final event; those that succeed post exactly one for the job: DISCONNECTED, DOWNLOADED
 * or UPLOADED. trib_link_connect posts CONNECTED before anything else. */
TRIB_MUST_CHECK enum trib_status trib_link_connect(struct trib_link *link, uint64_t job, struct trib_error *error);
/* trib_link_read asks for the stream's next message, after each MESSAGE was dealt with; trib_link_connect asks for the
 * first. */
TRIB_MUST_CHECK enum trib_status trib_link_read(struct trib_link *link, uint64_t job, struct trib_error *error);
/* trib_link_send queues a packed ClientMessage. A stream that has ended is no failure: its event is on the way. */
TRIB_MUST_CHECK enum trib_status trib_link_send(struct trib_link *link, const void *bytes, size_t len,
                                                struct trib_error *error);
void trib_link_disconnect(struct trib_link *link); /* at once */
/* trib_link_finish lets what was sent arrive, for at most grace_ms, then disconnects. */
void trib_link_finish(struct trib_link *link, int64_t grace_ms);

/* trib_link_download fetches a blob into memory or a file. It goes on from what there is of the blob: from an earlier
 * attempt of this link, or, in a file, of a link before it, maybe of another process; its bytes are read and hashed
 * first. The event says how far it got. Files of other blobs go: one partial download is kept at most. */
TRIB_MUST_CHECK enum trib_status trib_link_download(struct trib_link *link, uint64_t job, const uint8_t sha256[32],
                                                    uint64_t len, uint32_t chunk_bytes, struct trib_error *error);
/* trib_link_take hands over the blobs that were downloaded since the last time, verified, in order; the caller owns
 * them. How many. */
size_t trib_link_take(struct trib_link *link, struct trib_model_spool *blobs[TRIB_TASK_DELTAS]);

struct trib_link_upload {
    const char *run;
    uint64_t round;
    struct trib_blob *frame; /* a reference is taken */
    const uint8_t *sha256;   /* [32] */
    uint64_t offset;
    uint32_t chunk_bytes;
};
TRIB_MUST_CHECK enum trib_status trib_link_upload(struct trib_link *link, uint64_t job,
                                                  const struct trib_link_upload *upload, struct trib_error *error);
/* trib_link_cancel ends the download and the upload; their events still come. keep: what was downloaded stays and may
 * be resumed, else it goes, with its file. trib_link_free leaves the files, for the next link to find. */
void trib_link_cancel(struct trib_link *link, bool keep);

#endif
