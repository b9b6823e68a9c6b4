/* The engine's inside, shared by its files.
 *
 * Who touches what: `round`, `clients` and `by_node` belong to the engine's thread; what is under `worker` to the
 * worker's; `inbox` has a mutex; the rest is fixed after start or
 * atomic. */
#ifndef TRIB_CORE_ENGINE_PRIVATE_H
#define TRIB_CORE_ENGINE_PRIVATE_H

#include "base/map.h"
#include "core/engine.h"
#include "filters.h"
#include "notes.h"
#include "proximal.h"
#include "release/release.h"
#include "relevance.h"
#include "round/round.h"
#include "model/checkpoint.h"
#include "store/blobs.h"
#include "store/store.h"
#include "strategy/strategy.h"
#include "train/evaluate.h"
#include "uplink.h"
#include "uploads.h"
#include "wire/graph_message.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- clients ---- */
struct client {
    char node[TRIB_NODE_LEN];
    char address[64];
    struct trib_peer *peer; /* NULL while it is away */
    bool plan_sent;         /* to this session */
    bool takes_deltas;      /* it knows codec.down's stages */
    bool holds_model;       /* version `held`: it has offered an update of it in this session */
    uint64_t held;
    uint64_t examples;
    const char *filtered;        /* why it may not be picked, static text; NULL: it may */
    const char *device_filtered; /* the same, for what may change */
    struct {                     /* its last task, for a client that asks for it again when the model has moved on */
        uint64_t version, model_len;
        uint8_t model_sha256[TRIB_SHA256_LEN];
        double proximal_mu;
    } task;
    uint64_t offer_examples, offer_steps; /* of its offer for that task */
    double offer_loss;
    uint8_t offer_sha256[TRIB_SHA256_LEN];
    uint64_t offer_len;
    uint8_t *sketch;       /* [sketch bytes] that it offered; NULL: none; the client's own */
    uint64_t lies;         /* uploads that contradicted their offers */
    uint64_t weight;       /* of its last update; with a strategy that remembers, of every one */
    uint64_t folded_round; /* the last one that was committed with an update of this client; 0 = none */
    bool kept;             /* what it uploaded for its task is a file, which a restarted server would count */
    int64_t first_seen;    /* wall clock */
    uint64_t joined;       /* times */
    char software[64];
    struct noted_member { /* what is written down of its part in the round */
        bool valid;
        enum trib_member_state state;
        uint64_t round, attempt;
    } noted;
};

/* ---- events ---- */
enum event_kind {
    EVENT_CONNECT,
    EVENT_MESSAGE,
    EVENT_DISCONNECT,
    EVENT_PROGRESS,
    EVENT_UPLOAD_ENDED,
    EVENT_UPLOAD_REFUSED,
    EVENT_WORK_DONE,
    EVENT_RESUME,
    EVENT_STOP
};
enum work_kind { WORK_BEGIN, WORK_FOLD, WORK_APPLY, WORK_EVALUATE, WORK_COMMIT, WORK_NOTE };

/* A piece of work, and after it is done the event that tells of it: one allocation, so that telling cannot fail. */
struct work {
    enum work_kind kind;
    uint64_t round, attempt;
    uint32_t client;
    struct trib_upload *upload; /* FOLD: owned */
    struct trib_update_info info;
    uint8_t *sketch;                   /* FOLD: what the update must agree with, owned; NULL: nothing */
    uint64_t task_round;               /* FOLD: that the update is of */
    uint64_t max_total_weight;         /* BEGIN */
    struct trib_round_summary summary; /* COMMIT: for the checkpoint's metadata */
    struct trib_notes notes;           /* COMMIT, NOTE: owned */
    int64_t at_ms;                     /* COMMIT: wall clock */
    struct trib_buf made;              /* COMMIT: hashes of the files that were written */
    bool durable;                      /* NOTE: on the disk before anything goes on */
    bool ok, harmful, lied;
    bool doubtful; /* COMMIT, NOTE: nobody knows what is on the disk */
    struct trib_error error;
};
struct event {
    struct event *next;
    enum event_kind kind;
    struct trib_peer *peer; /* CONNECT, MESSAGE, DISCONNECT: owned reference */
    Tributary__V1__ClientMessage *message;
    char node[TRIB_NODE_LEN]; /* CONNECT, PROGRESS */
    char address[64], software[64];
    uint64_t examples;
    uint32_t protocol;                   /* CONNECT: the highest that the client knows */
    bool takes_deltas;                   /* CONNECT */
    const char *filtered;                /* CONNECT: static text */
    struct trib_client_device device;    /* CONNECT */
    char reason[TRIB_ERROR_MESSAGE_LEN]; /* DISCONNECT, UPLOAD_ENDED with a fault; CONNECT: codecs that it lacks */
    uint32_t client;                     /* UPLOAD_ENDED */
    uint64_t round, attempt;
    bool ok;
    enum trib_status status;    /* UPLOAD_REFUSED */
    struct trib_upload *upload; /* UPLOAD_ENDED well: owned reference */
    struct work work;
};
struct event_list {
    struct event *first, **last;
};

