/* The inside of a simulation, shared by its files. One thread, but for the trainers'. */
#ifndef TRIB_SIM_PRIVATE_H
#define TRIB_SIM_PRIVATE_H

#include "client/session.h"
#include "hub/hub.h"
#include "data/partition.h"
#include "sim/event_heap.h"
#include "sim/sim.h"
#include "trainers.h"

/* ---- what is due ---- */
enum sim_event_kind {
    SIM_EVENT_COME,        /* by its availability: it is there from now on */
    SIM_EVENT_GO,          /* ... or away */
    SIM_EVENT_RETURN,      /* from a drop-out */
    SIM_EVENT_DROP_OUT,    /* life */
    SIM_EVENT_TICK,        /* life: its session may be waiting for the time */
    SIM_EVENT_CONNECTED,   /* life, peer */
    SIM_EVENT_TO_CLIENT,   /* life, peer, bytes, model: a message arrives */
    SIM_EVENT_TO_SERVER,   /* peer, bytes */
    SIM_EVENT_PEER_GONE,   /* peer: the server notices */
    SIM_EVENT_LINK_BROKEN, /* life, job, status: the client notices */
    SIM_EVENT_MOVED,       /* life, job: a transfer's last byte has arrived at its receiver */
    SIM_EVENT_DOWNLOADED,  /* life, job, status, received */
    SIM_EVENT_UPLOADED,    /* life, job, status, received */
    SIM_EVENT_TRAINED      /* life, job, status: training; its result unless the status says that there is none */
};
struct sim_event {
    enum sim_event_kind kind;
    uint32_t actor, life;
    uint64_t job;
    struct sim_peer *peer;   /* owned reference, or NULL */
    struct trib_buf bytes;   /* owned */
    struct trib_blob *model; /* TO_CLIENT: of the task, while the server has it; owned reference */
    enum trib_status status;
    uint64_t received;
    char *reason; /* owned; NULL = the status's text */
};

/* ---- the simulated network ---- */
/* A connection, as the server's engine sees it. */
struct sim_peer {
    struct trib_peer peer; /* first: a peer is a sim_peer */
    unsigned refs;
    struct sim *sim;
    uint32_t actor, life;
    uint64_t connection; /* the session's job */
    bool greeted;        /* Hello was taken */
    bool gone;           /* the client's end is closed, as far as the server knows */
};
/* A bulk transfer; one at a time a client. */
struct sim_transfer {
    enum { SIM_NO_TRANSFER, SIM_DOWNLOAD, SIM_UPLOAD } kind;
    uint64_t job;
    int64_t begin_us, end_us; /* of the bytes' way; at the end SIM_EVENT_MOVED */
    uint64_t offset, len;     /* of the blob: from where it is sent, and its length */
    uint32_t chunk_bytes;
    /* UPLOAD */
    struct trib_blob *frame; /* one reference */
    uint8_t sha256[32];
    char run[TRIB_RUN_ID_LEN + 1];
    uint64_t round;
};

/* ---- a client ---- */
enum { SIM_NODE_LEN = 24 };
struct sim_actor {
    struct sim *sim;
    uint32_t number;
    uint32_t life; /* counts its sessions; events of an earlier one are void */
    char node[SIM_NODE_LEN];
    /* drawn once */
    double speed, upload, download; /* examples, bytes a second */
    int64_t latency_us;
    uint32_t *indices; /* [n], in the partition: its examples */
    size_t n;
    /* being there */
    bool present;     /* by its availability */
    bool dropped_out; /* and not yet back */
    uint64_t periods; /* of presence and absence, so far */
    uint64_t dropouts;
    /* its process, while it runs */
    struct trib_session *session;
    bool ended;      /* its session ended for good */
    int64_t tick_us; /* the next TICK in the heap; INT64_MAX = none */
    struct sim_peer *peer;
    int64_t to_client_us, to_server_us; /* when the last message on its way arrives */
    struct sim_transfer transfer;
    struct trib_sim_job *job; /* its training; NULL = none, or one that never ends */
    uint64_t training;        /* the session's number of it; 0 = none */
    int64_t training_ms;      /* simulated */
    bool stopped_early;
    struct trib_held_model held; /* on its disk, so to speak: it outlives the process */
    struct trib_blob *model;     /* of its task; NULL = none. It outlives the process, for a task that is sent again */
    uint8_t model_sha256[32];    /* of that */
    uint64_t part_round, part;   /* the round of its last task, and how often it got one for it before */
    bool remembers;              /* it has a feedback state */
};

