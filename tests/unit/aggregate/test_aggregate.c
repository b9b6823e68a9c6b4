/* The arithmetic of a round: what is folded, what is refused, and what comes of it, for strategies of both forms. */
#include "aggregate/aggregate.h"

#include "base/rng.h"
#include "base/thread_pool.h"
#include "test_main.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 70000, UPDATES = 7 };

static struct trib_error error;
static uint8_t schema[TRIB_FRAME_HASH_LEN];
static struct trib_thread_pool *pool;
static float updates[UPDATES][N];
static struct trib_blob *frames[UPDATES];
static struct trib_chain chain;

static void set_up(void)
{
    struct trib_rng rng = trib_rng_init(1, "aggregate", 0, 0);
    memset(schema, 3, sizeof schema);
    ck_assert_int_eq(trib_chain_parse("f32", &chain, &error), TRIB_OK);
    ck_assert_int_eq(trib_thread_pool_new(3, &pool, &error), TRIB_OK);
    for (int u = 0; u < UPDATES; u++) {
        for (int i = 0; i < N; i++) {
            updates[u][i] = (float)trib_rng_normal(&rng) * 0.1f;
        }
        const struct trib_frame_job job = {
            .kind = TRIB_FRAME_UPDATE, .chain = &chain, .schema = schema, .vector = updates[u], .n = N};
        ck_assert_int_eq(trib_frame_encode(&job, &frames[u], &error), TRIB_OK);
    }
}

static void tear_down(void)
{
    for (int u = 0; u < UPDATES; u++) {
        trib_blob_unref(frames[u]);
    }
    trib_thread_pool_free(pool);
}

static struct trib_aggregate *new_aggregate(const char *strategy, double max_abs)
{
    struct trib_aggregate *aggregate = NULL;
    const struct trib_aggregate_options options = {
        .strategy = trib_strategy_find(strategy),
        .strategy_options = {.server_learning_rate = 1},
        .sealer = {.down = chain, .schema = schema, .n = N, .pool = pool},
        .rules = {.schema = schema, .n = N, .chain = &chain, .max_abs = max_abs, .pool = pool},
        .signs = true};
    ck_assert_ptr_nonnull(options.strategy);
    ck_assert_int_eq(trib_aggregate_new(&options, &aggregate, &error), TRIB_OK);
    return aggregate;
}

static struct trib_version initial(void)
{
    const struct trib_sealer sealer = {.down = chain, .schema = schema, .n = N};
    struct trib_version version;
    float *vector = NULL;
    struct trib_blob *raw = trib_sealer_blank(&sealer, &vector);
    for (int i = 0; i < N; i++) {
        vector[i] = (float)(i % 11);
    }
    ck_assert_int_eq(trib_sealer_seal(&sealer, raw, NULL, &version, &error), TRIB_OK);
    return version;
}

static enum trib_status fold(struct trib_aggregate *aggregate, int u, struct trib_fold_result *result)
{
    const struct trib_fold one = {.source = trib_frame_source_memory(frames[u]),
                                  .info = {.examples = 10, .weight = 10, .counted = 10, .first = true},
                                  .claim = {.run = "run", .task_round = 1}};
    return trib_aggregate_fold(aggregate, &one, result, &error);
}