struct trib_engine {
    const struct trib_server_settings *settings;
    char software[64];
    char run[TRIB_RUN_ID_LEN + 1];
    void (*finished)(void *context);
    void *finished_context;

    /* fixed after trib_engine_new */
    struct trib_graph *graph;
    struct trib_schema schema;
    struct trib_buf plan; /* serialised Graph */
    uint8_t plan_sha256[TRIB_SHA256_LEN];
    struct trib_uplink uplink;
    struct trib_sealer sealer;
    const struct trib_backend *backend;
    struct trib_thread_pool *pool;
    struct trib_dataset test_set;
    bool has_test_set;

    /* the engine's thread */
    pthread_t thread;
    struct trib_round *round;
    struct client *clients; /* by client number */
    size_t n_clients, clients_capacity;
    struct trib_map *by_node;           /* node -> client number + 1, as a pointer */
    _Atomic(struct event *) stop_event; /* kept, so that a stop needs no memory; NULL: it was posted */
    int64_t linger_until_ms;            /* a run that was complete at the start: for how long clients are told */
    bool ending;                        /* the run is over, as soon as that is written down */
    bool done;
    const struct trib_engine_driver *driver; /* NULL: the engine has threads and the system's clock */
    struct trib_relevance relevance;
    struct trib_proximal proximal;
    bool score_due; /* the round waits for its offers to be compared */
    uint64_t bytes_up_before, bytes_down_before;
    double train_loss_sum, train_weight_sum;
    struct trib_evaluation evaluation; /* of the round that runs; examples 0 = none */

    /* what is written down; with a state directory */
    struct trib_store_runs run_row; /* what does not change in it */
    struct trib_notes notes;        /* not yet submitted */
    struct noted_run {
        bool valid;
        uint64_t number, attempt;
        uint64_t bytes_left;
        bool open, decided;
    } noted;
    bool noting;               /* notes are on their way to the disk */
    bool committing;           /* the present is being written with the commit: no notes of it meanwhile */
    bool note_all;             /* some notes were not written: all of the present once more, ... */
    int64_t note_all_at_ms;    /* ... then, and not before */
    uint64_t kept_bytes;       /* of uploads that are kept until their round is committed */
    struct trib_error failure; /* status TRIB_OK: none */

    /* the inbox */
    pthread_mutex_t inbox_mutex;
    pthread_cond_t inbox_cond;
    struct event_list inbox;

    /* the worker */
    struct {
        pthread_t thread;
        pthread_mutex_t mutex;
        pthread_cond_t cond;
        struct event_list queue;
        bool stop;
        const struct trib_strategy *strategy;
        void *state;
        bool begun, spoilt;
        struct trib_evaluator *evaluator;
        struct trib_evaluation evaluation;
        struct trib_version next;
        uint64_t *next_signs;     /* of the update that leads there; NULL: not needed */
        struct trib_store *store; /* NULL: nothing is kept on disk; likewise: */
        struct trib_blobs *blobs;
        uint64_t audit_number; /* of the last entry that is written */
    } worker;

    struct trib_release *release;
    struct trib_uploads uploads;
    _Atomic(uint64_t) bytes_up, bytes_down;
    _Atomic(bool) complete;
};

