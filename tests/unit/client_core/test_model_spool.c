/* Received blobs: in memory, or in a file that is found again; the owner's disk limit; and a model that becomes the
 * held one without being copied. */
#include "client/model_spool.h"
#include "base/disk.h"
#include "base/file.h"
#include "base/mem.h"
#include "client/model_cache.h"
#include "fail_disk.h"
#include "sim_disk.h"
#include "test_main.h"

#include <errno.h>
#include <string.h>

enum { LEN = 3 << 20, PIECE = 1 << 19 };
static const char dir[] = "/state", path[] = "/state/model.frame";
static const uint8_t name[32] = {0xab, 0xcd}, other_name[32] = {0xef};

static struct sim_disk *disk;
static struct trib_error error;
static uint8_t *bytes; /* [LEN] */

static void setup(void)
{
    disk = sim_disk_new(1);
    trib_disk_use(sim_disk_table(disk));
    bytes = trib_malloc(LEN);
    for (size_t i = 0; i < LEN; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 11);
    }
}

static void teardown(void)
{
    trib_disk_use(NULL);
    sim_disk_free(disk);
    trib_free(bytes);
}

static struct trib_model_spool *open_spool(struct trib_disk_budget *budget, const uint8_t sha256[32], uint64_t expected)
{
    const struct trib_spool_place place = {.dir = dir, .budget = budget};
    struct trib_model_spool *spool = NULL;
    uint64_t found;
    enum trib_status status = trib_model_spool_new(&place, sha256, LEN, &spool, &found, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    ck_assert_uint_eq(found, expected);
    return spool;
}

static void write_to(struct trib_model_spool *spool, uint64_t from, uint64_t to)
{
    for (uint64_t at = from; at < to; at += PIECE) {
        size_t len = to - at < PIECE ? (size_t)(to - at) : PIECE;
        ck_assert_int_eq(trib_model_spool_write(spool, at, bytes + at, len, NULL), TRIB_OK);
    }
}

static void check(struct trib_model_spool *spool)
{
    uint8_t *read = trib_malloc(LEN);
    const struct trib_frame_source source = trib_model_spool_source(spool);
    ck_assert_uint_eq(source.len, LEN);
    ck_assert_int_eq(source.read(source.context, 0, read, LEN, NULL), TRIB_OK);
    ck_assert_mem_eq(read, bytes, LEN);
    trib_free(read);
}

START_TEST(what_was_written_is_found_again)
{
    struct trib_model_spool *spool = open_spool(NULL, name, 0);
    ck_assert_uint_eq(trib_model_spool_memory(spool), 0);
    write_to(spool, 0, PIECE + 5);
    trib_model_spool_leave(spool);
    spool = open_spool(NULL, name, PIECE + 5);
    write_to(spool, PIECE + 5, LEN);
    sim_disk_kill(disk); /* the process */
    trib_model_spool_free(spool);
    sim_disk_start(disk);
    spool = open_spool(NULL, name, LEN);
    check(spool);
    trib_model_spool_free(spool);
    trib_model_spool_free(open_spool(NULL, name, 0)); /* it went with the spool */
    ck_assert_uint_eq(sim_disk_counts(disk).held, 0);
}
END_TEST

START_TEST(a_forgotten_name_is_free)
{
    struct trib_model_spool *spool = open_spool(NULL, name, 0);
    write_to(spool, 0, LEN);
    trib_model_spool_forget(spool);
    struct trib_model_spool *next = open_spool(NULL, name, 0);
    write_to(next, 0, PIECE);
    check(spool);
    ck_assert_int_eq(trib_model_spool_settle(spool, path, "n", 1, &error), TRIB_NOT_FOUND);
    trib_model_spool_free(spool); /* takes away nothing of the other's */
    trib_model_spool_leave(next);
    trib_model_spool_free(open_spool(NULL, name, PIECE));
}
END_TEST

START_TEST(the_others_are_tidied_away)
{
    uint8_t found[32];
    ck_assert(!trib_model_spool_longest(NULL, found));
    ck_assert(!trib_model_spool_longest(dir, found));
    trib_model_spool_tidy(NULL, NULL);
    trib_model_spool_tidy(dir, NULL);
    ck_assert_int_eq(trib_dir_make(dir, NULL), TRIB_OK);
    ck_assert_int_eq(trib_file_replace("/state/download-notes", "x", 1, NULL), TRIB_OK); /* none of ours */
    struct trib_model_spool *spools[] = {open_spool(NULL, name, 0), open_spool(NULL, other_name, 0)};
    write_to(spools[0], 0, 10);
    write_to(spools[1], 0, 11);
    trib_model_spool_leave(spools[0]);
    trib_model_spool_leave(spools[1]);
    ck_assert(trib_model_spool_longest(dir, found));
    ck_assert_mem_eq(found, other_name, sizeof found);
    trib_model_spool_tidy(dir, name);
    ck_assert(trib_model_spool_longest(dir, found));
    ck_assert_mem_eq(found, name, sizeof found);
    trib_model_spool_tidy(dir, NULL);
    ck_assert(!trib_model_spool_longest(dir, found));
    ck_assert(trib_file_exists("/state/download-notes"));
}
END_TEST

/* ---- full ---- */

START_TEST(a_full_disk_is_told_before_it_begins_or_as_it_fills)
{
    const struct trib_spool_place place = {.dir = dir};
    struct trib_model_spool *spool = NULL;
    uint64_t found;
    sim_disk_capacity(disk, LEN / 2);
    ck_assert_int_eq(trib_model_spool_new(&place, name, LEN, &spool, &found, &error), TRIB_NO_SPACE);
    ck_assert_msg(strstr(error.message, "no room"), "%s", error.message);
    sim_disk_capacity(disk, LEN + PIECE);
    spool = open_spool(NULL, name, 0);
    sim_disk_capacity(disk, LEN / 2 + 100);
    enum trib_status status = TRIB_OK;
    uint64_t at = 0;
    for (; status == TRIB_OK; at += PIECE) {
        status = trib_model_spool_write(spool, at, bytes + at, PIECE, &error);
    }
    ck_assert_int_eq(status, TRIB_NO_SPACE);
    trib_model_spool_leave(spool);
    sim_disk_capacity(disk, 0);
    spool = open_spool(NULL, name, LEN / 2 + 100); /* and goes on from there */
    write_to(spool, LEN / 2 + 100, LEN);
    check(spool);
    trib_model_spool_free(spool);
}
END_TEST

START_TEST(the_owners_limit_counts_what_is_there)
{
    struct trib_disk_budget *budget;
    struct trib_model_spool *spool = NULL;
    uint64_t found;
    ck_assert_int_eq(trib_disk_budget_new(LEN + 1000, &budget, NULL), TRIB_OK);
    const struct trib_spool_place place = {.dir = dir, .budget = budget};
    ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_FEEDBACK, 2000, &error), TRIB_OK);
    ck_assert_int_eq(trib_model_spool_new(&place, name, LEN, &spool, &found, &error), TRIB_LIMIT);
    ck_assert_msg(strstr(error.message, "the download takes"), "%s", error.message);
    ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_FEEDBACK, 500, &error), TRIB_OK);
    for (int i = 0; i < 3; i++) { /* however it ends, it is given back */
        spool = open_spool(budget, name, 0);
        ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_UPDATE, 1000, &error), TRIB_LIMIT);
        ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_UPDATE, 100, &error), TRIB_OK);
        trib_disk_budget_note(budget, TRIB_DISK_UPDATE, 0);
        if (i == 0) {
            trib_model_spool_forget(spool);
        }
        (i == 1 ? trib_model_spool_leave : trib_model_spool_free)(spool);
    }
    trib_disk_budget_free(budget);
}
END_TEST

