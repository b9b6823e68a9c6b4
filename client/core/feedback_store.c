/* The feedback store decides which state counts: the rules of exactly once, and a round's three passes over the state.
 */
#include "client/feedback_store.h"
#include "feedback_image.h"

#include "base/disk.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <string.h>

static const char component[] = "feedback";

struct trib_feedback_store {
    char *committed_path, *pending_path; /* both NULL: in memory */
    bool found;                          /* the files have been looked for */
    struct trib_feedback_image committed, pending;

    /* From begin to keep or abandon. */
    struct trib_feedback feedback;
    struct trib_feedback_image next; /* its path, key and round */
    struct trib_feedback_draft draft;
    float *scratch;            /* [TRIB_FEEDBACK_SCRATCH] */
    struct trib_error trouble; /* status TRIB_OK: none; else the next state cannot be written */
};

/* ---- what is there ---- */

enum trib_status trib_feedback_store_new(const char *dir, struct trib_feedback_store **store, struct trib_error *error)
{
    struct trib_feedback_store *made = trib_calloc(1, sizeof *made);
    bool files = dir && dir[0] != '\0';
    if (made && files) {
        made->committed_path = trib_path_join(dir, "feedback");
        made->pending_path = trib_path_join(dir, "feedback.pending");
    }
    if (!made || (files && (!made->committed_path || !made->pending_path))) {
        trib_feedback_store_free(made);
        return trib_fail_no_memory(error);
    }
    made->committed.path = made->committed_path;
    made->pending.path = made->pending_path;
    *store = made;
    return TRIB_OK;
}

void trib_feedback_store_free(struct trib_feedback_store *store)
{
    if (!store) {
        return;
    }
    trib_feedback_draft_abort(&store->draft);
    trib_free(store->scratch);
    trib_free(store->committed.memory);
    trib_free(store->pending.memory);
    trib_free(store->committed_path);
    trib_free(store->pending_path);
    trib_free(store);
}

size_t trib_feedback_store_memory(const struct trib_feedback_store *store, enum trib_feedback_kind kind, size_t n)
{
    if (kind == TRIB_FEEDBACK_NONE) {
        return 0;
    }
    size_t states = !store->committed_path ? 2 * n * trib_feedback_vectors(kind) : 0;
    return (states + TRIB_FEEDBACK_SCRATCH) * sizeof(float);
}

uint64_t trib_feedback_store_disk(const struct trib_feedback_store *store, enum trib_feedback_kind kind, size_t n)
{
    const struct trib_feedback_key key = {.kind = kind, .n = n};
    return kind == TRIB_FEEDBACK_NONE || !store->committed_path ? 0 : 2 * trib_feedback_image_len(&key);
}

bool trib_feedback_store_awaits(const char *dir, const char *run, uint64_t round)
{
    char *path = trib_path_join(dir, "feedback.pending");
    struct trib_feedback_image pending = {.path = path};
    bool awaits = path && trib_feedback_image_find(&pending, NULL) == TRIB_OK && pending.there &&
                  pending.round == round && strcmp(pending.key.run, run) == 0;
    trib_free(path);
    return awaits;
}

static void drop(struct trib_feedback_store *store, enum trib_log_level level, const char *reason)
{
    trib_log(level, component, "state_dropped", TRIB_F_STR("reason", reason));
    trib_feedback_image_drop(&store->committed);
    trib_feedback_image_drop(&store->pending);
}

/* A disk or a memory that has trouble just now says nothing of a state. One that a server counts on stays then, and it
 * is the task that fails; any other can do without. */
static bool is_passing(enum trib_feedback_kind kind, enum trib_status status)
{
    return kind == TRIB_FEEDBACK_EF21 && trib_status_may_retry(status);
}