/* engine.c */
void trib_engine_free_events(struct event_list *list);
int64_t trib_engine_now_ms(const struct trib_engine *engine);
void trib_engine_post(struct trib_engine *engine, struct event *event);
/* engine_work.c */
void *trib_engine_worker(void *context);
/* Do the first piece of work that waits, if any, and post its end. For a driver. */
bool trib_engine_work_once(struct trib_engine *engine);
TRIB_MUST_CHECK enum trib_status trib_engine_submit(struct trib_engine *engine, const struct work *work);
/* engine_actions.c */
/* Updates may be folded into a later round than that of their task. */
bool trib_engine_may_be_stale(const struct trib_server_settings *settings);
/* Hand work to the worker; when memory is short, wait for better times: the round cannot go on without it. */
void trib_engine_submit_work(struct trib_engine *engine, struct work *work);
/* False when the event changed nothing. */
bool trib_engine_step(struct trib_engine *engine, struct trib_round_event *event);
/* The largest sum of weights of so many updates. */
uint64_t trib_engine_most_weight(const struct trib_engine *engine, uint64_t updates);
/* The most updates that a round may fold. */
uint64_t trib_engine_most_updates(const struct trib_server_settings *settings);
void trib_engine_work_done(struct trib_engine *engine, const struct work *work);
/* engine_clients.c */
void trib_engine_on_connect(struct trib_engine *engine, struct event *event);
void trib_engine_on_message(struct trib_engine *engine, struct event *event);
void trib_engine_on_disconnect(struct trib_engine *engine, const struct event *event);
struct client *trib_engine_add_client(struct trib_engine *engine, const char *node, uint32_t *number); /* or NULL */
struct client *trib_engine_find(struct trib_engine *engine, const char *node, uint32_t *number);
void trib_engine_send_task(struct trib_engine *engine, const struct trib_round_action *action);
void trib_engine_send_grant(struct trib_engine *engine, const struct trib_round_action *action);
void trib_engine_send_skip(struct trib_engine *engine, const struct trib_round_action *action);
void trib_engine_send_outcome(struct trib_engine *engine, const struct trib_round_action *action);
/* Selectors believe no more of what a client tells than weights do. */
uint64_t trib_engine_most_examples(const struct trib_engine *engine, uint64_t told);
/* End every session: the run is over. */
void trib_engine_goodbye_all(struct trib_engine *engine, const char *reason, bool final);
/* engine_offers.c */
void trib_engine_on_offer(struct trib_engine *engine, uint32_t number, const Tributary__V1__Offer *offer);
void trib_engine_forget_sketch(struct trib_engine *engine, uint32_t number);
/* Compare the offers that wait, and tell the round. */
void trib_engine_score(struct trib_engine *engine);
/* engine_log.c */
/* A round has ended with a model, or with the one before (carried): a line for the log, a record for the driver. */
void trib_engine_round_ended(struct trib_engine *engine, bool carried);
struct trib_round_record trib_engine_record(struct trib_engine *engine, bool carried);
/* What adapts from round to round goes by: one kind of loss a run, the test set's, where there is one. */
double trib_engine_loss_of(const struct trib_engine *engine, const struct trib_round_record *record);
/* engine_model.c */
TRIB_MUST_CHECK enum trib_status trib_engine_build_round(struct trib_engine *engine, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_engine_open_uploads(struct trib_engine *engine, struct trib_error *error);
/* engine_memory.c: notes of what happens, to be written soon; without a state directory they do nothing. */
bool trib_engine_remembers(const struct trib_engine *engine);
int64_t trib_engine_wall_ms(const struct trib_engine *engine);
void trib_engine_note_run(struct trib_engine *engine, const struct trib_proximal *proximal, bool after_commit);
TRIB_MUST_CHECK enum trib_status trib_engine_unpack_state(struct trib_engine *engine,
                                                          const struct trib_store_bytes *bytes,
                                                          struct trib_error *error);
/* Its upload is whole, and kept. */
void trib_engine_note_upload(struct trib_engine *engine, uint32_t number);
/* If it is folded: what it will be once that is committed. */
void trib_engine_note_folded(struct trib_engine *engine, uint32_t number);
void trib_engine_note_node(struct trib_engine *engine, const struct client *client);
void trib_engine_note_offer(struct trib_engine *engine, const struct client *client, const Tributary__V1__Offer *offer,
                            double relevance);
void trib_engine_note_outcome(struct trib_engine *engine, uint32_t number, uint64_t round, const char *outcome,
                              const char *reason);
void trib_engine_note_round(struct trib_engine *engine, const struct trib_round_record *record);
void trib_engine_audit(struct trib_engine *engine, const char *event, uint64_t round, const char *node,
                       const char *detail);
/* Nobody knows what is written: all of it again, with the next notes. */
void trib_engine_forget_noted(struct trib_engine *engine);
/* What has changed, into engine->notes. */
void trib_engine_gather_notes(struct trib_engine *engine);
/* ... and to the worker; not while they could not be written a moment ago. */
void trib_engine_write_down(struct trib_engine *engine);
/* The last notes, durably: WORK_NOTE's end tells. False: there is nothing to write to. */
bool trib_engine_write_end(struct trib_engine *engine);
/* When that moment is over; INT64_MAX: there is none. */
int64_t trib_engine_notes_due_ms(const struct trib_engine *engine);
/* engine_commit.c */
/* Is it among these hashes, TRIB_SHA256_LEN bytes each? */
bool trib_engine_lists_hash(const struct trib_buf *hashes, const uint8_t *hash);
void trib_engine_prepare_commit(struct trib_engine *engine, struct work *work);
TRIB_MUST_CHECK enum trib_status trib_engine_commit(struct trib_engine *engine, struct work *work);
TRIB_MUST_CHECK enum trib_status trib_engine_write_notes(struct trib_engine *engine, struct work *work);
/* engine_reload.c */
/* The model that this run has committed last, as the current one, with all that belongs to it. */
TRIB_MUST_CHECK enum trib_status trib_engine_reload(struct trib_engine *engine, const struct trib_store_runs *run,
                                                    struct trib_error *error);
/* engine_resume.c */
TRIB_MUST_CHECK enum trib_status trib_engine_open_state(struct trib_engine *engine, bool new_run,
                                                        struct trib_error *error);

#endif
