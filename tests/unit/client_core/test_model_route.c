/* Which way to a task's model takes the fewest bytes, and when a shorter way is none. */
#include "client/model_route.h"
#include "client/session.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>

enum { MODEL_LEN = 1000, DELTA_LEN = 100 };
#define RUN "run-1"

/* Version 6, deltas of DELTA_LEN bytes from version `oldest` on. */
static struct trib_client_task task_from(uint64_t oldest)
{
    static const struct trib_client_task empty;
    struct trib_client_task task = empty;
    snprintf(task.run, sizeof task.run, RUN);
    task.model_len = MODEL_LEN;
    task.model_version = 6;
    memset(task.model_sha256, 100, sizeof task.model_sha256);
    for (uint64_t version = oldest; version < 6; version++) {
        struct trib_client_delta *delta = &task.deltas[task.n_deltas++];
        delta->from_version = version;
        delta->len = DELTA_LEN;
        memset(delta->sha256, (int)version, sizeof delta->sha256);
    }
    return task;
}

static struct trib_held_model held_at(uint64_t version, const char *run)
{
    struct trib_held_model held = {.version = version};
    snprintf(held.run, sizeof held.run, "%s", run);
    memset(held.sha256, version == 6 ? 100 : 99, sizeof held.sha256);
    return held;
}

static void expect_route(const struct trib_client_task *task, struct trib_held_model held, uint64_t max_bytes,
                         enum trib_model_way way, size_t n_blobs, uint64_t bytes)
{
    const struct trib_model_route route = trib_model_route_make(task, &held, max_bytes);
    ck_assert_str_eq(trib_model_way_name(route.way), trib_model_way_name(way));
    ck_assert_uint_eq(route.n_blobs, n_blobs);
    ck_assert_uint_eq(route.bytes, bytes);
    uint64_t sum = 0;
    for (size_t i = 0; i < n_blobs; i++) { /* the last blobs of the task, in order */
        const uint8_t *sha256;
        sum += trib_model_route_blob(&route, task, i, &sha256);
        ck_assert_uint_eq(sha256[0], way == TRIB_MODEL_WHOLE ? 100 : 6 - n_blobs + i);
    }
    ck_assert_uint_eq(sum, bytes);
}

START_TEST(what_is_held_need_not_come)
{
    const struct trib_client_task task = task_from(3);
    expect_route(&task, held_at(6, RUN), 0, TRIB_MODEL_HELD, 0, 0);
    expect_route(&task, held_at(6, "run-0"), 0, TRIB_MODEL_HELD, 0, 0); /* the bits are what counts */
}
END_TEST

START_TEST(who_is_behind_gets_the_deltas_since)
{
    const struct trib_client_task task = task_from(3);
    expect_route(&task, held_at(5, RUN), 0, TRIB_MODEL_CHAIN, 1, DELTA_LEN);
    expect_route(&task, held_at(3, RUN), 0, TRIB_MODEL_CHAIN, 3, 3 * DELTA_LEN);
    expect_route(&task, held_at(2, RUN), 0, TRIB_MODEL_WHOLE, 1, MODEL_LEN); /* one is missing */
    expect_route(&task, held_at(0, RUN), 0, TRIB_MODEL_WHOLE, 1, MODEL_LEN);
    expect_route(&task, held_at(5, "run-0"), 0, TRIB_MODEL_WHOLE, 1, MODEL_LEN); /* other versions, same numbers */
    expect_route(&task, held_at(9, RUN), 0, TRIB_MODEL_WHOLE, 1, MODEL_LEN);
    expect_route(&task, (struct trib_held_model){0}, 0, TRIB_MODEL_WHOLE, 1, MODEL_LEN);
    struct trib_held_model wrong = held_at(6, RUN); /* the right number, other bits */
    wrong.sha256[31] ^= 1;
    expect_route(&task, wrong, 0, TRIB_MODEL_WHOLE, 1, MODEL_LEN);
}
END_TEST

START_TEST(version_0_can_be_made)
{
    struct trib_client_task task = task_from(0);
    expect_route(&task, (struct trib_held_model){0}, 0, TRIB_MODEL_WHOLE, 1, MODEL_LEN);
    task.has_initialisation = true;
    expect_route(&task, (struct trib_held_model){0}, 0, TRIB_MODEL_INITIALISED, 6, 6 * DELTA_LEN);
    expect_route(&task, held_at(4, RUN), 0, TRIB_MODEL_CHAIN, 2, 2 * DELTA_LEN);
    expect_route(&task, held_at(4, "run-0"), 0, TRIB_MODEL_INITIALISED, 6, 6 * DELTA_LEN);
    task = task_from(1); /* not from there on */
    task.has_initialisation = true;
    expect_route(&task, (struct trib_held_model){0}, 0, TRIB_MODEL_WHOLE, 1, MODEL_LEN);
    task = task_from(6);
    task.model_version = 0; /* the very first round */
    task.has_initialisation = true;
    expect_route(&task, (struct trib_held_model){0}, 0, TRIB_MODEL_INITIALISED, 0, 0);
}
END_TEST

START_TEST(a_chain_must_be_shorter_and_fit)
{
    struct trib_client_task task = task_from(3);
    task.deltas[0].len = MODEL_LEN - 2 * DELTA_LEN;
    expect_route(&task, held_at(3, RUN), 0, TRIB_MODEL_WHOLE, 1, MODEL_LEN);
    task.deltas[0].len--;
    expect_route(&task, held_at(3, RUN), 0, TRIB_MODEL_CHAIN, 3, MODEL_LEN - 1);
    expect_route(&task, held_at(3, RUN), 3 * MODEL_LEN - 1, TRIB_MODEL_CHAIN, 3, MODEL_LEN - 1);
    expect_route(&task, held_at(3, RUN), 3 * MODEL_LEN - 2, TRIB_MODEL_WHOLE, 1, MODEL_LEN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model_route");
    TCase *tests = tcase_create("model_route");
    tcase_add_test(tests, what_is_held_need_not_come);
    tcase_add_test(tests, who_is_behind_gets_the_deltas_since);
    tcase_add_test(tests, version_0_can_be_made);
    tcase_add_test(tests, a_chain_must_be_shorter_and_fit);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
