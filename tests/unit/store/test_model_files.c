/* Names of committed models: what a link leaves in DIR/models, what it prunes, that it may be repeated, and what it
 * does on a file system without hard links. On the real disk: readers use these names through the system. */
#include "store/model_files.h"

#include "base/disk.h"
#include "base/file.h"
#include "fail_disk.h"
#include "test_main.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], models[80], blob[96];
static struct trib_error error;

static void set_up(void)
{
    char folder[80];
    snprintf(dir, sizeof dir, "/tmp/trib-test-models-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(models, sizeof models, "%s/models", dir);
    snprintf(folder, sizeof folder, "%s/blobs", dir);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    error = (struct trib_error){0};
}

static void remove_tree(const char *path)
{
    DIR *listing = opendir(path);
    const struct dirent *entry;
    while (listing && (entry = readdir(listing))) {
        char child[512];
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && unlink(child) != 0) {
            remove_tree(child);
        }
    }
    if (listing) {
        closedir(listing);
    }
    rmdir(path);
}

static void clean_up(void)
{
    trib_disk_use(NULL);
    remove_tree(dir);
}

/* The blob of a round: its number as text. */
static const char *make_blob(unsigned round)
{
    char text[16];
    snprintf(text, sizeof text, "%u", round);
    snprintf(blob, sizeof blob, "%s/blobs/%u", dir, round);
    ck_assert_int_eq(trib_file_replace(blob, text, strlen(text), &error), TRIB_OK);
    return blob;
}

static void link_round(unsigned round, uint32_t keep)
{
    ck_assert_msg(trib_model_files_link(dir, round, make_blob(round), keep, &error) == TRIB_OK, "%s", error.message);
}

/* The names in DIR/models, in order: "latest.safetensors round-000001.safetensors". */
static const char *listing(void)
{
    static char text[2048];
    struct dirent **entries;
    int n = scandir(models, &entries, NULL, alphasort);
    ck_assert_int_ge(n, 0);
    text[0] = 0;
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.') {
            size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, "%s%s", used ? " " : "", entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    return text;
}

static void expect_content(const char *name, unsigned round)
{
    char path[128], wanted[16];
    struct trib_buf content = {0};
    snprintf(path, sizeof path, "%s/%s", models, name);
    snprintf(wanted, sizeof wanted, "%u", round);
    ck_assert_msg(trib_file_read(path, 100, &content, &error) == TRIB_OK, "%s", error.message);
    ck_assert_str_eq(trib_buf_text(&content), wanted);
    trib_buf_clear(&content);
}

START_TEST(a_round_gets_its_name)
{
    struct stat info;
    char target[64] = "", path[128];
    link_round(1, 3);
    link_round(2, 3);
    ck_assert_str_eq(listing(), "latest.safetensors round-000001.safetensors round-000002.safetensors");
    expect_content("latest.safetensors", 2);
    expect_content("round-000001.safetensors", 1);
    snprintf(path, sizeof path, "%s/latest.safetensors", models);
    ck_assert_int_gt(readlink(path, target, sizeof target - 1), 0);
    ck_assert_str_eq(target, "round-000002.safetensors"); /* relative: the folder may be moved */
    ck_assert_int_eq(stat(blob, &info), 0);
    ck_assert_uint_eq(info.st_nlink, 2); /* no second copy, and it outlives the blob's own name */
    ck_assert_int_eq(unlink(blob), 0);
    expect_content("latest.safetensors", 2);
}
END_TEST

START_TEST(it_may_be_repeated)
{
    for (int i = 0; i < 3; i++) {
        link_round(4, 2);
        ck_assert_str_eq(listing(), "latest.safetensors round-000004.safetensors");
        expect_content("latest.safetensors", 4);
    }
    snprintf(blob, sizeof blob, "%s/blobs/other", dir);
    ck_assert_int_eq(trib_file_replace(blob, "9", 1, &error), TRIB_OK);
    ck_assert_int_eq(trib_model_files_link(dir, 4, blob, 2, &error), TRIB_OK); /* of another run */
    expect_content("latest.safetensors", 9);
    ck_assert_str_eq(listing(), "latest.safetensors round-000004.safetensors");
}
END_TEST

START_TEST(older_names_are_pruned)
{
    for (unsigned round = 1; round <= 5; round++) {
        link_round(round, 2);
    }
    ck_assert_str_eq(listing(), "latest.safetensors round-000004.safetensors round-000005.safetensors");
    link_round(1, 2); /* a new run begins */
    ck_assert_str_eq(listing(), "latest.safetensors round-000001.safetensors round-000004.safetensors "
                                "round-000005.safetensors"); /* the old one's stay until it comes by */
    link_round(999999, 0);                                   /* the last one stays always */
    link_round(1000000, 2);
    ck_assert_str_eq(listing(), "latest.safetensors round-1000000.safetensors round-999999.safetensors");
    link_round(1000001, 1);
    ck_assert_str_eq(listing(), "latest.safetensors round-1000001.safetensors");
}
END_TEST

