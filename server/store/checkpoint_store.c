/* Committed models as files. */
#include "store/checkpoint_store.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct trib_checkpoint_store {
    char *dir;
    char *path; /* of the last commit */
    uint32_t keep;
};

/* "round-000012.safetensors" -> 12; 0 for any other name. */
static uint64_t round_of_name(const char *name)
{
    uint64_t round = 0;
    int len = 0;
    if (sscanf(name, "round-%6" SCNu64 "%n", &round, &len) != 1 || strcmp(name + len, ".safetensors") != 0) {
        return 0;
    }
    return round;
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

/* Point latest.safetensors at `name`: a new link renamed over the old one. */
static enum trib_status link_latest(const struct trib_checkpoint_store *store, const char *name,
                                    struct trib_error *error)
{
    char *temporary = trib_path_join(store->dir, "latest.tmp");
    char *latest = trib_path_join(store->dir, "latest.safetensors");
    enum trib_status status = temporary && latest ? TRIB_OK : trib_fail_no_memory(error);
    if (status == TRIB_OK) {
        unlink(temporary);
        if (symlink(name, temporary) != 0 || rename(temporary, latest) != 0) {
            status = trib_fail_errno(error, errno, "%s", latest);
        }
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
    char name[64];
    snprintf(name, sizeof name, "round-%06" PRIu64 ".safetensors", round);
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
