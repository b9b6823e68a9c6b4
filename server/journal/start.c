/* A start: what the process before this one has left, and a run's first rows. Before any other thread.
 *
 * The last committed version is the truth: its model, whose hash must be right, and what was kept with it. What is
 * damaged is named and refused; nothing is guessed and nothing mended, but for names that follow from the records. */
#include "journal_private.h"

#include "base/disk.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "store/member_row.h"

#include <inttypes.h>
#include <string.h>

/* ---- the runs of this folder ---- */

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
    struct trib_journal *journal = context;
    const struct trib_store_runs *run = record;
    if (run->number <= journal->last.number) {
        return TRIB_OK;
    }
    trib_free(journal->last_selector_state);
    trib_free(journal->last_run_state);
    journal->last = *run;
    journal->last_selector_state = copy_bytes(&run->selector_state);
    journal->last_run_state = copy_bytes(&run->engine_state);
    if (!journal->last_selector_state || !journal->last_run_state) {
        return trib_fail_no_memory(error);
    }
    journal->last.selector_state.data = run->selector_state.len > 0 ? journal->last_selector_state : NULL;
    journal->last.engine_state.data = run->engine_state.len > 0 ? journal->last_run_state : NULL;
    return TRIB_OK;
}

static enum trib_status count_audit(void *context, const void *record, struct trib_error *error)
{
    (void)error;
    struct trib_journal *journal = context;
    journal->audit_number = ((const struct trib_store_audit *)record)->number;
    return TRIB_OK;
}

static enum trib_status open_store(struct trib_journal *journal, struct trib_error *error)
{
    const char *dir = journal->options.state_dir;
    TRIB_TRY(trib_dir_make(dir, error));
    char *path = trib_path_join(dir, "state.db");
    if (!path) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = trib_store_open(trib_store_backend_find("sqlite"), path, &journal->store, error);
    trib_free(path);
    TRIB_TRY(status);
    TRIB_TRY(trib_blobs_open(dir, &journal->blobs, error));
    TRIB_TRY(trib_store_each(journal->store, TRIB_STORE_audit, NULL, 0, count_audit, journal, error));
    return trib_store_each(journal->store, TRIB_STORE_runs, NULL, 0, look_at_run, journal, error);
}

enum trib_status trib_journal_open(const struct trib_journal_options *options, struct trib_journal **journal,
                                   struct trib_error *error)
{
    struct trib_journal *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    made->options = *options;
    enum trib_status status = open_store(made, error);
    if (status != TRIB_OK) {
        trib_journal_close(made);
        return status;
    }
    *journal = made;
    return TRIB_OK;
}

void trib_journal_close(struct trib_journal *journal)
{
    if (journal) {
        trib_batch_clear(&journal->batch);
        trib_store_close(journal->store);
        trib_blobs_close(journal->blobs);
        trib_free(journal->noted);
        trib_free(journal->last_selector_state);
        trib_free(journal->last_run_state);
        trib_free(journal);
    }
}

