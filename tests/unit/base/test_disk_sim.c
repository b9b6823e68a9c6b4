/* The simulated disk: between crashes it is what Linux is, call by call; crashes take what they may and no more; and
 * every fault that it can make, it makes. */
#include "sim_disk.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/rng.h"
#include "test_main.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static struct sim_disk *disk;

static void use_disk(uint64_t seed)
{
    disk = sim_disk_new(seed);
    trib_disk_use(sim_disk_table(disk));
}

static void free_disk(void)
{
    trib_disk_use(NULL);
    sim_disk_free(disk);
    disk = NULL;
}

static void write_at(const char *path, const void *bytes, size_t len, uint64_t offset, bool sync)
{
    int fd = trib_disk_open(path, O_RDWR | O_CREAT, 0640);
    ck_assert_int_eq(trib_disk_pwrite(fd, bytes, len, offset), (ssize_t)len);
    ck_assert(!sync || trib_disk_sync(fd) == 0);
    trib_disk_close(fd);
}

static void crash(void)
{
    sim_disk_crash(disk);
    sim_disk_start(disk);
}

/* -1 = no such file. */
static int64_t len_of(const char *path)
{
    struct trib_disk_info info;
    return trib_disk_path_info(path, &info) == 0 ? (int64_t)info.len : -1;
}

static bool holds(const char *path, const char *expected)
{
    struct trib_buf content = {0};
    bool same =
        trib_file_read(path, 100000, &content, NULL) == TRIB_OK && strcmp(trib_buf_text(&content), expected) == 0;
    trib_buf_clear(&content);
    return same;
}

/* ---- crashes: files ---- */

enum { BASE_LEN = 4096, WRITES = 6 };

struct tally {
    unsigned none, all, torn, garbage;
};

/* Write k covers [offset, offset + len) with the byte 'a' + k; the base is '.'. */
struct plan {
    uint64_t offset[WRITES], len[WRITES];
};

static struct plan make_plan(uint64_t seed)
{
    struct trib_rng rng = trib_rng_init(seed, "plan", 0, 0);
    struct plan plan;
    for (unsigned k = 0; k < WRITES; k++) {
        plan.offset[k] = trib_rng_below(&rng, BASE_LEN + 1000);
        plan.len[k] = 1 + trib_rng_below(&rng, 1500);
    }
    return plan;
}

static bool covers(const struct plan *plan, unsigned k, uint64_t at)
{
    return at >= plan->offset[k] && at - plan->offset[k] < plan->len[k];
}

/* Garbage is allowed where something was written; elsewhere there is what was synced, or zeros beyond it. */
static bool may_be(const struct plan *plan, uint64_t at, uint8_t byte, bool *garbage)
{
    bool touched = false;
    for (unsigned k = 0; k < WRITES; k++) {
        touched = touched || covers(plan, k, at);
        if (covers(plan, k, at) && byte == 'a' + k) {
            return true;
        }
    }
    if (byte == (at < BASE_LEN ? '.' : 0)) {
        return true;
    }
    *garbage = *garbage || touched;
    return touched;
}

static uint8_t newest(const struct plan *plan, uint64_t at)
{
    uint8_t byte = at < BASE_LEN ? '.' : 0;
    for (unsigned k = 0; k < WRITES; k++) {
        byte = covers(plan, k, at) ? (uint8_t)('a' + k) : byte;
    }
    return byte;
}

static void crash_one_file(uint64_t seed, struct tally *tally)
{
    struct plan plan = make_plan(seed);
    char bytes[BASE_LEN];
    struct trib_buf content = {0};
    use_disk(seed);
    memset(bytes, '.', sizeof bytes);
    write_at("f", bytes, sizeof bytes, 0, true);
    ck_assert_int_eq(trib_disk_sync_dir("/"), 0);
    for (unsigned k = 0; k < WRITES; k++) {
        memset(bytes, (int)('a' + k), plan.len[k]);
        write_at("f", bytes, plan.len[k], plan.offset[k], false);
    }
    crash();
    ck_assert_int_eq(trib_file_read("f", 100000, &content, NULL), TRIB_OK);
    ck_assert_uint_ge(content.len, BASE_LEN);
    bool sane = true, all = true, none = content.len == BASE_LEN, garbage = false;
    for (size_t i = 0; i < content.len; i++) {
        sane = sane && may_be(&plan, i, content.data[i], &garbage);
        all = all && content.data[i] == newest(&plan, i);
        none = none && content.data[i] == '.';
    }
    ck_assert_msg(sane, "seed %llu", (unsigned long long)seed);
    tally->none += none;
    tally->all += all;
    tally->torn += !none && !all;
    tally->garbage += garbage;
    trib_buf_clear(&content);
    free_disk();
}

