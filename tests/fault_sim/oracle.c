/* What must hold, after every turn of the server. */
#include "oracle.h"

#include "base/mem.h"
#include "base/str.h"
#include "codec/frame.h"
#include "crypto/hash.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- beginning ---- */

bool oracle_new(struct world *world)
{
    struct oracle *oracle = trib_calloc(1, sizeof *oracle);
    const struct trib_server_settings *settings = &world->server.settings;
    struct trib_error error;
    if (!oracle) {
        return false;
    }
    world->oracle = oracle;
    oracle->frames = trib_calloc(MOST_FRAMES, sizeof *oracle->frames);
    bool parsed = trib_chain_parse(settings->codec_up, &oracle->up, &error) == TRIB_OK &&
                  trib_chain_parse(settings->codec_down, &oracle->down, &error) == TRIB_OK;
    oracle->sends_deltas = strcmp(settings->codec_down, "f32") != 0;
    return oracle->frames && parsed;
}

void oracle_free(struct world *world)
{
    if (world->oracle) {
        trib_free(world->oracle->frames);
    }
    trib_free(world->oracle);
    world->oracle = NULL;
}

/* ---- what peers have made ---- */

static struct frame *find_frame(struct oracle *oracle, uint32_t who, uint64_t round, const uint8_t sha256[32],
                                size_t *from)
{
    for (; *from < oracle->n_frames; (*from)++) {
        struct frame *frame = &oracle->frames[*from];
        if (frame->who == who && frame->round == round && memcmp(frame->sha256, sha256, sizeof frame->sha256) == 0) {
            (*from)++;
            return frame;
        }
    }
    return NULL;
}

static struct frame *add_frame(struct world *world, uint32_t who, uint64_t round, const uint8_t sha256[32])
{
    struct oracle *oracle = world->oracle;
    if (oracle->n_frames == MOST_FRAMES) {
        world_break(world, "the oracle cannot remember so many updates");
        return NULL;
    }
    struct frame *frame = &oracle->frames[oracle->n_frames++];
    frame->who = who;
    frame->round = round;
    memcpy(frame->sha256, sha256, sizeof frame->sha256);
    return frame;
}

void oracle_offered(struct world *world, uint32_t who, const Tributary__V1__Offer *offer)
{
    struct frame *frame, *other = NULL;
    size_t at = 0;
    if (!offer->update || offer->update->sha256.len != sizeof frame->sha256) {
        return;
    }
    while ((frame = find_frame(world->oracle, who, offer->round, offer->update->sha256.data, &at))) {
        if (!frame->offered || frame->examples == offer->examples) {
            frame->offered = true;
            frame->examples = offer->examples;
            return;
        }
        other = frame;
    }
    frame = add_frame(world, who, offer->round, offer->update->sha256.data);
    if (frame) { /* the same bytes with another weight, perhaps */
        if (other) {
            *frame = *other;
            frame->version = 0;
        }
        frame->offered = true;
        frame->examples = offer->examples;
    }
}

/* What the server may fold, by rules of its settings. */
static bool is_sound(const struct world *world, struct trib_blob *bytes, float *values)
{
    const struct oracle *oracle = world->oracle;
    const struct trib_frame_source source = trib_frame_source_memory(bytes);
    const struct trib_frame_expect expect = {
        .kind = TRIB_FRAME_UPDATE, .schema = oracle->schema, .n_elements = oracle->n};
    struct trib_frame_header header;
    struct trib_error error;
    if (trib_frame_parse_header(&source, &header, &error) != TRIB_OK ||
        trib_frame_decode(&source, &expect, values, oracle->n, &error) != TRIB_OK ||
        !trib_chain_same_stages(&header.chain, &oracle->up)) {
        return false;
    }
    for (size_t i = 0; i < oracle->n; i++) {
        if (!((double)fabsf(values[i]) <= world->server.settings.max_abs)) {
            return false;
        }
    }
    return true;
}

void oracle_uploaded(struct world *world, uint32_t who, uint64_t round, const uint8_t sha256[32],
                     struct trib_blob *bytes)
{
    uint8_t digest[TRIB_SHA256_LEN];
    struct frame *frame;
    size_t at = 0, found = 0;
    if (trib_sha256(trib_blob_data(bytes), trib_blob_len(bytes), digest) != TRIB_OK ||
        memcmp(digest, sha256, sizeof digest) != 0) {
        world_break(world, "the server took an upload of peer %u whose hash is not the one that it offered", who);
        return;
    }
    while ((frame = find_frame(world->oracle, who, round, sha256, &at))) {
        found++;
        frame->complete = true;
        frame->sound = is_sound(world, bytes, frame->values);
    }
    if (found == 0) {
        world_break(world, "the server took an upload that peer %u never offered", who);
    }
}

