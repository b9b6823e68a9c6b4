/* A run begins, or is taken up where its process left it. */
#include "setup_private.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

static struct trib_present look(const struct trib_rooms *rooms)
{
    return (struct trib_present){.round = rooms->round,
                                 .roster = rooms->roster,
                                 .parts = &rooms->parts,
                                 .proximal = &rooms->proximal,
                                 .now_ms = rooms->clock.now_ms(rooms->clock.context),
                                 .wall_ms = rooms->clock.wall_ms(rooms->clock.context)};
}

/* ---- a run that begins ---- */

/* In a simulation it follows from the seed: so do the positions of sketches. */
static enum trib_status make_run_id(struct trib_rooms *rooms, struct trib_error *error)
{
    uint8_t bytes[8];
    if (!rooms->settings->state_dir || rooms->clock.simulated) {
        struct trib_rng rng = trib_rng_init((uint64_t)rooms->settings->seed, "run", 0, 0);
        trib_store_u64(bytes, trib_rng_u64(&rng));
    } else if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return trib_fail(error, TRIB_INTERNAL, "no random numbers from the kernel");
    }
    trib_hex_encode(bytes, sizeof bytes, rooms->id);
    return TRIB_OK;
}

static void describe(struct trib_rooms *rooms, bool resumes)
{
    const struct trib_server_settings *s = rooms->settings;
    struct trib_store_runs row = {.seed = (uint64_t)s->seed, .rounds = (uint64_t)s->rounds};
    memcpy(row.schema, rooms->schema.hash, sizeof row.schema);
    trib_str_copy(row.run, sizeof row.run, rooms->id);
    trib_str_copy(row.strategy, sizeof row.strategy, s->strategy);
    trib_str_copy(row.selector, sizeof row.selector, s->selector);
    trib_str_copy(row.software, sizeof row.software, rooms->software);
    trib_journal_describe(rooms->journal, &row, resumes, rooms->clock.wall_ms(rooms->clock.context));
}

static bool keep_none(void *context, const char *name)
{
    (void)context;
    (void)name;
    return false;
}

static enum trib_status begin(struct trib_rooms *rooms, struct trib_error *error)
{
    TRIB_TRY(make_run_id(rooms, error));
    trib_uploads_sweep(rooms->uploads, keep_none, NULL);
    describe(rooms, false);
    const struct trib_present present = look(rooms);
    return trib_journal_begin(rooms->journal, trib_release_present(rooms->release), &present, error);
}

/* ---- a run that goes on ---- */

static enum trib_status check_same(const struct trib_rooms *rooms, const struct trib_store_runs *last,
                                   struct trib_error *error)
{
    const struct trib_server_settings *s = rooms->settings;
    const char *what = memcmp(last->schema, rooms->schema.hash, sizeof last->schema) != 0 ? "model"
                       : strcmp(last->strategy, s->strategy) != 0                         ? "strategy.name"
                                                                                          : NULL;
    if (what) {
        return trib_fail(
            error, TRIB_MISMATCH,
            "%s: run %s is under way there, with another %s; go on with its settings, give another state_dir, "
            "or begin anew with --new-run",
            s->state_dir, last->run, what);
    }
    if (last->seed != (uint64_t)s->seed || strcmp(last->selector, s->selector) != 0) {
        trib_log(TRIB_LOG_WARN, "store", "settings_changed", TRIB_F_STR("run", last->run),
                 TRIB_F_STR("what", last->seed != (uint64_t)s->seed ? "federation.seed" : "federation.selector"),
                 TRIB_F_STR("effect", "rounds from here on are not those that would have been"));
    }
    return TRIB_OK;
}

struct members {
    struct trib_rooms *rooms;
    struct trib_member_snapshot *list;
    size_t n, capacity, uploads;
};

/* Its upload, if it is still whole; else the client is asked for it again. */
static void recover_upload(struct members *members, struct trib_part *part, struct trib_member_snapshot *member)
{
    struct trib_rooms *rooms = members->rooms;
    struct trib_error error;
    struct trib_upload *upload = NULL;
    const char *node = trib_roster_node(rooms->roster, member->client);
    member->state = TRIB_MEMBER_TASKED;
    bool lacks_sketch = trib_relevance_positions(rooms->relevance) > 0 && !part->sketch;
    if (lacks_sketch || trib_uploads_recover(rooms->uploads, node, member->client, part->offer_sha256, part->offer_len,
                                             &upload, &error) != TRIB_OK) {
        trib_log(TRIB_LOG_WARN, "store", "upload_lost", TRIB_F_STR("node", node),
                 TRIB_F_INT("round", member->task_round),
                 TRIB_F_STR("reason", lacks_sketch ? "the sketch that was offered for it is gone" : error.message));
        return;
    }
    trib_uploads_put(rooms->uploads, upload, member->task_round, member->task_attempt);
    part->kept = true;
    rooms->kept_bytes += part->offer_len;
    member->state = TRIB_MEMBER_UPLOADED;
    members->uploads++;
}

