/* Files: bounded reads, durable replacement, directories, paths. */
#include "base/file.h"
#include "base/mem.h"
#include "fail_memory.h"
#include "test_main.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static char path[128];
static char temporary[160];

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/trib-test-file-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/model", dir);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
}

static void remove_dir(void)
{
    unlink(path);
    unlink(temporary);
    ck_assert_int_eq(rmdir(dir), 0); /* nothing else may be left */
}

static void expect_content(const char *expected)
{
    struct trib_buf content = {0};
    ck_assert_int_eq(trib_file_read(path, 1000, &content, NULL), TRIB_OK);
    ck_assert_str_eq(trib_buf_text(&content), expected);
    trib_buf_clear(&content);
}

START_TEST(a_replaced_file_reads_back)
{
    struct trib_error error;
    ck_assert(!trib_file_exists(path));
    ck_assert_int_eq(trib_file_replace(path, "first", 5, &error), TRIB_OK);
    expect_content("first");
    ck_assert_int_eq(trib_file_replace(path, "", 0, &error), TRIB_OK);
    expect_content("");
    ck_assert(trib_file_exists(path));
    ck_assert(!trib_file_exists(temporary));
}
END_TEST

START_TEST(the_old_file_stands_until_commit)
{
    struct trib_file_writer writer;
    ck_assert_int_eq(trib_file_replace(path, "old", 3, NULL), TRIB_OK);
    ck_assert_int_eq(trib_file_writer_open(&writer, path, NULL), TRIB_OK);
    ck_assert_int_eq(trib_file_writer_add(&writer, "ne", 2, NULL), TRIB_OK);
    ck_assert_int_eq(trib_file_writer_add(&writer, "w", 1, NULL), TRIB_OK);
    ck_assert_uint_eq(writer.len, 3);
    expect_content("old");
    ck_assert_int_eq(trib_file_writer_commit(&writer, NULL), TRIB_OK);
    trib_file_writer_abort(&writer);
    expect_content("new");
    ck_assert_int_eq(trib_file_writer_open(&writer, path, NULL), TRIB_OK);
    ck_assert_int_eq(trib_file_writer_add(&writer, "half", 4, NULL), TRIB_OK);
    trib_file_writer_abort(&writer);
    expect_content("new");
    ck_assert(!trib_file_exists(temporary));
}
END_TEST

START_TEST(what_a_crash_left_behind_is_overwritten)
{
    int fd = open(temporary, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "stale and long", 14), 14);
    close(fd);
    ck_assert_int_eq(trib_file_replace(path, "fresh", 5, NULL), TRIB_OK);
    expect_content("fresh");
    ck_assert(!trib_file_exists(temporary));
}
END_TEST

START_TEST(two_writers_do_not_mix)
{
    struct trib_error error;
    struct trib_file_writer first, second;
    ck_assert_int_eq(trib_file_writer_open(&first, path, &error), TRIB_OK);
    ck_assert_int_eq(trib_file_writer_open(&second, path, &error), TRIB_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(error.message, "is being written by someone else"));
    ck_assert_int_eq(trib_file_writer_add(&first, "one", 3, &error), TRIB_OK);
    ck_assert_int_eq(trib_file_writer_commit(&first, &error), TRIB_OK);
    expect_content("one");
    ck_assert_int_eq(trib_file_replace(path, "two", 3, &error), TRIB_OK);
    expect_content("two");
}
END_TEST

START_TEST(a_full_device_is_no_space)
{
    struct trib_error error;
    if (!trib_file_exists("/dev/full")) {
        return;
    }
    ck_assert_int_eq(symlink("/dev/full", path), 0);
    int fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(trib_file_pwrite(fd, "x", 1, 0, path, &error), TRIB_NO_SPACE);
    ck_assert_int_eq(strncmp(error.message, path, strlen(path)), 0);
    close(fd);
}
END_TEST

START_TEST(a_temporary_link_is_not_followed)
{
    ck_assert_int_eq(symlink("/dev/null", temporary), 0);
    ck_assert_int_ne(trib_file_replace(path, "x", 1, NULL), TRIB_OK);
    ck_assert(!trib_file_exists(path));
}
END_TEST

START_TEST(reads_are_bounded)
{
    struct trib_error error;
    struct trib_buf content = {0};
    ck_assert_int_eq(trib_file_read(path, 10, &content, &error), TRIB_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.message, "model: cannot be opened: "));
    ck_assert_int_eq(trib_file_replace(path, "0123456789", 10, NULL), TRIB_OK);
    ck_assert_int_eq(trib_buf_add_text(&content, "before"), TRIB_OK);
    ck_assert_int_eq(trib_file_read(path, 9, &content, &error), TRIB_LIMIT);
    ck_assert_ptr_nonnull(strstr(error.message, "longer than the 9 bytes"));
    ck_assert_int_eq(trib_file_read(path, 0, &content, &error), TRIB_LIMIT);
    ck_assert_int_eq(trib_file_read(dir, 10, &content, &error), TRIB_IO);
    ck_assert_str_eq(trib_buf_text(&content), "before");
    ck_assert_int_eq(trib_file_read(path, 10, &content, &error), TRIB_OK);
    ck_assert_str_eq(trib_buf_text(&content), "0123456789");
    ck_assert_int_eq(trib_file_read(path, SIZE_MAX, &content, &error), TRIB_OK);
    ck_assert_uint_eq(content.len, 10);
    /* a file whose length the system does not tell */
    ck_assert_int_eq(trib_file_read("/proc/self/status", 100000, &content, &error), TRIB_OK);
    ck_assert_uint_gt(content.len, 100);
    trib_buf_clear(&content);
}
END_TEST

