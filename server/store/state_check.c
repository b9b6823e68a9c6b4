/* The state check looks at all of a state directory: the database's pages, every record, every blob's bytes, and
 * whether they fit each other. Every finding is told; only what makes going on useless ends it early. */
#include "store/state_check.h"

#include "blobs_private.h"
#include "store_private.h"

#include "base/disk.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct file {
    struct trib_blob_name name;
    bool needed;
};

struct check {
    struct trib_store *store;
    struct trib_blobs *blobs;
    struct trib_state_summary *summary;
    trib_state_report *report;
    void *context;
    uint64_t member_states;
    struct file *files; /* blobs that are there, sorted by name */
    size_t n_files, files_capacity;
    char told[TRIB_ERROR_MESSAGE_LEN]; /* the last damage that a call found: not told twice */
    struct trib_store_versions last;   /* version that was visited */
    struct trib_store_runs present;    /* the run with the largest number */
    uint64_t last_audit;
};

static void tell(struct check *check, bool is_damage, const char *format, ...) TRIB_PRINTF(3, 4);

static void tell(struct check *check, bool is_damage, const char *format, ...)
{
    char text[TRIB_ERROR_MESSAGE_LEN];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    check->summary->damages += is_damage;
    check->report(check->context, is_damage, text);
}

#define damage(check, ...) tell((check), true, __VA_ARGS__)
#define note(check, ...)   tell((check), false, __VA_ARGS__)

/* Damage is told and does not end the check; anything else does. `found` goes with `status`. */
static enum trib_status settle(struct check *check, enum trib_status status, const struct trib_error *found,
                               struct trib_error *error)
{
    if (status != TRIB_CORRUPT && status != TRIB_MISMATCH) {
        return status == TRIB_OK ? TRIB_OK : trib_error_set(error, status, found->origin, "%s", found->message);
    }
    if (strcmp(check->told, found->message) != 0) {
        damage(check, "%s", found->message);
        trib_str_copy(check->told, sizeof check->told, found->message);
    }
    return TRIB_OK;
}

/* ---- records ---- */

/* Letters, digits, and what names may have between them; they become parts of paths and of log lines. */
static bool is_name(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    return text[0] != '\0' && strspn(text, allowed) == strlen(text);
}

static enum trib_status check_run(struct check *check, const char *table, const char *run, struct trib_error *error)
{
    struct trib_store_runs record = {0};
    bool found = false;
    trib_str_copy(record.run, sizeof record.run, run);
    TRIB_TRY(trib_store_get(check->store, TRIB_STORE_runs, &record, &found, error));
    if (!found) {
        damage(check, "state.db: table %s: names a run \"%s\" that is not in table runs", table, run);
    }
    return TRIB_OK;
}

static enum trib_status visit_run(void *context, const void *record, struct trib_error *error)
{
    struct check *check = context;
    const struct trib_store_runs *run = record;
    (void)error;
    check->summary->runs++;
    if (!is_name(run->run)) {
        damage(check, "state.db: table runs: \"%s\" is no name of a run", run->run);
    }
    if (run->number == 0 || run->open > 1 || run->decided > 1) {
        damage(check,
               "state.db: table runs: run %s: number %" PRIu64 ", open %" PRIu64 ", decided %" PRIu64 " cannot be",
               run->run, run->number, run->open, run->decided);
    }
    if (check->summary->runs > 1 && run->number == check->present.number) {
        damage(check, "state.db: table runs: %s and %s have the same number %" PRIu64, check->present.run, run->run,
               run->number);
    }
    if (check->summary->runs == 1 || run->number > check->present.number) {
        check->present = *run;
    }
    return TRIB_OK;
}

static enum trib_status visit_node(void *context, const void *record, struct trib_error *error)
{
    struct check *check = context;
    const struct trib_store_nodes *node = record;
    (void)error;
    check->summary->nodes++;
    if (node->node[0] == '\0') {
        damage(check, "state.db: table nodes: a node without a name");
    }
    return TRIB_OK;
}

static struct file *find_file(const struct check *check, const uint8_t sha256[TRIB_STORE_HASH_LEN]);

static enum trib_status visit_member(void *context, const void *record, struct trib_error *error)
{
    struct check *check = context;
    const struct trib_store_members *member = record;
    if (member->state >= check->member_states) {
        damage(check, "state.db: table members: run %s: node %s: a state %" PRIu64 " does not exist", member->run,
               member->node, member->state);
    }
    if (member->node[0] == '\0') {
        damage(check, "state.db: table members: run %s: a node without a name", member->run);
    }
    return check_run(check, "members", member->run, error);
}

static enum trib_status visit_round(void *context, const void *record, struct trib_error *error)
{
    struct check *check = context;
    const struct trib_store_rounds *round = record;
    check->summary->rounds++;
    if (round->outcome[0] == '\0') {
        damage(check, "state.db: table rounds: run %s: round %" PRIu64 " has no outcome", round->run, round->round);
    }
    return check_run(check, "rounds", round->run, error);
}

