/* The rooms of phases beside the rounds: who was asked, what they said, and the spine's calls to those phases. */
#include "phase.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

enum { SAVED_VERSION = 1 };
static const uint32_t NOT_HERE = UINT32_MAX;

static const struct trib_phase *phase_of(const struct trib_round *round, const struct phase_room *room)
{
    return trib_phase_at((size_t)(room - round->rooms));
}

/* ---- memory ---- */

enum trib_status trib_phases_open_rooms(struct trib_round *round, struct trib_error *error)
{
    for (size_t i = 0; i < PHASES; i++) {
        const struct trib_phase *phase = trib_phase_at(i);
        const char *why = phase->check ? phase->check(&round->options) : NULL;
        if (why) {
            return trib_fail(error, TRIB_INVALID, "the phase %s: %s", phase->info.name, why);
        }
        round->rooms[i].member_size = phase->member_size;
        round->rooms[i].own = phase->state_size > 0 ? trib_calloc(1, phase->state_size) : NULL;
        if (phase->state_size > 0 && !round->rooms[i].own) {
            return trib_fail_no_memory(error);
        }
    }
    return TRIB_OK;
}

void trib_phases_close_rooms(struct trib_round *round)
{
    for (size_t i = 0; i < PHASES; i++) {
        trib_free(round->rooms[i].own);
        trib_free(round->rooms[i].asked);
        trib_free(round->rooms[i].states);
    }
}

static enum trib_status reserve(struct phase_room *room, size_t n)
{
    if (n > room->capacity) {
        size_t capacity = n + n / 2;
        struct phase_asked *asked = trib_realloc_array(room->asked, capacity, sizeof *asked);
        if (!asked) {
            return TRIB_NO_MEMORY;
        }
        room->asked = asked;
        void *states = trib_realloc_array(room->states, capacity, room->member_size);
        if (!states) {
            return TRIB_NO_MEMORY;
        }
        room->states = states;
        room->capacity = capacity;
    }
    return TRIB_OK;
}

enum trib_status trib_phases_reserve(struct trib_round *round, size_t *actions)
{
    *actions = 0;
    for (size_t i = 0; i < PHASES; i++) {
        const struct trib_phase *phase = trib_phase_at(i);
        size_t most = phase->most_asked ? phase->most_asked(round) : 0;
        TRIB_TRY(reserve(&round->rooms[i], most));
        /* a step asks one once more, tells each of those asked, and asks others; and works, and is done, twice */
        *actions += phase->member_size > 0 ? most + round->rooms[i].n_asked + 5 : 0;
    }
    return TRIB_OK;
}

/* ---- what a phase is made of ---- */

static struct trib_round_action *act(struct trib_round *round, const struct phase_room *room,
                                     enum trib_round_action_kind kind, uint32_t client)
{
    struct trib_round_action *action = trib_round_act(round, kind, client);
    action->phase = phase_of(round, room)->info.name;
    action->round = room->round;
    action->attempt = 0;
    action->version = room->version;
    return action;
}

void trib_phase_open(struct trib_round *round, struct phase_room *room)
{
    room->open = true;
    room->round = round->summary.round;
    room->version = round->commits;
    room->n_asked = 0;
    round->phase_changes++;
}

void *trib_phase_state(const struct phase_room *room, size_t at)
{
    return (uint8_t *)room->states + at * room->member_size;
}

void *trib_phase_add(struct trib_round *round, struct phase_room *room, const struct member *member)
{
    size_t at = room->n_asked++;
    room->asked[at] = (struct phase_asked){.key = member->key, .client = trib_round_client(round, member)};
    memset(trib_phase_state(room, at), 0, room->member_size);
    trib_phase_ask(round, room, at);
    return trib_phase_state(room, at);
}

void trib_phase_ask(struct trib_round *round, const struct phase_room *room, size_t at)
{
    act(round, room, TRIB_ACTION_ASK, room->asked[at].client);
}

void trib_phase_tell(struct trib_round *round, const struct phase_room *room, size_t at, enum trib_outcome outcome,
                     const char *reason)
{
    if (room->asked[at].client != NOT_HERE) {
        struct trib_round_action *action = act(round, room, TRIB_ACTION_TELL, room->asked[at].client);
        action->outcome = outcome;
        trib_str_copy(action->reason, sizeof action->reason, reason);
    }
}

void trib_phase_work(struct trib_round *round, const struct phase_room *room, uint32_t work)
{
    act(round, room, TRIB_ACTION_WORK, 0)->work = work;
}

void trib_phase_close(struct trib_round *round, struct phase_room *room, const char *reason)
{
    struct trib_round_action *action = act(round, room, TRIB_ACTION_PHASE_DONE, 0);
    trib_str_copy(action->reason, sizeof action->reason, reason);
    room->open = false;
    room->n_asked = 0;
    round->phase_changes++;
}

/* ---- the spine's calls ---- */