/* Exactly once: what was left out of all that was folded, and nothing else, is in what comes next. */
static void check_feedback(struct world *world, const struct client *client, const struct trib_client_task *task,
                           const float *delta, const float *meant)
{
    struct oracle *oracle = world->oracle;
    float *shadow = oracle->shadow[client->number];
    bool carries = true, afresh = true;
    for (size_t i = 0; i < oracle->n; i++) {
        float with = task->feedback.kind == TRIB_FEEDBACK_EF21 ? delta[i] - shadow[i] : delta[i] + shadow[i];
        carries = carries && with == meant[i];
        afresh = afresh && delta[i] == meant[i];
    }
    if (carries || (task->feedback.kind == TRIB_FEEDBACK_NONE && afresh)) {
        return;
    }
    bool doubled = world->plan.with & TROUBLE_UNRULY && !(world->plan.with & WITH_ALL_CLIENTS);
    if (!doubled && (!afresh || !client->host.forgets)) {
        world_break(world, "%s, round %" PRIu64 ": its error feedback is %s what its folded updates have left out",
                    client->node, task->round, afresh ? "zero, not" : "not");
    }
}

void oracle_coded(struct world *world, const struct client *client, const struct trib_client_task *task,
                  const uint8_t sha256[32], const float *delta, const float *meant, const float *decoded)
{
    size_t at = 0;
    check_feedback(world, client, task, delta, meant);
    struct frame *frame = find_frame(world->oracle, client->number, task->round, sha256, &at);
    if (!frame) {
        frame = add_frame(world, client->number, task->round, sha256);
    }
    if (frame && task->feedback.kind != TRIB_FEEDBACK_NONE) {
        const float *shadow = world->oracle->shadow[client->number];
        frame->coded = true;
        for (size_t i = 0; i < world->oracle->n; i++) {
            frame->next_state[i] =
                task->feedback.kind == TRIB_FEEDBACK_EF21 ? shadow[i] + decoded[i] : meant[i] - decoded[i];
        }
    }
}

/* ---- what the server says ---- */

static void sent_task(struct world *world, uint32_t who, const Tributary__V1__Task *task)
{
    struct oracle *oracle = world->oracle;
    if (!oracle->run[0]) {
        (void)trib_str_copy(oracle->run, sizeof oracle->run, task->run);
    }
    if (strcmp(oracle->run, task->run) != 0) {
        world_break(world, "the run was \"%s\" and is \"%s\"", oracle->run, task->run);
    }
    if (task->round == 0 || task->round > world->plan.rounds) {
        world_break(world, "a task for round %" PRIu64 " of %" PRIu64, task->round, world->plan.rounds);
        return;
    }
    oracle->tasked[who][task->round] = task->model_version + 1;
    if (oracle->n_tasks < MOST_TOLD && task->model && task->model->sha256.len == 32) {
        struct sent_task *sent = &oracle->tasks[oracle->n_tasks++];
        *sent = (struct sent_task){
            .who = who, .round = task->round, .version = task->model_version, .folded_round = task->folded_round};
        memcpy(sent->sha256, task->model->sha256.data, sizeof sent->sha256);
    }
}

void oracle_sent(struct world *world, uint32_t who, const Tributary__V1__ServerMessage *message)
{
    struct oracle *oracle = world->oracle;
    if (message->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_TASK) {
        sent_task(world, who, message->task);
    } else if (message->kind_case == TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME && oracle->n_told < MOST_TOLD) {
        oracle->told[oracle->n_told++] =
            (struct told){.who = who,
                          .round = message->outcome->round,
                          .folded = message->outcome->kind == TRIBUTARY__V1__OUTCOME__KIND__FOLDED};
        world->totals.told++;
        world_note(world, who, "outcome", message->outcome->round, message->outcome->kind);
    }
}

void oracle_observed(struct world *world, const struct trib_round_record *record)
{
    struct oracle *oracle = world->oracle;
    const struct trib_round_summary *summary = &record->summary;
    world->totals.rounds++;
    world->totals.skipped += summary->skipped;
    world_note(world, SERVER, record->carried ? "round carried" : "round committed", summary->round, record->version);
    if (record->carried) {
        oracle->carried++;
        return;
    }
    struct commit *commit = &oracle->pending[oracle->n_pending];
    if (oracle->n_pending == MOST_PENDING || !peek_model(world->server.engine, &commit->model)) {
        world_break(world, "the oracle cannot see the model");
        return;
    }
    commit->round = summary->round;
    commit->folded = summary->folded;
    commit->cohort = summary->cohort;
    oracle->n_pending++;
    if (record->version != commit->model.version) {
        world_break(world, "version %" PRIu64 " was announced, %" PRIu64 " is published", record->version,
                    commit->model.version);
    }
}

/* ---- what must hold ---- */

