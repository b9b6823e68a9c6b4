/* The disk of base/disk.h: the system's, on real files, and that another one takes its place. */
#include "base/disk.h"
#include "base/file.h"
#include "base/mem.h"
#include "test_main.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static char path[128], other[128];

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/trib-test-disk-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/one", dir);
    snprintf(other, sizeof other, "%s/two", dir);
}

static void remove_dir(void)
{
    unlink(path);
    unlink(other);
    ck_assert_int_eq(rmdir(dir), 0);
}

START_TEST(bytes_come_back)
{
    char got[8] = {0};
    struct trib_disk_info by_fd, by_path;
    int fd = trib_disk_open(path, O_RDWR | O_CREAT | O_EXCL, 0640);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(trib_disk_pwrite(fd, "hello", 5, 3), 5);
    ck_assert_int_eq(trib_disk_pread(fd, got, 8, 0), 8);
    ck_assert_int_eq(memcmp(got, "\0\0\0hello", 8), 0);
    ck_assert_int_eq(trib_disk_pread(fd, got, 8, 8), 0);
    ck_assert_int_eq(trib_disk_truncate(fd, 4), 0);
    ck_assert_int_eq(trib_disk_sync(fd), 0);
    ck_assert_int_eq(trib_disk_fd_info(fd, &by_fd), 0);
    ck_assert_int_eq(trib_disk_path_info(path, &by_path), 0);
    ck_assert(by_fd.len == 4 && by_path.len == 4 && !by_fd.is_dir);
    ck_assert(by_fd.inode == by_path.inode && by_fd.device == by_path.device);
    ck_assert_int_eq(trib_disk_reserve(fd, 0), 0);
    ck_assert_int_eq(trib_disk_reserve(fd, 2), 0);
    ck_assert_int_eq(trib_disk_reserve(fd, 100), 0);
    ck_assert_int_eq(trib_disk_fd_info(fd, &by_fd), 0);
    ck_assert_uint_eq(by_fd.len, 100);
    ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    errno = ERANGE;
    ck_assert_int_eq(trib_disk_close(fd), 0);
    ck_assert_int_eq(trib_disk_close(-1), -1);
    ck_assert_int_eq(errno, ERANGE);
    ck_assert_int_eq(trib_disk_reserve(fd, 100), -1);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

START_TEST(names_change)
{
    struct trib_disk_info info;
    ck_assert_int_eq(trib_file_replace(path, "abc", 3, NULL), TRIB_OK);
    ck_assert_int_eq(trib_disk_link(path, other), 0);
    ck_assert_int_eq(trib_disk_link(path, other), -1);
    ck_assert_int_eq(errno, EEXIST);
    ck_assert_int_eq(trib_disk_unlink(path), 0);
    ck_assert_int_eq(trib_disk_path_info(path, &info), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(trib_disk_rename(other, path), 0);
    ck_assert_int_eq(trib_disk_symlink("one", other), 0);
    ck_assert_int_eq(trib_disk_path_info(other, &info), 0);
    ck_assert_uint_eq(info.len, 3);
    ck_assert_int_eq(trib_disk_open(other, O_RDONLY | O_NOFOLLOW, 0), -1);
    ck_assert_int_eq(trib_disk_unlink(other), 0);
    ck_assert_int_eq(trib_disk_mkdir(other, 0750), 0);
    ck_assert_int_eq(trib_disk_path_info(other, &info), 0);
    ck_assert(info.is_dir);
    ck_assert_int_eq(trib_disk_sync_dir(other), 0);
    ck_assert_int_eq(trib_disk_sync_dir(path), -1);
    ck_assert_int_eq(errno, ENOTDIR);
    ck_assert_int_eq(rmdir(other), 0);
    ck_assert_int_gt(trib_disk_free_bytes(dir), 0);
    ck_assert_int_eq(trib_disk_free_bytes(other), -1);
}
END_TEST

static bool count_name(void *context, const char *name)
{
    unsigned *seen = context;
    *seen += strcmp(name, "one") == 0 ? 1 : strcmp(name, "two") == 0 ? 10 : 100;
    return true;
}

static bool stop_at_once(void *context, const char *name)
{
    (void)name;
    ++*(unsigned *)context;
    return false;
}

START_TEST(a_folder_lists_its_names)
{
    unsigned seen = 0, first = 0;
    ck_assert_int_eq(trib_disk_list(dir, count_name, &seen), 0);
    ck_assert_uint_eq(seen, 0);
    ck_assert_int_eq(trib_file_replace(path, "", 0, NULL), TRIB_OK);
    ck_assert_int_eq(trib_file_replace(other, "", 0, NULL), TRIB_OK);
    ck_assert_int_eq(trib_disk_list(dir, count_name, &seen), 0);
    ck_assert_uint_eq(seen, 11);
    ck_assert_int_eq(trib_disk_list(dir, stop_at_once, &first), 0);
    ck_assert_uint_eq(first, 1);
    ck_assert_int_eq(trib_disk_list(path, count_name, &seen), -1);
    ck_assert_int_eq(errno, ENOTDIR);
}
END_TEST

START_TEST(a_lock_belongs_to_one_descriptor)
{
    int first = trib_disk_open(path, O_RDWR | O_CREAT, 0640), second = trib_disk_open(path, O_RDWR, 0);
    ck_assert_int_eq(trib_disk_lock(first), 0);
    ck_assert_int_eq(trib_disk_lock(first), 0);
    ck_assert_int_eq(trib_disk_lock(second), -1);
    ck_assert_int_eq(errno, EWOULDBLOCK);
    trib_disk_close(first);
    ck_assert_int_eq(trib_disk_lock(second), 0);
    trib_disk_close(second);
}
END_TEST

START_TEST(a_pipe_is_read_in_its_order)
{
    char pipe_path[64];
    int ends[2];
    struct trib_buf content = {0};
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(write(ends[1], "from a pipe", 11), 11);
    close(ends[1]);
    snprintf(pipe_path, sizeof pipe_path, "/dev/fd/%d", ends[0]);
    ck_assert_int_eq(trib_file_read(pipe_path, 100, &content, NULL), TRIB_OK);
    ck_assert_str_eq(trib_buf_text(&content), "from a pipe");
    trib_buf_clear(&content);
    close(ends[0]);
}
END_TEST

static int refuse_open(void *disk, const char *name, int flags, unsigned mode)
{
    (void)name;
    (void)flags;
    (void)mode;
    ++*(int *)disk;
    errno = EDQUOT;
    return -1;
}

START_TEST(another_disk_takes_its_place)
{
    int calls = 0;
    struct trib_disk refusing = *trib_disk_system();
    refusing.open = refuse_open;
    refusing.disk = &calls;
    ck_assert_ptr_null(trib_disk_use(&refusing));
    struct trib_error error;
    enum trib_status status = trib_file_replace(path, "x", 1, &error);
    ck_assert_ptr_eq(trib_disk_use(NULL), &refusing);
    ck_assert_int_eq(status, TRIB_NO_SPACE);
    ck_assert_int_eq(calls, 1);
    ck_assert_ptr_null(trib_disk_use(trib_disk_system()));
    ck_assert_int_eq(trib_file_replace(path, "x", 1, &error), TRIB_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("disk");
    TCase *test_case = tcase_create("disk");
    tcase_add_checked_fixture(test_case, make_dir, remove_dir);
    tcase_add_test(test_case, bytes_come_back);
    tcase_add_test(test_case, names_change);
    tcase_add_test(test_case, a_folder_lists_its_names);
    tcase_add_test(test_case, a_lock_belongs_to_one_descriptor);
    tcase_add_test(test_case, a_pipe_is_read_in_its_order);
    tcase_add_test(test_case, another_disk_takes_its_place);
    suite_add_tcase(suite, test_case);
    return trib_test_run(suite);
}
