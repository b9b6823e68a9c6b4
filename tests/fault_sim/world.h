/* A federation in one process whose network, clocks, disks and peers are as bad as a seed says: the real round engine,
 * real sessions, the real files of both; everything else is simulated. Shared by the files of this program; one thread.
 *
 * A world is made of (seed, scenario, faults). Settings, speeds and training follow from seed and scenario alone;
 * faults are a list, drawn from the seed unless it is given, so that it can be made shorter while something still
 * breaks. */
#ifndef FAULT_SIM_WORLD_H
#define FAULT_SIM_WORLD_H

#include "base/rng.h"
#include "client/feedback_store.h"
#include "client/model_cache.h"
#include "client/session.h"
#include "hub/hub.h"
#include "model/schema.h"
#include "sim/event_heap.h"
#include "sim_disk.h"

enum {
    MOST_CLIENTS = 6,
    MOST_ADVERSARIES = 2,
    MOST_PEERS = MOST_CLIENTS + MOST_ADVERSARIES,
    SERVER = MOST_PEERS, /* the server's number among hosts */
    HOSTS,
    MOST_VALUES = 64,
    MOST_ROUNDS = 40,
    MOST_FAULTS = 128,
    KEEPALIVE_MS = 20000, /* after which a side notices that the other one is gone without a word */
    PATIENCE_MS = 8000    /* a network that is cut for less long loses nothing */
};

/* ---- what goes wrong ---- */

#define FAULT_KINDS(X)                                                                                                 \
    X(BREAK, "break", "a connection breaks, and both sides notice")                                                    \
    X(HALF_OPEN, "half_open", "a connection breaks, and one side goes on believing in it")                             \
    X(CUT, "cut", "a host is cut off for a while")                                                                     \
    X(UNRULY, "unruly", "messages are lost, doubled and put in another order for a while")                             \
    X(SLOW, "slow", "a host computes and sends many times more slowly for a while")                                    \
    X(STALL, "stall", "a host stands still for a while")                                                               \
    X(JUMP, "jump", "a host's clock jumps ahead")                                                                      \
    X(TRANSFER, "transfer", "a download or upload breaks off")                                                         \
    X(ADVERSARY, "adversary", "a peer lies, repeats itself and breaks every rule for a while")                         \
    X(KILL, "kill", "a process is killed: what it wrote stays")                                                        \
    X(POWER, "power", "a machine loses power: what was not synced is lost or torn")                                    \
    X(DISK_STOP, "disk_stop", "a process is killed, or the power goes, in the middle of a disk operation")             \
    X(ROT, "rot", "the server is killed, and a bit of one of its files flips while it is dead")                        \
    X(DISK_FULL, "disk_full", "a disk is full for a while")                                                            \
    X(DISK_FAIL, "disk_fail", "disk operations fail for a while")

