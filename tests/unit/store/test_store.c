/* The store's contract on each backend: what a transaction holds together, what is refused, how long bytes live; and of
 * the one on disk, that it is one process's alone. */
#include "store/store.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "fail_memory.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], path[96];
static struct trib_store *store;
static struct trib_error error;

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/trib-test-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/state.db", dir);
    error = (struct trib_error){0};
}

static void clean_up(void)
{
    trib_store_close(store);
    store = NULL;
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

static const struct trib_store_backend *backend_at(int i)
{
    const struct trib_store_backend *const *list;
    ck_assert_uint_lt((size_t)i, trib_store_backends(&list));
    return list[i];
}

static void open_at(int i)
{
    ck_assert_msg(trib_store_open(backend_at(i), path, &store, &error) == TRIB_OK, "%s", error.message);
}

static void begin(void)
{
    ck_assert_msg(trib_store_begin(store, &error) == TRIB_OK, "%s", error.message);
}

static void end(void)
{
    ck_assert_msg(trib_store_end(store, true, NULL, &error) == TRIB_OK, "%s", error.message);
}

static void put_node(const char *name, uint64_t joined)
{
    struct trib_store_nodes node = {.joined = joined};
    trib_str_copy(node.node, sizeof node.node, name);
    ck_assert_msg(trib_store_put(store, TRIB_STORE_nodes, &node, &error) == TRIB_OK, "%s", error.message);
}

/* How often it has joined; -1: not known. */
static int joined(const char *name)
{
    struct trib_store_nodes node = {0};
    bool found = false;
    trib_str_copy(node.node, sizeof node.node, name);
    ck_assert_msg(trib_store_get(store, TRIB_STORE_nodes, &node, &found, &error) == TRIB_OK, "%s", error.message);
    return found ? (int)node.joined : -1;
}

START_TEST(a_transaction_is_whole_or_nothing)
{
    open_at(_i);
    begin();
    put_node("a", 1);
    put_node("b", 1);
    end();
    begin();
    struct trib_store_nodes a = {.node = "a"};
    uint64_t removed = 9;
    put_node("b", 2);
    put_node("b", 3);
    put_node("c", 1);
    ck_assert_int_eq(trib_store_remove(store, TRIB_STORE_nodes, &a, 1, &removed, &error), TRIB_OK);
    ck_assert_uint_eq(removed, 1);
    ck_assert_int_eq(joined("a"), -1); /* seen from inside */
    ck_assert_int_eq(joined("b"), 3);
    trib_store_undo(store);
    ck_assert_int_eq(joined("a"), 1);
    ck_assert_int_eq(joined("b"), 1);
    ck_assert_int_eq(joined("c"), -1);
    trib_store_undo(store); /* nothing to undo */
    begin();
    put_node("c", 1);
    trib_store_close(store); /* undoes */
    store = NULL;
    open_at(_i);
    ck_assert_int_eq(joined("c"), -1);
    ck_assert_int_eq(joined("a"), backend_at(_i)->persistent ? 1 : -1);
}
END_TEST

static enum trib_status change_it(void *context, const void *record, struct trib_error *failure)
{
    (void)context;
    return trib_store_put(store, TRIB_STORE_nodes, record, failure);
}

START_TEST(changes_out_of_place_are_refused)
{
    struct trib_store_nodes node = {.node = "a"};
    open_at(_i);
    ck_assert_int_eq(trib_store_put(store, TRIB_STORE_nodes, &node, &error), TRIB_INTERNAL);
    ck_assert_int_eq(trib_store_remove(store, TRIB_STORE_nodes, &node, 1, NULL, &error), TRIB_INTERNAL);
    ck_assert_int_eq(trib_store_end(store, true, NULL, &error), TRIB_INTERNAL);
    begin();
    ck_assert_int_eq(trib_store_begin(store, &error), TRIB_INTERNAL);
    ck_assert_int_eq(trib_store_check(store, &error), TRIB_INTERNAL);
    put_node("a", 1);
    ck_assert_int_eq(trib_store_each(store, TRIB_STORE_nodes, NULL, 0, change_it, NULL, &error), TRIB_INTERNAL);
    ck_assert_ptr_nonnull(strstr(error.message, "while its records are visited"));
    end();
    ck_assert_int_eq(trib_store_check(store, &error), TRIB_OK);
    ck_assert_int_eq(joined("a"), 1);
}
END_TEST

START_TEST(values_that_cannot_be_kept_are_named)
{
    struct trib_store_nodes node = {.node = "a", .joined = (uint64_t)INT64_MAX + 1};
    struct trib_store_runs run = {.run = "r", .selector_state = {.data = NULL, .len = 3}};
    open_at(_i);
    begin();
    ck_assert_int_eq(trib_store_put(store, TRIB_STORE_nodes, &node, &error), TRIB_INVALID);
    ck_assert_ptr_nonnull(strstr(error.message, "nodes.joined: 9223372036854775808 is above"));
    node.joined = 0;
    memset(node.software, 'x', sizeof node.software);
    ck_assert_int_eq(trib_store_put(store, TRIB_STORE_nodes, &node, &error), TRIB_INVALID);
    ck_assert_ptr_nonnull(strstr(error.message, "nodes.software: a text without an end"));
    ck_assert_int_eq(trib_store_put(store, TRIB_STORE_runs, &run, &error), TRIB_INVALID);
    run.selector_state = (struct trib_store_bytes){.data = "", .len = (size_t)1 << 40};
    ck_assert_int_eq(trib_store_put(store, TRIB_STORE_runs, &run, &error), TRIB_LIMIT);
    ck_assert_int_eq(trib_store_remove(store, TRIB_STORE_nodes, &node, 2, NULL, &error), TRIB_INVALID);
    end();
    ck_assert_int_eq(joined("a"), -1);
}
END_TEST

START_TEST(bytes_live_until_the_next_call)
{
    struct trib_store_runs run = {
        .run = "r", .threshold = NAN, .selector_state = {"state", 5}, .engine_state = {"", 0}};
    struct trib_store_runs got = {.run = "r"};
    bool found = false;
    open_at(_i);
    begin();
    ck_assert_int_eq(trib_store_put(store, TRIB_STORE_runs, &run, &error), TRIB_OK);
    end();
    ck_assert_int_eq(trib_store_get(store, TRIB_STORE_runs, &got, &found, &error), TRIB_OK);
    ck_assert(found && isnan(got.threshold) && got.selector_state.len == 5);
    ck_assert_mem_eq(got.selector_state.data, "state", 5);
    ck_assert_ptr_nonnull(got.engine_state.data); /* some, of no length */
    ck_assert_uint_eq(got.engine_state.len, 0);
    got.selector_state.data = NULL;
    got.selector_state.len = 0;
    begin(); /* its other bytes go back in */
    ck_assert_int_eq(trib_store_put(store, TRIB_STORE_runs, &got, &error), TRIB_OK);
    end();
    ck_assert_int_eq(trib_store_get(store, TRIB_STORE_runs, &got, &found, &error), TRIB_OK);
    ck_assert_ptr_null(got.selector_state.data);
}
END_TEST

struct nested {
    int depth, visits;
    char names[256];
};

/* Visits of the same records may stand inside each other. */
static enum trib_status visit_nested(void *context, const void *record, struct trib_error *failure)
{
    struct nested *nested = context;
    const struct trib_store_nodes *node = record;
    nested->visits++;
    size_t used = strlen(nested->names);
    snprintf(nested->names + used, sizeof nested->names - used, "%s", node->node);
    enum trib_status status = TRIB_OK;
    if (nested->depth < 2) {
        nested->depth++;
        status = trib_store_each(store, TRIB_STORE_nodes, NULL, 0, visit_nested, nested, failure);
        nested->depth--;
        ck_assert_int_eq(joined(node->node), 1);
    }
    return status;
}

static enum trib_status stop_at_b(void *context, const void *record, struct trib_error *failure)
{
    ++*(int *)context;
    return strcmp(((const struct trib_store_nodes *)record)->node, "b") == 0
               ? trib_fail(failure, TRIB_CANCELLED, "enough")
               : TRIB_OK;
}

START_TEST(visits_nest_and_stop)
{
    struct nested nested = {0};
    int visits = 0;
    open_at(_i);
    begin();
    put_node("b", 1);
    put_node("a", 1);
    end();
    ck_assert_int_eq(trib_store_each(store, TRIB_STORE_nodes, NULL, 0, visit_nested, &nested, &error), TRIB_OK);
    ck_assert_str_eq(nested.names, "aaabbabbaabbab");
    begin();
    put_node("c", 1);
    end();
    ck_assert_int_eq(trib_store_each(store, TRIB_STORE_nodes, NULL, 0, stop_at_b, &visits, &error), TRIB_CANCELLED);
    ck_assert_int_eq(visits, 2);
}
END_TEST

/* Without memory a change fails or is made, and the transaction around it can be undone. */
START_TEST(memory_that_is_short_undoes_cleanly)
{
    open_at(_i);
    begin();
    put_node("a", 1);
    end();
    for (int after = 0;; after++) {
        struct trib_store_runs run = {.run = "r", .engine_state = {"abc", 3}};
        struct trib_store_nodes node = {.node = "a", .joined = 2};
        ck_assert_int_lt(after, 200);
        (void)fail_memory_after(after, false);
        enum trib_status status = trib_store_begin(store, NULL);
        if (status == TRIB_OK) {
            status = trib_store_put(store, TRIB_STORE_nodes, &node, NULL);
        }
        if (status == TRIB_OK) {
            status = trib_store_put(store, TRIB_STORE_runs, &run, NULL);
        }
        if (status == TRIB_OK) {
            bool found;
            status = trib_store_get(store, TRIB_STORE_runs, &run, &found, NULL);
        }
        if (status == TRIB_OK) {
            status = trib_store_end(store, true, NULL, NULL);
        }
        (void)fail_memory_after(-1, false);
        trib_store_undo(store);
        ck_assert_int_eq(joined("a"), status == TRIB_OK ? 2 : 1);
        if (status == TRIB_OK) {
            break;
        }
        ck_assert_int_eq(status, TRIB_NO_MEMORY);
    }
}
END_TEST

START_TEST(an_unknown_backend_is_null)
{
    ck_assert_ptr_null(trib_store_backend_find("postgres?"));
    ck_assert_str_eq(backend_at(0)->name, "sqlite");
    ck_assert_ptr_eq(trib_store_backend_find("memory"), backend_at(1));
    trib_store_close(NULL);
}
END_TEST

START_TEST(another_process_is_kept_out)
{
    struct trib_store *second = NULL;
    open_at(0);
    ck_assert_int_eq(trib_store_open(backend_at(0), path, &second, &error), TRIB_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(error.message, "state.db: another process uses it"));
    pid_t child = fork();
    if (child == 0) {
        _exit((int)trib_store_open(backend_at(0), path, &second, NULL));
    }
    int result = 0;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert(WIFEXITED(result) && WEXITSTATUS(result) == TRIB_UNAVAILABLE);
    begin();
    put_node("a", 1);
    end();
    trib_store_close(store);
    open_at(0);
    ck_assert_int_eq(joined("a"), 1);
}
END_TEST

START_TEST(places_that_cannot_be_are_named)
{
    char bad[160];
    snprintf(bad, sizeof bad, "%s/none/state.db", dir);
    ck_assert_int_eq(trib_store_open(backend_at(0), bad, &store, &error), TRIB_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.message, "/none: the folder of the state's database"));
    ck_assert_int_eq(trib_store_open(backend_at(0), dir, &store, &error), TRIB_INVALID);
    ck_assert_ptr_nonnull(strstr(error.message, "is a folder, not a database"));
    ck_assert_int_eq(trib_file_replace(path, "x", 1, &error), TRIB_OK);
    snprintf(bad, sizeof bad, "%s/state.db", path);
    ck_assert_int_ne(trib_store_open(backend_at(0), bad, &store, &error), TRIB_OK);
    ck_assert_ptr_null(store);
}
END_TEST

int main(void)
{
    const struct trib_store_backend *const *list;
    int n = (int)trib_store_backends(&list);
    Suite *suite = suite_create("store");
    TCase *tcase = tcase_create("store");
    tcase_add_checked_fixture(tcase, set_up, clean_up);
    tcase_add_loop_test(tcase, a_transaction_is_whole_or_nothing, 0, n);
    tcase_add_loop_test(tcase, changes_out_of_place_are_refused, 0, n);
    tcase_add_loop_test(tcase, values_that_cannot_be_kept_are_named, 0, n);
    tcase_add_loop_test(tcase, bytes_live_until_the_next_call, 0, n);
    tcase_add_loop_test(tcase, visits_nest_and_stop, 0, n);
    tcase_add_loop_test(tcase, memory_that_is_short_undoes_cleanly, 0, n);
    tcase_add_test(tcase, an_unknown_backend_is_null);
    tcase_add_test(tcase, another_process_is_kept_out);
    tcase_add_test(tcase, places_that_cannot_be_are_named);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