/* The place of the first key that is not below; n_asked when all are. */
static size_t place_of(const struct phase_room *room, uint64_t key)
{
    size_t first = 0, end = room->n_asked;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (room->asked[middle].key < key) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first;
}

/* Keys are hashes: two clients may have the same. */
static bool find(const struct phase_room *room, const struct trib_round *round, const struct member *member, size_t *at)
{
    uint32_t client = trib_round_client(round, member);
    for (*at = place_of(room, member->key); *at < room->n_asked && room->asked[*at].key == member->key; (*at)++) {
        if (room->asked[*at].client == client || room->asked[*at].client == NOT_HERE) {
            return true;
        }
    }
    return false;
}

static const char *take_answer(struct trib_round *round, struct phase_room *room, const struct trib_phase *phase,
                               const struct trib_round_event *event)
{
    const struct member *member = trib_round_find(round, event->client);
    size_t at;
    if (!member) {
        return "unknown client";
    }
    if (!room->open || event->round != room->round || !find(room, round, member, &at)) {
        struct trib_round_action *action = act(round, room, TRIB_ACTION_TELL, event->client);
        action->round = event->round;
        action->outcome = TRIB_OUTCOME_LATE;
        trib_str_copy(action->reason, sizeof action->reason, "nobody waits for its answer");
        return "nobody waits for its answer";
    }
    const char *why = phase->answer(round, room, at, event);
    round->phase_changes += !why;
    return why;
}

const char *trib_phases_take_named(struct trib_round *round, const struct trib_round_event *event)
{
    for (size_t i = 0; i < PHASES; i++) {
        const struct trib_phase *phase = trib_phase_at(i);
        if (strcmp(phase->info.name, event->phase) != 0) {
            continue;
        }
        struct phase_room *room = &round->rooms[i];
        bool answers = event->kind == TRIB_EVENT_ANSWER || event->kind == TRIB_EVENT_FAILURE;
        if (answers && phase->answer) {
            return take_answer(round, room, phase, event);
        }
        if (event->kind == TRIB_EVENT_WORK_DONE && phase->done && room->open && event->round == room->round) {
            return phase->done(round, room, event);
        }
        return "the phase has not asked for it";
    }
    return "unknown phase";
}

void trib_phases_committed(struct trib_round *round, int64_t now_ms)
{
    for (size_t i = 0; i < PHASES; i++) {
        if (trib_phase_at(i)->committed) {
            trib_phase_at(i)->committed(round, &round->rooms[i], now_ms);
        }
    }
}

void trib_phases_came(struct trib_round *round, const struct member *member, int64_t now_ms)
{
    for (size_t i = 0; i < PHASES; i++) {
        struct phase_room *room = &round->rooms[i];
        size_t at;
        if (room->open && find(room, round, member, &at)) {
            room->asked[at].client = trib_round_client(round, member);
            if (trib_phase_at(i)->came) {
                trib_phase_at(i)->came(round, room, at, now_ms);
            }
        }
    }
}

void trib_phases_resumed(struct trib_round *round, int64_t now_ms)
{
    for (size_t i = 0; i < PHASES; i++) {
        if (round->rooms[i].open && trib_phase_at(i)->resumed) {
            trib_phase_at(i)->resumed(round, &round->rooms[i], now_ms);
        }
    }
}

void trib_phases_tick(struct trib_round *round, int64_t now_ms)
{
    for (size_t i = 0; i < PHASES; i++) {
        if (round->rooms[i].open && trib_phase_at(i)->tick) {
            trib_phase_at(i)->tick(round, &round->rooms[i], now_ms);
        }
    }
}

int64_t trib_phases_timer(const struct trib_round *round)
{
    int64_t due_ms = INT64_MAX;
    for (size_t i = 0; i < PHASES; i++) {
        const struct trib_phase *phase = trib_phase_at(i);
        int64_t at_ms = round->rooms[i].open && phase->timer ? phase->timer(&round->rooms[i]) : INT64_MAX;
        due_ms = at_ms < due_ms ? at_ms : due_ms;
    }
    return due_ms;
}

void trib_phases_end(struct trib_round *round, int64_t now_ms, enum trib_outcome outcome, const char *reason)
{
    for (size_t i = 0; i < PHASES; i++) {
        if (round->rooms[i].open) {
            trib_phase_at(i)->end(round, &round->rooms[i], now_ms, outcome, reason);
        }
    }
}

bool trib_phases_open(const struct trib_round *round)
{
    for (size_t i = 0; i < PHASES; i++) {
        if (round->rooms[i].open) {
            return true;
        }
    }
    return false;
}

/* ---- what outlives the process ----
 *
 * u32 version; for each open phase: u32 length of its name, the name, u64 round, u64 version of the model, u32 number
 * of those asked, their u64 keys ascending, u32 length of its own bytes, these. */

static enum trib_status add_u32(struct trib_buf *bytes, uint32_t value)
{
    uint8_t raw[4];
    trib_store_u32(raw, value);
    return trib_buf_add(bytes, raw, sizeof raw);
}

