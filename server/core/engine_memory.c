/* What the engine writes down as it goes, so that the next process can go on. Engine's thread only.
 *
 * Two kinds of records. The present: the run's row and one of each member, which together are the round machine's
 * memory. They follow its changes in transactions that survive this process, though maybe not the machine. And the
 * past: nodes, offers, outcomes, rounds, the audit trail. What belongs to a commit is in the commit's own transaction
 * (engine_commit.c), which is durable. Whatever is written late or never costs work, not correctness: a member that is
 * not known to have delivered is asked again. */
#include "engine_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/member_row.h"

#include <string.h>

int64_t trib_engine_wall_ms(const struct trib_engine *engine)
{
    return engine->driver ? engine->driver->now_ms(engine->driver->context) : trib_clock_wall_ms();
}

bool trib_engine_remembers(const struct trib_engine *engine)
{
    return engine->worker.store;
}

static uint64_t as_column(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : value;
}

/* ---- the run ---- */

enum { ENGINE_STATE_VERSION = 1, ENGINE_STATE_LEN = 32 };

/* What the engine adapts from round to round. */
static void pack_state(const struct trib_proximal *proximal, uint8_t to[ENGINE_STATE_LEN])
{
    memset(to, 0, ENGINE_STATE_LEN);
    trib_store_u32(to, ENGINE_STATE_VERSION);
    trib_store_u32(to + 4, proximal->falls);
    memcpy(to + 8, &proximal->mu, sizeof proximal->mu);
    memcpy(to + 16, &proximal->last_loss, sizeof proximal->last_loss);
    to[24] = proximal->has_loss;
}

enum trib_status trib_engine_unpack_state(struct trib_engine *engine, const struct trib_store_bytes *bytes,
                                          struct trib_error *error)
{
    struct trib_proximal *proximal = &engine->proximal;
    const uint8_t *from = bytes->data;
    if (!from) {
        return TRIB_OK;
    }
    if (bytes->len != ENGINE_STATE_LEN || trib_load_u32(from) != ENGINE_STATE_VERSION) {
        return trib_fail(error, TRIB_CORRUPT, "runs.engine_state: not of this version");
    }
    if (proximal->step > 0) { /* else the settings say what it is */
        memcpy(&proximal->mu, from + 8, sizeof proximal->mu);
    }
    proximal->falls = trib_load_u32(from + 4);
    memcpy(&proximal->last_loss, from + 16, sizeof proximal->last_loss);
    proximal->has_loss = from[24];
    return TRIB_OK;
}

void trib_engine_note_run(struct trib_engine *engine, const struct trib_proximal *proximal, bool after_commit)
{
    struct trib_store_runs run = engine->run_row;
    struct trib_round_snapshot memory;
    uint8_t state[ENGINE_STATE_LEN];
    trib_round_recall(engine->round, after_commit, &memory);
    pack_state(proximal, state);
    run.round = memory.number;
    run.attempt = memory.attempt;
    run.commits = memory.commits;
    run.offers = memory.offers;
    run.draws = as_column(memory.draws);
    run.open = memory.open;
    run.decided = memory.decided;
    run.threshold = memory.cut.threshold;
    run.bytes_left = as_column(memory.cut.bytes_left);
    run.wanted = memory.wanted;
    run.selector_state = (struct trib_store_bytes){memory.selector_state, memory.selector_state_len};
    run.engine_state = (struct trib_store_bytes){state, sizeof state};
    run.ended = memory.number > (uint64_t)engine->settings->rounds ? trib_engine_wall_ms(engine) : 0;
    trib_notes_put(&engine->notes, TRIB_STORE_runs, &run);
    engine->noted = (struct noted_run){.number = memory.number,
                                       .attempt = memory.attempt,
                                       .open = memory.open,
                                       .decided = memory.decided,
                                       .bytes_left = memory.cut.bytes_left,
                                       .valid = true};
}

