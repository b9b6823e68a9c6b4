/* Small made-up results and a temporary folder, for the tests of what is written about runs. */
#ifndef TRIB_TEST_RESULTS_FIXTURE_H
#define TRIB_TEST_RESULTS_FIXTURE_H

#include "base/buf.h"
#include "base/file.h"
#include "sim/results.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char results_dir[256];
static char results_path[300];
static struct trib_sim_curve results_curves[8];
static struct trib_sim_results results;
static const double results_targets[] = {0.5, 0.9};

static inline void results_setup(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(results_dir, sizeof results_dir, "%s/trib-results-XXXXXX", base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(results_dir));
    snprintf(results_path, sizeof results_path, "%s/out", results_dir);
    results =
        (struct trib_sim_results){.name = "try", .curves = results_curves, .targets = results_targets, .n_targets = 2};
}

static inline void results_teardown(void)
{
    for (size_t i = 0; i < results.n; i++) {
        trib_sim_curve_clear(&results_curves[i]);
    }
    (void)unlink(results_path);
    ck_assert_int_eq(rmdir(results_dir), 0);
}

/* A run of n rounds: accuracies as given; each round takes ten seconds x scale, two uploads, 1,000 bytes x scale up and
 * 500 down. */
static inline struct trib_sim_curve *results_run(const char *variant, uint64_t seed, double scale,
                                                 const double *accuracies, size_t n)
{
    struct trib_sim_curve *curve = &results_curves[results.n++];
    trib_sim_curve_init(curve, variant, seed);
    for (size_t i = 1; i <= n; i++) {
        struct trib_sim_point point = {.round = i,
                                       .version = i,
                                       .seconds = 10 * scale * (double)i,
                                       .bytes_up = (uint64_t)(1000 * scale * (double)i),
                                       .bytes_down = 500 * i,
                                       .offers = 3 * i,
                                       .uploads = 2 * i,
                                       .skipped = i,
                                       .cohort = 4,
                                       .folded = 2,
                                       .accuracy = accuracies[i - 1],
                                       .loss = 1.0 / (double)i,
                                       .train_loss = NAN,
                                       .relevance = 0.75,
                                       .threshold = NAN,
                                       .carried = i == 2};
        ck_assert_int_eq(trib_sim_curve_append(curve, &point), TRIB_OK);
    }
    return curve;
}
#define RESULTS_RUN(variant, seed, scale, ...)                                                                         \
    results_run(variant, seed, scale, (const double[]){__VA_ARGS__},                                                   \
                sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

typedef enum trib_status results_writer(const char *path, const struct trib_sim_results *results,
                                        struct trib_error *error);

/* What a writer writes; the caller clears it. */
static inline struct trib_buf results_written(results_writer *write)
{
    struct trib_buf content = {0};
    struct trib_error error = {0};
    enum trib_status status = write(results_path, &results, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    ck_assert_int_eq(trib_file_read(results_path, 1 << 24, &content, NULL), TRIB_OK);
    return content;
}

#endif
