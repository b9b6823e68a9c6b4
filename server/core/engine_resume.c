/* What the process before this one has left: a run begins, or goes on where it was. Before the engine's threads.
 *
 * The last committed version is the truth: its model, whose hash must be right, and what was kept with it. What is
 * damaged is named and refused; nothing is guessed and nothing mended, but for names that follow from the records. */
#include "engine_private.h"

#include "base/disk.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "store/member_row.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

/* ---- the runs of this folder ---- */

struct runs {
    struct trib_store_runs last; /* the present one; number 0 = there is none */
    uint8_t *selector_state, *engine_state;
};

static uint8_t *copy_bytes(const struct trib_store_bytes *bytes)
{
    uint8_t *copy = trib_malloc(bytes->len + 1);
    if (copy && bytes->len > 0) {
        memcpy(copy, bytes->data, bytes->len);
    }
    return copy;
}

static enum trib_status look_at_run(void *context, const void *record, struct trib_error *error)
{
    struct runs *runs = context;
    const struct trib_store_runs *run = record;
    if (run->number <= runs->last.number) {
        return TRIB_OK;
    }
    trib_free(runs->selector_state);
    trib_free(runs->engine_state);
    runs->last = *run;
    runs->selector_state = copy_bytes(&run->selector_state);
    runs->engine_state = copy_bytes(&run->engine_state);
    if (!runs->selector_state || !runs->engine_state) {
        return trib_fail_no_memory(error);
    }
    runs->last.selector_state.data = run->selector_state.len > 0 ? runs->selector_state : NULL;
    runs->last.engine_state.data = run->engine_state.len > 0 ? runs->engine_state : NULL;
    return TRIB_OK;
}

static enum trib_status count_audit(void *context, const void *record, struct trib_error *error)
{
    (void)error;
    struct trib_engine *engine = context;
    engine->worker.audit_number = ((const struct trib_store_audit *)record)->number;
    return TRIB_OK;
}

/* In a simulation it follows from the seed: so do the positions of sketches. */
static enum trib_status make_run_id(struct trib_engine *engine, struct trib_error *error)
{
    uint8_t bytes[8];
    const struct trib_server_settings *settings = engine->settings;
    if (!settings->state_dir || engine->driver) {
        struct trib_rng rng = trib_rng_init((uint64_t)settings->seed, "run", 0, 0);
        trib_store_u64(bytes, trib_rng_u64(&rng));
    } else if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return trib_fail(error, TRIB_INTERNAL, "no random numbers from the kernel");
    }
    trib_hex_encode(bytes, sizeof bytes, engine->run);
    return TRIB_OK;
}

/* ---- a run that begins ---- */

/* Of an earlier run, the last model stays, and the rows that tell of it. */
struct old_blobs {
    struct trib_engine *engine;
    uint64_t last_version;
};

static enum trib_status drop_old_blob(void *context, const void *record, struct trib_error *error)
{
    (void)error;
    struct old_blobs *old = context;
    const struct trib_store_version_blobs *row = record;
    if (row->version != old->last_version || strcmp(row->kind, "model") != 0) {
        trib_notes_remove(&old->engine->notes, TRIB_STORE_version_blobs, row, 3);
    }
    return TRIB_OK;
}

static enum trib_status retire(struct trib_engine *engine, const struct trib_store_runs *run, struct trib_error *error)
{
    struct old_blobs old = {.engine = engine, .last_version = run->commits};
    struct trib_store_version_blobs blobs = {0};
    struct trib_store_members members = {0};
    trib_str_copy(blobs.run, sizeof blobs.run, run->run);
    trib_str_copy(members.run, sizeof members.run, run->run);
    trib_notes_remove(&engine->notes, TRIB_STORE_members, &members, 1);
    return trib_store_each(engine->worker.store, TRIB_STORE_version_blobs, &blobs, 1, drop_old_blob, &old, error);
}