static enum trib_status find_image(struct trib_feedback_image *image, enum trib_feedback_kind kind,
                                   struct trib_error *error)
{
    struct trib_error fault;
    enum trib_status status = trib_feedback_image_find(image, &fault);
    if (status == TRIB_OK) {
        return TRIB_OK;
    }
    if (is_passing(kind, status)) {
        if (error) {
            *error = fault;
        }
        return status;
    }
    trib_log_error(TRIB_LOG_WARN, component, "state_dropped", &fault);
    trib_feedback_image_drop(image);
    return TRIB_OK;
}

/* Once; what a crash left half written goes. */
static enum trib_status find(struct trib_feedback_store *store, enum trib_feedback_kind kind, struct trib_error *error)
{
    if (store->found) {
        return TRIB_OK;
    }
    TRIB_TRY(find_image(&store->committed, kind, error));
    TRIB_TRY(find_image(&store->pending, kind, error));
    store->found = true;
    char *half_written = !store->pending_path ? NULL : trib_asprintf("%s.tmp", store->pending_path);
    if (half_written) {
        (void)trib_disk_unlink(half_written);
    }
    trib_free(half_written);
    if (store->committed.there) {
        trib_log(TRIB_LOG_INFO, component, "state_found", TRIB_F_STR("run", store->committed.key.run),
                 TRIB_F_INT("round", store->committed.round),
                 TRIB_F_STR("kind", trib_feedback_name(store->committed.key.kind)));
    }
    return TRIB_OK;
}

/* ---- what counts ---- */

/* The pending state's update was folded, or it was not. */
static enum trib_status resolve(struct trib_feedback_store *store, bool folded, struct trib_error *error)
{
    if (!folded) {
        trib_log(TRIB_LOG_DEBUG, component, "update_not_folded", TRIB_F_INT("round", store->pending.round));
        trib_feedback_image_drop(&store->pending);
        return TRIB_OK;
    }
    return trib_feedback_image_move(&store->pending, &store->committed, error);
}

void trib_feedback_store_settle(struct trib_feedback_store *store, const char *run, uint64_t round, bool folded)
{
    struct trib_error error;
    enum trib_status status = find(store, TRIB_FEEDBACK_EF21, &error);
    if (status == TRIB_OK && store->pending.there && store->pending.round == round &&
        strcmp(store->pending.key.run, run) == 0) {
        status = resolve(store, folded, &error);
    }
    if (status != TRIB_OK) { /* the next task's folded_round settles it */
        trib_log_error(TRIB_LOG_WARN, component, "not_settled", &error);
    }
}

static const char *difference(const struct trib_feedback_key *a, const struct trib_feedback_key *b)
{
    return strcmp(a->run, b->run) != 0                           ? "the run is another"
           : memcmp(a->schema, b->schema, sizeof a->schema) != 0 ? "the model's schema is another"
           : a->kind != b->kind                                  ? "the kind of feedback is another"
           : a->n != b->n                                        ? "the model's length is another"
                                                                 : NULL;
}

/* After something was done with the state: if it failed, the state goes, or the task does. */
static enum trib_status keep_or_drop(struct trib_feedback_store *store, enum trib_feedback_kind kind,
                                     enum trib_status status, const struct trib_error *fault, struct trib_error *error)
{
    if (status == TRIB_OK) {
        return TRIB_OK;
    }
    if (is_passing(kind, status)) {
        if (error) {
            *error = *fault;
        }
        return status;
    }
    drop(store, TRIB_LOG_WARN, fault->message);
    return TRIB_OK;
}