START_TEST(positioned_reads_are_whole)
{
    struct trib_error error;
    char got[8] = {0};
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(trib_file_pwrite(fd, "abcdef", 6, 2, path, &error), TRIB_OK);
    ck_assert_int_eq(trib_file_pread(fd, got, 4, 4, path, &error), TRIB_OK);
    ck_assert_str_eq(got, "cdef");
    ck_assert_int_eq(trib_file_pread(fd, got, 5, 4, path, &error), TRIB_CORRUPT);
    ck_assert_ptr_nonnull(strstr(error.message, "ends after 4 of 5 bytes at offset 4"));
    close(fd);
}
END_TEST

START_TEST(directories_are_made)
{
    struct trib_error error;
    char deep[160], file[160];
    snprintf(deep, sizeof deep, "%s/a//b/c/", dir);
    ck_assert_int_eq(trib_dir_make(deep, &error), TRIB_OK);
    ck_assert_int_eq(trib_dir_make(deep, &error), TRIB_OK);
    ck_assert(trib_file_exists(deep));
    ck_assert_int_eq(trib_dir_make("", &error), TRIB_INVALID);
    ck_assert_int_eq(trib_dir_make("/", &error), TRIB_OK);
    ck_assert_int_eq(trib_file_replace(path, "x", 1, &error), TRIB_OK);
    ck_assert_int_eq(trib_dir_make(path, &error), TRIB_EXISTS);
    ck_assert_ptr_nonnull(strstr(error.message, "exists and is not a directory"));
    snprintf(file, sizeof file, "%s/under", path);
    ck_assert_int_eq(trib_dir_make(file, &error), TRIB_EXISTS);
    static const char *const parts[] = {"/a/b/c", "/a/b", "/a"};
    for (int i = 0; i < 3; i++) {
        snprintf(deep, sizeof deep, "%s%s", dir, parts[i]);
        struct stat info;
        ck_assert_int_eq(stat(deep, &info), 0);
        ck_assert_uint_eq(info.st_mode & 0027 & ~0750, 0);
        ck_assert_int_eq(rmdir(deep), 0);
    }
}
END_TEST

static void expect_text(char *got, const char *expected)
{
    ck_assert_str_eq(got, expected);
    trib_free(got);
}

START_TEST(paths)
{
    expect_text(trib_path_join("a", "b"), "a/b");
    expect_text(trib_path_join("a/", "b"), "a/b");
    expect_text(trib_path_join("", "b"), "b");
    expect_text(trib_path_join("a", "/b"), "/b");
    expect_text(trib_path_dir("a/b"), "a");
    expect_text(trib_path_dir("a//b"), "a");
    expect_text(trib_path_dir("/a/b/"), "/a");
    expect_text(trib_path_dir("b"), ".");
    expect_text(trib_path_dir("/b"), "/");
    expect_text(trib_path_dir("/"), "/");
    expect_text(trib_path_dir(""), ".");
}
END_TEST

START_TEST(short_memory_keeps_the_old_file)
{
    ck_assert_int_eq(trib_file_replace(path, "old", 3, NULL), TRIB_OK);
    enum trib_status status;
    int64_t nth = 0;
    do {
        fail_memory_after(nth++, false);
        status = trib_file_replace(path, "new", 3, NULL);
        fail_memory_after(-1, false);
        expect_content(status == TRIB_OK ? "new" : "old");
        ck_assert(status == TRIB_OK || status == TRIB_NO_MEMORY);
        ck_assert(!trib_file_exists(temporary));
    } while (status != TRIB_OK);
    ck_assert_int_gt(nth, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("file");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, make_dir, remove_dir);
    tcase_add_test(tests, a_replaced_file_reads_back);
    tcase_add_test(tests, the_old_file_stands_until_commit);
    tcase_add_test(tests, what_a_crash_left_behind_is_overwritten);
    tcase_add_test(tests, two_writers_do_not_mix);
    tcase_add_test(tests, a_full_device_is_no_space);
    tcase_add_test(tests, a_temporary_link_is_not_followed);
    tcase_add_test(tests, reads_are_bounded);
    tcase_add_test(tests, positioned_reads_are_whole);
    tcase_add_test(tests, directories_are_made);
    tcase_add_test(tests, paths);
    tcase_add_test(tests, short_memory_keeps_the_old_file);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
