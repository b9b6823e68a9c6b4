/* Drives a session by hand: a clock, events with one call each, and a record of the actions of the last step. */
#ifndef TRIB_TEST_SESSION_HARNESS_H
#define TRIB_TEST_SESSION_HARNESS_H

#include "base/mem.h"
#include "client/session.h"
#include "crypto/hash.h"
#include "fail_memory.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>

enum { MIN_MS = 500, MAX_MS = 60000, MODEL_LEN = 1000, DELTA_LEN = 100, FRAME_LEN = 5000 };
#define RUN "run-1"
static const uint8_t graph_bytes[] = {1, 2, 3, 4};

struct harness {
    struct trib_session *session;
    struct trib_session_actions actions;
    int64_t now;
    /* Of the last step: kinds in order, one letter each (see letters below). */
    char did[TRIB_SESSION_MAX_ACTIONS + 1];
    uint64_t connection;         /* job of the last CONNECT */
    uint64_t job;                /* of the last DOWNLOAD, TRAIN or UPLOAD */
    uint64_t offset;             /* of the last DOWNLOAD or UPLOAD */
    uint64_t len;                /* of the last DOWNLOAD's blob */
    uint8_t blob;                /* its name's first byte */
    struct trib_held_model held; /* what TRAINED events say that is held */
    uint64_t feedback_round;     /* of their update */
    bool saves;                  /* they say that it was saved */
    size_t sketch_len;           /* of their update; 0 = it has none */
    bool folded;                 /* of the last SETTLE */
    uint64_t settled_round;
    char reports[512];                  /* events of the last step's reports, with blanks around each */
    char texts[2048];                   /* their text fields */
    Tributary__V1__ClientMessage *sent; /* the last message of the last step, or NULL */
    enum trib_status exit_status;
    char exit_text[128];
    /* Torture: in the step number fail_step (from 0, counted in steps) the allocation number fail_at fails. */
    int steps, fail_step;
    int64_t fail_at, allocations; /* allocations: how many that step made */
};

/* C connect, X disconnect, S send, D download, T train, U upload, t cancel transfer, w cancel work, r release,
 * f forget the saved update, s settle, R report (left out of `did`), m drop the held model, E exit */
static const char letters[] = {
    [TRIB_SESSION_CONNECT] = 'C',         [TRIB_SESSION_DISCONNECT] = 'X',  [TRIB_SESSION_SEND] = 'S',
    [TRIB_SESSION_DOWNLOAD] = 'D',        [TRIB_SESSION_TRAIN] = 'T',       [TRIB_SESSION_UPLOAD] = 'U',
    [TRIB_SESSION_CANCEL_TRANSFER] = 't', [TRIB_SESSION_CANCEL_WORK] = 'w', [TRIB_SESSION_RELEASE] = 'r',
    [TRIB_SESSION_FORGET_UPDATE] = 'f',   [TRIB_SESSION_SETTLE] = 's',      [TRIB_SESSION_REPORT] = 'R',
    [TRIB_SESSION_DROP_MODEL] = 'm',      [TRIB_SESSION_EXIT] = 'E',
};

static inline void take_actions(struct harness *h)
{
    size_t n = 0;
    h->texts[0] = '\0';
    h->reports[0] = ' ';
    h->reports[1] = '\0';
    for (size_t i = 0; i < h->actions.n; i++) {
        const struct trib_session_action *action = &h->actions.list[i];
        if (action->kind != TRIB_SESSION_REPORT) {
            h->did[n++] = letters[action->kind];
        }
        switch (action->kind) {
        case TRIB_SESSION_CONNECT:
            h->connection = action->job;
            break;
        case TRIB_SESSION_SEND: {
            ProtobufCMessage *message = NULL;
            ck_assert_int_eq(trib_message_unpack(&tributary__v1__client_message__descriptor, action->bytes.data,
                                                 action->bytes.len, &message, NULL),
                             TRIB_OK);
            if (h->sent) {
                trib_message_free(&h->sent->base);
            }
            h->sent = (Tributary__V1__ClientMessage *)message;
            break;
        }
        case TRIB_SESSION_DOWNLOAD:
        case TRIB_SESSION_TRAIN:
        case TRIB_SESSION_UPLOAD:
            ck_assert_ptr_nonnull(action->kind == TRIB_SESSION_DOWNLOAD ? (const void *)action->sha256
                                                                        : (const void *)action->task);
            h->job = action->job;
            h->offset = action->offset;
            h->len = action->len;
            h->blob = action->kind == TRIB_SESSION_DOWNLOAD ? action->sha256[0] : 0;
            break;
        case TRIB_SESSION_REPORT: {
            size_t used = strlen(h->reports), text = strlen(h->texts);
            snprintf(h->reports + used, sizeof h->reports - used, "%s ", action->event);
            for (int f = 0; f < action->n_fields; f++) {
                if (action->fields[f].kind == TRIB_FIELD_STRING) {
                    text += (size_t)snprintf(h->texts + text, sizeof h->texts - text, "%s=%s;", action->fields[f].key,
                                             action->fields[f].value.string);
                }
            }
            break;
        }
        case TRIB_SESSION_SETTLE:
            h->folded = action->folded;
            h->settled_round = action->task->round;
            break;
        case TRIB_SESSION_EXIT:
            h->exit_status = action->status;
            snprintf(h->exit_text, sizeof h->exit_text, "%s", action->text);
            break;
        default:
            break;
        }
    }
    h->did[n] = '\0';
    trib_session_actions_clear(&h->actions);
}