START_TEST(foreign_names_stay)
{
    static const char *const others[] = {"round-1.safetensors",      "round-000001.safetensors.bak",
                                         "round-00001x.safetensors", "mine.safetensors",
                                         "round--00001.safetensors", "round- 00001.safetensors"};
    link_round(8, 1);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s/%s", models, others[i]);
        ck_assert_int_eq(trib_file_replace(path, "x", 1, &error), TRIB_OK);
    }
    link_round(9, 1);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        ck_assert_msg(strstr(listing(), others[i]), "%s is gone", others[i]);
    }
    ck_assert_ptr_null(strstr(listing(), "round-000008.safetensors"));
}
END_TEST

static int no_links(void *disk, const char *from, const char *to)
{
    (void)disk;
    (void)from;
    (void)to;
    errno = EPERM;
    return -1;
}

START_TEST(without_hard_links_it_points_to_the_blob)
{
    struct trib_disk linkless = *trib_disk_system();
    char target[64] = "", path[128];
    linkless.link = no_links;
    trib_disk_use(&linkless);
    link_round(3, 2);
    trib_disk_use(NULL);
    ck_assert_str_eq(listing(), "latest.safetensors round-000003.safetensors");
    expect_content("latest.safetensors", 3);
    snprintf(path, sizeof path, "%s/round-000003.safetensors", models);
    ck_assert_int_gt(readlink(path, target, sizeof target - 1), 0);
    ck_assert_str_eq(target, "../blobs/3");
}
END_TEST

START_TEST(what_cannot_be_named_is_told)
{
    char path[128];
    link_round(1, 1);
    snprintf(path, sizeof path, "%s/blobs/none", dir);
    ck_assert_int_eq(trib_model_files_link(dir, 2, path, 1, &error), TRIB_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.message, "round-000002.safetensors: cannot be pointed to"));
    ck_assert_str_eq(listing(), "latest.safetensors round-000001.safetensors");
    expect_content("latest.safetensors", 1);
    remove_tree(models);
    ck_assert_int_eq(trib_file_replace(models, "a file", 6, &error), TRIB_OK);
    ck_assert_int_eq(trib_model_files_link(dir, 2, make_blob(2), 1, &error), TRIB_EXISTS);
    ck_assert_msg(strstr(error.message, models), "%s", error.message);
}
END_TEST

/* Each call fails once: afterwards there is a latest model, the one before or the one after; a repetition mends it. */
START_TEST(a_failing_disk_leaves_a_latest_model)
{
    struct fail_disk *failing = fail_disk_new(trib_disk_system());
    ck_assert_ptr_nonnull(failing);
    link_round(1, 1);
    make_blob(2);
    for (int64_t after = 0;; after++) {
        ck_assert_int_lt(after, 60);
        link_round(1, 1);
        snprintf(blob, sizeof blob, "%s/blobs/2", dir);
        trib_disk_use(fail_disk_table(failing));
        fail_disk_after(failing, after, EIO, false);
        enum trib_status status = trib_model_files_link(dir, 2, blob, 1, &error);
        int64_t failures = fail_disk_failures(failing);
        trib_disk_use(NULL);
        char path[128];
        struct trib_buf content = {0};
        snprintf(path, sizeof path, "%s/latest.safetensors", models);
        ck_assert_int_eq(trib_file_read(path, 100, &content, NULL), TRIB_OK);
        ck_assert(strcmp(trib_buf_text(&content), "1") == 0 || strcmp(trib_buf_text(&content), "2") == 0);
        trib_buf_clear(&content);
        link_round(2, 1);
        ck_assert_str_eq(listing(), "latest.safetensors round-000002.safetensors");
        expect_content("latest.safetensors", 2);
        if (failures == 0) {
            ck_assert_int_eq(status, TRIB_OK);
            break;
        }
    }
    fail_disk_free(failing);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model_files");
    TCase *tcase = tcase_create("models");
    tcase_add_checked_fixture(tcase, set_up, clean_up);
    tcase_add_test(tcase, a_round_gets_its_name);
    tcase_add_test(tcase, it_may_be_repeated);
    tcase_add_test(tcase, older_names_are_pruned);
    tcase_add_test(tcase, foreign_names_stay);
    tcase_add_test(tcase, without_hard_links_it_points_to_the_blob);
    tcase_add_test(tcase, what_cannot_be_named_is_told);
    tcase_add_test(tcase, a_failing_disk_leaves_a_latest_model);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
