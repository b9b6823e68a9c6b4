/* Committed models: what a commit leaves on disk, what it prunes, and that a failed one leaves what was there. */
#include "store/checkpoint_store.h"

#include "base/file.h"
#include "model/zoo.h"
#include "test_main.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], models[80];
static struct trib_graph *graph;
static struct trib_schema schema;
static float *model, *read_back;
static struct trib_checkpoint_store *store;
static struct trib_error error;

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/trib-test-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(models, sizeof models, "%s/models", dir);
    struct trib_model_spec spec = {.example = {.rank = 1, .dims = {50}}, .classes = 10};
    ck_assert_int_eq(trib_zoo_build("logistic", &spec, &graph, &error), TRIB_OK);
    ck_assert_int_eq(trib_schema_init(&schema, graph, &error), TRIB_OK);
    model = calloc(schema.n_floats, sizeof *model);
    read_back = calloc(schema.n_floats, sizeof *read_back);
    ck_assert(model && read_back);
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
    trib_checkpoint_store_close(store);
    store = NULL;
    trib_schema_clear(&schema);
    trib_graph_free(graph);
    free(model);
    free(read_back);
    remove_tree(dir);
}

static void open_store(uint32_t keep)
{
    ck_assert_msg(trib_checkpoint_store_open(dir, keep, &store, &error) == TRIB_OK, "%s", error.message);
}

static enum trib_status commit(uint64_t round)
{
    char text[32];
    const char *path = NULL;
    snprintf(text, sizeof text, "%" PRIu64, round);
    const struct trib_checkpoint_entry entries[] = {{"run", "0123"}, {"round", text}};
    for (size_t i = 0; i < schema.n_floats; i++) {
        model[i] = (float)round;
    }
    error.message[0] = 0;
    enum trib_status status = trib_checkpoint_store_commit(store, round, &schema, model, entries, 2, &path, &error);
    ck_assert((status == TRIB_OK) == (path != NULL));
    ck_assert(status != TRIB_OK || trib_file_exists(path));
    return status;
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

static void expect_latest(uint64_t round)
{
    char path[128];
    snprintf(path, sizeof path, "%s/latest.safetensors", models);
    ck_assert_msg(trib_checkpoint_read(path, &schema, read_back, &error) == TRIB_OK, "%s", error.message);
    for (size_t i = 0; i < schema.n_floats; i++) {
        ck_assert(read_back[i] == (float)round);
    }
}

START_TEST(a_commit_can_be_read_back)
{
    open_store(3);
    ck_assert_msg(commit(1) == TRIB_OK, "%s", error.message);
    ck_assert_str_eq(listing(), "latest.safetensors round-000001.safetensors");
    expect_latest(1);
    ck_assert_msg(commit(2) == TRIB_OK, "%s", error.message);
    expect_latest(2);
    char target[64] = "", path[128];
    snprintf(path, sizeof path, "%s/latest.safetensors", models);
    ck_assert_int_gt(readlink(path, target, sizeof target - 1), 0);
    ck_assert_str_eq(target, "round-000002.safetensors"); /* relative: the folder may be moved */
}
END_TEST

START_TEST(older_models_are_pruned)
{
    open_store(2);
    for (uint64_t round = 1; round <= 5; round++) {
        ck_assert_int_eq(commit(round), TRIB_OK);
    }
    ck_assert_str_eq(listing(), "latest.safetensors round-000004.safetensors round-000005.safetensors");
    trib_checkpoint_store_close(store);
    open_store(0); /* at least the last one stays */
    ck_assert_int_eq(commit(6), TRIB_OK);
    ck_assert_str_eq(listing(), "latest.safetensors round-000006.safetensors");
    expect_latest(6);
}
END_TEST

/* Files that the store did not write stay, and so do those of a longer run before. */
START_TEST(only_own_older_files_are_pruned)
{
    static const char *const others[] = {"round-1.safetensors",      "round-000001.safetensors.bak",
                                         "round-00001x.safetensors", "mine.safetensors",
                                         "round--00001.safetensors", "round- 00001.safetensors"};
    open_store(1);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s/%s", models, others[i]);
        ck_assert_int_eq(trib_file_replace(path, "x", 1, &error), TRIB_OK);
    }
    ck_assert_int_eq(commit(9), TRIB_OK);
    ck_assert_int_eq(commit(3), TRIB_OK);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        ck_assert_msg(strstr(listing(), others[i]), "%s is gone", others[i]);
    }
    ck_assert_ptr_nonnull(strstr(listing(), "round-000009.safetensors"));
    expect_latest(3);
}
END_TEST

START_TEST(rounds_beyond_six_digits_are_pruned)
{
    open_store(1);
    ck_assert_int_eq(commit(999999), TRIB_OK);
    ck_assert_int_eq(commit(1000000), TRIB_OK);
    ck_assert_int_eq(commit(1000001), TRIB_OK);
    ck_assert_str_eq(listing(), "latest.safetensors round-1000001.safetensors");
}
END_TEST