START_TEST(what_was_synced_stays_and_the_rest_may)
{
    struct tally tally = {0};
    for (uint64_t seed = 0; seed < 2000; seed++) {
        crash_one_file(seed, &tally);
    }
    ck_assert_uint_gt(tally.none, 100);
    ck_assert_uint_gt(tally.all, 100);
    ck_assert_uint_gt(tally.torn, 500);
    ck_assert_uint_gt(tally.garbage, 50);
}
END_TEST

START_TEST(a_file_of_which_only_the_name_is_durable)
{
    unsigned empty = 0, partial = 0, zeros = 0, whole = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        use_disk(seed);
        char bytes[2000], got[2000];
        memset(bytes, 'x', sizeof bytes);
        write_at("f", bytes, sizeof bytes, 0, false);
        ck_assert_int_eq(trib_disk_sync_dir("."), 0);
        crash();
        int64_t len = len_of("f");
        ck_assert(len >= 0 && len <= 2000);
        int fd = trib_disk_open("f", O_RDONLY, 0);
        ck_assert_int_eq(trib_disk_pread(fd, got, sizeof got, 0), len);
        trib_disk_close(fd);
        empty += len == 0;
        partial += len > 0 && len < 2000;
        zeros += len == 2000 && memchr(got, 0, 2000);
        whole += len == 2000 && memcmp(got, bytes, 2000) == 0;
        free_disk();
    }
    ck_assert(empty > 50 && partial > 50 && zeros > 50 && whole > 50);
}
END_TEST

START_TEST(a_truncation_is_a_write_like_others)
{
    unsigned old = 0, cut = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        use_disk(seed);
        write_at("f", "0123456789", 10, 0, true);
        trib_disk_sync_dir(".");
        int fd = trib_disk_open("f", O_RDWR, 0);
        ck_assert_int_eq(trib_disk_truncate(fd, 4), 0);
        ck_assert_int_eq(trib_disk_truncate(fd, 6), 0);
        trib_disk_close(fd);
        crash();
        ck_assert(holds("f", "0123456789") || holds("f", "0123") || len_of("f") == 6);
        old += holds("f", "0123456789");
        cut += len_of("f") == 4;
        free_disk();
    }
    ck_assert(old > 20 && cut > 5);
}
END_TEST

/* ---- crashes: folders ---- */

START_TEST(names_go_from_the_last_on)
{
    unsigned seen[5] = {0};
    for (uint64_t seed = 0; seed < 500; seed++) {
        use_disk(seed);
        ck_assert_int_eq(trib_dir_make("d/e", NULL), TRIB_OK);
        const char *const names[] = {"d/e/1", "d/e/2", "d/e/3", "d/e/4"};
        for (size_t i = 0; i < 4; i++) {
            write_at(names[i], names[i], 5, 0, true);
        }
        crash();
        size_t n = 0;
        while (n < 4 && len_of(names[n]) >= 0) {
            ck_assert(holds(names[n], names[n])); /* synced before the folder: whole */
            n++;
        }
        for (size_t i = n; i < 4; i++) {
            ck_assert_int_eq(len_of(names[i]), -1);
        }
        seen[n]++;
        free_disk();
    }
    for (size_t i = 0; i < 5; i++) {
        ck_assert_uint_gt(seen[i], 10);
    }
}
END_TEST

START_TEST(a_folder_made_but_not_synced_may_vanish_with_all_in_it)
{
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        use_disk(seed);
        ck_assert_int_eq(trib_disk_mkdir("d", 0750), 0);
        write_at("d/f", "x", 1, 0, true);
        ck_assert_int_eq(trib_disk_sync_dir("d"), 0);
        crash();
        lost += len_of("d") == -1;
        ck_assert(len_of("d") == -1 || holds("d/f", "x"));
        ck_assert_uint_eq(sim_disk_counts(disk).held, len_of("d") == -1 ? 0 : 1);
        free_disk();
    }
    ck_assert(lost > 10 && lost < 90);
}
END_TEST

