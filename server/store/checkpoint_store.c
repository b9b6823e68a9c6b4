/* Committed models as files. */
#include "store/checkpoint_store.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_LEN = 64 };

struct trib_checkpoint_store {
    char *dir;
    char *path; /* of the last commit */
    uint32_t keep;
};

static void name_of_round(uint64_t round, char *name, size_t size)
{
    snprintf(name, size, "round-%06" PRIu64 ".safetensors", round);
}

/* "round-000012.safetensors" -> 12; 0 for any other name. */
static uint64_t round_of_name(const char *name)
{
    uint64_t round = 0;
    char expected[NAME_LEN];
    if (sscanf(name, "round-%19" SCNu64, &round) != 1) {
        return 0;
    }
    name_of_round(round, expected, sizeof expected);
    return strcmp(name, expected) == 0 ? round : 0;
}

enum trib_status trib_checkpoint_store_open(const char *dir, uint32_t keep, struct trib_checkpoint_store **store,
                                            struct trib_error *error)
{
    struct trib_checkpoint_store *result = trib_calloc(1, sizeof *result);
    if (!result) {
        return trib_fail_no_memory(error);
    }
    result->keep = keep < 1 ? 1 : keep;
    result->dir = trib_path_join(dir, "models");
    enum trib_status status = result->dir ? trib_dir_make(result->dir, error) : trib_fail_no_memory(error);
    if (status != TRIB_OK) {
        trib_checkpoint_store_close(result);
        return status;
    }
    *store = result;
    return TRIB_OK;
}

void trib_checkpoint_store_close(struct trib_checkpoint_store *store)
{
    if (store) {
        trib_free(store->dir);
        trib_free(store->path);
        trib_free(store);
    }
}

/* Make the folder's names durable. Some file systems cannot sync folders and say EINVAL. */
static enum trib_status sync_dir(const char *path, struct trib_error *error)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = dir >= 0 && (fsync(dir) == 0 || errno == EINVAL);
    enum trib_status status = synced ? TRIB_OK : trib_fail_errno(error, errno, "%s: cannot be synced", path);
    if (dir >= 0) {
        close(dir);
    }
    return status;
}

/* Point latest.safetensors at `name`: a new link renamed over the old one. Durable before older models are pruned. */
static enum trib_status link_latest(const struct trib_checkpoint_store *store, const char *name,
                                    struct trib_error *error)
{
    char *temporary = trib_path_join(store->dir, "latest.tmp");
    char *latest = trib_path_join(store->dir, "latest.safetensors");
    enum trib_status status = temporary && latest ? TRIB_OK : trib_fail_no_memory(error);
    if (status == TRIB_OK) {
        unlink(temporary);
        if (symlink(name, temporary) != 0 || rename(temporary, latest) != 0) {
            status = trib_fail_errno(error, errno, "%s: cannot be pointed to %s", latest, name);
        }
    }
    if (status == TRIB_OK) {
        status = sync_dir(store->dir, error);
    }
    trib_free(temporary);
    trib_free(latest);
    return status;
}

/* Delete committed models older than the last `keep` rounds; what cannot be deleted is logged and left. */
static void prune(const struct trib_checkpoint_store *store, uint64_t round)
{
    DIR *dir = opendir(store->dir);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        uint64_t old = round_of_name(entry->d_name);
        if (old == 0 || old > round || round - old < store->keep) {
            continue;
        }
        char *path = trib_path_join(store->dir, entry->d_name);
        if (path && unlink(path) != 0) {
            trib_log(TRIB_LOG_WARN, "store", "prune_failed", TRIB_F_STR("path", path),
                     TRIB_F_STR("reason", strerror(errno)));
        }
        trib_free(path);
    }
    if (dir) {
        closedir(dir);
    }
}

enum trib_status trib_checkpoint_store_commit(struct trib_checkpoint_store *store, uint64_t round,
                                              const struct trib_schema *schema, const float *model,
                                              const struct trib_checkpoint_entry *entries, size_t n_entries,
                                              const char **path, struct trib_error *error)
{
    char name[NAME_LEN];
    name_of_round(round, name, sizeof name);
    char *file = trib_path_join(store->dir, name);
    if (!file) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = trib_checkpoint_write(file, schema, model, entries, n_entries, error);
    if (status == TRIB_OK) {
        status = link_latest(store, name, error);
    }
    if (status != TRIB_OK) {
        trib_free(file);
        return status;
    }
    prune(store, round);
    trib_free(store->path);
    store->path = file;
    *path = file;
    return TRIB_OK;
}