static void describe_run(struct trib_engine *engine, uint64_t number, int64_t began_ms)
{
    const struct trib_server_settings *s = engine->settings;
    struct trib_store_runs *row = &engine->run_row;
    row->number = number;
    row->began = began_ms;
    row->seed = (uint64_t)s->seed;
    row->rounds = (uint64_t)s->rounds;
    memcpy(row->schema, engine->schema.hash, sizeof row->schema);
    trib_str_copy(row->run, sizeof row->run, engine->run);
    trib_str_copy(row->strategy, sizeof row->strategy, s->strategy);
    trib_str_copy(row->selector, sizeof row->selector, s->selector);
    trib_str_copy(row->software, sizeof row->software, engine->software);
}

static enum trib_status write_first_notes(struct trib_engine *engine, struct trib_error *error)
{
    struct work work = {.kind = WORK_NOTE, .durable = true, .notes = engine->notes};
    engine->notes = (struct trib_notes){0};
    enum trib_status status = trib_engine_write_notes(engine, &work);
    trib_notes_clear(&work.notes);
    if (status != TRIB_OK && error) {
        *error = work.error;
    }
    return status;
}

static bool keep_none(void *context, const char *name)
{
    (void)context;
    (void)name;
    return false;
}

static enum trib_status begin_run(struct trib_engine *engine, const struct trib_store_runs *former,
                                  struct trib_error *error)
{
    TRIB_TRY(make_run_id(engine, error));
    trib_uploads_sweep(&engine->uploads, keep_none, NULL);
    if (former->number > 0) {
        TRIB_TRY(retire(engine, former, error));
    }
    describe_run(engine, former->number + 1, trib_engine_wall_ms(engine));
    const struct trib_version *present = trib_release_present(engine->release);
    struct trib_store_versions first = {.at = trib_engine_wall_ms(engine), .len = trib_blob_len(present->raw)};
    trib_str_copy(first.run, sizeof first.run, engine->run);
    memcpy(first.sha256, present->sha256, sizeof first.sha256);
    trib_notes_put(&engine->notes, TRIB_STORE_versions, &first);
    trib_engine_note_run(engine, &engine->proximal, false);
    trib_engine_audit(engine, "run_began", 0, "", engine->software);
    return write_first_notes(engine, error);
}

/* ---- a run that goes on ---- */

static enum trib_status check_same(const struct trib_engine *engine, const struct trib_store_runs *run,
                                   struct trib_error *error)
{
    const struct trib_server_settings *s = engine->settings;
    const char *what = memcmp(run->schema, engine->schema.hash, sizeof run->schema) != 0 ? "model"
                       : strcmp(run->strategy, s->strategy) != 0                         ? "strategy.name"
                                                                                         : NULL;
    if (what) {
        return trib_fail(
            error, TRIB_MISMATCH,
            "%s: run %s is under way there, with another %s; go on with its settings, give another state_dir, "
            "or begin anew with --new-run",
            s->state_dir, run->run, what);
    }
    if (run->seed != (uint64_t)s->seed || strcmp(run->selector, s->selector) != 0) {
        trib_log(TRIB_LOG_WARN, "store", "settings_changed", TRIB_F_STR("run", run->run),
                 TRIB_F_STR("what", run->seed != (uint64_t)s->seed ? "federation.seed" : "federation.selector"),
                 TRIB_F_STR("effect", "rounds from here on are not those that would have been"));
    }
    return TRIB_OK;
}

/* ---- members ---- */

struct members {
    struct trib_engine *engine;
    const struct trib_store_runs *run;
    struct trib_member_snapshot *list;
    size_t n, capacity, uploads;
};

static enum trib_status restore_client(struct trib_engine *engine, const struct trib_store_members *row,
                                       struct client *client, struct trib_error *error)
{
    client->task.version = row->model_version;
    client->task.model_len = row->model_len;
    memcpy(client->task.model_sha256, row->model_sha256, sizeof client->task.model_sha256);
    client->task.proximal_mu = row->proximal_mu;
    client->offer_examples = row->update_examples;
    client->offer_steps = row->update_steps;
    client->offer_loss = row->offer_loss;
    client->offer_len = row->update_len;
    memcpy(client->offer_sha256, row->update_sha256, sizeof client->offer_sha256);
    client->lies = row->lies;
    client->weight = row->weight;
    client->folded_round = row->folded_round;
    size_t sketch_len = trib_sketch_bytes(engine->relevance.k);
    if (engine->relevance.k > 0 && row->sketch.data && row->sketch.len == sketch_len) {
        client->sketch = trib_malloc(sketch_len);
        if (!client->sketch) {
            return trib_fail_no_memory(error);
        }
        memcpy(client->sketch, row->sketch.data, sketch_len);
    }
    return TRIB_OK;
}