static enum trib_status add_u64(struct trib_buf *bytes, uint64_t value)
{
    uint8_t raw[8];
    trib_store_u64(raw, value);
    return trib_buf_add(bytes, raw, sizeof raw);
}

static enum trib_status save_room(const struct phase_room *room, const struct trib_phase *phase, struct trib_buf *bytes)
{
    struct trib_buf own = {0};
    uint32_t name_len = (uint32_t)strlen(phase->info.name);
    TRIB_TRY(add_u32(bytes, name_len));
    TRIB_TRY(trib_buf_add(bytes, phase->info.name, name_len));
    TRIB_TRY(add_u64(bytes, room->round));
    TRIB_TRY(add_u64(bytes, room->version));
    TRIB_TRY(add_u32(bytes, (uint32_t)room->n_asked));
    for (size_t i = 0; i < room->n_asked; i++) {
        TRIB_TRY(add_u64(bytes, room->asked[i].key));
    }
    enum trib_status status = phase->save(room, &own);
    status = status == TRIB_OK ? add_u32(bytes, (uint32_t)own.len) : status;
    status = status == TRIB_OK ? trib_buf_add(bytes, own.data, own.len) : status;
    trib_buf_clear(&own);
    return status;
}

enum trib_status trib_round_save_phases(const struct trib_round *round, struct trib_buf *bytes)
{
    size_t before = bytes->len;
    enum trib_status status = add_u32(bytes, SAVED_VERSION);
    for (size_t i = 0; i < PHASES && status == TRIB_OK; i++) {
        if (round->rooms[i].open && trib_phase_at(i)->save) {
            status = save_room(&round->rooms[i], trib_phase_at(i), bytes);
        }
    }
    if (status != TRIB_OK) {
        bytes->len = before;
    }
    return status;
}

uint64_t trib_round_phase_changes(const struct trib_round *round)
{
    return round->phase_changes;
}

static size_t find_name(const uint8_t *name, uint32_t len)
{
    for (size_t i = 0; i < PHASES; i++) {
        const char *known = trib_phase_at(i)->info.name;
        if (trib_phase_at(i)->load && strlen(known) == len && memcmp(known, name, len) == 0) {
            return i;
        }
    }
    return PHASES;
}

static enum trib_status corrupt(struct trib_error *error)
{
    return trib_fail(error, TRIB_CORRUPT, "the saved state of the round's phases contradicts itself");
}

static uint64_t read_u64(struct trib_reader *reader)
{
    const uint8_t *raw = trib_read_bytes(reader, sizeof(uint64_t));
    return raw ? trib_load_u64(raw) : 0;
}

/* Those asked, by their keys; their clients have not come back yet. */
static enum trib_status load_asked(struct phase_room *room, struct trib_reader *reader, struct trib_error *error)
{
    uint32_t n = trib_read_u32(reader);
    if (reader->failed || n > (reader->len - reader->at) / sizeof(uint64_t)) {
        return corrupt(error);
    }
    if (reserve(room, n) != TRIB_OK) {
        return trib_fail_no_memory(error);
    }
    for (uint32_t i = 0; i < n; i++) {
        room->asked[i] = (struct phase_asked){.key = read_u64(reader), .client = NOT_HERE};
        if (i > 0 && room->asked[i].key < room->asked[i - 1].key) {
            return corrupt(error);
        }
    }
    room->n_asked = n;
    if (n > 0) {
        memset(room->states, 0, n * room->member_size);
    }
    return TRIB_OK;
}

static enum trib_status load_room(struct trib_round *round, struct trib_reader *reader, struct trib_error *error)
{
    uint32_t name_len = trib_read_u32(reader);
    const uint8_t *name = trib_read_bytes(reader, name_len);
    size_t at = name ? find_name(name, name_len) : PHASES;
    if (at == PHASES || round->rooms[at].open) {
        return corrupt(error);
    }
    struct phase_room *room = &round->rooms[at];
    room->round = read_u64(reader);
    room->version = read_u64(reader);
    TRIB_TRY(load_asked(room, reader, error));
    uint32_t len = trib_read_u32(reader);
    struct trib_reader own = {.data = trib_read_bytes(reader, len), .len = len};
    if (!own.data || room->round == 0 || room->round >= round->number || room->version > round->commits) {
        return corrupt(error);
    }
    room->open = true;
    TRIB_TRY(trib_phase_at(at)->load(room, &own, error));
    return own.failed || own.at != own.len ? corrupt(error) : TRIB_OK;
}

enum trib_status trib_round_load_phases(struct trib_round *round, const void *bytes, size_t len,
                                        struct trib_error *error)
{
    struct trib_reader reader = {.data = bytes, .len = len};
    if (len == 0) {
        return TRIB_OK;
    }
    if (trib_read_u32(&reader) != SAVED_VERSION) {
        return trib_fail(error, TRIB_CORRUPT, "the saved state of the round's phases is not of this version");
    }
    while (reader.at < reader.len) {
        TRIB_TRY(load_room(round, &reader, error));
    }
    return TRIB_OK;
}