/* Is the committed state the one from which this round has to begin? */
static enum trib_status check_committed(struct trib_feedback_store *store, const struct trib_feedback_round *round,
                                        struct trib_error *error)
{
    struct trib_error fault;
    enum trib_status status = TRIB_OK;
    const char *change = difference(&store->committed.key, &store->next.key);
    bool silent = round->folded_round == 0 && round->feedback.kind != TRIB_FEEDBACK_EF21; /* the server cannot tell */
    if (change) {
        drop(store, TRIB_LOG_INFO, change);
    } else if (round->folded_round != store->committed.round && !silent) {
        (void)trib_fail(&fault, TRIB_MISMATCH,
                        "it is of round %" PRIu64 ", but the server's model last took an update of round %" PRIu64,
                        store->committed.round, round->folded_round);
        drop(store, TRIB_LOG_WARN, fault.message);
    } else {
        status = trib_feedback_image_verify(&store->committed, store->scratch, &fault);
        return keep_or_drop(store, round->feedback.kind, status, &fault, error);
    }
    return TRIB_OK;
}

static enum trib_status settle_pending(struct trib_feedback_store *store, const struct trib_feedback_round *round,
                                       struct trib_error *error)
{
    struct trib_error fault;
    if (!store->pending.there) {
        return TRIB_OK;
    }
    bool folded = store->pending.round == round->folded_round && !difference(&store->pending.key, &store->next.key);
    enum trib_status status = resolve(store, folded, &fault);
    return keep_or_drop(store, round->feedback.kind, status, &fault, error);
}

/* ---- a round ---- */

/* The vectors of a block within the scratch memory. */
static void split(const struct trib_feedback_key *key, size_t n, float *scratch, float *state[TRIB_FEEDBACK_VECTORS])
{
    for (unsigned i = 0; i < TRIB_FEEDBACK_VECTORS; i++) {
        state[i] = scratch + (i < trib_feedback_vectors(key->kind) ? i * n : 0);
    }
}

static enum trib_status before_blocks(struct trib_feedback_store *store, float *vector, struct trib_error *error)
{
    const struct trib_feedback_key *key = &store->next.key;
    bool changes = trib_feedback_changes_before(key->kind);
    float *state[TRIB_FEEDBACK_VECTORS];
    for (size_t block = 0; block < trib_feedback_blocks(key); block++) {
        size_t n = trib_feedback_block_n(key, block);
        if (store->committed.there) {
            TRIB_TRY(trib_feedback_image_read(&store->committed, block, store->scratch, error));
        } else {
            memset(store->scratch, 0, n * trib_feedback_vectors(key->kind) * sizeof *store->scratch);
        }
        split(key, n, store->scratch, state);
        trib_feedback_before(&store->feedback, vector + block * TRIB_CODEC_BLOCK, state, n);
        if (changes && store->trouble.status == TRIB_OK) {
            store->trouble.status = trib_feedback_draft_write(&store->draft, block, store->scratch, &store->trouble);
        }
    }
    return TRIB_OK;
}

static enum trib_status before(struct trib_feedback_store *store, float *vector, struct trib_error *error)
{
    if (!store->committed.there) {
        return before_blocks(store, vector, error);
    }
    TRIB_TRY(trib_feedback_image_open(&store->committed, error));
    enum trib_status status = before_blocks(store, vector, error);
    trib_feedback_image_close(&store->committed);
    return status;
}

enum trib_status trib_feedback_store_begin(struct trib_feedback_store *store, const struct trib_feedback_round *round,
                                           float *vector, size_t n, uint64_t *known, struct trib_error *error)
{
    trib_feedback_store_abandon(store, NULL);
    TRIB_TRY(find(store, round->feedback.kind, error));
    store->feedback = round->feedback;
    store->next = (struct trib_feedback_image){
        .path = store->pending_path, .key = {.kind = round->feedback.kind, .n = n}, .round = round->round};
    memcpy(store->next.key.schema, round->schema, sizeof store->next.key.schema);
    (void)trib_str_copy(store->next.key.run, sizeof store->next.key.run, round->run);
    *known = 0;
    if (round->feedback.kind == TRIB_FEEDBACK_NONE) {
        if (store->committed.there || store->pending.there) {
            drop(store, TRIB_LOG_INFO, "the task asks for none");
        }
        return TRIB_OK;
    }
    store->scratch = trib_malloc_aligned(TRIB_FEEDBACK_SCRATCH, sizeof *store->scratch);
    if (!store->scratch) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = settle_pending(store, round, error);
    if (status == TRIB_OK && store->committed.there) {
        status = check_committed(store, round, error);
    }
    if (status != TRIB_OK) {
        trib_feedback_store_abandon(store, NULL);
        return status;
    }
    store->trouble.status = trib_feedback_draft_open(&store->draft, &store->next, &store->trouble);
    status = before(store, vector, error);
    if (status != TRIB_OK) {
        bool passing = is_passing(round->feedback.kind, status);
        trib_feedback_store_abandon(store, passing ? NULL : "it could not be read to its end");
        return status;
    }
    *known = store->committed.there ? store->committed.round : 0;
    return TRIB_OK;
}