/* Its upload, if it is still whole; else the client is asked for it again. */
static void recover_upload(struct members *members, struct client *client, struct trib_member_snapshot *memory)
{
    struct trib_engine *engine = members->engine;
    struct trib_error error;
    struct trib_upload *upload = NULL;
    memory->state = TRIB_MEMBER_TASKED;
    bool lacks_sketch = engine->relevance.k > 0 && !client->sketch;
    if (lacks_sketch || trib_uploads_recover(&engine->uploads, client->node, memory->client, client->offer_sha256,
                                             client->offer_len, &upload, &error) != TRIB_OK) {
        trib_log(TRIB_LOG_WARN, "store", "upload_lost", TRIB_F_STR("node", client->node),
                 TRIB_F_INT("round", memory->task_round),
                 TRIB_F_STR("reason", lacks_sketch ? "the sketch that was offered for it is gone" : error.message));
        return;
    }
    trib_uploads_put(&engine->uploads, upload, memory->task_round, memory->task_attempt);
    client->kept = true;
    engine->kept_bytes += client->offer_len;
    memory->state = TRIB_MEMBER_UPLOADED;
    members->uploads++;
}

static enum trib_status look_at_member(void *context, const void *record, struct trib_error *error)
{
    struct members *members = context;
    const struct trib_store_members *row = record;
    uint32_t number;
    if (members->n == members->capacity) {
        size_t capacity = members->capacity ? members->capacity * 2 : 64;
        struct trib_member_snapshot *list = trib_realloc_array(members->list, capacity, sizeof *list);
        if (!list) {
            return trib_fail_no_memory(error);
        }
        members->list = list;
        members->capacity = capacity;
    }
    struct client *client = trib_engine_add_client(members->engine, row->node, &number);
    if (!client) {
        return trib_fail_no_memory(error);
    }
    struct trib_member_snapshot *memory = &members->list[members->n];
    TRIB_TRY(trib_member_row_read(row, number, memory, error));
    members->n++;
    TRIB_TRY(restore_client(members->engine, row, client, error));
    if (memory->state == TRIB_MEMBER_UPLOADED) {
        recover_upload(members, client, memory);
    }
    return TRIB_OK;
}

static bool is_named(void *context, const char *name)
{
    return trib_map_get(context, name);
}

/* Spool files that are nobody's go. */
static enum trib_status sweep_uploads(struct members *members, struct trib_error *error)
{
    enum trib_status status = TRIB_OK;
    struct trib_map *names = trib_map_new();
    if (!names) {
        return trib_fail_no_memory(error);
    }
    for (size_t i = 0; status == TRIB_OK && i < members->n; i++) {
        const struct trib_member_snapshot *memory = &members->list[i];
        struct client *client = &members->engine->clients[memory->client];
        char name[TRIB_UPLOAD_NAME_LEN];
        if (trib_round_is_at_work(memory->state) && memory->has_offered && client->offer_len > 0) {
            trib_upload_name(client->node, client->offer_sha256, name);
            status = trib_map_put(names, name, client);
        }
    }
    if (status == TRIB_OK) {
        trib_uploads_sweep(&members->engine->uploads, is_named, names);
    }
    trib_map_free(names);
    return status == TRIB_OK ? TRIB_OK : trib_fail_no_memory(error);
}