static void check_commit(struct world *world, const struct commit *commit)
{
    struct oracle *oracle = world->oracle;
    if (commit->model.version != oracle->n_versions || oracle->n_versions > MOST_ROUNDS) {
        world_break(world, "version %" PRIu64 " was committed after version %zu", commit->model.version,
                    oracle->n_versions - 1);
    } else if (commit->round > 0 && commit->round <= oracle->last_round) {
        world_break(world, "round %" PRIu64 " was committed after round %" PRIu64, commit->round, oracle->last_round);
    } else if (!search_parts(world, commit)) {
        world_break(world,
                    "version %" PRIu64 " (round %" PRIu64 ", %u updates) is not the mean of updates that it may hold",
                    commit->model.version, commit->round, commit->folded);
    }
}

bool oracle_is_folded(const struct oracle *oracle, uint32_t who, uint64_t round)
{
    for (size_t i = 0; i < oracle->n_frames; i++) {
        const struct frame *frame = &oracle->frames[i];
        if (frame->who == who && frame->round == round && frame->version > 0) {
            return true;
        }
    }
    return false;
}

static void check_told(struct world *world, const struct told *told)
{
    bool folded = oracle_is_folded(world->oracle, told->who, told->round);
    if (told->folded && !folded) {
        world_break(world, "peer %u was told that round %" PRIu64 " holds its update, and it does not", told->who,
                    told->round);
    } else if (!told->folded && folded && told->who < world->plan.n_clients && !(world->plan.with & TROUBLE_UNRULY)) {
        /* Where messages are doubled, an offer may be answered twice, the second time when its round is over. */
        world_break(world, "peer %u was told that round %" PRIu64 " does not hold its update, and it does", told->who,
                    told->round);
    }
}

static void check_task(struct world *world, const struct sent_task *task)
{
    struct oracle *oracle = world->oracle;
    if (task->version >= oracle->n_versions ||
        memcmp(oracle->versions[task->version].sha256, task->sha256, sizeof task->sha256) != 0) {
        world_break(world, "peer %u was sent a task of version %" PRIu64 ", which is another model, or none", task->who,
                    task->version);
    } else if (task->folded_round != oracle->folded_round[task->who]) {
        world_break(world,
                    "peer %u was told that its last folded update is of round %" PRIu64 "; it is of round %" PRIu64,
                    task->who, task->folded_round, oracle->folded_round[task->who]);
    }
}

void oracle_turned(struct world *world)
{
    struct oracle *oracle = world->oracle;
    struct trib_error error;
    for (size_t i = 0; i < oracle->n_pending && !world->broken[0]; i++) {
        check_commit(world, &oracle->pending[i]);
    }
    for (size_t i = 0; i < oracle->n_told && !world->broken[0]; i++) {
        check_told(world, &oracle->told[i]);
    }
    for (size_t i = 0; i < oracle->n_tasks && !world->broken[0]; i++) {
        check_task(world, &oracle->tasks[i]);
    }
    oracle->n_pending = oracle->n_told = oracle->n_tasks = 0;
    const struct trib_hub *engine = world->server.engine;
    if (!host_is_dead(&world->server.host) && trib_hub_done(engine) && !trib_hub_complete(engine) &&
        trib_hub_failure(engine, &error) == TRIB_OK) {
        world_break(world, "the run ended after %zu versions and %" PRIu64 " carried rounds of %" PRIu64,
                    oracle->n_versions - 1, oracle->carried, world->plan.rounds);
    }
}

void oracle_restarted(struct world *world)
{
    struct oracle *oracle = world->oracle;
    struct commit commit = {.round = 0};
    if (!peek_model(world->server.engine, &commit.model)) {
        world_break(world, "the oracle cannot see the model");
        return;
    }
    if (oracle->n_versions == 0) {
        oracle->n = commit.model.n;
        memcpy(oracle->schema, commit.model.schema, sizeof oracle->schema);
        memcpy(oracle->versions[0].values, commit.model.values, sizeof commit.model.values);
        memcpy(oracle->versions[0].sha256, commit.model.sha256, sizeof commit.model.sha256);
        oracle->n_versions = 1;
    }
    uint64_t last = oracle->n_versions - 1;
    if (commit.model.version == last + 1) { /* it died before it could say so */
        check_commit(world, &commit);
    } else if (commit.model.version != last ||
               memcmp(commit.model.sha256, oracle->versions[last].sha256, sizeof commit.model.sha256) != 0) {
        world_break(world, "version %" PRIu64 " was committed; after a restart it is version %" PRIu64 "%s", last,
                    commit.model.version, commit.model.version == last ? ", of other bits" : "");
    }
}

void oracle_result(const struct world *world, struct outcome *outcome)
{
    const struct oracle *oracle = world->oracle;
    outcome->versions = oracle->n_versions;
    if (oracle->n_versions > 0) {
        memcpy(outcome->last_sha256, oracle->versions[oracle->n_versions - 1].sha256, sizeof outcome->last_sha256);
    }
}