START_TEST(a_budget_is_kept_to_the_byte)
{
    struct trib_disk_budget *budget;
    ck_assert_int_eq(trib_disk_budget_new(100, &budget, NULL), TRIB_OK);
    ck_assert_int_eq(trib_disk_budget_take(budget, TRIB_DISK_MODEL, 60, NULL), TRIB_OK);
    ck_assert_int_eq(trib_disk_budget_take(budget, TRIB_DISK_UPDATE, 41, NULL), TRIB_LIMIT);
    ck_assert_int_eq(trib_disk_budget_take(budget, TRIB_DISK_UPDATE, 40, NULL), TRIB_OK);
    ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_UPDATE, 41, NULL), TRIB_LIMIT);
    ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_UPDATE, 30, NULL), TRIB_OK);
    trib_disk_budget_give(budget, TRIB_DISK_UPDATE, 50); /* no more than there is */
    trib_disk_budget_note(budget, TRIB_DISK_MODEL, 200);
    ck_assert_int_eq(trib_disk_budget_take(budget, TRIB_DISK_UPDATE, 1, NULL), TRIB_LIMIT);
    ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_UPDATE, 0, NULL), TRIB_OK); /* nothing always fits */
    ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_MODEL, UINT64_MAX, NULL), TRIB_LIMIT);
    ck_assert_int_eq(trib_disk_budget_exchange(budget, TRIB_DISK_UPDATE, 101, TRIB_DISK_MODEL, NULL), TRIB_LIMIT);
    ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_UPDATE, 1, NULL), TRIB_LIMIT); /* as it was */
    ck_assert_int_eq(trib_disk_budget_exchange(budget, TRIB_DISK_UPDATE, 100, TRIB_DISK_MODEL, NULL), TRIB_OK);
    ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_MODEL, 1, NULL), TRIB_LIMIT);
    trib_disk_budget_free(budget);
    ck_assert_int_eq(trib_disk_budget_take(NULL, TRIB_DISK_UPDATE, 1 << 30, NULL), TRIB_OK);
    ck_assert_int_eq(trib_disk_budget_exchange(NULL, TRIB_DISK_UPDATE, 1, TRIB_DISK_MODEL, NULL), TRIB_OK);
    ck_assert_int_eq(trib_disk_budget_new(0, &budget, NULL), TRIB_OK);
    ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_MODEL, UINT64_MAX / 2, NULL), TRIB_OK);
    trib_disk_budget_free(budget);
}
END_TEST