START_TEST(a_replaced_file_is_the_old_or_the_new_one)
{
    unsigned old = 0, fresh = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        use_disk(seed);
        ck_assert_int_eq(trib_dir_make("/state/models", NULL), TRIB_OK);
        ck_assert_int_eq(trib_file_replace("/state/models/m", "old", 3, NULL), TRIB_OK);
        sim_disk_stop_after(disk, seed % 14);
        bool done = trib_file_replace("/state/models/m", "new!", 4, NULL) == TRIB_OK;
        ck_assert(done != sim_disk_stopped(disk));
        crash();
        bool is_old = holds("/state/models/m", "old"), is_new = holds("/state/models/m", "new!");
        ck_assert_msg(done ? is_new : is_old || is_new, "seed %llu", (unsigned long long)seed);
        old += is_old;
        fresh += is_new && !done;
        free_disk();
    }
    ck_assert(old > 100 && fresh > 20);
}
END_TEST

START_TEST(a_rename_between_folders_never_loses_the_file)
{
    unsigned both = 0, before = 0, after = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        use_disk(seed);
        ck_assert_int_eq(trib_dir_make("a", NULL), TRIB_OK);
        ck_assert_int_eq(trib_dir_make("b", NULL), TRIB_OK);
        ck_assert_int_eq(trib_file_replace("a/f", "x", 1, NULL), TRIB_OK);
        write_at("b/another", "y", 1, 0, true);
        ck_assert_int_eq(trib_disk_rename("a/f", "b/f"), 0);
        if (seed % 3 > 0) {
            ck_assert_int_eq(trib_disk_sync_dir(seed % 3 == 1 ? "a" : "b"), 0);
        }
        crash();
        bool at_a = holds("a/f", "x"), at_b = holds("b/f", "x");
        ck_assert(at_a || at_b);
        ck_assert(seed % 3 != 1 || (!at_a && at_b));
        ck_assert(seed % 3 != 2 || at_b);
        both += at_a && at_b;
        before += at_a && !at_b;
        after += !at_a && at_b;
        free_disk();
    }
    ck_assert(both > 10 && before > 10 && after > 10);
}
END_TEST

START_TEST(a_removed_file_may_come_back_and_others_names_stay)
{
    unsigned back = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        use_disk(seed);
        ck_assert_int_eq(trib_file_replace("f", "x", 1, NULL), TRIB_OK);
        ck_assert_int_eq(trib_disk_link("f", "g"), 0);
        ck_assert_int_eq(trib_disk_symlink("g", "s"), 0);
        ck_assert_int_eq(trib_disk_sync_dir("/"), 0);
        int fd = trib_disk_open("f", O_RDONLY, 0);
        ck_assert_int_eq(trib_disk_unlink("f"), 0);
        ck_assert_int_eq(trib_disk_sync(fd), 0); /* of the file: the folder is another thing */
        crash();
        back += holds("f", "x");
        ck_assert(holds("g", "x") && holds("s", "x"));
        free_disk();
    }
    ck_assert(back > 10 && back < 90);
}
END_TEST

/* ---- other ends ---- */

START_TEST(a_killed_process_loses_its_locks_and_nothing_written)
{
    use_disk(1);
    int fd = trib_disk_open("f", O_RDWR | O_CREAT, 0640);
    ck_assert_int_eq(trib_disk_lock(fd), 0);
    ck_assert_int_eq(trib_disk_pwrite(fd, "abc", 3, 0), 3);
    sim_disk_kill(disk);
    ck_assert(sim_disk_stopped(disk));
    ck_assert_int_eq(trib_disk_unlink("f"), -1); /* what cleans up after the dead one changes nothing */
    ck_assert_int_eq(errno, EIO);
    trib_disk_close(fd);
    sim_disk_start(disk);
    ck_assert_int_eq(trib_disk_pwrite(fd, "abc", 3, 0), -1);
    ck_assert_int_eq(errno, EBADF);
    int again = trib_disk_open("f", O_RDWR, 0);
    ck_assert_int_ge(again, 1000000);
    ck_assert_int_ne(again, fd);
    ck_assert_int_eq(trib_disk_lock(again), 0);
    trib_disk_close(fd);
    ck_assert(holds("f", "abc"));
    trib_disk_close(again);
    free_disk();
}
END_TEST

START_TEST(two_disks_do_not_take_each_others_descriptors)
{
    use_disk(1);
    int fd = trib_disk_open("f", O_RDWR | O_CREAT, 0640);
    struct sim_disk *second = sim_disk_new(1);
    trib_disk_use(sim_disk_table(second));
    ck_assert_int_ne(trib_disk_open("f", O_RDWR | O_CREAT, 0640), fd);
    ck_assert_int_eq(trib_disk_sync(fd), -1);
    ck_assert_int_eq(errno, EBADF);
    sim_disk_free(second);
    free_disk();
}
END_TEST