static enum trib_status visit_version(void *context, const void *record, struct trib_error *error)
{
    struct check *check = context;
    const struct trib_store_versions *version = record;
    bool follows = check->summary->versions > 0 && strcmp(version->run, check->last.run) == 0;
    check->summary->versions++;
    if (follows && version->version != check->last.version + 1) {
        damage(check, "state.db: table versions: run %s: version %" PRIu64 " is followed by %" PRIu64, version->run,
               check->last.version, version->version);
    }
    if (follows && version->round < check->last.round) {
        damage(check, "state.db: table versions: run %s: version %" PRIu64 " is of a round before that of %" PRIu64,
               version->run, version->version, check->last.version);
    }
    check->last = *version;
    return follows ? TRIB_OK : check_run(check, "versions", version->run, error);
}

static enum trib_status visit_version_blob(void *context, const void *record, struct trib_error *error)
{
    struct check *check = context;
    const struct trib_store_version_blobs *blob = record;
    struct trib_store_versions version = {.version = blob->version};
    bool found = false;
    trib_str_copy(version.run, sizeof version.run, blob->run);
    TRIB_TRY(trib_store_get(check->store, TRIB_STORE_versions, &version, &found, error));
    if (!found) {
        damage(check, "state.db: table version_blobs: run %s: version %" PRIu64 " (%s) is not in table versions",
               blob->run, blob->version, blob->kind);
    }
    struct file *file = find_file(check, blob->sha256);
    if (file && file->name.len == blob->len) {
        file->needed = true;
        return TRIB_OK;
    }
    char *path = trib_blobs_path(check->blobs, blob->sha256);
    if (!path) {
        return trib_fail_no_memory(error);
    }
    if (file) {
        damage(check, "%s: has %" PRIu64 " bytes, and the %s of run %s, version %" PRIu64 " has %" PRIu64, path,
               file->name.len, blob->kind, blob->run, blob->version, blob->len);
    } else {
        damage(check, "%s: is missing: the %s of run %s, version %" PRIu64, path, blob->kind, blob->run, blob->version);
    }
    trib_free(path);
    return TRIB_OK;
}

static enum trib_status visit_audit(void *context, const void *record, struct trib_error *error)
{
    struct check *check = context;
    const struct trib_store_audit *line = record;
    (void)error;
    if (line->number != check->last_audit + 1) {
        damage(check, "state.db: table audit: line %" PRIu64 " is followed by %" PRIu64, check->last_audit,
               line->number);
    }
    check->last_audit = line->number;
    return TRIB_OK;
}

static enum trib_status visit_offer(void *context, const void *record, struct trib_error *error)
{
    return check_run(context, "offers", ((const struct trib_store_offers *)record)->run, error);
}

static enum trib_status visit_outcome(void *context, const void *record, struct trib_error *error)
{
    return check_run(context, "outcomes", ((const struct trib_store_outcomes *)record)->run, error);
}

static enum trib_status note_version(void *context, const void *record, struct trib_error *error)
{
    (void)error;
    ((struct check *)context)->last = *(const struct trib_store_versions *)record;
    return TRIB_OK;
}

/* A run that goes on needs the model that it goes on from. */
static enum trib_status check_present(struct check *check, struct trib_error *error)
{
    struct trib_store_version_blobs model = {.kind = "model"};
    bool found = false, is_last = strcmp(check->last.run, check->present.run) == 0;
    if (check->summary->runs == 0 || check->present.ended != 0) {
        return TRIB_OK;
    }
    if (!is_last) { /* runs' names are in no order: look for its versions once more */
        struct trib_store_versions key = {0};
        trib_str_copy(key.run, sizeof key.run, check->present.run);
        check->last = (struct trib_store_versions){0};
        TRIB_TRY(trib_store_each(check->store, TRIB_STORE_versions, &key, 1, note_version, check, error));
    }
    if (check->last.run[0] == '\0' || check->last.version == 0) { /* the initial one can be made again */
        note(check, "state.db: run %s has no model yet", check->present.run);
        return TRIB_OK;
    }
    trib_str_copy(model.run, sizeof model.run, check->last.run);
    model.version = check->last.version;
    TRIB_TRY(trib_store_get(check->store, TRIB_STORE_version_blobs, &model, &found, error));
    if (!found) {
        damage(check, "state.db: table version_blobs: run %s: version %" PRIu64 ", the last one, has no model",
               model.run, model.version);
    }
    return TRIB_OK;
}