START_TEST(a_budget_knows_what_an_earlier_life_left)
{
    struct trib_disk_budget *budget;
    ck_assert_int_eq(trib_disk_budget_new(100, &budget, NULL), TRIB_OK);
    trib_disk_budget_look(budget, dir); /* that is not there */
    ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_DOWNLOAD, 100, NULL), TRIB_OK);
    ck_assert_int_eq(trib_dir_make(dir, NULL), TRIB_OK);
    static const char *const paths[] = {"/state/model.frame", "/state/feedback", "/state/feedback.pending",
                                        "/state/update"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        ck_assert_int_eq(trib_file_replace(paths[i], bytes, 10 + i, NULL), TRIB_OK);
    }
    trib_disk_budget_look(budget, dir);
    ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_DOWNLOAD, 55, NULL), TRIB_LIMIT);
    ck_assert_int_eq(trib_disk_budget_set(budget, TRIB_DISK_DOWNLOAD, 54, NULL), TRIB_OK);
    trib_disk_budget_free(budget);
}
END_TEST

/* ---- becoming the held model ---- */

static struct trib_client_task task_of(void)
{
    struct trib_client_task task = {.run = "run-1", .model_version = 4, .model_len = LEN};
    ck_assert_int_eq(trib_sha256(bytes, LEN, task.model_sha256), TRIB_OK);
    return task;
}

static struct trib_model_spool *whole_model(const struct trib_client_task *task)
{
    struct trib_model_spool *spool = open_spool(NULL, task->model_sha256, 0);
    write_to(spool, 0, LEN);
    return spool;
}

START_TEST(a_download_becomes_the_held_model_without_a_copy)
{
    const struct trib_client_task task = task_of();
    struct trib_model_cache cache = {0};
    struct trib_held_model held;
    uint8_t found[32];
    ck_assert_int_eq(trib_model_cache_open(&cache, dir, NULL), TRIB_OK);
    struct trib_model_spool *spool = whole_model(&task);
    uint64_t written = sim_disk_counts(disk).bytes_written;
    trib_model_cache_put(&cache, &task, &spool);
    ck_assert_uint_lt(sim_disk_counts(disk).bytes_written - written, 1000);
    check(cache.spool);
    ck_assert(!trib_model_spool_longest(dir, found));
    sim_disk_crash(disk); /* the power */
    trib_model_cache_close(&cache);
    sim_disk_start(disk);
    trib_model_cache_peek(dir, &held);
    ck_assert_str_eq(held.run, "run-1");
    ck_assert_uint_eq(held.version, 4);
    ck_assert_int_eq(trib_model_cache_open(&cache, dir, NULL), TRIB_OK);
    ck_assert_ptr_nonnull(cache.spool);
    check(cache.spool);
    trib_model_cache_close(&cache);
}
END_TEST