static void play(uint64_t seed, struct trib_buf *dump)
{
    char text[4096] = "";
    use_disk(seed);
    ck_assert_int_eq(trib_dir_make("d", NULL), TRIB_OK);
    for (unsigned i = 0; i < 20; i++) {
        const char *path = i % 2 == 0 ? "d/even" : "d/odd";
        write_at(path, "0123456789", 10, i * 300, i % 7 == 0);
    }
    trib_disk_rename("d/odd", "d/even.old");
    crash();
    FILE *to = fmemopen(text, sizeof text, "w");
    sim_disk_dump(disk, to);
    fclose(to);
    ck_assert_int_eq(trib_buf_add_text(dump, text), TRIB_OK);
    free_disk();
}

START_TEST(the_same_seed_comes_to_the_same_end)
{
    struct trib_buf first = {0}, second = {0};
    for (uint64_t seed = 0; seed < 50; seed++) {
        play(seed, &first);
        play(seed, &second);
    }
    ck_assert_str_eq(trib_buf_text(&first), trib_buf_text(&second));
    ck_assert_ptr_nonnull(strstr(trib_buf_text(&first), "/d/even "));
    ck_assert_ptr_nonnull(strstr(trib_buf_text(&first), "/d/even.old "));
    trib_buf_clear(&first);
    trib_buf_clear(&second);
}
END_TEST

/* ---- faults ---- */

START_TEST(a_full_disk_takes_what_fits)
{
    use_disk(1);
    sim_disk_capacity(disk, 1000);
    ck_assert_int_eq(trib_disk_free_bytes("/"), 1000);
    char bytes[900] = {0};
    int fd = trib_disk_open("f", O_RDWR | O_CREAT, 0640);
    ck_assert_int_eq(trib_disk_pwrite(fd, bytes, 900, 0), 900);
    ck_assert_int_eq(trib_disk_pwrite(fd, bytes, 900, 0), 900); /* over itself */
    ck_assert_int_eq(trib_disk_pwrite(fd, bytes, 900, 900), 100);
    ck_assert_int_eq(trib_disk_pwrite(fd, bytes, 1, 1000), -1);
    ck_assert_int_eq(errno, ENOSPC);
    ck_assert_int_eq(trib_disk_free_bytes("/"), 0);
    ck_assert_int_eq(trib_disk_truncate(fd, 10), 0);
    ck_assert_int_eq(trib_disk_reserve(fd, 1001), -1);
    ck_assert_int_eq(errno, ENOSPC);
    ck_assert_int_eq(trib_disk_reserve(fd, 1000), 0);
    ck_assert_int_eq(len_of("f"), 1000);
    ck_assert_int_eq(trib_disk_unlink("f"), 0);
    ck_assert_int_eq(trib_disk_free_bytes("/"), 0); /* it is open yet */
    trib_disk_close(fd);
    ck_assert_int_eq(trib_disk_free_bytes("/"), 1000);
    sim_disk_capacity(disk, 0);
    write_at("f", bytes, 900, 5000, false);
    struct trib_error error;
    sim_disk_capacity(disk, 10);
    ck_assert_int_eq(trib_file_replace("g", "x", 1, &error), TRIB_NO_SPACE);
    ck_assert_uint_eq(sim_disk_counts(disk).failures, 3);
    ck_assert_uint_eq(sim_disk_counts(disk).held, 5900);
    free_disk();
}
END_TEST

START_TEST(the_nth_operation_fails)
{
    struct trib_error error;
    use_disk(1);
    unsigned failed = 0;
    for (uint64_t n = 0;; n++) {
        sim_disk_fail(disk, n, EIO, false);
        enum trib_status status = trib_file_replace("f", "x", 1, &error);
        if (status == TRIB_OK && sim_disk_counts(disk).failures == n) {
            break;
        }
        ck_assert(status == TRIB_OK || status == TRIB_IO || status == TRIB_UNAVAILABLE);
        ck_assert_uint_eq(sim_disk_counts(disk).failures, n + 1);
        failed += status != TRIB_OK;
    }
    ck_assert_uint_gt(failed, 5);
    sim_disk_fail(disk, 2, ENOSPC, true);
    ck_assert(holds("f", "x") && holds("f", "x")); /* reading needs no room */
    ck_assert_int_eq(trib_file_replace("f", "y", 1, &error), TRIB_NO_SPACE);
    ck_assert_int_eq(trib_file_replace("f", "y", 1, &error), TRIB_NO_SPACE);
    sim_disk_fail(disk, 0, 0, false);
    ck_assert_int_eq(trib_file_replace("f", "y", 1, &error), TRIB_OK);
    free_disk();
}
END_TEST

