/* Inside the work: its state, and what its files call in each other. */
#ifndef TRIB_CLIENT_WORK_PRIVATE_H
#define TRIB_CLIENT_WORK_PRIVATE_H

#include "client/model_route.h"
#include "work.h"

enum { TRIB_KNOWN_GRAPHS = 4 /* a server that alternates between a few graphs need not send them again */ };

struct trib_known_graph {
    uint8_t sha256[32];
    struct trib_blob *bytes; /* NULL = free place */
    uint64_t used;           /* the largest is the latest */
};

struct trib_work {
    uint64_t memory_bytes;         /* 0 = no limit */
    char run[TRIB_RUN_ID_LEN + 1]; /* of the last Welcome */
    uint32_t chunk_bytes;          /* that the server allows */
    uint32_t line_chunk_bytes;     /* that get through the line before it breaks, as far as is known */

    enum trib_work_phase phase;
    struct trib_client_task task;     /* when phase is not NONE */
    struct trib_client_update update; /* from READY on */
    bool saved;                       /* the update is kept for another process */
    bool confirmed;                   /* the server has sent this task on this connection */
    bool
        transferring; /* a download's or an upload's event is still to come; DOWNLOADING without: it is to be resumed */
    uint64_t job;     /* of the download, training or upload whose event is awaited */

    struct trib_held_model held;   /* what the worker holds between tasks */
    struct trib_model_route route; /* to the task's model */
    size_t blobs;                  /* of the route that have arrived */
    uint64_t received;             /* bytes that have arrived of the next one */

    double upload_rate;      /* bytes a second, of the last upload that was long enough to tell; 0 = none */
    int64_t upload_began_ms; /* of the upload that runs */
    uint64_t upload_bytes;
    uint64_t upload_offset; /* where the last upload of this update began; UINT64_MAX: none did */
    unsigned failures;      /* of transfers, in a row */
    int64_t retry_at_ms, deadline_ms, release_at_ms; /* 0 = not set */

    struct trib_known_graph graphs[TRIB_KNOWN_GRAPHS];
    uint64_t graph_uses;

    char text[TRIB_ERROR_MESSAGE_LEN]; /* of a report, until the next turn */
};

/* work.c */
/* trib_work_begin_job numbers a download, training or upload, whose event is awaited from now on. */
uint64_t trib_work_begin_job(struct trib_work *work, struct trib_turn *turn);
/* trib_work_fail tells the server, if that makes sense, and ends the task. */
void trib_work_fail(struct trib_work *work, struct trib_turn *turn, enum trib_status status, const char *reason);
void trib_work_send_failure(struct trib_turn *turn, uint64_t round, enum trib_status status, const char *reason);

/* work_transfer.c */
/* A line that breaks again and again before a whole chunk is through gets smaller ones, and larger ones again once a
 * transfer has come to its end. */
void trib_work_line_is_bad(struct trib_work *work);
void trib_work_line_is_good(struct trib_work *work);
uint32_t trib_work_line_chunk(const struct trib_work *work);
/* trib_work_retry_transfer tries again a little later, but not for ever without progress. */
void trib_work_retry_transfer(struct trib_work *work, struct trib_turn *turn, enum trib_status status,
                              const char *reason);

/* work_model.c */
void trib_work_begin_model(struct trib_work *work, struct trib_turn *turn); /* on the way to the task's model */
void trib_work_begin_download(struct trib_work *work, struct trib_turn *turn);

/* work_update.c */
void trib_work_offer(struct trib_work *work, struct trib_turn *turn);
/* trib_work_forget_update drops what is kept for another process. */
void trib_work_forget_update(struct trib_work *work, struct trib_turn *turn);

/* work_intake.c */
/* trib_work_read_task checks everything in a message; the task holds a reference to its graph. */
TRIB_MUST_CHECK enum trib_status trib_work_read_task(struct trib_work *work, const Tributary__V1__Task *message,
                                                     struct trib_client_task *task, struct trib_error *error);
/* trib_work_same_task tells whether both lead to the same update. */
bool trib_work_same_task(const struct trib_client_task *a, const struct trib_client_task *b);

/* work_graphs.c */
/* trib_work_take_graph finds or keeps the graph of the task's hash, and gives the task a reference. */
TRIB_MUST_CHECK enum trib_status trib_work_take_graph(struct trib_work *work, const ProtobufCBinaryData *sent,
                                                      struct trib_client_task *task, struct trib_error *error);
void trib_work_forget_graphs(struct trib_work *work);

#endif