/* Whichever call fails, the model is held; at the next start it is found, or nothing is. */
START_TEST(any_call_of_the_disk_may_fail)
{
    const struct trib_client_task task = task_of();
    struct fail_disk *failing = fail_disk_new(sim_disk_table(disk));
    int64_t failures = 1;
    for (int64_t after = 0; failures > 0; after++) {
        struct trib_model_cache cache = {0};
        ck_assert_int_eq(trib_model_cache_open(&cache, dir, NULL), TRIB_OK);
        struct trib_model_spool *spool = whole_model(&task);
        trib_disk_use(fail_disk_table(failing));
        (void)fail_disk_after(failing, after, after % 2 == 0 ? EIO : ENOSPC, false);
        trib_model_cache_put(&cache, &task, &spool);
        failures = fail_disk_failures(failing);
        (void)fail_disk_after(failing, -1, 0, false);
        trib_disk_use(sim_disk_table(disk));
        ck_assert_str_eq(cache.held.run, "run-1");
        check(cache.spool);
        trib_model_cache_close(&cache);
        ck_assert_int_eq(trib_model_cache_open(&cache, dir, NULL), TRIB_OK);
        if (cache.spool) {
            check(cache.spool);
        }
        trib_model_cache_drop(&cache);
        trib_model_cache_close(&cache);
        trib_model_spool_tidy(dir, NULL);
    }
    fail_disk_free(failing);
}
END_TEST

START_TEST(a_held_model_beyond_the_owners_limit_goes)
{
    const struct trib_client_task task = task_of();
    struct trib_model_cache cache = {0};
    ck_assert_int_eq(trib_model_cache_open(&cache, dir, NULL), TRIB_OK);
    struct trib_model_spool *spool = whole_model(&task);
    trib_model_cache_put(&cache, &task, &spool);
    trib_model_cache_close(&cache);
    ck_assert_int_eq(trib_disk_budget_new(LEN, &cache.budget, NULL), TRIB_OK); /* lacks the note's */
    ck_assert_int_eq(trib_model_cache_open(&cache, dir, NULL), TRIB_OK);
    ck_assert_ptr_null(cache.spool);
    ck_assert(!trib_file_exists(path));
    struct trib_blob *blob = trib_blob_copy(bytes, LEN);
    spool = trib_model_spool_adopt(blob); /* made of deltas: it is held in memory, then */
    trib_model_cache_put(&cache, &task, &spool);
    ck_assert(!trib_file_exists(path));
    ck_assert_uint_eq(trib_model_spool_memory(cache.spool), LEN);
    trib_model_cache_close(&cache);
    trib_disk_budget_free(cache.budget);
}
END_TEST

/* Where both do not fit beside each other, the former makes room. */
START_TEST(a_new_model_takes_the_former_ones_room)
{
    const struct trib_client_task task = task_of();
    struct trib_model_cache cache = {0};
    ck_assert_int_eq(trib_disk_budget_new(LEN + LEN / 2, &cache.budget, NULL), TRIB_OK);
    ck_assert_int_eq(trib_model_cache_open(&cache, dir, NULL), TRIB_OK);
    for (int i = 0; i < 3; i++) {
        struct trib_model_spool *spool = trib_model_spool_adopt(trib_blob_copy(bytes, LEN));
        trib_model_cache_put(&cache, &task, &spool);
        ck_assert_uint_eq(trib_model_spool_memory(cache.spool), 0);
        ck_assert_uint_lt(sim_disk_counts(disk).held, LEN + LEN / 2);
    }
    trib_model_cache_close(&cache);
    trib_disk_budget_free(cache.budget);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model_spool");
    TCase *tests = tcase_create("model_spool");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_was_written_is_found_again);
    tcase_add_test(tests, a_forgotten_name_is_free);
    tcase_add_test(tests, the_others_are_tidied_away);
    tcase_add_test(tests, a_full_disk_is_told_before_it_begins_or_as_it_fills);
    tcase_add_test(tests, the_owners_limit_counts_what_is_there);
    tcase_add_test(tests, a_budget_is_kept_to_the_byte);
    tcase_add_test(tests, a_budget_knows_what_an_earlier_life_left);
    tcase_add_test(tests, a_download_becomes_the_held_model_without_a_copy);
    tcase_add_test(tests, any_call_of_the_disk_may_fail);
    tcase_add_test(tests, a_held_model_beyond_the_owners_limit_goes);
    tcase_add_test(tests, a_new_model_takes_the_former_ones_room);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