static bool run_changed(const struct trib_engine *engine)
{
    struct trib_round_snapshot memory;
    trib_round_recall(engine->round, false, &memory);
    const struct noted_run *noted = &engine->noted;
    return !noted->valid || noted->number != memory.number || noted->attempt != memory.attempt ||
           noted->open != memory.open || noted->decided != memory.decided ||
           (memory.decided && noted->bytes_left != memory.cut.bytes_left);
}

/* ---- members ---- */

/* Where a restarted server would take a member up. */
static enum trib_member_state state_to_note(const struct client *client, const struct trib_member_snapshot *memory)
{
    switch (memory->state) {
    case TRIB_MEMBER_OFFERED:
        return TRIB_MEMBER_TASKED;
    case TRIB_MEMBER_UPLOADED:
    case TRIB_MEMBER_FOLDING:
    case TRIB_MEMBER_FOLDED:
        return client->kept ? TRIB_MEMBER_UPLOADED : TRIB_MEMBER_TASKED;
    default:
        return memory->state;
    }
}

static void take_client(const struct trib_engine *engine, const struct client *client, struct trib_store_members *row)
{
    trib_str_copy(row->run, sizeof row->run, engine->run);
    trib_str_copy(row->node, sizeof row->node, client->node);
    row->model_version = client->task.version;
    row->model_len = client->task.model_len;
    memcpy(row->model_sha256, client->task.model_sha256, sizeof row->model_sha256);
    row->proximal_mu = client->task.proximal_mu;
    row->update_examples = as_column(client->offer_examples);
    row->update_steps = as_column(client->offer_steps);
    row->update_len = as_column(client->offer_len);
    memcpy(row->update_sha256, client->offer_sha256, sizeof row->update_sha256);
    row->lies = client->lies;
    row->weight = client->weight;
    row->folded_round = client->folded_round;
}

static void note_as(struct trib_engine *engine, uint32_t number, const struct trib_member_snapshot *memory,
                    enum trib_member_state state)
{
    struct client *client = &engine->clients[number];
    struct trib_member_snapshot snapshot = *memory;
    struct trib_store_members row = {0};
    snapshot.state = state;
    take_client(engine, client, &row);
    trib_member_row_fill(&snapshot, &row);
    if (state == TRIB_MEMBER_UPLOADED && client->sketch) {
        row.sketch = (struct trib_store_bytes){client->sketch, trib_sketch_bytes(engine->relevance.k)};
    }
    trib_notes_put(&engine->notes, TRIB_STORE_members, &row);
    client->noted = (struct noted_member){
        .state = state, .round = memory->task_round, .attempt = memory->task_attempt, .valid = true};
}

/* If it stands elsewhere than what is written. */
static void note_member(struct trib_engine *engine, uint32_t number)
{
    struct trib_member_snapshot memory;
    if (!trib_round_recall_member(engine->round, number, &memory) || memory.task_round == 0) {
        return; /* it has not been picked yet */
    }
    const struct client *client = &engine->clients[number];
    enum trib_member_state state = state_to_note(client, &memory);
    const struct noted_member *noted = &client->noted;
    if (!noted->valid || noted->state != state || noted->round != memory.task_round ||
        noted->attempt != memory.task_attempt) {
        note_as(engine, number, &memory, state);
    }
}

void trib_engine_note_upload(struct trib_engine *engine, uint32_t number)
{
    struct trib_member_snapshot memory;
    if (trib_engine_remembers(engine) && engine->clients[number].kept &&
        trib_round_recall_member(engine->round, number, &memory)) {
        note_as(engine, number, &memory, TRIB_MEMBER_UPLOADED);
    }
}

