/* The disk whose Nth call fails, and by it: every way in which replacing a file and making a folder can fail leaves the
 * old or the new content, an error that says which file, and nothing lying about. */
#include "fail_disk.h"

#include "base/buf.h"
#include "base/file.h"
#include "test_main.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char dir[64], path[128], deep[160], temporary[160];
static struct fail_disk *disk;

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/trib-test-fail-disk-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/model", dir);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    snprintf(deep, sizeof deep, "%s/a/b", dir);
    disk = fail_disk_new(trib_disk_system());
    ck_assert_ptr_nonnull(disk);
    trib_disk_use(fail_disk_table(disk));
}

static void tear_down(void)
{
    char above[160];
    trib_disk_use(NULL);
    fail_disk_free(disk);
    snprintf(above, sizeof above, "%s/a", dir);
    unlink(path);
    rmdir(deep);
    rmdir(above);
    ck_assert_int_eq(rmdir(dir), 0); /* nothing else may be left */
}

static bool holds(const char *expected)
{
    struct trib_buf content = {0};
    bool same = trib_file_read(path, 1000, &content, NULL) == TRIB_OK && strcmp(trib_buf_text(&content), expected) == 0;
    trib_buf_clear(&content);
    return same;
}

START_TEST(calls_are_counted_and_the_nth_fails)
{
    struct trib_disk_info info;
    fail_disk_after(disk, -1, 0, false);
    ck_assert_int_eq(trib_disk_path_info(dir, &info), 0);
    ck_assert_int_eq(trib_disk_mkdir(deep, 0750), -1);
    trib_disk_close(-1); /* does not count */
    ck_assert_int_eq(fail_disk_after(disk, 1, EDQUOT, false), 2);
    ck_assert_int_eq(trib_disk_path_info(dir, &info), 0);
    ck_assert_int_eq(trib_disk_path_info(dir, &info), -1);
    ck_assert_int_eq(errno, EDQUOT);
    ck_assert_int_eq(trib_disk_path_info(dir, &info), 0);
    ck_assert_int_eq(fail_disk_failures(disk), 1);
    ck_assert_int_eq(fail_disk_after(disk, 0, EIO, true), 3);
    ck_assert_int_eq(trib_disk_path_info(dir, &info), -1);
    ck_assert_int_eq(trib_disk_free_bytes(dir), -1);
    ck_assert_int_eq(trib_disk_open(path, O_RDWR | O_CREAT, 0640), -1);
    ck_assert_int_eq(errno, EIO);
    ck_assert_int_eq(fail_disk_failures(disk), 3);
}
END_TEST

START_TEST(every_failure_of_a_replacement_leaves_old_or_new)
{
    struct trib_error error;
    ck_assert_int_eq(trib_file_replace(path, "old", 3, &error), TRIB_OK);
    int told = 0;
    for (int64_t n = 0;; n++) {
        fail_disk_after(disk, n, EIO, _i == 1);
        enum trib_status status = trib_file_replace(path, "new", 3, &error);
        bool clean = fail_disk_failures(disk) == 0;
        fail_disk_after(disk, -1, 0, false);
        if (clean) {
            ck_assert_int_eq(status, TRIB_OK);
            break;
        }
        if (status == TRIB_OK) { /* one failure of locking the temporary file is made good by another try */
            ck_assert_int_eq(_i, 0);
            ck_assert(n >= 1 && n <= 3);
            ck_assert(holds("new"));
        } else {
            ck_assert_int_eq(status, TRIB_IO);
            ck_assert_ptr_nonnull(strstr(error.message, dir));
            ck_assert(holds(strstr(error.message, ": is replaced, but ") ? "new" : "old"));
            told++;
        }
        unlink(temporary); /* removing it may be what failed */
        ck_assert_int_eq(trib_file_replace(path, "old", 3, &error), TRIB_OK);
    }
    ck_assert(holds("new"));
    ck_assert_int_eq(told, _i == 1 ? 10 : 7);
}
END_TEST

START_TEST(every_failure_of_making_folders_is_told)
{
    struct trib_error error;
    unsigned failed = 0;
    for (int64_t n = 0;; n++) {
        fail_disk_after(disk, n, EIO, true);
        enum trib_status status = trib_dir_make(deep, &error);
        bool clean = fail_disk_failures(disk) == 0;
        fail_disk_after(disk, -1, 0, false);
        if (clean) {
            ck_assert_int_eq(status, TRIB_OK);
            break;
        }
        ck_assert_int_eq(status, TRIB_IO); /* also of a folder that is there and cannot be looked at */
        ck_assert_ptr_nonnull(strstr(error.message, ": the directory cannot be "));
        failed++;
    }
    ck_assert_uint_gt(failed, 3);
    ck_assert(trib_file_exists(deep));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("disk_fail");
    TCase *test_case = tcase_create("disk_fail");
    tcase_set_timeout(test_case, 120);
    tcase_add_checked_fixture(test_case, set_up, tear_down);
    tcase_add_test(test_case, calls_are_counted_and_the_nth_fails);
    tcase_add_loop_test(test_case, every_failure_of_a_replacement_leaves_old_or_new, 0, 2);
    tcase_add_test(test_case, every_failure_of_making_folders_is_told);
    suite_add_tcase(suite, test_case);
    return trib_test_run(suite);
}