static inline void give(struct harness *h, struct trib_session_event *event)
{
    if (h->sent) {
        trib_message_free(&h->sent->base);
        h->sent = NULL;
    }
    event->now_ms = h->now;
    bool torture = h->fail_step >= 0 && h->steps++ == h->fail_step;
    if (torture) {
        (void)fail_memory_after(h->fail_at, false);
    }
    trib_session_step(h->session, event, &h->actions);
    if (torture) {
        h->allocations = fail_memory_after(-1, false);
    }
    take_actions(h);
    trib_session_event_free(event);
}

static inline struct trib_session_event *event_of(enum trib_session_event_kind kind, uint64_t job,
                                                  enum trib_status status, const char *reason)
{
    struct trib_session_event *event = trib_session_event_new(kind, job);
    ck_assert_ptr_nonnull(event);
    event->status = status;
    snprintf(event->reason, sizeof event->reason, "%s", reason);
    return event;
}

static inline void tick(struct harness *h)
{
    give(h, event_of(TRIB_SESSION_TICK, 0, TRIB_OK, ""));
}

/* Let time pass to the next wake-up, and tick. */
static inline void wake(struct harness *h)
{
    int64_t at = trib_session_wake_ms(h->session);
    ck_assert_int_lt(at, INT64_MAX);
    h->now = at > h->now ? at : h->now;
    tick(h);
}

static inline void say(struct harness *h, const Tributary__V1__ServerMessage *message)
{
    struct trib_buf bytes = {0};
    ProtobufCMessage *copy = NULL;
    ck_assert_int_eq(trib_message_pack(&message->base, &bytes), TRIB_OK);
    ck_assert_int_eq(
        trib_message_unpack(&tributary__v1__server_message__descriptor, bytes.data, bytes.len, &copy, NULL), TRIB_OK);
    trib_buf_clear(&bytes);
    struct trib_session_event *event = event_of(TRIB_SESSION_MESSAGE, h->connection, TRIB_OK, "");
    event->is.message = (Tributary__V1__ServerMessage *)copy;
    give(h, event);
}

static inline char *text_of(const char *text)
{
    union {
        const char *in;
        char *out;
    } cast = {.in = text};
    return cast.out;
}

static inline void welcome_to(struct harness *h, const char *run, uint32_t protocol)
{
    Tributary__V1__Welcome welcome = TRIBUTARY__V1__WELCOME__INIT;
    welcome.protocol = protocol;
    welcome.run = text_of(run);
    welcome.progress_seconds = 10;
    Tributary__V1__ServerMessage message = TRIBUTARY__V1__SERVER_MESSAGE__INIT;
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_WELCOME;
    message.welcome = &welcome;
    say(h, &message);
}

/* What a test may change of the usual task. */
struct task_options {
    const char *run, *codec, *loss;
    uint64_t round, seed, model_len;
    uint32_t deadline;
    const char *feedback;
    double momentum;
    uint64_t folded_round, sketch_positions;
    bool without_graph, wrong_hash, without_model, short_hash;
    uint64_t version; /* of the model */
    size_t n_deltas;  /* up to it, DELTA_LEN bytes each, named 10, 11, ... by the version that they start from */
    bool initialisation, gap, short_delta_hash, empty_delta;
};

/* The usual deltas into the task, and what is wrong with them. */
static inline void add_deltas(Tributary__V1__Task *task, const struct task_options *options)
{
    static Tributary__V1__Delta deltas[200], *list[200];
    static Tributary__V1__Blob blobs[200];
    static Tributary__V1__Initialisation initialisation;
    static uint8_t names[200][32];
    for (size_t i = 0; i < options->n_deltas; i++) {
        tributary__v1__delta__init(&deltas[i]);
        tributary__v1__blob__init(&blobs[i]);
        deltas[i].from_version = options->version - options->n_deltas + i + (options->gap ? 1 : 0);
        memset(names[i], (int)(10 + deltas[i].from_version), sizeof names[i]);
        blobs[i].sha256 = (ProtobufCBinaryData){.data = names[i], .len = options->short_delta_hash ? 31 : 32};
        blobs[i].len = options->empty_delta ? 0 : DELTA_LEN;
        deltas[i].blob = &blobs[i];
        list[i] = &deltas[i];
    }
    task->model_version = options->version;
    task->deltas = list;
    task->n_deltas = options->n_deltas;
    if (options->initialisation) {
        tributary__v1__initialisation__init(&initialisation);
        task->initialisation = &initialisation;
    }
}