static int compare(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static float median_at(int i)
{
    float column[UPDATES];
    for (int u = 0; u < UPDATES; u++) {
        column[u] = updates[u][i];
    }
    qsort(column, UPDATES, sizeof column[0], compare);
    return column[UPDATES / 2];
}

/* A whole round, its updates in an order that begins at `from`. */
static struct trib_made run_round(const char *strategy, int from)
{
    struct trib_aggregate *aggregate = new_aggregate(strategy, 64);
    struct trib_version base = initial();
    struct trib_fold_result result;
    struct trib_made made;
    ck_assert_int_eq(trib_aggregate_begin(aggregate, 10 * UPDATES, &error), TRIB_OK);
    for (int u = 0; u < UPDATES; u++) {
        ck_assert_msg(fold(aggregate, (u + from) % UPDATES, &result) == TRIB_OK, "%s", error.message);
        ck_assert(!result.harmful && !result.lied);
    }
    ck_assert_msg(trib_aggregate_apply(aggregate, &base, &made, &error) == TRIB_OK, "%s", error.message);
    ck_assert_uint_eq(made.version.number, 1);
    ck_assert(made.signs);
    trib_aggregate_commit(aggregate);
    trib_version_clear(&base);
    trib_aggregate_free(aggregate);
    return made;
}

START_TEST(a_median_is_the_middle_of_all_updates)
{
    struct trib_made made = run_round("median", 0);
    for (int i = 0; i < N; i++) {
        float expected = (float)((double)(float)(i % 11) + (double)median_at(i));
        ck_assert_msg(made.version.vector[i] == expected, "%d: %g, not %g", i, (double)made.version.vector[i],
                      (double)expected);
    }
    trib_made_clear(&made);
}
END_TEST

START_TEST(the_order_of_updates_leaves_no_trace)
{
    static const char *const names[] = {"fedavg", "median", "trimmed_mean"};
    struct trib_made first = run_round(names[_i], 0), second = run_round(names[_i], 3);
    ck_assert_mem_eq(first.version.sha256, second.version.sha256, sizeof first.version.sha256);
    trib_made_clear(&first);
    trib_made_clear(&second);
}
END_TEST

START_TEST(what_is_refused_does_no_harm)
{
    struct trib_aggregate *aggregate = new_aggregate(_i ? "median" : "fedavg", 0.01);
    struct trib_version base = initial();
    struct trib_fold_result result;
    struct trib_made made;
    ck_assert_int_eq(fold(aggregate, 0, &result), TRIB_UNAVAILABLE); /* nothing has begun */
    ck_assert(result.harmful);
    ck_assert_int_eq(trib_aggregate_begin(aggregate, 100, &error), TRIB_OK);
    ck_assert_int_eq(fold(aggregate, 0, &result), TRIB_LIMIT);
    ck_assert_ptr_nonnull(strstr(error.message, "strategy.max_abs"));
    ck_assert(!result.harmful && !result.lied);
    ck_assert_int_eq(trib_aggregate_apply(aggregate, &base, &made, &error), TRIB_UNAVAILABLE);
    ck_assert_int_eq(trib_aggregate_apply(aggregate, &base, &made, &error), TRIB_INTERNAL); /* begin comes first */
    trib_version_clear(&base);
    trib_aggregate_free(aggregate);
}
END_TEST

START_TEST(a_round_that_is_given_up_leaves_nothing)
{
    struct trib_aggregate *aggregate = new_aggregate("median", 64);
    struct trib_version base = initial();
    struct trib_fold_result result;
    struct trib_made made;
    ck_assert_int_eq(trib_aggregate_begin(aggregate, 100, &error), TRIB_OK);
    ck_assert_int_eq(fold(aggregate, 0, &result), TRIB_OK);
    ck_assert_int_eq(fold(aggregate, 1, &result), TRIB_OK);
    ck_assert_int_eq(trib_aggregate_begin(aggregate, 100, &error), TRIB_OK);
    ck_assert_int_eq(fold(aggregate, 2, &result), TRIB_OK);
    ck_assert_int_eq(trib_aggregate_apply(aggregate, &base, &made, &error), TRIB_OK);
    for (int i = 0; i < N; i += 97) { /* the median of one */
        ck_assert_float_eq(made.version.vector[i], (float)((double)(float)(i % 11) + (double)updates[2][i]));
    }
    trib_made_clear(&made);
    trib_version_clear(&base);
    trib_aggregate_free(aggregate);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("aggregate");
    TCase *tcase = tcase_create("aggregate");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_median_is_the_middle_of_all_updates);
    tcase_add_loop_test(tcase, the_order_of_updates_leaves_no_trace, 0, 3);
    tcase_add_loop_test(tcase, what_is_refused_does_no_harm, 0, 2);
    tcase_add_test(tcase, a_round_that_is_given_up_leaves_nothing);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