const struct trib_store_runs *trib_journal_last_run(const struct trib_journal *journal)
{
    return journal->last.number > 0 ? &journal->last : NULL;
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
enum trib_status trib_journal_check_empty(struct trib_journal *journal, struct trib_error *error)
{
    uint64_t n = 0;
    char *models = trib_path_join(journal->options.state_dir, "models");
    if (!models) {
        return trib_fail_no_memory(error);
    }
    trib_blobs_sweep(journal->blobs, keep_and_count, &n);
    (void)trib_disk_list(models, count_models, &n); /* none, when it is not there */
    trib_free(models);
    if (n == 0) {
        return TRIB_OK;
    }
    return trib_fail(error, TRIB_CORRUPT,
                     "%s: there are %" PRIu64
                     " files of models, but state.db knows of no run; restore it, give another "
                     "state_dir, or begin anew with --new-run",
                     journal->options.state_dir, n);
}

/* ---- a run that begins ---- */

void trib_journal_describe(struct trib_journal *journal, const struct trib_store_runs *constants, bool resumes,
                           int64_t wall_ms)
{
    journal->constants = *constants;
    journal->constants.number = resumes ? journal->last.number : journal->last.number + 1;
    journal->constants.began = resumes ? journal->last.began : wall_ms;
    trib_str_copy(journal->run, sizeof journal->run, constants->run);
}

/* Of an earlier run, the last model stays, and the rows that tell of it. */
static enum trib_status drop_old_blob(void *context, const void *record, struct trib_error *error)
{
    (void)error;
    struct trib_journal *journal = context;
    const struct trib_store_version_blobs *row = record;
    if (row->version != journal->last.commits || strcmp(row->kind, "model") != 0) {
        trib_batch_remove(&journal->batch, TRIB_STORE_version_blobs, row, 3);
    }
    return TRIB_OK;
}

static enum trib_status retire_last(struct trib_journal *journal, struct trib_error *error)
{
    struct trib_store_version_blobs blobs = {0};
    struct trib_store_members members = {0};
    trib_str_copy(blobs.run, sizeof blobs.run, journal->last.run);
    trib_str_copy(members.run, sizeof members.run, journal->last.run);
    trib_batch_remove(&journal->batch, TRIB_STORE_members, &members, 1);
    return trib_store_each(journal->store, TRIB_STORE_version_blobs, &blobs, 1, drop_old_blob, journal, error);
}

static enum trib_status write_now(struct trib_journal *journal, struct trib_error *error)
{
    bool doubtful = false;
    struct trib_batch batch = journal->batch;
    journal->batch = (struct trib_batch){0};
    enum trib_status status = trib_journal_write(journal, &batch, true, &doubtful, error);
    trib_batch_clear(&batch);
    return status;
}

enum trib_status trib_journal_begin(struct trib_journal *journal, const struct trib_version *initial,
                                    const struct trib_present *present, struct trib_error *error)
{
    if (journal->last.number > 0) {
        TRIB_TRY(retire_last(journal, error));
    }
    struct trib_store_versions first = {.at = present->wall_ms, .len = trib_blob_len(initial->raw)};
    trib_str_copy(first.run, sizeof first.run, journal->run);
    memcpy(first.sha256, initial->sha256, sizeof first.sha256);
    trib_batch_put(&journal->batch, TRIB_STORE_versions, &first);
    trib_journal_put_run(journal, present, false);
    trib_journal_put_audit(journal, "run_began", 0, present->wall_ms);
    return write_now(journal, error);
}

/* ---- a run that goes on ---- */

enum trib_status trib_journal_resumed(struct trib_journal *journal, const struct trib_present *present,
                                      struct trib_error *error)
{
    trib_journal_put_run(journal, present, false);
    trib_journal_put_audit(journal, "run_resumed", journal->last.round, present->wall_ms);
    return write_now(journal, error);
}

void trib_journal_snapshot(const struct trib_journal *journal, struct trib_round_snapshot *snapshot)
{
    const struct trib_store_runs *run = &journal->last;
    *snapshot = (struct trib_round_snapshot){.number = run->round,
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
}

struct recalling {
    struct trib_journal *journal;
    struct trib_roster *roster;
    struct trib_parts *parts;
    enum trib_status (*visit)(void *context, struct trib_member_snapshot *snapshot, struct trib_part *part,
                              struct trib_error *error);
    void *context;
};

static enum trib_status recall_part(const struct trib_journal *journal, const struct trib_store_members *row,
                                    struct trib_part *part, struct trib_error *error)
{
    size_t sketch_len = journal->options.sketch_len;
    part->task.version = row->model_version;
    part->task.model_len = row->model_len;
    memcpy(part->task.model_sha256, row->model_sha256, sizeof part->task.model_sha256);
    part->task.proximal_mu = row->proximal_mu;
    part->offer_examples = row->update_examples;
    part->offer_steps = row->update_steps;
    part->offer_loss = row->offer_loss;
    part->offer_len = row->update_len;
    memcpy(part->offer_sha256, row->update_sha256, sizeof part->offer_sha256);
    part->lies = row->lies;
    part->weight = row->weight;
    part->folded_round = row->folded_round;
    if (sketch_len > 0 && row->sketch.data && row->sketch.len == sketch_len) {
        part->sketch = trib_malloc(sketch_len);
        if (!part->sketch) {
            return trib_fail_no_memory(error);
        }
        memcpy(part->sketch, row->sketch.data, sketch_len);
    }
    return TRIB_OK;
}

static enum trib_status look_at_member(void *context, const void *record, struct trib_error *error)
{
    struct recalling *to = context;
    const struct trib_store_members *row = record;
    struct trib_member_snapshot snapshot;
    uint32_t number = 0;
    bool added = trib_roster_add(to->roster, row->node, &number) == TRIB_OK;
    struct trib_part *part = added ? trib_parts_make(to->parts, number) : NULL;
    if (!part) {
        return trib_fail_no_memory(error);
    }
    TRIB_TRY(trib_member_row_read(row, number, &snapshot, error));
    TRIB_TRY(recall_part(to->journal, row, part, error));
    return to->visit(to->context, &snapshot, part, error);
}

static enum trib_status look_at_node(void *context, const void *record, struct trib_error *error)
{
    (void)error;
    struct trib_roster *roster = context;
    const struct trib_store_nodes *row = record;
    uint32_t number;
    if (trib_roster_find(roster, row->node, &number)) {
        trib_roster_recall(roster, number, row->first_seen, row->joined);
    }
    return TRIB_OK;
}

enum trib_status trib_journal_recall_members(
    struct trib_journal *journal, struct trib_roster *roster, struct trib_parts *parts,
    enum trib_status (*visit)(void *context, struct trib_member_snapshot *snapshot, struct trib_part *part,
                              struct trib_error *error),
    void *context, struct trib_error *error)
{
    struct recalling recalling = {
        .journal = journal, .roster = roster, .parts = parts, .visit = visit, .context = context};
    struct trib_store_members key = {0};
    trib_str_copy(key.run, sizeof key.run, journal->run);
    TRIB_TRY(trib_store_each(journal->store, TRIB_STORE_members, &key, 1, look_at_member, &recalling, error));
    return trib_store_each(journal->store, TRIB_STORE_nodes, NULL, 0, look_at_node, roster, error);
}

/* ---- files without records ---- */

static bool is_referred_to(void *context, const uint8_t sha256[32])
{
    return trib_journal_lists_hash(context, sha256);
}

static enum trib_status collect_hash(void *context, const void *record, struct trib_error *error)
{
    const struct trib_store_version_blobs *row = record;
    return trib_buf_add(context, row->sha256, sizeof row->sha256) == TRIB_OK ? TRIB_OK : trib_fail_no_memory(error);
}

/* What a crash left between a file and the record that was to refer to it. */
enum trib_status trib_journal_sweep(struct trib_journal *journal, struct trib_error *error)
{
    struct trib_buf hashes = {0};
    enum trib_status status =
        trib_store_each(journal->store, TRIB_STORE_version_blobs, NULL, 0, collect_hash, &hashes, error);
    if (status == TRIB_OK) {
        trib_blobs_sweep(journal->blobs, is_referred_to, &hashes);
    }
    trib_buf_clear(&hashes);
    return status;
}