static inline void task_with(struct harness *h, struct task_options options)
{
    uint8_t model_sha[32], graph_sha[32];
    memset(model_sha, 7, sizeof model_sha);
    ck_assert_int_eq(trib_sha256(graph_bytes, sizeof graph_bytes, graph_sha), TRIB_OK);
    graph_sha[0] ^= options.wrong_hash ? 1 : 0;
    Tributary__V1__Blob model = TRIBUTARY__V1__BLOB__INIT;
    model.sha256 = (ProtobufCBinaryData){.data = model_sha, .len = options.short_hash ? 31 : 32};
    model.len = options.model_len != 0 ? options.model_len : MODEL_LEN;
    Tributary__V1__Recipe recipe = TRIBUTARY__V1__RECIPE__INIT;
    recipe.loss = text_of(options.loss ? options.loss : "cross_entropy");
    recipe.optimizer = text_of("sgd");
    recipe.epochs = 1;
    recipe.batch_size = 32;
    recipe.learning_rate = 0.1f;
    Tributary__V1__Task task = TRIBUTARY__V1__TASK__INIT;
    task.run = text_of(options.run ? options.run : RUN);
    task.round = options.round;
    task.model = options.without_model ? NULL : &model;
    task.plan_sha256 = (ProtobufCBinaryData){.data = graph_sha, .len = sizeof graph_sha};
    uint8_t graph[sizeof graph_bytes];
    memcpy(graph, graph_bytes, sizeof graph);
    task.graph = (ProtobufCBinaryData){.data = graph, .len = options.without_graph ? 0 : sizeof graph};
    task.recipe = &recipe;
    task.codec = text_of(options.codec ? options.codec : "f32");
    task.seed = options.seed != 0 ? options.seed : 42;
    task.deadline_seconds = options.deadline;
    task.feedback = text_of(options.feedback ? options.feedback : "");
    task.feedback_momentum = options.momentum;
    task.folded_round = options.folded_round;
    task.sketch_positions = options.sketch_positions;
    add_deltas(&task, &options);
    Tributary__V1__ServerMessage message = TRIBUTARY__V1__SERVER_MESSAGE__INIT;
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK;
    message.task = &task;
    say(h, &message);
}

static inline void task(struct harness *h, uint64_t round)
{
    task_with(h, (struct task_options){.round = round});
}

static inline void decision(struct harness *h, uint64_t round, Tributary__V1__Decision__Kind kind, uint64_t offset)
{
    Tributary__V1__Decision decision = TRIBUTARY__V1__DECISION__INIT;
    decision.round = round;
    decision.kind = kind;
    decision.offset = offset;
    Tributary__V1__ServerMessage message = TRIBUTARY__V1__SERVER_MESSAGE__INIT;
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_DECISION;
    message.decision = &decision;
    say(h, &message);
}

static inline void outcome(struct harness *h, uint64_t round, Tributary__V1__Outcome__Kind kind)
{
    Tributary__V1__Outcome outcome = TRIBUTARY__V1__OUTCOME__INIT;
    outcome.round = round;
    outcome.kind = kind;
    Tributary__V1__ServerMessage message = TRIBUTARY__V1__SERVER_MESSAGE__INIT;
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME;
    message.outcome = &outcome;
    say(h, &message);
}

static inline void goodbye(struct harness *h, bool final, uint32_t retry_seconds)
{
    Tributary__V1__Goodbye goodbye = TRIBUTARY__V1__GOODBYE__INIT;
    goodbye.reason = text_of("closing");
    goodbye.final = final;
    goodbye.retry_seconds = retry_seconds;
    Tributary__V1__ServerMessage message = TRIBUTARY__V1__SERVER_MESSAGE__INIT;
    message.kind_case = TRIBUTARY__V1__SERVER_MESSAGE__KIND_GOODBYE;
    message.goodbye = &goodbye;
    say(h, &message);
}

static inline void connected(struct harness *h)
{
    give(h, event_of(TRIB_SESSION_CONNECTED, h->connection, TRIB_OK, ""));
}

static inline void disconnected(struct harness *h)
{
    give(h, event_of(TRIB_SESSION_DISCONNECTED, h->connection, TRIB_UNAVAILABLE, "Socket closed"));
}