void trib_engine_note_folded(struct trib_engine *engine, uint32_t number)
{
    struct trib_member_snapshot memory;
    struct client *client = &engine->clients[number];
    if (trib_round_recall_member(engine->round, number, &memory) && memory.state == TRIB_MEMBER_FOLDED) {
        uint64_t before = client->folded_round;
        memory.folded++;
        client->folded_round = memory.task_round;
        note_as(engine, number, &memory, TRIB_MEMBER_NONE);
        client->folded_round = before; /* until it is committed */
        trib_engine_note_outcome(engine, number, memory.task_round, "folded", "");
    }
}

/* ---- the past ---- */

void trib_engine_note_node(struct trib_engine *engine, const struct client *client)
{
    if (!trib_engine_remembers(engine)) {
        return;
    }
    struct trib_store_nodes row = {
        .first_seen = client->first_seen, .last_seen = trib_engine_wall_ms(engine), .joined = client->joined};
    trib_str_copy(row.node, sizeof row.node, client->node);
    trib_str_copy(row.software, sizeof row.software, client->software);
    trib_str_copy(row.address, sizeof row.address, client->address);
    trib_notes_put(&engine->notes, TRIB_STORE_nodes, &row);
}

void trib_engine_note_offer(struct trib_engine *engine, const struct client *client, const Tributary__V1__Offer *offer,
                            double relevance)
{
    if (!trib_engine_remembers(engine)) {
        return;
    }
    struct trib_store_offers row = {.round = offer->round,
                                    .at = trib_engine_wall_ms(engine),
                                    .examples = as_column(offer->examples),
                                    .steps = as_column(offer->steps),
                                    .loss = offer->loss,
                                    .norm = offer->norm,
                                    .relevance = relevance,
                                    .len = as_column(offer->update->len)};
    trib_str_copy(row.run, sizeof row.run, engine->run);
    trib_str_copy(row.node, sizeof row.node, client->node);
    memcpy(row.sha256, offer->update->sha256.data, sizeof row.sha256);
    trib_notes_put(&engine->notes, TRIB_STORE_offers, &row);
}

void trib_engine_note_outcome(struct trib_engine *engine, uint32_t number, uint64_t round, const char *outcome,
                              const char *reason)
{
    if (!trib_engine_remembers(engine)) {
        return;
    }
    const struct client *client = &engine->clients[number];
    struct trib_store_outcomes row = {.round = round, .at = trib_engine_wall_ms(engine), .weight = client->weight};
    trib_str_copy(row.run, sizeof row.run, engine->run);
    trib_str_copy(row.node, sizeof row.node, client->node);
    trib_str_copy(row.outcome, sizeof row.outcome, outcome);
    trib_str_copy(row.reason, sizeof row.reason, reason);
    trib_notes_put(&engine->notes, TRIB_STORE_outcomes, &row);
}

void trib_engine_note_round(struct trib_engine *engine, const struct trib_round_record *record)
{
    const struct trib_round_summary *s = &record->summary;
    if (!trib_engine_remembers(engine)) {
        return;
    }
    int64_t now_ms = trib_engine_wall_ms(engine);
    struct trib_store_rounds row = {.round = s->round,
                                    .began = now_ms - (trib_engine_now_ms(engine) - s->began_ms),
                                    .ended = now_ms,
                                    .attempts = s->attempt + 1,
                                    .version = record->version,
                                    .cohort = s->cohort,
                                    .offered = s->offered,
                                    .uploaded = s->uploaded,
                                    .folded = s->folded,
                                    .skipped = s->skipped,
                                    .rejected = s->rejected,
                                    .failed = s->failed,
                                    .late = s->late,
                                    .bytes_up = as_column(record->bytes_up),
                                    .bytes_down = as_column(record->bytes_down),
                                    .train_loss = record->train_loss,
                                    .loss = record->loss,
                                    .accuracy = record->accuracy};
    trib_str_copy(row.run, sizeof row.run, engine->run);
    trib_str_copy(row.outcome, sizeof row.outcome, record->carried ? "carried" : "committed");
    trib_notes_put(&engine->notes, TRIB_STORE_rounds, &row);
    uint64_t kept = (uint64_t)engine->settings->history_rounds;
    if (s->round > kept) {
        const struct trib_store_offers offers = {.round = s->round - kept};
        struct trib_store_offers old = offers;
        struct trib_store_outcomes old_outcomes = {.round = s->round - kept};
        trib_str_copy(old.run, sizeof old.run, engine->run);
        trib_str_copy(old_outcomes.run, sizeof old_outcomes.run, engine->run);
        trib_notes_remove(&engine->notes, TRIB_STORE_offers, &old, 2);
        trib_notes_remove(&engine->notes, TRIB_STORE_outcomes, &old_outcomes, 2);
    }
}