static enum trib_status restore_round(struct members *members, struct trib_error *error)
{
    const struct trib_store_runs *run = members->run;
    struct trib_engine *engine = members->engine;
    const struct trib_selector *selector = trib_selector_find(engine->settings->selector);
    bool same_selector =
        strcmp(run->selector, engine->settings->selector) == 0 && run->selector_state.len == selector->state_size;
    struct trib_round_snapshot fresh, memory = {.number = run->round,
                                                .attempt = run->attempt,
                                                .commits = run->commits,
                                                .offers = run->offers,
                                                .draws = run->draws,
                                                .open = run->open,
                                                .decided = run->decided,
                                                .cut = {.threshold = run->threshold, .bytes_left = run->bytes_left},
                                                .wanted = (uint32_t)run->wanted,
                                                .selector_state = run->selector_state.data,
                                                .selector_state_len = run->selector_state.len};
    trib_round_recall(engine->round, false, &fresh);
    if (!same_selector) { /* it begins anew */
        memory.selector_state = fresh.selector_state;
        memory.selector_state_len = fresh.selector_state_len;
    }
    return trib_round_restore(engine->round, &memory, members->list, members->n, error);
}

static enum trib_status read_members(struct members *members, struct trib_error *error)
{
    struct trib_store_members key = {0};
    trib_str_copy(key.run, sizeof key.run, members->engine->run);
    TRIB_TRY(
        trib_store_each(members->engine->worker.store, TRIB_STORE_members, &key, 1, look_at_member, members, error));
    TRIB_TRY(sweep_uploads(members, error));
    return restore_round(members, error);
}

static enum trib_status look_at_node(void *context, const void *record, struct trib_error *error)
{
    (void)error;
    struct trib_engine *engine = context;
    const struct trib_store_nodes *row = record;
    uint32_t number;
    struct client *client = trib_engine_find(engine, row->node, &number);
    if (client) {
        client->first_seen = row->first_seen;
        client->joined = row->joined;
    }
    return TRIB_OK;
}

static enum trib_status go_on(struct trib_engine *engine, const struct trib_store_runs *run, struct trib_error *error)
{
    struct members members = {.engine = engine, .run = run};
    TRIB_TRY(trib_engine_reload(engine, run, error));
    TRIB_TRY(trib_engine_unpack_state(engine, &run->engine_state, error));
    describe_run(engine, run->number, run->began);
    enum trib_status status = read_members(&members, error);
    trib_free(members.list);
    TRIB_TRY(status);
    TRIB_TRY(trib_store_each(engine->worker.store, TRIB_STORE_nodes, NULL, 0, look_at_node, engine, error));
    trib_engine_note_run(engine, &engine->proximal, false);
    trib_engine_audit(engine, "run_resumed", run->round, "", engine->software);
    TRIB_TRY(write_first_notes(engine, error));
    trib_log(TRIB_LOG_INFO, "store", "run_resumed", TRIB_F_STR("run", engine->run), TRIB_F_INT("round", run->round),
             TRIB_F_INT("attempt", run->attempt + 1), TRIB_F_INT("version", run->commits),
             TRIB_F_BOOL("round_open", run->open), TRIB_F_INT("members", members.n),
             TRIB_F_INT("uploads", members.uploads));
    return TRIB_OK;
}

/* ---- both ---- */

static bool is_referred_to(void *context, const uint8_t sha256[32])
{
    return trib_engine_lists_hash(context, sha256);
}

static enum trib_status collect_hash(void *context, const void *record, struct trib_error *error)
{
    const struct trib_store_version_blobs *row = record;
    return trib_buf_add(context, row->sha256, sizeof row->sha256) == TRIB_OK ? TRIB_OK : trib_fail_no_memory(error);
}

/* What a crash left between a file and the record that was to refer to it. */
static enum trib_status sweep_blobs(struct trib_engine *engine, struct trib_error *error)
{
    struct trib_buf hashes = {0};
    enum trib_status status =
        trib_store_each(engine->worker.store, TRIB_STORE_version_blobs, NULL, 0, collect_hash, &hashes, error);
    if (status == TRIB_OK) {
        trib_blobs_sweep(engine->worker.blobs, is_referred_to, &hashes);
    }
    trib_buf_clear(&hashes);
    return status;
}

