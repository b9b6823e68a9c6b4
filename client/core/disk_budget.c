/* The disk budget is one figure for each use, under a lock. */
#include "client/disk_budget.h"
#include "base/disk.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <pthread.h>

enum { TEXT_LEN = 32 };

struct trib_disk_budget {
    uint64_t limit; /* 0 = none */
    pthread_mutex_t lock;
    uint64_t used[TRIB_DISK_USES];
};

enum trib_status trib_disk_budget_new(uint64_t limit, struct trib_disk_budget **budget, struct trib_error *error)
{
    struct trib_disk_budget *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    made->limit = limit;
    pthread_mutex_init(&made->lock, NULL);
    *budget = made;
    return TRIB_OK;
}

void trib_disk_budget_free(struct trib_disk_budget *budget)
{
    if (budget) {
        pthread_mutex_destroy(&budget->lock);
        trib_free(budget);
    }
}

static uint64_t len_of(const char *dir, const char *name)
{
    struct trib_disk_info info;
    char *path = trib_path_join(dir, name);
    bool there = path && trib_disk_path_info(path, &info) == 0;
    trib_free(path);
    return there ? info.len : 0;
}

void trib_disk_budget_look(struct trib_disk_budget *budget, const char *dir)
{
    trib_disk_budget_note(budget, TRIB_DISK_MODEL, len_of(dir, "model.frame"));
    trib_disk_budget_note(budget, TRIB_DISK_FEEDBACK, len_of(dir, "feedback") + len_of(dir, "feedback.pending"));
    trib_disk_budget_note(budget, TRIB_DISK_UPDATE, len_of(dir, "update"));
}

static enum trib_status refuse(const struct trib_disk_budget *budget, enum trib_disk_use use, uint64_t len,
                               uint64_t others, struct trib_error *error)
{
    static const char *const names[] = {"the held model takes", "the download takes",
                                        "the states of error feedback take", "the finished update takes"};
    char need[TEXT_LEN], allowed[TEXT_LEN], taken[TEXT_LEN];
    return trib_fail(error, TRIB_LIMIT, "%s %s; of the owner's limits.disk of %s, %s are taken", names[use],
                     trib_format_size((double)len, need, sizeof need),
                     trib_format_size((double)budget->limit, allowed, sizeof allowed),
                     trib_format_size((double)others, taken, sizeof taken));
}

/* Under the lock. */
static enum trib_status set(struct trib_disk_budget *budget, enum trib_disk_use use, uint64_t len,
                            struct trib_error *error)
{
    uint64_t others = 0;
    for (int i = 0; i < TRIB_DISK_USES; i++) {
        others += i == (int)use ? 0 : budget->used[i];
    }
    if (budget->limit > 0 && len > 0 && (others > budget->limit || len > budget->limit - others)) {
        return refuse(budget, use, len, others, error);
    }
    budget->used[use] = len;
    return TRIB_OK;
}

enum trib_status trib_disk_budget_set(struct trib_disk_budget *budget, enum trib_disk_use use, uint64_t len,
                                      struct trib_error *error)
{
    if (!budget) {
        return TRIB_OK;
    }
    pthread_mutex_lock(&budget->lock);
    enum trib_status status = set(budget, use, len, error);
    pthread_mutex_unlock(&budget->lock);
    return status;
}

enum trib_status trib_disk_budget_take(struct trib_disk_budget *budget, enum trib_disk_use use, uint64_t len,
                                       struct trib_error *error)
{
    if (!budget) {
        return TRIB_OK;
    }
    pthread_mutex_lock(&budget->lock);
    enum trib_status status = set(budget, use, budget->used[use] + len, error);
    pthread_mutex_unlock(&budget->lock);
    return status;
}

enum trib_status trib_disk_budget_exchange(struct trib_disk_budget *budget, enum trib_disk_use use, uint64_t len,
                                           enum trib_disk_use other, struct trib_error *error)
{
    if (!budget) {
        return TRIB_OK;
    }
    pthread_mutex_lock(&budget->lock);
    const uint64_t former = budget->used[other];
    budget->used[other] = 0;
    enum trib_status status = set(budget, use, len, error);
    if (status != TRIB_OK) {
        budget->used[other] = former;
    }
    pthread_mutex_unlock(&budget->lock);
    return status;
}

void trib_disk_budget_give(struct trib_disk_budget *budget, enum trib_disk_use use, uint64_t len)
{
    if (budget) {
        pthread_mutex_lock(&budget->lock);
        budget->used[use] -= len < budget->used[use] ? len : budget->used[use];
        pthread_mutex_unlock(&budget->lock);
    }
}

void trib_disk_budget_note(struct trib_disk_budget *budget, enum trib_disk_use use, uint64_t len)
{
    if (budget) {
        pthread_mutex_lock(&budget->lock);
        budget->used[use] = len;
        pthread_mutex_unlock(&budget->lock);
    }
}
