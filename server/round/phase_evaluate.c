/* The phase `evaluate`: clients try the model that was committed last on examples of their own. */
#include "phase.h"

#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_VERSION = 1, STATE_VERSION = 1 };

enum part { WAITING, ANSWERED, FAILED, REJECTED, LATE, PARTS };

struct asked {
    enum part part;
    struct trib_evaluate_answer answer;
};

struct evaluating {
    struct trib_client_evaluation now, last;
    bool has_last;
    uint32_t waiting;
    int64_t until_ms;
};

/* ---- answers ---- */

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double real_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void trib_evaluate_answer_write(const struct trib_evaluate_answer *answer, uint8_t to[TRIB_EVALUATE_ANSWER_LEN])
{
    trib_store_u32(to, ANSWER_VERSION);
    trib_store_u64(to + 4, answer->examples);
    trib_store_u64(to + 12, answer->correct);
    trib_store_u64(to + 20, bits_of(answer->loss));
    trib_store_u64(to + 28, bits_of(answer->accuracy));
}

static const char *why_not(const struct trib_evaluate_answer *answer, uint64_t max_examples)
{
    if (answer->examples == 0 || answer->examples > max_examples) {
        return "its number of examples is out of bounds";
    }
    if (answer->correct > answer->examples) {
        return "more examples are right than there are";
    }
    if (!isfinite(answer->loss)) {
        return "its loss is not finite";
    }
    if (!(answer->accuracy >= 0 && answer->accuracy <= 1)) {
        return "its accuracy is not between 0 and 1";
    }
    if (fabs(answer->accuracy - (double)answer->correct / (double)answer->examples) > 1e-6) {
        return "its accuracy is not the share that is right";
    }
    return NULL;
}

enum trib_status trib_evaluate_answer_read(const void *bytes, size_t len, const struct trib_evaluate_options *options,
                                           struct trib_evaluate_answer *answer, struct trib_error *error)
{
    const uint8_t *from = bytes;
    if (!from || len != TRIB_EVALUATE_ANSWER_LEN || trib_load_u32(from) != ANSWER_VERSION) {
        return trib_fail(error, TRIB_CORRUPT, "an evaluation's answer of %zu bytes is not of this version", len);
    }
    const struct trib_evaluate_answer read = {.examples = trib_load_u64(from + 4),
                                              .correct = trib_load_u64(from + 12),
                                              .loss = real_of(trib_load_u64(from + 20)),
                                              .accuracy = real_of(trib_load_u64(from + 28))};
    const char *why = why_not(&read, (uint64_t)options->max_examples);
    if (why) {
        return trib_fail(error, TRIB_CORRUPT, "an evaluation's answer: %s", why);
    }
    *answer = read;
    return TRIB_OK;
}

/* ---- who is asked ---- */

static const char *check(const struct trib_round_options *options)
{
    const struct trib_evaluate_options *own = &options->at_clients;
    if (!(own->clients >= 0)) {
        return "the number of clients is below 0";
    }
    bool bad = own->clients > 0 && (own->deadline_ms <= 0 || own->max_examples <= 0);
    return bad ? "the deadline and the number of examples must be above 0" : NULL;
}

static size_t count_asked(const struct trib_round *round, size_t n)
{
    double clients = round->options.at_clients.clients;
    double asked = clients < 1 ? ceil(clients * (double)n) : floor(clients);
    return asked < (double)n ? (size_t)asked : n;
}

/* Whoever has a part in the round may be idle when it ends, and one may come in this step. */
static size_t most_asked(const struct trib_round *round)
{
    return round->options.at_clients.clients > 0 ? count_asked(round, round->lists.n_idle + round->lists.n_parts + 1)
                                                 : 0;
}

static int compare_keys(const void *a, const void *b)
{
    const struct trib_candidate *x = a, *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return (x->client > y->client) - (x->client < y->client);
}

/* Luck stands in for the relevance of a candidate. */
static int compare_luck(const void *a, const void *b)
{
    const struct trib_candidate *x = a, *y = b;
    if (x->relevance != y->relevance) {
        return x->relevance < y->relevance ? -1 : 1;
    }
    return compare_keys(a, b);
}

/* Draw from those who are idle, and list those drawn by their keys. A client's luck depends on nobody else. */
static size_t draw(struct trib_round *round)
{
    const struct lists *lists = &round->lists;
    struct trib_candidate *list = round->candidates;
    size_t n = lists->n_idle, wanted = count_asked(round, n);
    if (wanted == 0) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t key = round->members[lists->idle[i]].key;
        struct trib_rng rng = trib_rng_init(round->options.seed, "evaluate", round->summary.round, key);
        list[i] = (struct trib_candidate){.client = lists->idle[i], .key = key, .relevance = trib_rng_uniform64(&rng)};
    }
    qsort(list, n, sizeof *list, compare_luck);
    qsort(list, wanted, sizeof *list, compare_keys);
    return wanted;
}