START_TEST(a_sync_that_failed_is_not_mended_by_the_next)
{
    unsigned lost = 0, kept = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        use_disk(seed);
        write_at("f", "....", 4, 0, true);
        trib_disk_sync_dir("/");
        int fd = trib_disk_open("f", O_RDWR, 0);
        ck_assert_int_eq(trib_disk_pwrite(fd, "A", 1, 0), 1);
        sim_disk_fail(disk, 0, EIO, false);
        ck_assert_int_eq(trib_disk_sync(fd), -1);
        ck_assert_int_eq(errno, EIO);
        ck_assert_int_eq(trib_disk_pwrite(fd, "B", 1, 2), 1);
        ck_assert_int_eq(trib_disk_sync(fd), 0);
        char got[4];
        ck_assert_int_eq(trib_disk_pread(fd, got, 4, 0), 4);
        ck_assert_int_eq(memcmp(got, "A.B.", 4), 0); /* it looks well */
        crash();
        fd = trib_disk_open("f", O_RDWR, 0);
        ck_assert_int_eq(trib_disk_pread(fd, got, 4, 0), 4);
        ck_assert_int_eq(memcmp(got + 1, ".B.", 3), 0);
        lost += got[0] == '.';
        kept += got[0] == 'A';
        free_disk();
    }
    ck_assert(lost > 20 && kept > 20);
}
END_TEST

START_TEST(a_byte_rots)
{
    use_disk(1);
    write_at("f", "abc", 3, 0, false);
    ck_assert(!sim_disk_corrupt(disk, "g", 0));
    ck_assert(!sim_disk_corrupt(disk, "f", 3));
    ck_assert(sim_disk_corrupt(disk, "f", 1));
    trib_disk_sync_dir("/");
    for (int i = 0; i < 2; i++) {
        char got[3];
        int fd = trib_disk_open("f", O_RDONLY, 0);
        ck_assert_int_eq(trib_disk_pread(fd, got, 3, 0), 3);
        ck_assert(got[0] == 'a' && got[1] != 'b' && got[2] == 'c');
        trib_disk_close(fd);
        crash();
    }
    free_disk();
}
END_TEST

static bool remove_it(void *context, const char *name)
{
    ++*(unsigned *)context;
    char path[32];
    snprintf(path, sizeof path, "d/%s", name);
    return trib_disk_unlink(path) == 0;
}

START_TEST(a_listing_may_change_what_it_lists)
{
    unsigned n = 0;
    use_disk(1);
    ck_assert_int_eq(trib_dir_make("d", NULL), TRIB_OK);
    ck_assert_int_eq(trib_file_replace("d/1", "", 0, NULL), TRIB_OK);
    ck_assert_int_eq(trib_file_replace("d/2", "", 0, NULL), TRIB_OK);
    ck_assert_int_eq(trib_disk_list("d", remove_it, &n), 0);
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(trib_disk_list("d", remove_it, &n), 0);
    ck_assert_uint_eq(n, 2);
    struct sim_disk_counts counts = sim_disk_counts(disk);
    ck_assert(counts.operations > 10 && counts.syncs >= 5 && counts.bytes_written == 0);
    free_disk();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("disk_sim");
    TCase *test_case = tcase_create("disk_sim");
    tcase_add_test(test_case, what_was_synced_stays_and_the_rest_may);
    tcase_add_test(test_case, a_file_of_which_only_the_name_is_durable);
    tcase_add_test(test_case, a_truncation_is_a_write_like_others);
    tcase_add_test(test_case, names_go_from_the_last_on);
    tcase_add_test(test_case, a_folder_made_but_not_synced_may_vanish_with_all_in_it);
    tcase_add_test(test_case, a_replaced_file_is_the_old_or_the_new_one);
    tcase_add_test(test_case, a_rename_between_folders_never_loses_the_file);
    tcase_add_test(test_case, a_removed_file_may_come_back_and_others_names_stay);
    tcase_add_test(test_case, a_killed_process_loses_its_locks_and_nothing_written);
    tcase_add_test(test_case, two_disks_do_not_take_each_others_descriptors);
    tcase_add_test(test_case, the_same_seed_comes_to_the_same_end);
    tcase_add_test(test_case, a_full_disk_takes_what_fits);
    tcase_add_test(test_case, the_nth_operation_fails);
    tcase_add_test(test_case, a_sync_that_failed_is_not_mended_by_the_next);
    tcase_add_test(test_case, a_byte_rots);
    tcase_add_test(test_case, a_listing_may_change_what_it_lists);
    suite_add_tcase(suite, test_case);
    return trib_test_run(suite);
}
