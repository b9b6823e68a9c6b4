/* Combination by panels. The calling thread and its pool; the strategy's state is read only. */
#include "strategy/combine.h"

#include "base/mem.h"

#include <pthread.h>
#include <string.h>

enum {
    GRAIN = TRIB_UPDATE_SET_GRAIN,
    PARTS_PER_THREAD = 8,  /* blocks of updates that a panel takes, at least, where memory and the model allow */
    MOST_STEP = 1024,      /* coordinates that a strategy combines at a time, at most */
    STEP_BYTES = 256 << 10 /* of all updates for one step: they stay in a processor's second cache */
};

struct walk {
    const struct trib_combination *combination;
    const struct trib_update_set *set;
    float *direction;
    float *panel; /* [n_updates][stride] */
    size_t range; /* coordinates that a panel holds: a multiple of a block, or a block halved some times */
    size_t stride;
    size_t step;      /* coordinates of one call of combine: divides range */
    size_t first, n;  /* those that it holds now */
    float *blocks;    /* [threads][block], for ranges below a block */
    char *workspaces; /* [threads][workspace_len] */
    size_t workspace_len;
    pthread_mutex_t mutex; /* of the first failure */
    enum trib_status status;
    size_t failed_part;
    struct trib_error error;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The failure of the lowest part is the one that is told. */
static void note_failure(struct walk *walk, size_t part, enum trib_status status, const struct trib_error *error)
{
    pthread_mutex_lock(&walk->mutex);
    if (walk->status == TRIB_OK || part < walk->failed_part) {
        walk->status = status;
        walk->failed_part = part;
        walk->error = *error;
    }
    pthread_mutex_unlock(&walk->mutex);
}

/* ---- the panel as a set: what a strategy is given ---- */

static const struct trib_update_info *panel_info(const void *context, size_t i)
{
    const struct walk *walk = context;
    return trib_update_set_info(walk->set, i);
}

static enum trib_status panel_read(const void *context, size_t i, size_t first, size_t n, float *out,
                                   struct trib_error *error)
{
    (void)error;
    const struct walk *walk = context;
    memcpy(out, walk->panel + i * walk->stride + (first - walk->first), n * sizeof *out);
    return TRIB_OK;
}

static const struct trib_update_set_table panel_table = {.info = panel_info, .read = panel_read};

/* ---- the two steps ---- */

/* Part: one block, or the panel's part of one, of one update. */
static void decode_part(void *context, size_t part, int worker)
{
    struct walk *walk = context;
    const struct trib_update_set *set = walk->set;
    size_t i = part % set->n_updates, first = walk->first + part / set->n_updates * set->block;
    float *to = walk->panel + i * walk->stride + (first - walk->first);
    struct trib_error error = {0};
    enum trib_status status;
    if (walk->range >= set->block) {
        status = trib_update_set_read(set, i, first, least(set->block, walk->first + walk->n - first), to, &error);
    } else {
        float *block = walk->blocks + (size_t)worker * set->block;
        size_t before = first % set->block;
        status = trib_update_set_read(set, i, first - before, before + walk->n, block, &error);
        if (status == TRIB_OK) {
            memcpy(to, block + before, walk->n * sizeof *to);
        }
    }
    if (status != TRIB_OK) {
        note_failure(walk, part, status, &error);
    }
}

static void combine_part(void *context, size_t part, int worker)
{
    struct walk *walk = context;
    const struct trib_combination *combination = walk->combination;
    const struct trib_update_set panel = {.table = &panel_table,
                                          .context = walk,
                                          .n_updates = walk->set->n_updates,
                                          .n = walk->set->n,
                                          .block = walk->step};
    size_t first = walk->first + part * walk->step;
    size_t n = least(walk->step, walk->first + walk->n - first);
    struct trib_error error = {0};
    enum trib_status status =
        combination->strategy->combine(combination->state, &panel, first, n, walk->direction + first,
                                       walk->workspaces + (size_t)worker * walk->workspace_len, &error);
    if (status != TRIB_OK) {
        note_failure(walk, part, status, &error);
    }
}

static enum trib_status run(struct walk *walk)
{
    struct trib_thread_pool *pool = walk->combination->pool;
    const struct trib_update_set *set = walk->set;
    for (walk->first = 0; walk->first < set->n && walk->status == TRIB_OK; walk->first += walk->range) {
        walk->n = least(walk->range, set->n - walk->first);
        size_t blocks = walk->range < set->block ? 1 : (walk->n + set->block - 1) / set->block;
        trib_thread_pool_run(pool, blocks * set->n_updates, decode_part, walk);
        if (walk->status == TRIB_OK) {
            trib_thread_pool_run(pool, (walk->n + walk->step - 1) / walk->step, combine_part, walk);
        }
    }
    return walk->status;
}

/* Halves `from` while it is above `most` and its half is still made of whole grains. */
static size_t halve(size_t from, size_t most)
{
    while (from > most && from % (2 * (size_t)GRAIN) == 0) {
        from /= 2;
    }
    return from;
}

static size_t threads_of(const struct walk *walk)
{
    struct trib_thread_pool *pool = walk->combination->pool;
    return pool ? (size_t)trib_thread_pool_threads(pool) : 1;
}

/* A panel is no larger than keeps all threads busy: what it holds should still be in a cache when it is combined. */
static void choose_sizes(struct walk *walk)
{
    const struct trib_update_set *set = walk->set;
    size_t memory = walk->combination->memory;
    if (memory == 0) {
        memory = set->n > TRIB_COMBINE_MEMORY / sizeof(float) ? set->n * sizeof(float) : TRIB_COMBINE_MEMORY;
    }
    size_t fit = memory / sizeof(float) / set->n_updates;
    if (fit >= set->block) {
        size_t busy = PARTS_PER_THREAD * threads_of(walk) / set->n_updates + 1;
        walk->range = least(busy, fit / set->block) * set->block;
    } else {
        walk->range = halve(set->block, fit);
    }
    /* A short model has short rows; rows at equal distances of 2^k would share the sets of every cache. */
    walk->stride = least(walk->range, (set->n + GRAIN - 1) / GRAIN * GRAIN) + GRAIN;
    size_t step = STEP_BYTES / sizeof(float) / set->n_updates;
    walk->step = halve(least(walk->range, set->block), least(step, MOST_STEP));
}

static enum trib_status allocate(struct walk *walk, struct trib_error *error)
{
    const struct trib_update_set *set = walk->set;
    size_t threads = threads_of(walk), floats, blocks = 0;
    walk->workspace_len = walk->combination->strategy->workspace(set->n_updates, walk->step);
    if (walk->workspace_len > SIZE_MAX - 63 || !trib_size_mul(set->n_updates, walk->stride, &floats) ||
        (walk->range < set->block && !trib_size_mul(threads, set->block, &blocks))) {
        return trib_fail_no_memory(error);
    }
    walk->workspace_len = (walk->workspace_len + 63) / 64 * 64;
    walk->panel = trib_malloc_aligned(floats, sizeof *walk->panel);
    walk->blocks = blocks > 0 ? trib_malloc_aligned(blocks, sizeof *walk->blocks) : NULL;
    walk->workspaces = trib_malloc_aligned(threads, walk->workspace_len);
    if (!walk->panel || (blocks > 0 && !walk->blocks) || !walk->workspaces) {
        return trib_fail_no_memory(error);
    }
    return TRIB_OK;
}

enum trib_status trib_combine(const struct trib_combination *combination, float *direction, struct trib_error *error)
{
    const struct trib_update_set *set = combination->set;
    if (set->n_updates == 0) {
        return trib_fail(error, TRIB_UNAVAILABLE, "%s: no update arrived, so there is no next model",
                         combination->strategy->name);
    }
    if (set->block == 0 || set->block % GRAIN != 0) {
        return trib_fail(error, TRIB_INVALID, "combine: blocks of %zu coordinates; a multiple of %d is needed",
                         set->block, GRAIN);
    }
    struct walk walk = {
        .combination = combination, .set = set, .direction = direction, .mutex = PTHREAD_MUTEX_INITIALIZER};
    choose_sizes(&walk);
    enum trib_status status = allocate(&walk, error);
    if (status == TRIB_OK) {
        status = run(&walk);
        if (status != TRIB_OK && error) {
            *error = walk.error;
        }
    }
    trib_free(walk.panel);
    trib_free(walk.blocks);
    trib_free(walk.workspaces);
    pthread_mutex_destroy(&walk.mutex);
    return status;
}
