/* Names of committed models. A name is made aside and renamed into its place, so that a reader always finds one. */
#include "store/model_files.h"

#include "base/buf.h"
#include "base/disk.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NAME_LEN = 64 };

static void name_of_round(uint64_t round, char *name, size_t size)
{
    snprintf(name, size, "round-%06" PRIu64 ".safetensors", round);
}

/* "round-000012.safetensors" -> 12; false for any other name. */
static bool round_of_name(const char *name, uint64_t *round)
{
    char expected[NAME_LEN];
    if (sscanf(name, "round-%19" SCNu64, round) != 1) {
        return false;
    }
    name_of_round(*round, expected, sizeof expected);
    return strcmp(name, expected) == 0;
}

/* What a symbolic link in DIR/models must say to lead to `path`, a file below DIR. */
static char *target_of(const char *dir, const char *path)
{
    size_t len = strlen(dir);
    if (trib_str_starts_with(path, dir) && path[len] == '/') {
        return trib_asprintf("..%s", path + len);
    }
    return trib_strdup(path);
}

/* A file system that has no hard links, or none from here, says so in one of many ways. */
static bool has_no_links(int errnum)
{
    return errnum == EPERM || errnum == EXDEV || errnum == EMLINK || errnum == EOPNOTSUPP || errnum == ENOSYS ||
           errnum == EINVAL || errnum == EACCES;
}

static int link_or_point(const char *dir, const char *path, const char *name)
{
    if (trib_disk_link(path, name) == 0) {
        return 0;
    }
    if (!has_no_links(errno)) {
        return -1;
    }
    char *target = target_of(dir, path);
    if (!target) {
        errno = ENOMEM;
        return -1;
    }
    int failed = trib_disk_symlink(target, name);
    int errnum = errno;
    trib_free(target);
    errno = errnum;
    return failed;
}

/* models/`name` becomes another name of `path`, or, when that is NULL, a symbolic link to `target`. */
static enum trib_status set_name(const char *dir, const char *models, const char *name, const char *path,
                                 const char *target, struct trib_error *error)
{
    char *aside = trib_path_join(models, "link.tmp");
    char *place = trib_path_join(models, name);
    enum trib_status status = aside && place ? TRIB_OK : trib_fail_no_memory(error);
    if (status == TRIB_OK) {
        trib_disk_unlink(aside);
        int failed = path ? link_or_point(dir, path, aside) : trib_disk_symlink(target, aside);
        if (failed == 0) {
            failed = trib_disk_rename(aside, place);
        }
        if (failed != 0) {
            status = trib_fail_errno(error, errno, "%s: cannot be pointed to %s", place, path ? path : target);
        }
        trib_disk_unlink(aside); /* rename leaves it when both are names of the same file */
    }
    trib_free(aside);
    trib_free(place);
    return status;
}

/* ---- pruning ---- */

struct prune {
    uint64_t round, keep;
    struct trib_buf names; /* that go, each with its NUL */
    bool failed;
};

static bool note_name(void *context, const char *name)
{
    struct prune *prune = context;
    uint64_t round;
    if (round_of_name(name, &round) && round <= prune->round && prune->round - round >= prune->keep) {
        prune->failed = trib_buf_add(&prune->names, name, strlen(name) + 1) != TRIB_OK;
    }
    return !prune->failed;
}

static void log_left(const char *path, const char *reason)
{
    trib_log(TRIB_LOG_WARN, "store", "prune_failed", TRIB_F_STR("path", path), TRIB_F_STR("reason", reason));
}

static void prune_names(const char *models, uint64_t round, uint32_t keep)
{
    struct prune prune = {.round = round, .keep = keep < 1 ? 1 : keep};
    if (trib_disk_list(models, note_name, &prune) != 0 || prune.failed) {
        log_left(models, prune.failed ? "out of memory" : strerror(errno));
    }
    for (size_t at = 0; at < prune.names.len;) {
        const char *name = (const char *)prune.names.data + at;
        char *path = trib_path_join(models, name);
        if (path && trib_disk_unlink(path) != 0) {
            log_left(path, strerror(errno));
        }
        trib_free(path);
        at += strlen(name) + 1;
    }
    trib_buf_clear(&prune.names);
}

enum trib_status trib_model_files_link(const char *dir, uint64_t round, const char *path, uint32_t keep,
                                       struct trib_error *error)
{
    char name[NAME_LEN];
    char *models = trib_path_join(dir, "models");
    if (!models) {
        return trib_fail_no_memory(error);
    }
    name_of_round(round, name, sizeof name);
    enum trib_status status = trib_dir_make(models, error);
    if (status == TRIB_OK) {
        status = set_name(dir, models, name, path, NULL, error);
    }
    if (status == TRIB_OK) {
        status = set_name(dir, models, "latest.safetensors", NULL, name, error);
    }
    if (status == TRIB_OK) {
        prune_names(models, round, keep);
    }
    trib_free(models);
    return status;
}
