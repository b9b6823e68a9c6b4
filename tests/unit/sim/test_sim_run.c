/* Whole runs: the same from the same seed whatever the threads, learning, and what clients do to a round. */
#include "base/buf.h"
#include "base/log.h"
#include "base/rng.h"
#include "sim/sim.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TRAIN = 2000, TEST = 300, FEATURES = 6, CLASSES = 3, MOST_POINTS = 64 };

static char train_path[] = "/tmp/trib-sim-train-XXXXXX", test_path[] = "/tmp/trib-sim-test-XXXXXX";
static struct trib_error error;

/* ---- data: three clouds ---- */

static void write_csv(char *path, size_t n, uint64_t stream)
{
    struct trib_rng rng = trib_rng_init(11, "clouds", stream, 0);
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    FILE *file = fdopen(fd, "w");
    ck_assert_ptr_nonnull(file);
    for (size_t i = 0; i < n; i++) {
        int label = (int)trib_rng_below(&rng, CLASSES);
        for (int j = 0; j < FEATURES; j++) {
            fprintf(file, "%.4f,", (j % CLASSES == label ? 1.5 : 0) + trib_rng_normal(&rng));
        }
        fprintf(file, "%d\n", label);
    }
    ck_assert_int_eq(fclose(file), 0);
}

static void make_data(void)
{
    const struct trib_log_options quiet = {.level = TRIB_LOG_ERROR, .path = "/dev/null"};
    ck_assert_int_eq(trib_log_open(&quiet, &error), TRIB_OK);
    write_csv(train_path, TRAIN, 0);
    write_csv(test_path, TEST, 1);
}

static void remove_data(void)
{
    unlink(train_path);
    unlink(test_path);
    trib_log_close();
}

/* ---- runs ---- */

struct curve {
    struct trib_sim_point points[MOST_POINTS];
    size_t n;
};

static void keep(void *context, const struct trib_sim_point *point)
{
    struct curve *curve = context;
    ck_assert_uint_lt(curve->n, MOST_POINTS);
    curve->points[curve->n++] = *point;
}