/* What `after` has to read: where the intermediate state is, if there is one. */
static enum trib_status read_back(struct trib_feedback_store *store, size_t block, struct trib_error *error)
{
    const struct trib_feedback_key *key = &store->next.key;
    if (!trib_feedback_reads_after(key->kind)) {
        return TRIB_OK;
    }
    if (trib_feedback_changes_before(key->kind)) {
        return trib_feedback_draft_read(&store->draft, block, store->scratch, error);
    }
    if (store->committed.there) {
        return trib_feedback_image_read(&store->committed, block, store->scratch, error);
    }
    memset(store->scratch, 0,
           trib_feedback_block_n(key, block) * trib_feedback_vectors(key->kind) * sizeof *store->scratch);
    return TRIB_OK;
}

static enum trib_status after_blocks(struct trib_feedback_store *store, const float *vector, struct trib_error *error)
{
    const struct trib_feedback_key *key = &store->next.key;
    float *state[TRIB_FEEDBACK_VECTORS];
    for (size_t block = 0; block < trib_feedback_blocks(key); block++) {
        size_t n = trib_feedback_block_n(key, block);
        TRIB_TRY(read_back(store, block, error));
        split(key, n, store->scratch, state);
        trib_feedback_after(&store->feedback, vector + block * TRIB_CODEC_BLOCK, state, n);
        TRIB_TRY(trib_feedback_draft_write(&store->draft, block, store->scratch, error));
    }
    return trib_feedback_draft_commit(&store->draft, &store->pending, error);
}

static enum trib_status after(struct trib_feedback_store *store, const float *vector, struct trib_error *error)
{
    if (!store->committed.there) {
        return after_blocks(store, vector, error);
    }
    TRIB_TRY(trib_feedback_image_open(&store->committed, error));
    enum trib_status status = after_blocks(store, vector, error);
    trib_feedback_image_close(&store->committed);
    return status;
}

enum trib_status trib_feedback_store_keep(struct trib_feedback_store *store, const float *vector,
                                          struct trib_error *error)
{
    struct trib_error *trouble = &store->trouble;
    if (!store->scratch) {
        return TRIB_OK; /* kind none */
    }
    if (trouble->status == TRIB_OK) {
        trouble->status = after(store, vector, trouble);
    }
    if (trouble->status != TRIB_OK && store->feedback.kind == TRIB_FEEDBACK_EF21) {
        trib_feedback_store_abandon(store, NULL);
        return trib_fail(error, trouble->status, "the ef21 state, without which no update may be sent: %s",
                         trouble->message);
    }
    trib_feedback_store_abandon(store, trouble->status == TRIB_OK ? NULL : trouble->message);
    return TRIB_OK;
}

void trib_feedback_store_abandon(struct trib_feedback_store *store, const char *reason)
{
    if (!store->scratch) {
        return;
    }
    trib_feedback_draft_abort(&store->draft);
    trib_free(store->scratch);
    store->scratch = NULL;
    if (reason) {
        drop(store, TRIB_LOG_WARN, reason);
    }
}
