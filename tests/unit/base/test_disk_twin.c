/* The simulated disk beside the system's: random calls on a few names come to the same results, error numbers and
 * contents on both, as long as nothing crashes. */
#include "sim_disk.h"

#include "base/file.h"
#include "base/rng.h"
#include "test_main.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NAMES = 12, OPEN = 4, STEPS = 400, MOST_LEN = 3000 };

/* Relative to a root of each disk's own. Some lead through folders, links, a link to nowhere, and things that are none.
 */
static const char *const names[NAMES] = {"a",   "b",     "c",      "d",      "d/a", "d/b",
                                         "d/e", "d/e/a", "a/none", "none/a", "d/.", "d/../b"};

struct twin {
    const struct trib_disk *disk;
    char root[64];
    int fds[OPEN];
};

static struct twin twins[2]; /* the system, the simulation */

struct result {
    int64_t value;
    int errnum;
    struct trib_disk_info info;
    uint8_t bytes[64];
};

struct call {
    unsigned kind, flags;
    size_t name, other, fd, len;
    uint64_t offset;
    uint8_t byte;
};

static void full(const struct twin *twin, size_t name, char path[128])
{
    snprintf(path, 128, "%s/%s", twin->root, names[name]);
}

static int64_t open_one(struct twin *twin, const struct call *call, const char *path)
{
    static const int flags[] = {O_RDONLY,
                                O_RDWR,
                                O_RDWR | O_CREAT,
                                O_RDWR | O_CREAT | O_EXCL,
                                O_WRONLY | O_CREAT | O_TRUNC,
                                O_RDONLY | O_DIRECTORY,
                                O_RDWR | O_NOFOLLOW,
                                O_RDWR | O_CREAT | O_NOFOLLOW};
    int *fd = &twin->fds[call->fd];
    if (*fd >= 0) {
        trib_disk_close(*fd);
    }
    *fd = trib_disk_open(path, flags[call->flags % 8], 0750);
    return *fd >= 0 ? 0 : -1;
}

static int64_t do_fd_call(struct twin *twin, const struct call *call, struct result *result)
{
    uint8_t bytes[MOST_LEN];
    int fd = twin->fds[call->fd];
    memset(bytes, call->byte, call->len);
    switch (call->kind) {
    case 0:
        return trib_disk_pwrite(fd, bytes, call->len, call->offset);
    case 1:
        return trib_disk_pread(fd, result->bytes, sizeof result->bytes, call->offset);
    case 2:
        return trib_disk_truncate(fd, call->offset);
    case 3:
        return trib_disk_lock(fd);
    case 4:
        return trib_disk_sync(fd);
    case 5:
        return trib_disk_reserve(fd, call->offset);
    default:
        return trib_disk_fd_info(fd, &result->info);
    }
}

static int64_t do_path_call(struct twin *twin, const struct call *call, struct result *result)
{
    char path[128], other[128];
    full(twin, call->name, path);
    full(twin, call->other, other);
    switch (call->kind) {
    case 7:
    case 8:
    case 9:
        return open_one(twin, call, path);
    case 10:
        return trib_disk_rename(path, other);
    case 11:
        return trib_disk_link(path, other);
    case 12:
        return trib_disk_symlink(names[call->other], path);
    case 13:
        return trib_disk_unlink(path);
    case 14:
        return trib_disk_mkdir(path, 0750);
    case 15:
        return trib_disk_sync_dir(path);
    default:
        return trib_disk_path_info(path, &result->info);
    }
}

static struct result play(struct twin *twin, const struct call *call)
{
    struct result result = {0};
    trib_disk_use(twin->disk);
    errno = 0;
    result.value = call->kind < 7 ? do_fd_call(twin, call, &result) : do_path_call(twin, call, &result);
    result.errnum = result.value < 0 ? errno : 0;
    result.info.inode = result.info.device = 0;
    result.info.len = result.info.is_dir ? 0 : result.info.len; /* a folder's is the file system's affair */
    return result;
}

static bool same(const struct result *a, const struct result *b)
{
    return a->value == b->value && a->errnum == b->errnum && a->info.len == b->info.len &&
           a->info.is_dir == b->info.is_dir && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static struct call draw(struct trib_rng *rng)
{
    return (struct call){.kind = (unsigned)trib_rng_below(rng, 17),
                         .flags = trib_rng_u32(rng) % 8,
                         .name = (size_t)trib_rng_below(rng, NAMES),
                         .other = (size_t)trib_rng_below(rng, NAMES),
                         .fd = (size_t)trib_rng_below(rng, OPEN),
                         .len = (size_t)trib_rng_below(rng, MOST_LEN + 1),
                         .offset = trib_rng_below(rng, MOST_LEN),
                         .byte = (uint8_t)trib_rng_u32(rng)};
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static void begin(uint64_t seed, struct sim_disk **sim)
{
    *sim = sim_disk_new(seed);
    twins[0] = (struct twin){.disk = trib_disk_system(), .root = "/tmp/trib-test-twin-XXXXXX"};
    twins[1] = (struct twin){.disk = sim_disk_table(*sim), .root = "/root"};
    ck_assert_ptr_nonnull(mkdtemp(twins[0].root));
    trib_disk_use(twins[1].disk);
    ck_assert_int_eq(trib_disk_mkdir(twins[1].root, 0750), 0);
    for (size_t i = 0; i < OPEN; i++) {
        twins[0].fds[i] = twins[1].fds[i] = -1;
    }
}

static void end(struct sim_disk *sim)
{
    trib_disk_use(NULL);
    for (size_t i = 0; i < OPEN; i++) {
        trib_disk_close(twins[0].fds[i]);
    }
    ck_assert_int_eq(nftw(twins[0].root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    sim_disk_free(sim);
}

START_TEST(both_answer_alike)
{
    unsigned worked = 0;
    for (uint64_t seed = 1; seed <= 250; seed++) {
        struct sim_disk *sim;
        struct trib_rng rng = trib_rng_init(seed, "twin", 0, 0);
        begin(seed, &sim);
        for (unsigned i = 0; i < STEPS; i++) {
            struct call call = draw(&rng);
            struct result simulated = play(&twins[1], &call);
            if (simulated.errnum == EXDEV) { /* it does not move folders between folders */
                continue;
            }
            struct result system = play(&twins[0], &call);
            if (!same(&system, &simulated)) {
                ck_abort_msg("seed %llu, step %u: call %u flags %u on %s (%s): %lld %s, not %lld %s",
                             (unsigned long long)seed, i, call.kind, call.flags, names[call.name], names[call.other],
                             (long long)simulated.value, strerror(simulated.errnum), (long long)system.value,
                             strerror(system.errnum));
            }
            worked += system.errnum == 0;
        }
        end(sim);
    }
    ck_assert_uint_gt(worked, 10000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("disk_twin");
    TCase *test_case = tcase_create("disk_twin");
    tcase_add_test(test_case, both_answer_alike);
    suite_add_tcase(suite, test_case);
    return trib_test_run(suite);
}