static enum trib_status take_member(void *context, struct trib_member_snapshot *member, struct trib_part *part,
                                    struct trib_error *error)
{
    struct members *members = context;
    if (members->n == members->capacity) {
        size_t capacity = members->capacity ? members->capacity * 2 : 64;
        struct trib_member_snapshot *list = trib_realloc_array(members->list, capacity, sizeof *list);
        if (!list) {
            return trib_fail_no_memory(error);
        }
        members->list = list;
        members->capacity = capacity;
    }
    if (member->state == TRIB_MEMBER_UPLOADED) {
        recover_upload(members, part, member);
    }
    members->list[members->n++] = *member;
    return TRIB_OK;
}

static bool is_named(void *context, const char *name)
{
    return trib_map_get(context, name);
}

/* Spool files that are nobody's go. */
static enum trib_status sweep_uploads(struct members *members, struct trib_error *error)
{
    struct trib_rooms *rooms = members->rooms;
    enum trib_status status = TRIB_OK;
    struct trib_map *names = trib_map_new();
    if (!names) {
        return trib_fail_no_memory(error);
    }
    for (size_t i = 0; status == TRIB_OK && i < members->n; i++) {
        const struct trib_member_snapshot *member = &members->list[i];
        struct trib_part *part = trib_parts_of(&rooms->parts, member->client);
        char name[TRIB_UPLOAD_NAME_LEN];
        if (trib_round_is_at_work(member->state) && member->has_offered && part->offer_len > 0) {
            trib_upload_name(trib_roster_node(rooms->roster, member->client), part->offer_sha256, name);
            status = trib_map_put(names, name, part);
        }
    }
    if (status == TRIB_OK) {
        trib_uploads_sweep(rooms->uploads, is_named, names);
    }
    trib_map_free(names);
    return status == TRIB_OK ? TRIB_OK : trib_fail_no_memory(error);
}

static enum trib_status restore_round(struct members *members, struct trib_error *error)
{
    struct trib_rooms *rooms = members->rooms;
    const char *selector = rooms->settings->selector;
    bool same_selector = strcmp(trib_journal_last_run(rooms->journal)->selector, selector) == 0;
    struct trib_round_snapshot fresh, snapshot;
    trib_journal_snapshot(rooms->journal, &snapshot);
    trib_round_recall(rooms->round, false, &fresh);
    if (!same_selector || snapshot.selector_state_len != fresh.selector_state_len) { /* it begins anew */
        snapshot.selector_state = fresh.selector_state;
        snapshot.selector_state_len = fresh.selector_state_len;
    }
    return trib_round_restore(rooms->round, &snapshot, members->list, members->n, error);
}

static enum trib_status recall_release(struct trib_rooms *rooms, struct trib_error *error)
{
    const struct trib_recall recall = {.sealer = &rooms->sealer,
                                       .release = rooms->release,
                                       .aggregate = rooms->aggregate,
                                       .relevance = rooms->relevance};
    return trib_journal_recall(rooms->journal, &recall, error);
}

static enum trib_status read_members(struct members *members, struct trib_error *error)
{
    struct trib_rooms *rooms = members->rooms;
    TRIB_TRY(trib_journal_recall_members(rooms->journal, rooms->roster, &rooms->parts, take_member, members, error));
    TRIB_TRY(sweep_uploads(members, error));
    return restore_round(members, error);
}

static enum trib_status go_on(struct trib_rooms *rooms, struct trib_error *error)
{
    struct members members = {.rooms = rooms};
    TRIB_TRY(recall_release(rooms, error));
    TRIB_TRY(trib_journal_recall_proximal(rooms->journal, &rooms->proximal, error));
    enum trib_status status = read_members(&members, error);
    trib_free(members.list);
    TRIB_TRY(status);
    const struct trib_present present = look(rooms);
    TRIB_TRY(trib_journal_resumed(rooms->journal, &present, error));
    rooms->resumed = true;
    rooms->resumed_members = members.n;
    rooms->resumed_uploads = members.uploads;
    return TRIB_OK;
}