START_TEST(a_round_can_be_committed_again)
{
    open_store(3);
    ck_assert_int_eq(commit(4), TRIB_OK);
    ck_assert_int_eq(commit(4), TRIB_OK);
    ck_assert_str_eq(listing(), "latest.safetensors round-000004.safetensors");
    expect_latest(4);
}
END_TEST

START_TEST(a_folder_that_cannot_be_made_is_named)
{
    char message[256];
    ck_assert_int_eq(trib_file_replace(models, "a file", 6, &error), TRIB_OK);
    ck_assert_int_ne(trib_checkpoint_store_open(dir, 1, &store, &error), TRIB_OK);
    snprintf(message, sizeof message, "%s", models);
    ck_assert_msg(strstr(error.message, message), "%s", error.message);
    ck_assert_ptr_null(store);
    printf("models is a file: %s\n", error.message);
}
END_TEST

START_TEST(an_unwritable_folder_is_named)
{
    open_store(3);
    ck_assert_int_eq(commit(1), TRIB_OK);
    if (geteuid() == 0) { /* nothing is unwritable for root: take the folder away instead */
        char away[96];
        snprintf(away, sizeof away, "%s/away", dir);
        ck_assert_int_eq(rename(models, away), 0);
        ck_assert_int_eq(commit(2), TRIB_NOT_FOUND);
        ck_assert_int_eq(rename(away, models), 0);
    } else {
        ck_assert_int_eq(chmod(models, 0500), 0);
        ck_assert_int_eq(commit(2), TRIB_DENIED);
        ck_assert_int_eq(chmod(models, 0700), 0);
    }
    ck_assert_msg(strstr(error.message, "round-000002.safetensors"), "%s", error.message);
    printf("unwritable: %s\n", error.message);
    ck_assert_str_eq(listing(), "latest.safetensors round-000001.safetensors");
    expect_latest(1);
}
END_TEST

/* A disk that takes only so many bytes: the commit fails, the model before it stays, and the next commit succeeds. */
START_TEST(a_full_disk_leaves_the_old_model)
{
    struct rlimit before, small;
    open_store(1);
    ck_assert_int_eq(commit(1), TRIB_OK);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    int failures = 0;
    for (rlim_t limit = 0; limit < 3000; limit += 250) {
        small = (struct rlimit){.rlim_cur = limit, .rlim_max = before.rlim_max};
        ck_assert(setrlimit(RLIMIT_FSIZE, &small) == 0);
        enum trib_status status = commit(2);
        ck_assert(setrlimit(RLIMIT_FSIZE, &before) == 0);
        if (status == TRIB_OK) {
            break;
        }
        if (failures++ == 0) {
            printf("full disk: %s\n", error.message);
        }
        ck_assert_msg(strstr(error.message, "round-000002.safetensors"), "%s", error.message);
        ck_assert_str_eq(listing(), "latest.safetensors round-000001.safetensors");
        expect_latest(1);
    }
    signal(SIGXFSZ, handler);
    ck_assert_int_gt(failures, 2);
    ck_assert_int_eq(commit(2), TRIB_OK);
    ck_assert_str_eq(listing(), "latest.safetensors round-000002.safetensors");
    expect_latest(2);
}
END_TEST

/* The link cannot be made: the commit fails, and the old one still leads to the old model. */
START_TEST(a_link_that_cannot_be_moved_fails_the_commit)
{
    char path[128];
    open_store(1);
    ck_assert_int_eq(commit(1), TRIB_OK);
    snprintf(path, sizeof path, "%s/latest.tmp", models);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_ne(commit(2), TRIB_OK);
    ck_assert_ptr_nonnull(strstr(error.message, "latest.safetensors: cannot be pointed to round-000002.safetensors"));
    expect_latest(1);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(commit(2), TRIB_OK);
    expect_latest(2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint_store");
    TCase *tcase = tcase_create("store");
    tcase_add_checked_fixture(tcase, set_up, clean_up);
    tcase_add_test(tcase, a_commit_can_be_read_back);
    tcase_add_test(tcase, older_models_are_pruned);
    tcase_add_test(tcase, only_own_older_files_are_pruned);
    tcase_add_test(tcase, rounds_beyond_six_digits_are_pruned);
    tcase_add_test(tcase, a_round_can_be_committed_again);
    tcase_add_test(tcase, a_folder_that_cannot_be_made_is_named);
    tcase_add_test(tcase, an_unwritable_folder_is_named);
    tcase_add_test(tcase, a_full_disk_leaves_the_old_model);
    tcase_add_test(tcase, a_link_that_cannot_be_moved_fails_the_commit);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