enum fault_kind {
#define FAULT_ENUM(code, name, help) FAULT_##code,
    FAULT_KINDS(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_KIND_COUNT
};

struct fault {
    enum fault_kind kind;
    int64_t at_ms;
    uint32_t who; /* host */
    int64_t length_ms;
    uint64_t a, b; /* the kind's own */
};
struct schedule {
    struct fault list[MOST_FAULTS];
    size_t n;
    int64_t end_ms; /* when all of it is over */
};
const char *fault_name(enum fault_kind kind);
const char *host_name(uint32_t who, char text[16]);

/* ---- what may go wrong together ---- */

enum {
    TROUBLE_NETWORK = 1,
    TROUBLE_UNRULY = 2,
    TROUBLE_CLOCKS = 4,
    TROUBLE_CLIENTS = 8,
    TROUBLE_ADVERSARIES = 16,
    TROUBLE_SERVER = 32,
    TROUBLE_CLIENT_DISKS = 64, /* that fail or are full; kills and power losses are not meant */
    TROUBLE_SERVER_DISK = 128,
    TROUBLE_ROT = 256, /* the server has to notice, and to refuse */
    WITH_FEEDBACK = 1024,
    WITH_DOWNLINK = 2048,
    WITH_SKETCHES = 4096,
    WITH_STALENESS = 8192,
    WITH_EF21 = 16384,       /* instead of plain averaging */
    WITH_ALL_CLIENTS = 32768 /* every round waits for all: the last model's bits depend on nothing but the seed */
};
struct scenario {
    const char *name, *help;
    unsigned always, sometimes; /* of the above; each of `sometimes` with a chance of a half */
};
extern const struct scenario scenarios[];
extern const size_t n_scenarios;
const struct scenario *scenario_find(const char *name); /* NULL when unknown */

/* What is drawn of a world before it begins. */
struct plan {
    unsigned with; /* scenario bits */
    uint32_t n_clients, n_adversaries;
    uint64_t rounds, min_updates, max_staleness;
    bool uniform;    /* weights */
    int64_t turn_ms; /* the longest that the server waits for anything */
    size_t fault_count;
    int64_t fault_ms; /* faults begin before this */
};

/* ---- hosts ---- */

struct host {
    uint32_t life;   /* counts its processes; events of an earlier one are void */
    int64_t base_ms; /* what its clock shows at world time 0 */
    int64_t cut_until_ms, stalled_until_ms, slow_until_ms, unruly_until_ms;
    uint64_t slow, drop, twice, shuffle; /* a factor, and chances of a hundred */
    struct sim_disk *disk;
    bool power;      /* a stop of its disk is a loss of power, not of the process alone */
    int64_t away_ms; /* and it comes back after this */
    bool rotten;     /* its files are not what they were */
    bool forgets;    /* its disk has failed: it may have lost what it knew */
    uint64_t draws;
};

/* A session's stream; a reference for each side, and for each event. */
struct conn {
    struct trib_peer peer; /* first: a peer is a conn */
    unsigned refs;
    struct world *world;
    uint32_t who, server_life, client_life;
    uint64_t job;
    bool client_open, server_open, greeted;
    bool silent;                        /* nothing comes through any more, and nobody has noticed yet */
    int64_t to_client_ms, to_server_ms; /* when the last message on its way arrives */
};
/* An upload, as the server's transport sees it. */
struct call {
    struct call *next;
    uint64_t number;
    uint32_t who;
    struct trib_upload *upload; /* NULL: not opened */
};
struct transfer {
    enum { NO_TRANSFER, DOWNLOAD, UPLOAD } kind;
    uint64_t job, number; /* number: of all transfers, so that late events find nothing */
    uint64_t offset, len;
    uint8_t sha256[32];
    struct trib_blob *frame; /* UPLOAD */
    char run[TRIB_RUN_ID_LEN + 1];
    uint64_t round;
};
struct training {
    uint64_t job; /* 0 = none */
    struct trib_client_task task;
    float model[MOST_VALUES];
};
/* What a peer that does not play by the rules remembers. */
struct adversary {
    bool active;
    int64_t until_ms;
    char run[TRIB_RUN_ID_LEN + 1];
    uint64_t round, sketch_positions;
    char codec[TRIB_CHAIN_TEXT];
    struct trib_blob *frame, *offered; /* its last one, and that of its last offer */
    uint64_t steps;
};
struct client {
    struct host host;
    uint32_t number;
    char node[24];
    uint64_t examples, chunk_bytes;
    int64_t latency_ms, train_ms;
    struct trib_session *session; /* NULL while its process does not run */
    bool ended, started;
    int64_t tick_ms; /* the next TICK in the heap */
    struct conn *conn;
    struct transfer transfer;
    int64_t spool_limit;              /* beyond a quarter of it, downloads are files; 0 = none */
    struct trib_model_spool *partial; /* of a download that broke off */
    uint64_t partial_len;
    uint8_t partial_sha256[32];
    struct trib_model_spool *arrived[TRIB_TASK_DELTAS];
    size_t n_arrived;
    struct trib_model_cache cache;
    struct trib_feedback_store *feedback;
    struct training training;
    struct adversary adversary;
};
struct server {
    struct host host;
    struct trib_server_settings settings;
    struct trib_hub *engine; /* NULL while its process does not run */
    struct trib_hub_driver driver;
    int64_t wake_ms; /* the next WAKE in the heap */
    struct call *calls;
    bool turning;
};

/* ---- events ---- */

enum event_kind {
    EVENT_FAULT,        /* a: its index */
    EVENT_HEALED,       /* who: its disk works again */
    EVENT_START,        /* who: a client's or the server's process begins */
    EVENT_TICK,         /* client */
    EVENT_WAKE,         /* server */
    EVENT_CONNECTED,    /* client, conn */
    EVENT_REFUSED,      /* client, job: no connection came about */
    EVENT_TO_CLIENT,    /* conn, bytes */
    EVENT_TO_SERVER,    /* conn, bytes */
    EVENT_CLIENT_LOST,  /* conn: the client notices that it is gone */
    EVENT_SERVER_LOST,  /* conn: the server does */
    EVENT_TRAINED,      /* client, job; status: nothing came of it */
    EVENT_DOWN_REQUEST, /* client, number: arrives at the server */
    EVENT_DOWN_CHUNK,   /* client, number, blob, a: offset */
    EVENT_UP_CHUNK,     /* client, number, a: offset: arrives at the server */
    EVENT_UP_LOST,      /* number: the server notices that no more comes */
    EVENT_TRANSFERRED,  /* client, number, status: the client learns how its transfer ended */
    EVENT_MISCHIEF      /* adversary */
};
struct event {
    enum event_kind kind;
    uint32_t who, life;
    uint64_t job, number, a;
    struct conn *conn;      /* owned reference */
    struct trib_blob *blob; /* owned reference */
    struct trib_buf bytes;  /* owned */
    enum trib_status status;
    uint64_t order; /* its place among those of its time, once it is due */
};

/* ---- the world ---- */

struct totals {
    uint64_t worlds, rounds, steps, restarts, folded, stale, skipped, refetched, told, refused;
    uint64_t faults[FAULT_KIND_COUNT];
};
struct oracle; /* oracle.c */

struct world {
    uint64_t seed;
    const struct scenario *scenario;
    struct plan plan;
    struct schedule schedule;
    int64_t now_ms;
    struct trib_event_heap heap;
    struct server server;
    struct client clients[MOST_PEERS]; /* n_clients honest ones, then n_adversaries */
    uint32_t n_peers;
    struct trib_schema schema;
    struct oracle *oracle;
    uint64_t transfers, digest, steps;
    bool trace;
    bool refused;     /* the server found its files damaged, and said so: that is the end of it */
    char broken[512]; /* the first rule that did not hold; "" = none */
    struct totals totals;
};

/* world.c */
struct outcome {
    char broken[512];
    uint64_t digest;
    uint64_t versions;
    uint8_t last_sha256[32]; /* of the last committed model */
    struct totals totals;
    struct schedule schedule;
};
/* faults NULL: those of the seed. */
void world_run(uint64_t seed, const struct scenario *scenario, const struct schedule *faults, bool trace,
               struct outcome *outcome);
void world_push(struct world *world, int64_t at_ms, const struct event *event); /* takes its content over */
/* Put it off: it stays behind what it stood behind. Its content moves on. */
void world_put_off(struct world *world, int64_t until_ms, struct event *event);
/* A rule does not hold; the first one counts. */
void world_break(struct world *world, const char *format, ...) TRIB_PRINTF(2, 3);
/* Something happened: into the digest, and printed when it is traced. */
void world_note(struct world *world, uint32_t who, const char *what, uint64_t a, uint64_t b);
/* A number below n of a host's own stream, which the seed decides. */
uint64_t host_draw(struct world *world, uint32_t who, uint64_t n);
struct host *world_host(struct world *world, uint32_t who);
int64_t host_clock(const struct world *world, const struct host *host);
bool world_faults_over(const struct world *world);

/* chance.c: whose random numbers and time of day the kernel's are; NULL: nobody's */
void chance_use(struct world *world);

/* plan.c, schedule.c */
void plan_draw(struct world *world);
TRIB_MUST_CHECK enum trib_status plan_settings(struct world *world, struct trib_server_settings *settings,
                                               struct trib_error *error);
void schedule_draw(const struct world *world, struct schedule *schedule);
void schedule_print(const struct schedule *schedule);

/* faults.c */
void fault_begin(struct world *world, const struct fault *fault);
void fault_heal(struct world *world, uint32_t who); /* its disk */

/* network.c */
extern const struct trib_peer_ops conn_ops;
void conn_unref(struct conn *conn);
void net_connect(struct world *world, struct client *client, uint64_t job);
void net_send(struct conn *conn, bool to_server, struct trib_buf *bytes); /* takes the bytes over */
/* From the client's side; lost: its machine is gone, and says nothing. */
void net_hang_up(struct world *world, struct client *client, bool lost);
void net_server_gone(struct world *world, bool lost);
void net_event(struct world *world, struct event *event);
bool net_is_cut(const struct world *world, uint32_t who);
int64_t net_latency(struct world *world, const struct client *client);

/* transfer.c */
void transfer_download(struct world *world, struct client *client, const struct trib_session_action *action);
void transfer_upload(struct world *world, struct client *client, const struct trib_session_action *action);
void transfer_cancel(struct world *world, struct client *client, bool tell);
/* What has arrived, whole or in part, goes; dead: its process is, and so files stay. */
void transfer_drop(struct client *client, bool dead);
size_t transfer_take(struct client *client, struct trib_model_spool *spools[TRIB_TASK_DELTAS]);
const char *client_dir(const struct client *client); /* NULL: it has no disk */
void transfer_break(struct world *world, struct client *client);
void transfer_event(struct world *world, struct event *event);
void transfer_server_gone(struct world *world);

/* server.c */
void server_start(struct world *world);
void server_kill(struct world *world, bool power);
void server_turn(struct world *world);
void server_plan_wake(struct world *world);
void server_take(struct world *world, struct conn *conn, const struct trib_buf *bytes);
void server_free(struct world *world);
/* Its disk has stopped: what it does from then on does not happen. */
bool host_is_dead(struct host *host);

/* client.c */
void client_start(struct world *world, struct client *client);
void client_kill(struct world *world, struct client *client, bool power);
void client_step(struct world *world, struct client *client, struct trib_session_event *event);
void client_take(struct world *world, struct client *client, struct conn *conn, const struct trib_buf *bytes);
void client_plan_tick(struct world *world, struct client *client);
void client_tick(struct world *world, struct client *client);
void client_free(struct world *world, struct client *client);

/* training.c */
void training_begin(struct world *world, struct client *client, const struct trib_session_action *action);
void training_end(struct world *world, struct client *client, const struct event *event);
void training_cancel(struct world *world, struct client *client, bool tell);

/* adversary.c */
void adversary_begin(struct world *world, struct client *client, int64_t until_ms);
void adversary_end(struct world *world, struct client *client);
void adversary_event(struct world *world, struct client *client);
void adversary_take(struct world *world, struct client *client, const Tributary__V1__ServerMessage *message);

/* oracle.c: what must hold, and what it is told */
TRIB_MUST_CHECK bool oracle_new(struct world *world);
void oracle_free(struct world *world);
void oracle_sent(struct world *world, uint32_t who, const Tributary__V1__ServerMessage *message);
void oracle_offered(struct world *world, uint32_t who, const Tributary__V1__Offer *offer);
void oracle_uploaded(struct world *world, uint32_t who, uint64_t round, const uint8_t sha256[32],
                     struct trib_blob *bytes);
/* An honest client has coded `meant` [n] of an update whose own part is `delta`; it decodes to `decoded`. */
void oracle_coded(struct world *world, const struct client *client, const struct trib_client_task *task,
                  const uint8_t sha256[32], const float *delta, const float *meant, const float *decoded);
void oracle_observed(struct world *world, const struct trib_round_record *record);
void oracle_turned(struct world *world);    /* the engine has taken a turn */
void oracle_restarted(struct world *world); /* the server's process has begun anew */
void oracle_result(const struct world *world, struct outcome *outcome);

/* records.c: of the server's state directory, while its process is dead */
void records_check_whole(struct world *world);
void records_check_right(struct world *world);
bool records_rot(struct world *world); /* a bit of a file of its flips; false: there is none */

/* naive.c: the arithmetic of a round, written once more and plainly */
struct naive_update {
    const float *values;
    uint64_t weight, counted;
};
/* next := model + learning rate times the weighted mean, in units of 2^-shift. */
void naive_next(const struct naive_update *updates, size_t n_updates, const float *model, size_t n, int shift,
                double learning_rate, float *next);
/* The same for EF21, whose `mean` [n] of all that clients ever sent moves on. */
struct naive_ef21 {
    uint64_t known, first; /* weights: of clients that contributed before, of those that do for the first time */
};
void naive_ef21_next(const struct naive_update *updates, size_t n_updates, const struct naive_ef21 *weights,
                     const float *model, size_t n, int shift, double learning_rate, float *mean, float *next);
int naive_shift(double max_abs, uint64_t max_total_weight);

#endif