static enum trib_status check_records(struct check *check, struct trib_error *error)
{
    static enum trib_status (*const visits[])(void *, const void *, struct trib_error *) = {
        [TRIB_STORE_runs] = visit_run,         [TRIB_STORE_nodes] = visit_node,
        [TRIB_STORE_members] = visit_member,   [TRIB_STORE_rounds] = visit_round,
        [TRIB_STORE_offers] = visit_offer,     [TRIB_STORE_outcomes] = visit_outcome,
        [TRIB_STORE_versions] = visit_version, [TRIB_STORE_version_blobs] = visit_version_blob,
        [TRIB_STORE_audit] = visit_audit,
    };
    _Static_assert(sizeof visits / sizeof visits[0] == TRIB_STORE_TABLES, "a table is not visited");
    struct trib_error found = {0};
    TRIB_TRY(settle(check, trib_store_check(check->store, &found), &found, error));
    for (size_t t = 0; t < TRIB_STORE_TABLES; t++) {
        enum trib_status status =
            trib_store_each(check->store, (enum trib_store_table_id)t, NULL, 0, visits[t], check, &found);
        TRIB_TRY(settle(check, status, &found, error));
    }
    return settle(check, check_present(check, &found), &found, error);
}

/* ---- blobs ---- */

static int by_hash(const void *a, const void *b)
{
    const struct file *left = a, *right = b;
    return memcmp(left->name.sha256, right->name.sha256, sizeof left->name.sha256);
}

static struct file *find_file(const struct check *check, const uint8_t sha256[TRIB_STORE_HASH_LEN])
{
    struct file key = {0};
    memcpy(key.name.sha256, sha256, sizeof key.name.sha256);
    return check->n_files > 0 ? bsearch(&key, check->files, check->n_files, sizeof key, by_hash) : NULL;
}

static enum trib_status visit_blob(void *context, const struct trib_blob_name *name, struct trib_error *error)
{
    struct check *check = context;
    if (check->n_files == check->files_capacity) {
        size_t capacity = check->files_capacity * 2 + 64;
        struct file *grown = trib_realloc_array(check->files, capacity, sizeof *grown);
        if (!grown) {
            return trib_fail_no_memory(error);
        }
        check->files = grown;
        check->files_capacity = capacity;
    }
    check->files[check->n_files++] = (struct file){.name = *name};
    check->summary->blobs++;
    check->summary->blob_bytes += name->len;
    struct trib_error found = {0};
    return settle(check, trib_blobs_verify(check->blobs, name, &found), &found, error);
}

/* No folder at all: no blob has been written yet, or all of them are gone; the records will tell. */
static enum trib_status check_blobs(struct check *check, const char *dir, struct trib_error *error)
{
    struct trib_error found = {0};
    TRIB_TRY(trib_blobs_look(dir, &check->blobs, error));
    enum trib_status status = trib_blobs_each(check->blobs, visit_blob, check, &check->summary->leftovers, &found);
    if (status == TRIB_NOT_FOUND) {
        note(check, "%s", found.message);
        status = TRIB_OK;
    }
    if (status == TRIB_OK && check->n_files > 0) {
        qsort(check->files, check->n_files, sizeof *check->files, by_hash);
    }
    return settle(check, status, &found, error);
}

static void count_rest(struct check *check)
{
    struct trib_state_summary *summary = check->summary;
    for (size_t i = 0; i < check->n_files; i++) {
        summary->unreferenced += !check->files[i].needed;
    }
    if (summary->unreferenced > 0 && summary->damages == 0) { /* else the records may be what is missing */
        note(check, "blobs: %" PRIu64 " of %" PRIu64 " are needed by no record; the server sweeps them away",
             summary->unreferenced, summary->blobs);
    }
    if (summary->leftovers > 0) {
        note(check, "blobs/tmp: %" PRIu64 " unfinished files of a crash; they go when the server starts",
             summary->leftovers);
    }
}

/* ---- the whole ---- */

static enum trib_status check_all(struct check *check, const char *dir, const char *database, struct trib_error *error)
{
    struct trib_error found = {0};
    struct trib_disk_info info;
    if (trib_disk_path_info(database, &info) != 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? trib_fail(error, TRIB_NOT_FOUND, "%s: there is no state.db: no server has kept its state here",
                               dir)
                   : trib_fail_errno(error, errno, "%s: cannot be looked at", database);
    }
    enum trib_status status = trib_store_sqlite_look(database, &check->store, &found);
    TRIB_TRY(settle(check, status, &found, error));
    TRIB_TRY(check_blobs(check, dir, error));
    if (check->store) {
        TRIB_TRY(check_records(check, error));
    }
    count_rest(check);
    return TRIB_OK;
}

enum trib_status trib_state_check(const char *dir, uint64_t member_states, trib_state_report *report, void *context,
                                  struct trib_state_summary *summary, struct trib_error *error)
{
    *summary = (struct trib_state_summary){0};
    struct check check = {.summary = summary, .report = report, .context = context, .member_states = member_states};
    char *database = trib_path_join(dir, "state.db");
    enum trib_status status = database ? check_all(&check, dir, database, error) : trib_fail_no_memory(error);
    if (status == TRIB_OK && summary->damages > 0) {
        status = trib_fail(error, TRIB_CORRUPT, "%s: is damaged (%" PRIu64 " findings)", dir, summary->damages);
    }
    trib_store_close(check.store);
    trib_blobs_close(check.blobs);
    trib_free(check.files);
    trib_free(database);
    return status;
}