static void committed(struct trib_round *round, struct phase_room *room, int64_t now_ms)
{
    struct evaluating *own = room->own;
    uint64_t number = round->summary.round;
    if (round->options.at_clients.clients == 0 ||
        (number % round->options.evaluate_every != 0 && number != round->last_round)) {
        return;
    }
    size_t n = draw(round);
    if (n == 0) {
        return;
    }
    trib_phase_open(round, room);
    own->now = (struct trib_client_evaluation){
        .round = room->round, .version = room->version, .asked = (uint32_t)n, .began_ms = now_ms};
    own->waiting = (uint32_t)n;
    own->until_ms = now_ms + round->options.at_clients.deadline_ms;
    for (size_t i = 0; i < n; i++) {
        trib_phase_add(round, room, &round->members[round->candidates[i].client]);
    }
}

/* ---- the end ---- */

/* What those who answered have found, in the order of their keys. */
static void sum_up(const struct phase_room *room, struct trib_client_evaluation *now)
{
    double loss = 0;
    now->accuracy_min = now->accuracy_max = (double)NAN;
    for (size_t i = 0; i < room->n_asked; i++) {
        const struct asked *asked = trib_phase_state(room, i);
        const struct trib_evaluate_answer *answer = &asked->answer;
        if (asked->part == ANSWERED) {
            now->examples += answer->examples;
            now->correct += answer->correct;
            loss += answer->loss * (double)answer->examples;
            now->accuracy_min = fmin(now->accuracy_min, answer->accuracy); /* of nan and a number, the number */
            now->accuracy_max = fmax(now->accuracy_max, answer->accuracy);
        }
    }
    now->loss = now->examples > 0 ? loss / (double)now->examples : (double)NAN;
    now->accuracy = now->examples > 0 ? (double)now->correct / (double)now->examples : (double)NAN;
}

static void close_evaluation(struct trib_round *round, struct phase_room *room, int64_t now_ms, const char *reason)
{
    struct evaluating *own = room->own;
    sum_up(room, &own->now);
    own->now.closed_ms = now_ms;
    own->last = own->now;
    own->has_last = true;
    trib_phase_close(round, room, reason);
}

static void end(struct trib_round *round, struct phase_room *room, int64_t now_ms, enum trib_outcome outcome,
                const char *reason)
{
    struct evaluating *own = room->own;
    for (size_t i = 0; i < room->n_asked; i++) {
        struct asked *asked = trib_phase_state(room, i);
        if (asked->part == WAITING) {
            asked->part = LATE;
            own->now.late++;
            trib_phase_tell(round, room, i, outcome, reason);
        }
    }
    own->waiting = 0;
    close_evaluation(round, room, now_ms, reason);
}

static void tick(struct trib_round *round, struct phase_room *room, int64_t now_ms)
{
    const struct evaluating *own = room->own;
    if (now_ms >= own->until_ms) {
        end(round, room, now_ms, TRIB_OUTCOME_LATE, "deadline reached");
    }
}

static int64_t timer(const struct phase_room *room)
{
    const struct evaluating *own = room->own;
    return own->until_ms;
}

/* ---- what members say ---- */

static const char *answer(struct trib_round *round, struct phase_room *room, size_t at,
                          const struct trib_round_event *event)
{
    struct evaluating *own = room->own;
    struct asked *asked = trib_phase_state(room, at);
    struct trib_error error;
    if (asked->part != WAITING) {
        return "it has answered already";
    }
    if (event->kind == TRIB_EVENT_FAILURE) {
        asked->part = FAILED;
        own->now.failed++;
    } else if (trib_evaluate_answer_read(event->payload, event->payload_len, &round->options.at_clients, &asked->answer,
                                         &error) == TRIB_OK) {
        asked->part = ANSWERED;
        own->now.answered++;
        trib_phase_tell(round, room, at, TRIB_OUTCOME_FOLDED, "");
    } else {
        asked->part = REJECTED;
        own->now.rejected++;
        trib_phase_tell(round, room, at, TRIB_OUTCOME_REJECTED, error.message);
    }
    if (--own->waiting == 0) {
        close_evaluation(round, room, event->now_ms, "everybody has answered");
    }
    return NULL;
}

static void came(struct trib_round *round, struct phase_room *room, size_t at, int64_t now_ms)
{
    const struct asked *asked = trib_phase_state(room, at);
    (void)now_ms;
    if (asked->part == WAITING) {
        trib_phase_ask(round, room, at);
    }
}

/* ---- what outlives the process ---- */