/* ---- both ---- */

static enum trib_status open_journal(struct trib_rooms *rooms, struct trib_error *error)
{
    const struct trib_server_settings *s = rooms->settings;
    uint64_t positions = trib_relevance_positions(rooms->relevance);
    const struct trib_journal_options options = {.state_dir = s->state_dir,
                                                 .schema = &rooms->schema,
                                                 .software = rooms->software,
                                                 .rounds = (uint64_t)s->rounds,
                                                 .history_rounds = (uint64_t)s->history_rounds,
                                                 .checkpoints_keep = (uint64_t)s->checkpoints_keep,
                                                 .delta_history = (uint64_t)s->codec_down_history,
                                                 .keeps_past = trib_server_may_be_stale(s),
                                                 .sketch_len = positions > 0 ? trib_sketch_bytes(positions) : 0};
    return trib_journal_open(&options, &rooms->journal, error);
}

static enum trib_status begin_or_go_on(struct trib_rooms *rooms, bool new_run, struct trib_error *error)
{
    const struct trib_store_runs *last = trib_journal_last_run(rooms->journal);
    if (!last && !new_run) {
        TRIB_TRY(trib_journal_check_empty(rooms->journal, error));
    }
    bool resumes = last && !new_run;
    if (resumes) {
        TRIB_TRY(check_same(rooms, last, error));
        trib_str_copy(rooms->id, sizeof rooms->id, last->run);
        describe(rooms, true);
        rooms->complete = last->round > (uint64_t)rooms->settings->rounds;
    }
    TRIB_TRY(trib_setup_round(rooms, error));
    if (rooms->complete) { /* there is nothing to go on with */
        return recall_release(rooms, error);
    }
    return resumes ? go_on(rooms, error) : begin(rooms, error);
}

static enum trib_status open_state(struct trib_rooms *rooms, bool new_run, trib_upload_ended *ended, void *context,
                                   struct trib_error *error)
{
    const char *dir = rooms->settings->state_dir;
    if (dir) {
        TRIB_TRY(open_journal(rooms, error));
    }
    TRIB_TRY(trib_uploads_new(dir, ended, context, &rooms->uploads, error));
    if (dir) {
        TRIB_TRY(begin_or_go_on(rooms, new_run, error));
        TRIB_TRY(trib_journal_sweep(rooms->journal, error));
    } else {
        TRIB_TRY(make_run_id(rooms, error));
        TRIB_TRY(trib_setup_round(rooms, error));
    }
    trib_uploads_name_run(rooms->uploads, rooms->id);
    return TRIB_OK;
}

enum trib_status trib_rooms_check(const struct trib_server_settings *settings, struct trib_error *error)
{
    struct trib_rooms rooms = {.settings = settings};
    enum trib_status status = trib_setup_compute(&rooms, error);
    trib_rooms_clear(&rooms);
    return status;
}

enum trib_status trib_rooms_init(struct trib_rooms *rooms, const struct trib_setup *setup, struct trib_error *error)
{
    *rooms = (struct trib_rooms){.settings = setup->settings, .clock = setup->clock};
    trib_str_copy(rooms->software, sizeof rooms->software, setup->software);
    enum trib_status status = trib_setup_compute(rooms, error);
    if (status == TRIB_OK) {
        status = open_state(rooms, setup->new_run, setup->ended, setup->context, error);
    }
    if (status != TRIB_OK) {
        trib_rooms_clear(rooms);
    }
    return status;
}

void trib_rooms_clear(struct trib_rooms *rooms)
{
    trib_roster_free(rooms->roster);
    trib_uploads_free(rooms->uploads);
    trib_round_free(rooms->round);
    trib_aggregate_free(rooms->aggregate);
    trib_journal_close(rooms->journal);
    trib_release_free(rooms->release);
    trib_relevance_free(rooms->relevance);
    trib_parts_clear(&rooms->parts);
    trib_evaluator_free(rooms->evaluator);
    trib_schema_clear(&rooms->schema);
    trib_buf_clear(&rooms->graph_bytes);
    trib_graph_free(rooms->graph);
    if (rooms->has_test_set) {
        trib_dataset_clear(&rooms->test_set);
    }
    trib_thread_pool_free(rooms->pool);
    *rooms = (struct trib_rooms){0};
}