static inline void downloaded(struct harness *h, enum trib_status status, uint64_t received)
{
    struct trib_session_event *event = event_of(TRIB_SESSION_DOWNLOADED, h->job, status, "download");
    event->is.received = received;
    give(h, event);
}

static inline void trained(struct harness *h)
{
    struct trib_session_event *event = event_of(TRIB_SESSION_TRAINED, h->job, TRIB_OK, "");
    event->is.update.frame = trib_blob_new(FRAME_LEN);
    memset(trib_blob_fill(event->is.update.frame), 1, FRAME_LEN);
    event->is.update.result = (struct trib_train_result){.examples = 600, .steps = 19, .mean_loss = 0.5, .ms = 1500};
    event->is.update.norm = 2.5;
    event->is.update.feedback_round = h->feedback_round;
    if (h->sketch_len > 0) {
        event->is.update.sketch = trib_blob_new(h->sketch_len);
        memset(trib_blob_fill(event->is.update.sketch), 0x5a, h->sketch_len);
    }
    event->held = h->held;
    event->saved = h->saves;
    give(h, event);
}

static inline void not_trained(struct harness *h, enum trib_status status, const char *reason)
{
    give(h, event_of(TRIB_SESSION_TRAINED, h->job, status, reason));
}

static inline void uploaded(struct harness *h, enum trib_status status, bool accepted, enum trib_status refusal)
{
    struct trib_session_event *event = event_of(TRIB_SESSION_UPLOADED, h->job, status, "upload");
    event->is.receipt = (struct trib_session_receipt){.accepted = accepted, .status = refusal, .received = 100};
    give(h, event);
}

static inline void setup_after(struct harness *h, const struct trib_client_finished *finished)
{
    static const char *const tags[] = {"ward-3"};
    const struct trib_session_config config = {.node = "boat-7",
                                               .software = "test 1",
                                               .tags = tags,
                                               .n_tags = 1,
                                               .threads = 2,
                                               .reconnect_min_ms = MIN_MS,
                                               .reconnect_max_ms = MAX_MS,
                                               .seed = 1,
                                               .finished = finished};
    *h = (struct harness){.now = 1000, .fail_step = -1};
    h->session = trib_session_new(&config, h->now);
    ck_assert_ptr_nonnull(h->session);
}

static inline void setup(struct harness *h)
{
    setup_after(h, NULL);
}

static inline void teardown(struct harness *h)
{
    if (h->sent) {
        trib_message_free(&h->sent->base);
    }
    trib_session_free(h->session);
}

/* From nothing, or from OFFLINE, to IDLE. */
static inline void register_again(struct harness *h)
{
    wake(h);
    ck_assert_str_eq(h->did, "C");
    connected(h);
    welcome_to(h, RUN, 1);
}

#define ck_assert_did(h, what) ck_assert_str_eq((h)->did, (what))
#define ck_assert_state(h, state)                                                                                      \
    ck_assert_str_eq(trib_session_state_name(trib_session_state((h)->session)), trib_session_state_name(state))
#define ck_assert_reported(h, event)                                                                                   \
    ck_assert_msg(strstr((h)->reports, " " event " "), "no %s in:%s", event, (h)->reports)
#define ck_assert_sent(h, what)                                                                                        \
    do {                                                                                                               \
        ck_assert_ptr_nonnull((h)->sent);                                                                              \
        ck_assert_int_eq((h)->sent->kind_case, TRIBUTARY__V1__CLIENT_MESSAGE__KIND_##what);                            \
    } while (0)

/* Bring a registered session to a state of round 1. */
static inline void advance(struct harness *h, enum trib_session_state state)
{
    if (state >= TRIB_STATE_DOWNLOADING) {
        task(h, 1);
        ck_assert_did(h, "D");
    }
    if (state >= TRIB_STATE_TRAINING) {
        downloaded(h, TRIB_OK, MODEL_LEN);
        ck_assert_did(h, "T");
    }
    if (state >= TRIB_STATE_OFFERED) {
        trained(h);
        ck_assert_did(h, "S");
    }
    if (state >= TRIB_STATE_UPLOADING) {
        decision(h, 1, TRIBUTARY__V1__DECISION__KIND__UPLOAD, 0);
        ck_assert_did(h, "U");
    }
    if (state >= TRIB_STATE_WAITING_OUTCOME) {
        uploaded(h, TRIB_OK, true, TRIB_OK);
        ck_assert_did(h, "");
    }
    ck_assert_state(h, state);
}

static inline void start(struct harness *h, enum trib_session_state state)
{
    setup(h);
    register_again(h);
    ck_assert_state(h, TRIB_STATE_IDLE);
    advance(h, state);
}

#endif