static enum trib_status open_store(struct trib_engine *engine, struct trib_error *error)
{
    const char *dir = engine->settings->state_dir;
    TRIB_TRY(trib_dir_make(dir, error));
    char *path = trib_path_join(dir, "state.db");
    if (!path) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = trib_store_open(trib_store_backend_find("sqlite"), path, &engine->worker.store, error);
    trib_free(path);
    TRIB_TRY(status);
    return trib_blobs_open(dir, &engine->worker.blobs, error);
}

static bool keep_and_count(void *context, const uint8_t sha256[32])
{
    (void)sha256;
    ++*(uint64_t *)context;
    return true;
}

static bool count_models(void *context, const char *name)
{
    *(uint64_t *)context += strncmp(name, "round-", 6) == 0;
    return true;
}

/* Models without the records that tell of them: these were lost, or somebody else made them, and a new run would sweep
 * them away or write over them. */
static enum trib_status check_empty(struct trib_engine *engine, struct trib_error *error)
{
    uint64_t n = 0;
    char *models = trib_path_join(engine->settings->state_dir, "models");
    if (!models) {
        return trib_fail_no_memory(error);
    }
    trib_blobs_sweep(engine->worker.blobs, keep_and_count, &n);
    (void)trib_disk_list(models, count_models, &n); /* none, when it is not there */
    trib_free(models);
    if (n == 0) {
        return TRIB_OK;
    }
    return trib_fail(error, TRIB_CORRUPT,
                     "%s: there are %" PRIu64
                     " files of models, but state.db knows of no run; restore it, give another "
                     "state_dir, or begin anew with --new-run",
                     engine->settings->state_dir, n);
}

static enum trib_status begin_or_go_on(struct trib_engine *engine, bool new_run, struct runs *runs,
                                       struct trib_error *error)
{
    const struct trib_server_settings *s = engine->settings;
    TRIB_TRY(trib_store_each(engine->worker.store, TRIB_STORE_audit, NULL, 0, count_audit, engine, error));
    TRIB_TRY(trib_store_each(engine->worker.store, TRIB_STORE_runs, NULL, 0, look_at_run, runs, error));
    const struct trib_store_runs *last = &runs->last;
    if (last->number == 0 && !new_run) {
        TRIB_TRY(check_empty(engine, error));
    }
    bool resumes = last->number > 0 && !new_run;
    if (resumes) {
        TRIB_TRY(check_same(engine, last, error));
        trib_str_copy(engine->run, sizeof engine->run, last->run);
        engine->done = last->round > (uint64_t)s->rounds;
        atomic_store(&engine->complete, engine->done);
    }
    TRIB_TRY(trib_engine_build_round(engine, error));
    if (engine->done) { /* there is nothing to go on with */
        describe_run(engine, last->number, last->began);
        return trib_engine_reload(engine, last, error);
    }
    return resumes ? go_on(engine, last, error) : begin_run(engine, last, error);
}

static enum trib_status post_resume(struct trib_engine *engine, struct trib_error *error)
{
    struct event *event = trib_calloc(1, sizeof *event);
    if (!event) {
        return trib_fail_no_memory(error);
    }
    event->kind = EVENT_RESUME;
    trib_engine_post(engine, event);
    return TRIB_OK;
}

enum trib_status trib_engine_open_state(struct trib_engine *engine, bool new_run, struct trib_error *error)
{
    struct runs runs = {0};
    if (!engine->settings->state_dir) {
        TRIB_TRY(make_run_id(engine, error));
        TRIB_TRY(trib_engine_open_uploads(engine, error));
        return trib_engine_build_round(engine, error);
    }
    TRIB_TRY(open_store(engine, error));
    TRIB_TRY(trib_engine_open_uploads(engine, error));
    enum trib_status status = begin_or_go_on(engine, new_run, &runs, error);
    trib_free(runs.selector_state);
    trib_free(runs.engine_state);
    TRIB_TRY(status);
    trib_str_copy(engine->uploads.run, sizeof engine->uploads.run, engine->run);
    TRIB_TRY(sweep_blobs(engine, error));
    return post_resume(engine, error);
}