void trib_engine_audit(struct trib_engine *engine, const char *event, uint64_t round, const char *node,
                       const char *detail)
{
    if (!trib_engine_remembers(engine)) {
        return;
    }
    struct trib_store_audit row = {.at = trib_engine_wall_ms(engine), .round = round};
    trib_str_copy(row.run, sizeof row.run, engine->run);
    trib_str_copy(row.node, sizeof row.node, node);
    trib_str_copy(row.event, sizeof row.event, event);
    trib_str_copy(row.detail, sizeof row.detail, detail);
    trib_notes_put(&engine->notes, TRIB_STORE_audit, &row);
}

/* ---- now and then ---- */

/* A disk that is full or broken is not tried again and again. */
enum { NOTE_AGAIN_AFTER_MS = 1000 };

void trib_engine_forget_noted(struct trib_engine *engine)
{
    engine->noted.valid = false;
    for (size_t i = 0; i < engine->n_clients; i++) {
        engine->clients[i].noted.valid = false;
    }
    engine->note_all = true;
    engine->note_all_at_ms = trib_engine_now_ms(engine) + NOTE_AGAIN_AFTER_MS;
}

int64_t trib_engine_notes_due_ms(const struct trib_engine *engine)
{
    bool may = !engine->committing && !engine->noting; /* their ends wake the engine */
    return engine->note_all && may ? engine->note_all_at_ms : INT64_MAX;
}

void trib_engine_gather_notes(struct trib_engine *engine)
{
    const uint32_t *changed;
    if (engine->committing || engine->done) {
        return;
    }
    size_t n = trib_round_take_changed(engine->round, &changed);
    if (!trib_engine_remembers(engine)) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        note_member(engine, changed[i]);
    }
    for (uint32_t i = 0; engine->note_all && i < engine->n_clients; i++) {
        note_member(engine, i);
    }
    engine->note_all = false;
    if (run_changed(engine)) {
        trib_engine_note_run(engine, &engine->proximal, false);
    }
}

void trib_engine_write_down(struct trib_engine *engine)
{
    bool soon_again = engine->note_all && trib_engine_now_ms(engine) < engine->note_all_at_ms;
    if (engine->noting || soon_again) { /* one transaction at a time: what happens meanwhile goes into the next */
        return;
    }
    trib_engine_gather_notes(engine);
    if (engine->notes.lost) {
        trib_log(TRIB_LOG_ERROR, "store", "notes_lost", TRIB_F_STR("reason", "out of memory"));
        trib_notes_clear(&engine->notes);
        trib_engine_forget_noted(engine); /* and all of it once more, with what changes next */
    } else if (engine->notes.first) {
        struct work work = {.kind = WORK_NOTE, .notes = engine->notes};
        engine->notes = (struct trib_notes){0};
        engine->noting = true;
        trib_engine_submit_work(engine, &work);
    }
}

bool trib_engine_write_end(struct trib_engine *engine)
{
    if (!trib_engine_remembers(engine)) {
        return false;
    }
    trib_engine_gather_notes(engine);
    struct work work = {.kind = WORK_NOTE, .durable = true, .notes = engine->notes};
    engine->notes = (struct trib_notes){0};
    trib_engine_submit_work(engine, &work);
    return true;
}
