/* Golden files are what past releases wrote, kept under tests/data: a test copies them and patches its copies. */
#ifndef TRIB_TEST_GOLDEN_FILES_H
#define TRIB_TEST_GOLDEN_FILES_H

#include "base/file.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* FOLDER/NAME in `path`, whole. */
static inline void golden_join(const char *folder, const char *name, char *path, size_t size)
{
    ck_assert_int_lt(snprintf(path, size, "%s/%s", folder, name), (int)size);
}

static inline void golden_path(const char *name, char *path, size_t size)
{
    const char *data = getenv("TRIB_TEST_DATA");
    golden_join(data ? data : "tests/data", name, path, size);
}

static inline void golden_copy_file(const char *from, const char *to)
{
    struct trib_buf bytes = {0};
    struct trib_error fault = {.message = ""};
    ck_assert_msg(trib_file_read(from, 1 << 20, &bytes, &fault) == TRIB_OK, "%s", fault.message);
    ck_assert_msg(trib_file_replace(to, bytes.data, bytes.len, &fault) == TRIB_OK, "%s", fault.message);
    trib_buf_clear(&bytes);
}

static inline void golden_copy_tree(const char *from, const char *to)
{
    DIR *listing = opendir(from);
    ck_assert_msg(listing && mkdir(to, 0700) == 0, "%s, %s", from, to);
    for (const struct dirent *entry; (entry = readdir(listing));) {
        char source[512], target[512], link[256];
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        golden_join(from, entry->d_name, source, sizeof source);
        golden_join(to, entry->d_name, target, sizeof target);
        ck_assert_int_eq(lstat(source, &info), 0);
        if (S_ISDIR(info.st_mode)) {
            golden_copy_tree(source, target);
        } else if (S_ISLNK(info.st_mode)) {
            ssize_t len = readlink(source, link, sizeof link - 1);
            ck_assert_int_gt(len, 0);
            link[len] = '\0';
            ck_assert_int_eq(symlink(link, target), 0);
        } else {
            golden_copy_file(source, target);
        }
    }
    closedir(listing);
}

/* The folder of that name under tests/data, with all that is in it, as `to`, which is not there yet. */
static inline void golden_copy(const char *name, const char *to)
{
    char from[512];
    golden_path(name, from, sizeof from);
    golden_copy_tree(from, to);
}

static inline void golden_patch(const char *path, long at, uint8_t byte)
{
    FILE *file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, at, SEEK_SET), 0);
    ck_assert_int_eq(fputc(byte, file), byte);
    ck_assert_int_eq(fclose(file), 0);
}

#endif