/* All have to come back first: the time begins anew. */
static void resumed(struct trib_round *round, struct phase_room *room, int64_t now_ms)
{
    struct evaluating *own = room->own;
    own->now.began_ms = now_ms;
    own->until_ms = now_ms + round->options.at_clients.deadline_ms;
}

static enum trib_status save(const struct phase_room *room, struct trib_buf *bytes)
{
    uint8_t raw[4 + TRIB_EVALUATE_ANSWER_LEN];
    trib_store_u32(raw, STATE_VERSION);
    TRIB_TRY(trib_buf_add(bytes, raw, 4));
    for (size_t i = 0; i < room->n_asked; i++) {
        const struct asked *asked = trib_phase_state(room, i);
        trib_store_u32(raw, asked->part);
        trib_evaluate_answer_write(&asked->answer, raw + 4);
        TRIB_TRY(trib_buf_add(bytes, raw, asked->part == ANSWERED ? sizeof raw : 4));
    }
    return TRIB_OK;
}

static enum trib_status load_asked(struct asked *asked, struct trib_client_evaluation *now, struct trib_reader *reader,
                                   struct trib_error *error)
{
    static const struct trib_evaluate_options any = {.max_examples = INT64_MAX};
    uint32_t part = trib_read_u32(reader);
    if (part >= PARTS) {
        return trib_fail(error, TRIB_CORRUPT, "a client's part %u in an evaluation does not exist", part);
    }
    asked->part = (enum part)part;
    now->answered += asked->part == ANSWERED;
    now->failed += asked->part == FAILED;
    now->rejected += asked->part == REJECTED;
    now->late += asked->part == LATE;
    if (asked->part != ANSWERED) {
        return TRIB_OK;
    }
    const uint8_t *raw = trib_read_bytes(reader, TRIB_EVALUATE_ANSWER_LEN);
    return trib_evaluate_answer_read(raw, raw ? TRIB_EVALUATE_ANSWER_LEN : 0, &any, &asked->answer, error);
}

static enum trib_status load(struct phase_room *room, struct trib_reader *reader, struct trib_error *error)
{
    struct evaluating *own = room->own;
    if (trib_read_u32(reader) != STATE_VERSION) {
        return trib_fail(error, TRIB_CORRUPT, "the saved state of an evaluation is not of this version");
    }
    own->now = (struct trib_client_evaluation){
        .round = room->round, .version = room->version, .asked = (uint32_t)room->n_asked};
    own->waiting = 0;
    own->until_ms = INT64_MAX; /* until RESUME */
    for (size_t i = 0; i < room->n_asked; i++) {
        struct asked *asked = trib_phase_state(room, i);
        TRIB_TRY(load_asked(asked, &own->now, reader, error));
        own->waiting += asked->part == WAITING;
    }
    if (own->waiting == 0) {
        return trib_fail(error, TRIB_CORRUPT, "an evaluation that waits for nobody is open");
    }
    return TRIB_OK;
}

const struct trib_client_evaluation *trib_round_evaluation(const struct trib_round *round)
{
    const struct evaluating *own = round->rooms[PHASE_evaluate].own;
    return own->has_last ? &own->last : NULL;
}

/* ---- the phase ---- */

static const struct trib_config_row rows[] = {
    {.key = "clients",
     .type = TRIB_TYPE_REAL,
     .offset = TRIB_ROW_AT(struct trib_evaluate_options, clients),
     .fallback = "0",
     .max = 1e6,
     .help = "clients that are asked to evaluate a committed model on examples of their own: below 1, a share of those "
             "who are idle; 0 = none"},
    {.key = "deadline",
     .type = TRIB_TYPE_DURATION,
     .offset = TRIB_ROW_AT(struct trib_evaluate_options, deadline_ms),
     .fallback = "60s",
     .min = 1,
     .help = "how long clients may take to evaluate a model"},
    {.key = "max_examples",
     .type = TRIB_TYPE_INT,
     .offset = TRIB_ROW_AT(struct trib_evaluate_options, max_examples),
     .fallback = "1000000000",
     .min = 1,
     .max = 1e12,
     .help = "examples that one client may have evaluated a model on; an answer that tells of more is rejected"},
};

const struct trib_phase trib_phase_evaluate = {
    .info = {.name = "evaluate",
             .help = "clients evaluate the committed model on examples that they hold out",
             .rows = rows,
             .n_rows = sizeof rows / sizeof rows[0]},
    .state_size = sizeof(struct evaluating),
    .member_size = sizeof(struct asked),
    .check = check,
    .most_asked = most_asked,
    .committed = committed,
    .answer = answer,
    .came = came,
    .resumed = resumed,
    .tick = tick,
    .timer = timer,
    .end = end,
    .save = save,
    .load = load,
};