struct sim {
    const struct trib_sim_settings *settings;
    struct trib_server_settings server;
    uint64_t seed;
    int64_t now_us;
    struct trib_event_heap heap;
    struct trib_hub *engine;
    struct trib_hub_driver driver;
    int64_t wake_us; /* when the engine is due next, as it said last; INT64_MAX: never */
    bool touched;    /* it has something to do */
    bool reached;    /* the accuracy that was enough */
    struct trib_trainers *trainers;
    struct trib_dataset dataset;
    struct trib_partition partition;
    uint32_t largest; /* examples of the client with the most */
    struct sim_actor *actors;
    size_t n;
    const char *scratch;         /* NULL: not needed so far */
    char *own_scratch;           /* to be removed; NULL = none */
    enum trib_status status;     /* what went wrong where nothing could be returned */
    struct trib_sim_point total; /* so far */
    void (*point)(void *context, const struct trib_sim_point *point);
    void *context;
};

/* sim_clock.c: what is due. They take the event's content over; out of memory, they set sim->status. */
void sim_schedule(struct sim *sim, int64_t time_us, const struct sim_event *event);
/* The same, and the place that it got among those of its time. */
uint64_t sim_schedule_placed(struct sim *sim, int64_t time_us, const struct sim_event *event);
void sim_event_clear(struct sim_event *event);
void sim_event_free(struct sim_event *event);
int64_t sim_us(double seconds); /* at most about thirty years */
void sim_fail(struct sim *sim, enum trib_status status);

/* sim_peer.c: messages between the engine and sessions */
void sim_peer_unref(struct sim_peer *peer);
void sim_peer_connect(struct sim_actor *actor, uint64_t connection);
void sim_peer_send(struct sim_actor *actor, struct trib_buf *bytes);  /* takes the bytes over */
void sim_peer_hang_up(struct sim_actor *actor);                       /* from the client's side */
void sim_peer_take(struct sim *sim, struct sim_event *event);         /* TO_SERVER */
void sim_peer_notice(struct sim *sim, const struct sim_event *event); /* PEER_GONE */

/* sim_transfer.c: downloads and uploads */
void sim_download(struct sim_actor *actor, const struct trib_session_action *action);
void sim_upload(struct sim_actor *actor, const struct trib_session_action *action);
void sim_transfer_moved(struct sim_actor *actor, const struct sim_event *event);
void sim_update_unwanted(struct sim_actor *actor); /* the server has skipped what its session offered */
/* It breaks off here; `tell`: its session shall know. */
void sim_transfer_cancel(struct sim_actor *actor, bool tell);

/* sim_training.c */
void sim_train(struct sim_actor *actor, const struct trib_session_action *action);
void sim_train_cancel(struct sim_actor *actor, bool tell);
void sim_trained(struct sim_actor *actor, const struct sim_event *event);
void sim_settle(struct sim_actor *actor, const struct trib_client_task *task, bool folded);

/* sim_actor.c */
TRIB_MUST_CHECK enum trib_status sim_actors_init(struct sim *sim, struct trib_error *error);
void sim_actors_clear(struct sim *sim);
void sim_actor_handle(struct sim *sim, struct sim_event *event);
void sim_actor_step(struct sim_actor *actor, struct trib_session_event *event);

#endif