/* A run of 200 clients with the settings in `more`, "KEY=VALUE" each. */
static enum trib_status run(const char *const *more, size_t n, uint64_t seed, int threads, struct curve *curve)
{
    struct trib_buf text = {0};
    const struct trib_sim_choice choice = {.overrides = more, .n_overrides = n};
    struct trib_sim_settings settings;
    ck_assert_int_eq(trib_buf_printf(&text,
                                     "name: clouds\n"
                                     "data: {format: csv, path: '%s', normalise: none, partition: 'dirichlet:0.5'}\n"
                                     "evaluation: {format: csv, path: '%s', normalise: none}\n"
                                     "clients: {count: 200, speed: 'lognormal:20,1', latency: 'uniform:0.01,0.2',"
                                     " upload: 'pareto:1000,1.5'}\n"
                                     "model: {name: logistic, example: [%d], classes: %d}\n"
                                     "federation: {rounds: 4, clients_per_round: 40, idle_timeout: 10m}\n"
                                     "training: {epochs: 3, batch_size: 4, learning_rate: 0.1}\n",
                                     train_path, test_path, FEATURES, CLASSES),
                     TRIB_OK);
    enum trib_status status =
        trib_sim_settings_parse("sim.yaml", trib_buf_text(&text), text.len, &choice, &settings, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    memset(curve, 0, sizeof *curve);
    const struct trib_sim_run wish = {
        .settings = &settings, .seed = seed, .threads = threads, .point = keep, .context = curve};
    status = trib_sim_run(&wish, &error);
    trib_sim_settings_clear(&settings);
    trib_buf_clear(&text);
    return status;
}

static void expect_run(const char *const *more, size_t n, uint64_t seed, int threads, struct curve *curve)
{
    ck_assert_msg(run(more, n, seed, threads, curve) == TRIB_OK, "%s", error.message);
}

static void expect_equal(const struct curve *a, const struct curve *b)
{
    ck_assert_uint_eq(a->n, b->n);
    ck_assert_mem_eq(a->points, b->points, a->n * sizeof a->points[0]);
}

/* What holds of every run. */
static void expect_sane(const struct curve *curve)
{
    for (size_t i = 0; i < curve->n; i++) {
        const struct trib_sim_point *point = &curve->points[i];
        ck_assert_uint_eq(point->round, i + 1);
        ck_assert_uint_le(point->uploads, point->offers);
        ck_assert(point->accuracy >= 0 && point->accuracy <= 1 && isfinite(point->loss));
        if (i > 0) {
            ck_assert_double_gt(point->seconds, point[-1].seconds);
            ck_assert_uint_ge(point->bytes_up, point[-1].bytes_up);
            ck_assert_uint_gt(point->bytes_down, point[-1].bytes_down);
        }
    }
}

static const struct trib_sim_point *last(const struct curve *curve)
{
    return &curve->points[curve->n - 1];
}

#define WITH(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)

static struct curve first, second;

/* A run ends with the round that was good enough. */
START_TEST(stops_when_it_is_good_enough)
{
    expect_run(WITH("federation.rounds=30"), 1, 1, &first);
    size_t enough = 0;
    while (enough < first.n && !(first.points[enough].accuracy >= 0.7)) {
        enough++;
    }
    ck_assert_uint_lt(enough + 1, first.n);
    expect_run(WITH("federation.rounds=30", "stop_at=0.7"), 1, 1, &second);
    ck_assert_uint_eq(second.n, enough + 1);
    ck_assert_mem_eq(first.points, second.points, second.n * sizeof second.points[0]);
}
END_TEST

START_TEST(threads_change_nothing)
{
    expect_run(NULL, 0, 1, 1, &first);
    expect_run(NULL, 0, 1, 2, &second);
    ck_assert_uint_eq(first.n, 4);
    expect_sane(&first);
    expect_equal(&first, &second);
    expect_run(NULL, 0, 2, 1, &second);
    ck_assert_double_ne(last(&first)->loss, last(&second)->loss);
}
END_TEST

/* Everything at once: drop-outs, stragglers, absences, a gate, error feedback, deltas both ways. */
START_TEST(threads_change_nothing_in_the_wild)
{
    static const char *const wild[] = {
        "clients.dropout=0.2",        "clients.stragglers=0.5",  "clients.availability=200,100",
        "clients.away=exponential:5", "clients.time_limit=3",    "federation.clients_per_round=30",
        "relevance.sketch=16",        "relevance.threshold=0.5", "codec.up=topk:20%|q8|range",
        "codec.down=q8|range",        "federation.deadline=60s"};
    const size_t n = sizeof wild / sizeof wild[0];
    expect_run(wild, n, 5, 1, &first);
    expect_run(wild, n, 5, 3, &second);
    expect_sane(&first);
    expect_equal(&first, &second);
    ck_assert_uint_gt(last(&first)->skipped, 0);
    ck_assert_uint_gt(last(&first)->uploads, 0);
}
END_TEST

START_TEST(it_learns)
{
    expect_run(WITH("federation.rounds=12"), 1, 2, &first);
    expect_sane(&first);
    ck_assert_double_gt(last(&first)->accuracy, 0.8);
    ck_assert_double_lt(last(&first)->loss, first.points[0].loss);
    /* float32 both ways: a model down for each task, an update up for each upload, and little else */
    uint64_t floats = FEATURES * CLASSES + CLASSES;
    ck_assert_uint_gt(last(&first)->bytes_up, last(&first)->uploads * floats * 4);
    ck_assert_uint_lt(last(&first)->bytes_up, last(&first)->offers * (floats * 4 + 1000) + 200 * 2000);
    ck_assert_uint_ge(last(&first)->uploads, 12 * 40);
}
END_TEST

START_TEST(drop_outs_are_late_and_come_back)
{
    expect_run(WITH("clients.dropout=0.4", "clients.away=fixed:30", "federation.away_timeout=5s"), 1, 2, &first);
    expect_sane(&first);
    ck_assert_uint_gt(last(&first)->late, 0);
    ck_assert_uint_eq(first.n, 4);
    /* those that are back in time offer after all */
    expect_run(WITH("clients.dropout=0.4", "clients.away=fixed:1", "federation.away_timeout=60s",
                    "federation.over_selection=1"),
               1, 2, &second);
    ck_assert_uint_eq(last(&second)->late, 0);
    ck_assert_uint_eq(last(&second)->uploads, 4 * 40);
}
END_TEST

START_TEST(stragglers_that_drop_hold_no_round_up)
{
    expect_run(WITH("clients.stragglers=0.5", "clients.straggler_work=drop", "federation.deadline=2m",
                    "federation.over_selection=1"),
               1, 2, &first);
    expect_sane(&first);
    ck_assert_uint_lt(last(&first)->offers, 4 * 30);
    ck_assert_uint_gt(last(&first)->offers, 4 * 8);
    ck_assert_uint_gt(last(&first)->late, 0);
    ck_assert_double_ge(last(&first)->seconds, 4 * 120); /* each waits for them until its deadline */
    ck_assert_double_le(last(&first)->seconds, 4 * 121 + 5);
    /* those that do less deliver all the same, and nobody waits for a deadline */
    expect_run(WITH("clients.stragglers=0.5", "federation.deadline=20m", "federation.over_selection=1"), 1, 2, &second);
    ck_assert_uint_eq(last(&second)->uploads, 4 * 40);
    ck_assert_uint_eq(last(&second)->late, 0);
}
END_TEST

START_TEST(time_limits_shorten_rounds)
{
    static const char slow[] = "clients.speed=fixed:1";
    expect_run(WITH(slow, "federation.over_selection=1"), 1, 2, &first);
    expect_run(WITH(slow, "federation.over_selection=1", "clients.time_limit=5"), 1, 2, &second);
    ck_assert_uint_eq(last(&first)->uploads, last(&second)->uploads);
    ck_assert_double_ge(last(&first)->seconds, 4 * 30 - 1);
    ck_assert_double_le(last(&second)->seconds, 4 * 5 + 10); /* and some time on the wire */
}
END_TEST

START_TEST(a_gate_saves_uploads)
{
    expect_run(WITH("relevance.sketch=21", "relevance.rule=share", "relevance.share=0.25", "federation.rounds=6",
                    "federation.over_selection=1"),
               1, 2, &first);
    expect_sane(&first);
    ck_assert_uint_eq(last(&first)->offers, 6 * 40);
    ck_assert_uint_gt(last(&first)->skipped, 5 * 20);
    ck_assert_uint_lt(last(&first)->uploads, 40 + 5 * 20);
    ck_assert(last(&first)->relevance > 0 && last(&first)->relevance <= 1);
}
END_TEST

START_TEST(codecs_save_bytes)
{
    expect_run(NULL, 0, 1, 2, &first);
    expect_run(WITH("codec.up=rotate|uniform:2|range", "codec.down=q8|range"), 1, 2, &second);
    ck_assert_uint_eq(first.n, second.n);
    ck_assert_uint_ne(last(&first)->bytes_up, last(&second)->bytes_up);
    expect_sane(&second);
}
END_TEST

START_TEST(buffers_need_no_rounds)
{
    expect_run(WITH("federation.buffer=10", "federation.max_staleness=50", "federation.rounds=20"), 1, 1, &first);
    expect_run(WITH("federation.buffer=10", "federation.max_staleness=50", "federation.rounds=20"), 1, 2, &second);
    expect_equal(&first, &second);
    expect_sane(&first);
    ck_assert_uint_eq(first.n, 20);
    ck_assert_uint_gt(last(&first)->stale, 0);
    expect_run(WITH("federation.rounds=5"), 1, 2,
               &second); /* the same 200 updates, each round as slow as its slowest */
    ck_assert_double_lt(last(&first)->seconds, last(&second)->seconds);
}
END_TEST

START_TEST(what_cannot_go_on_ends)
{
    ck_assert_int_eq(run(WITH("clients.stragglers=1", "clients.straggler_work=drop", "max_time=1h"), 1, 1, &first),
                     TRIB_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(error.message, "max_time has passed"));
    ck_assert_ptr_nonnull(strstr(error.message, "0 of 4 rounds"));
    ck_assert_int_eq(run(WITH("data.partition=shards:x"), 1, 1, &first), TRIB_CONFIG);
    ck_assert_msg(strstr(error.message, "--set: data.partition"), "%s", error.message);
    ck_assert_int_eq(run(WITH("data.path=/nonexistent.csv"), 1, 1, &first), TRIB_NOT_FOUND);
    ck_assert_msg(strstr(error.message, "sim.yaml: data: /nonexistent.csv"), "%s", error.message);
    ck_assert_int_eq(run(WITH("model.classes=2"), 1, 1, &first), TRIB_MISMATCH);
    ck_assert_uint_eq(first.n, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim_run");
    TCase *tests = tcase_create("sim_run");
    tcase_add_unchecked_fixture(tests, make_data, remove_data);
    tcase_add_test(tests, threads_change_nothing);
    tcase_add_test(tests, stops_when_it_is_good_enough);
    tcase_add_test(tests, threads_change_nothing_in_the_wild);
    tcase_add_test(tests, it_learns);
    tcase_add_test(tests, drop_outs_are_late_and_come_back);
    tcase_add_test(tests, stragglers_that_drop_hold_no_round_up);
    tcase_add_test(tests, time_limits_shorten_rounds);
    tcase_add_test(tests, a_gate_saves_uploads);
    tcase_add_test(tests, codecs_save_bytes);
    tcase_add_test(tests, buffers_need_no_rounds);
    tcase_add_test(tests, what_cannot_go_on_ends);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
