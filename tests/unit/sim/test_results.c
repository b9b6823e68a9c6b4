/* Curves, their summary, and the files and the table made of them. */
#include "base/mem.h"
#include "fail_memory.h"
#include "results_fixture.h"
#include "test_main.h"

#define REAL_EQ(a, b) ck_assert_double_eq_tol(a, b, 1e-9)

/* ---- curves ---- */

START_TEST(keeps_points_in_order)
{
    struct trib_sim_curve curve;
    trib_sim_curve_init(&curve, "a variant", 7);
    for (uint64_t i = 0; i < 1000; i++) {
        ck_assert_int_eq(trib_sim_curve_append(&curve, &(struct trib_sim_point){.round = i}), TRIB_OK);
    }
    bool right = curve.n == 1000;
    for (uint64_t i = 0; i < curve.n; i++) {
        right &= curve.points[i].round == i;
    }
    ck_assert(right);
    ck_assert_str_eq(curve.variant, "a variant");
    ck_assert_str_eq(curve.error, "");
    ck_assert_uint_eq(curve.seed, 7);
    trib_sim_curve_clear(&curve);
    ck_assert_uint_eq(curve.n, 0);
    ck_assert_ptr_null(curve.points);
}
END_TEST

START_TEST(cuts_long_names)
{
    char name[2 * TRIB_SIM_VARIANT_LEN];
    struct trib_sim_curve curve;
    memset(name, 'v', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    trib_sim_curve_init(&curve, name, 0);
    ck_assert_uint_eq(strlen(curve.variant), TRIB_SIM_VARIANT_LEN - 1);
}
END_TEST

START_TEST(stays_whole_without_memory)
{
    struct trib_sim_curve curve;
    struct trib_sim_point point = {.round = 1};
    trib_sim_curve_init(&curve, "v", 0);
    while (curve.n == 0 || curve.n < curve.capacity) {
        ck_assert_int_eq(trib_sim_curve_append(&curve, &point), TRIB_OK);
    }
    size_t n = curve.n;
    fail_memory_after(0, false);
    ck_assert_int_eq(trib_sim_curve_append(&curve, &point), TRIB_NO_MEMORY);
    fail_memory_after(-1, false);
    ck_assert_uint_eq(curve.n, n);
    ck_assert_int_eq(trib_sim_curve_append(&curve, &point), TRIB_OK);
    trib_sim_curve_clear(&curve);
}
END_TEST

/* ---- summary ---- */

static struct trib_sim_summary *summarise(size_t variants)
{
    struct trib_sim_summary *summaries = NULL;
    size_t n = 0;
    ck_assert_int_eq(trib_sim_summarise(&results, &summaries, &n, NULL), TRIB_OK);
    ck_assert_uint_eq(n, variants);
    return summaries;
}

/* first: 0.5 after rounds 2 and 3, 0.9 after 3 and never; second: half the bytes, twice the rounds */
static void two_variants(void)
{
    RESULTS_RUN("first", 1, 1, 0.2, 0.6, 0.95, 0.85);
    RESULTS_RUN("second", 1, 0.25, 0.1, 0.2, NAN, 0.5, 0.9, 0.8);
    RESULTS_RUN("first", 2, 1, 0.1, 0.4, 0.5, NAN);
}

START_TEST(takes_means_over_seeds)
{
    two_variants();
    struct trib_sim_summary *s = summarise(2);
    ck_assert_str_eq(s[0].variant, "first");
    ck_assert_str_eq(s[1].variant, "second");
    ck_assert_uint_eq(s[0].runs, 2);
    ck_assert_uint_eq(s[0].failed, 0);
    REAL_EQ(s[0].accuracy.mean, (0.85 + 0.5) / 2);
    REAL_EQ(s[0].accuracy.min, 0.5);
    REAL_EQ(s[0].accuracy.max, 0.85);
    REAL_EQ(s[0].best.max, 0.95);
    REAL_EQ(s[0].loss.mean, 0.25);
    REAL_EQ(s[0].spent[TRIB_SIM_BYTES].mean, 6000);
    REAL_EQ(s[1].spent[TRIB_SIM_SECONDS].max, 15);
    REAL_EQ(s[1].best.mean, 0.9);
    trib_free(s);
}
END_TEST

START_TEST(tells_when_targets_were_reached)
{
    two_variants();
    struct trib_sim_summary *s = summarise(2);
    ck_assert_uint_eq(s[0].n_reach, 2);
    const struct trib_sim_reach *half = s[0].reach, *most = &s[0].reach[1];
    REAL_EQ(half->target, 0.5);
    ck_assert_uint_eq(half->reached, 2);
    REAL_EQ(half->spent[TRIB_SIM_ROUNDS].mean, 2.5);
    REAL_EQ(half->spent[TRIB_SIM_ROUNDS].min, 2);
    REAL_EQ(half->spent[TRIB_SIM_ROUNDS].max, 3);
    REAL_EQ(half->spent[TRIB_SIM_UPLOADS].mean, 5);
    REAL_EQ(half->spent[TRIB_SIM_BYTES_UP].mean, 2500);
    REAL_EQ(half->spent[TRIB_SIM_BYTES_DOWN].mean, 1250);
    REAL_EQ(half->saving[TRIB_SIM_ROUNDS], 1);
    ck_assert_uint_eq(most->reached, 1);
    REAL_EQ(most->spent[TRIB_SIM_SECONDS].mean, 30);
    ck_assert(isnan(most->saving[TRIB_SIM_ROUNDS])); /* one of its runs never did */
    REAL_EQ(s[1].reach[0].spent[TRIB_SIM_ROUNDS].mean, 4);
    REAL_EQ(s[1].reach[0].saving[TRIB_SIM_ROUNDS], 2.5 / 4);
    REAL_EQ(s[1].reach[0].saving[TRIB_SIM_BYTES_UP], 2500.0 / 1000);
    REAL_EQ(s[1].reach[0].saving[TRIB_SIM_SECONDS], 2.5);
    ck_assert_uint_eq(s[1].reach[1].reached, 1);
    ck_assert(isnan(s[1].reach[1].saving[TRIB_SIM_ROUNDS]));
    trib_free(s);
}
END_TEST

START_TEST(leaves_failed_runs_out)
{
    RESULTS_RUN("v", 1, 1, 0.6);
    snprintf(RESULTS_RUN("v", 2, 1, 0.99, 0.99)->error, 8, "died");
    snprintf(RESULTS_RUN("w", 1, 1, 0.99)->error, 8, "died");
    struct trib_sim_summary *s = summarise(2);
    ck_assert_uint_eq(s[0].runs, 2);
    ck_assert_uint_eq(s[0].failed, 1);
    REAL_EQ(s[0].best.max, 0.6);
    REAL_EQ(s[0].spent[TRIB_SIM_ROUNDS].mean, 1);
    ck_assert_uint_eq(s[0].reach[1].reached, 0);
    ck_assert(isnan(s[0].reach[1].spent[TRIB_SIM_ROUNDS].mean));
    ck_assert(isnan(s[1].accuracy.mean) && isnan(s[1].spent[TRIB_SIM_ROUNDS].min));
    ck_assert(isnan(s[1].reach[0].saving[TRIB_SIM_BYTES]));
    trib_free(s);
}
END_TEST

START_TEST(takes_runs_without_points_or_accuracy)
{
    trib_sim_curve_init(&results_curves[results.n++], "none", 1);
    RESULTS_RUN("blind", 1, 1, NAN, NAN);
    struct trib_sim_summary *s = summarise(2);
    ck_assert(isnan(s[0].accuracy.mean) && isnan(s[0].spent[TRIB_SIM_ROUNDS].mean));
    ck_assert(isnan(s[1].accuracy.mean) && isnan(s[1].best.mean));
    REAL_EQ(s[1].spent[TRIB_SIM_ROUNDS].mean, 2);
    ck_assert_uint_eq(s[1].reach[0].reached, 0);
    trib_free(s);
}
END_TEST

START_TEST(summarises_at_most_so_many_targets)
{
    static const double many[TRIB_SIM_MAX_TARGETS + 3] = {0.1};
    RESULTS_RUN("v", 1, 1, 0.6);
    results.targets = many;
    results.n_targets = TRIB_SIM_MAX_TARGETS + 3;
    struct trib_sim_summary *s = summarise(1);
    ck_assert_uint_eq(s[0].n_reach, TRIB_SIM_MAX_TARGETS);
    trib_free(s);
}
END_TEST

/* ---- files ---- */

static void check_written(results_writer *write, const char *want)
{
    struct trib_buf got = results_written(write);
    ck_assert_str_eq(trib_buf_text(&got), want);
    trib_buf_clear(&got);
}

START_TEST(writes_json)
{
    results.name = "na\"me\\";
    results.title = "a\ttitle\x01 \xc3\xa9 \xff";
    results.n_targets = 1;
    RESULTS_RUN("v", 18446744073709551615u, 1, 0.625);
    snprintf(RESULTS_RUN("w", 2, 1, NAN)->error, 32, "killed by \"9\"");
    results_curves[1].points[0].seconds = INFINITY;
    results_curves[1].points[0].bytes_up = 9007199254740993u;
    check_written(
        trib_sim_write_json,
        "{\n"
        "  \"format\": \"tributary-sim-1\",\n"
        "  \"name\": \"na\\\"me\\\\\",\n"
        "  \"title\": \"a\\u0009title\\u0001 \xc3\xa9 \xef\xbf\xbd\",\n"
        "  \"targets\": [0.5],\n"
        "  \"summary\": [\n"
        "    {\"variant\": \"v\", \"runs\": 1, \"failed\": 0,\n"
        "     \"accuracy\": {\"mean\": 0.625, \"min\": 0.625, \"max\": 0.625},\n"
        "     \"best\": {\"mean\": 0.625, \"min\": 0.625, \"max\": 0.625},\n"
        "     \"loss\": {\"mean\": 1, \"min\": 1, \"max\": 1},\n"
        "     \"total\": {\"rounds\": {\"mean\": 1, \"min\": 1, \"max\": 1}, "
        "\"uploads\": {\"mean\": 2, \"min\": 2, \"max\": 2}, "
        "\"bytes_up\": {\"mean\": 1000, \"min\": 1000, \"max\": 1000}, "
        "\"bytes_down\": {\"mean\": 500, \"min\": 500, \"max\": 500}, "
        "\"bytes\": {\"mean\": 1500, \"min\": 1500, \"max\": 1500}, "
        "\"seconds\": {\"mean\": 10, \"min\": 10, \"max\": 10}},\n"
        "     \"targets\": [\n"
        "      {\"accuracy\": 0.5, \"reached\": 1,\n"
        "       \"spent\": {\"rounds\": {\"mean\": 1, \"min\": 1, \"max\": 1}, "
        "\"uploads\": {\"mean\": 2, \"min\": 2, \"max\": 2}, "
        "\"bytes_up\": {\"mean\": 1000, \"min\": 1000, \"max\": 1000}, "
        "\"bytes_down\": {\"mean\": 500, \"min\": 500, \"max\": 500}, "
        "\"bytes\": {\"mean\": 1500, \"min\": 1500, \"max\": 1500}, "
        "\"seconds\": {\"mean\": 10, \"min\": 10, \"max\": 10}},\n"
        "       \"saving\": {\"rounds\": 1, \"uploads\": 1, \"bytes_up\": 1, \"bytes_down\": 1, \"bytes\": 1, "
        "\"seconds\": 1}}]},\n"
        "    {\"variant\": \"w\", \"runs\": 1, \"failed\": 1,\n"
        "     \"accuracy\": {\"mean\": null, \"min\": null, \"max\": null},\n"
        "     \"best\": {\"mean\": null, \"min\": null, \"max\": null},\n"
        "     \"loss\": {\"mean\": null, \"min\": null, \"max\": null},\n"
        "     \"total\": {\"rounds\": {\"mean\": null, \"min\": null, \"max\": null}, "
        "\"uploads\": {\"mean\": null, \"min\": null, \"max\": null}, "
        "\"bytes_up\": {\"mean\": null, \"min\": null, \"max\": null}, "
        "\"bytes_down\": {\"mean\": null, \"min\": null, \"max\": null}, "
        "\"bytes\": {\"mean\": null, \"min\": null, \"max\": null}, "
        "\"seconds\": {\"mean\": null, \"min\": null, \"max\": null}},\n"
        "     \"targets\": [\n"
        "      {\"accuracy\": 0.5, \"reached\": 0,\n"
        "       \"spent\": {\"rounds\": {\"mean\": null, \"min\": null, \"max\": null}, "
        "\"uploads\": {\"mean\": null, \"min\": null, \"max\": null}, "
        "\"bytes_up\": {\"mean\": null, \"min\": null, \"max\": null}, "
        "\"bytes_down\": {\"mean\": null, \"min\": null, \"max\": null}, "
        "\"bytes\": {\"mean\": null, \"min\": null, \"max\": null}, "
        "\"seconds\": {\"mean\": null, \"min\": null, \"max\": null}},\n"
        "       \"saving\": {\"rounds\": null, \"uploads\": null, \"bytes_up\": null, \"bytes_down\": null, "
        "\"bytes\": null, \"seconds\": null}}]}],\n"
        "  \"curves\": [\n"
        "    {\"variant\": \"v\", \"seed\": 18446744073709551615, \"error\": null, \"points\": [\n"
        "      {\"round\": 1, \"version\": 1, \"seconds\": 10, \"bytes_up\": 1000, \"bytes_down\": 500, "
        "\"offers\": 3, \"uploads\": 2, \"skipped\": 1, \"late\": 0, \"failed\": 0, \"rejected\": 0, \"stale\": 0, "
        "\"cohort\": 4, \"folded\": 2, \"accuracy\": 0.625, \"loss\": 1, \"train_loss\": null, \"relevance\": 0.75, "
        "\"threshold\": null, \"carried\": false}]},\n"
        "    {\"variant\": \"w\", \"seed\": 2, \"error\": \"killed by \\\"9\\\"\", \"points\": [\n"
        "      {\"round\": 1, \"version\": 1, \"seconds\": null, \"bytes_up\": 9007199254740993, "
        "\"bytes_down\": 500, "
        "\"offers\": 3, \"uploads\": 2, \"skipped\": 1, \"late\": 0, \"failed\": 0, \"rejected\": 0, \"stale\": 0, "
        "\"cohort\": 4, \"folded\": 2, \"accuracy\": null, \"loss\": 1, \"train_loss\": null, \"relevance\": 0.75, "
        "\"threshold\": null, \"carried\": false}]}]\n"
        "}\n");
}
END_TEST

START_TEST(writes_json_of_nothing)
{
    results.n_targets = 0;
    check_written(trib_sim_write_json, "{\n  \"format\": \"tributary-sim-1\",\n  \"name\": \"try\",\n  \"title\": "
                                       "\"try\",\n  \"targets\": [],\n  \"summary\": [],\n  \"curves\": []\n}\n");
}
END_TEST

START_TEST(writes_csv)
{
    RESULTS_RUN("plain", 1, 1, 0.625, NAN);
    RESULTS_RUN("with, \"quotes\"", 2, 1, 0.75);
    check_written(trib_sim_write_csv,
                  "variant,seed,round,version,seconds,bytes_up,bytes_down,offers,uploads,skipped,late,failed,rejected,"
                  "stale,cohort,folded,accuracy,loss,train_loss,relevance,threshold,carried\n"
                  "plain,1,1,1,10,1000,500,3,2,1,0,0,0,0,4,2,0.625,1,,0.75,,false\n"
                  "plain,1,2,2,20,2000,1000,6,4,2,0,0,0,0,4,2,,0.5,,0.75,,true\n"
                  "\"with, \"\"quotes\"\"\",2,1,1,10,1000,500,3,2,1,0,0,0,0,4,2,0.75,1,,0.75,,false\n");
}
END_TEST

static results_writer *const writers[] = {trib_sim_write_json, trib_sim_write_csv, trib_sim_write_svg};

START_TEST(says_where_it_cannot_write)
{
    struct trib_error error = {0};
    char path[512];
    RESULTS_RUN("v", 1, 1, 0.6);
    snprintf(path, sizeof path, "%s/no/folder", results_dir);
    ck_assert_int_eq(writers[_i](path, &results, &error), TRIB_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.message, path));
}
END_TEST

/* Fail each allocation in turn: no leak, and the file is the old one until it is the new one. */
START_TEST(leaves_the_old_file_without_memory)
{
    two_variants();
    bool written = false;
    int64_t failed = 0;
    for (; !written; failed++) {
        struct trib_buf content = {0};
        ck_assert_int_eq(trib_file_replace(results_path, "old", 3, NULL), TRIB_OK);
        fail_memory_after(failed, false);
        enum trib_status status = writers[_i](results_path, &results, NULL);
        fail_memory_after(-1, false);
        written = status == TRIB_OK;
        ck_assert(written || status == TRIB_NO_MEMORY);
        ck_assert_int_eq(trib_file_read(results_path, 1 << 20, &content, NULL), TRIB_OK);
        ck_assert_int_eq(strcmp(trib_buf_text(&content), "old") != 0, written);
        trib_buf_clear(&content);
        ck_assert_int_lt(failed, 1000);
    }
    ck_assert_int_gt(failed, 3);
}
END_TEST

/* ---- table ---- */

/* The table with runs of blanks as one; the caller frees it. */
static char *table(void)
{
    char *text = NULL;
    size_t len = 0, at = 0;
    FILE *to = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(to);
    ck_assert_int_eq(trib_sim_print_table(to, &results, NULL), TRIB_OK);
    ck_assert_int_eq(fclose(to), 0);
    for (size_t i = 0; i < len; i++) {
        if (text[i] != ' ' || (at > 0 && text[at - 1] != ' ')) {
            text[at++] = text[i];
        }
    }
    text[at] = '\0';
    return text;
}

START_TEST(prints_what_targets_took)
{
    two_variants();
    results.n_targets = 1;
    char *text = table();
    ck_assert_str_eq(text, "variant runs accuracy best loss rounds uploads MB up MB down MB both simulated\n"
                           "first 2 67.50 % 50.00..85.00 72.50 % 0.2500 4 8 0.004 0.002 0.006 40.0s\n"
                           "second 1 80.00 % 90.00 % 0.1667 6 12 0.002 0.003 0.004 15.0s\n"
                           "\nuntil 50 % was first reached (x: times less than first)\n"
                           "variant runs rounds uploads MB up MB down MB both simulated\n"
                           "first 2/2 2.5 5 0.003 0.001 0.004 25.0s\n"
                           " 2..3 4..6 0.002..0.003 0.001..0.002 0.003..0.004 20.0s..30.0s\n"
                           "second 1/1 4 0.62x 8 0.62x 0.001 2.50x 0.002 0.62x 0.003 1.25x 10.0s 2.50x\n");
    free(text);
}
END_TEST

START_TEST(prints_what_was_not_reached_and_what_failed)
{
    RESULTS_RUN("v", 1, 1, 0.6);
    snprintf(RESULTS_RUN("v", 3, 1, 0.99)->error, 32, "out of memory");
    char *text = table();
    ck_assert_str_eq(text, "variant runs accuracy best loss rounds uploads MB up MB down MB both simulated\n"
                           "v 1/2 60.00 % 60.00 % 1.0000 1 2 0.001 0.001 0.002 10.0s\n"
                           "\nuntil 50 % was first reached\n"
                           "variant runs rounds uploads MB up MB down MB both simulated\n"
                           "v 1/1 1 2 0.001 0.001 0.002 10.0s\n"
                           "\nuntil 90 % was first reached\n"
                           "variant runs rounds uploads MB up MB down MB both simulated\n"
                           "v 0/1 - - - - - -\n"
                           "\nv, seed 3 failed: out of memory\n");
    free(text);
}
END_TEST

START_TEST(says_when_the_table_cannot_be_printed)
{
    struct trib_error error = {0};
    RESULTS_RUN("v", 1, 1, 0.6);
    FILE *full = fopen("/dev/full", "w");
    ck_assert_ptr_nonnull(full);
    ck_assert_int_eq(trib_sim_print_table(full, &results, &error), TRIB_NO_SPACE);
    (void)fclose(full);
}
END_TEST

START_TEST(prints_no_range_of_equal_runs)
{
    RESULTS_RUN("v", 1, 1, 0.6);
    RESULTS_RUN("v", 2, 1, 0.6);
    results.n_targets = 1;
    char *text = table();
    ck_assert_str_eq(text, "variant runs accuracy best loss rounds uploads MB up MB down MB both simulated\n"
                           "v 2 60.00 % 60.00 % 1.0000 1 2 0.001 0.001 0.002 10.0s\n"
                           "\nuntil 50 % was first reached\n"
                           "variant runs rounds uploads MB up MB down MB both simulated\n"
                           "v 2/2 1 2 0.001 0.001 0.002 10.0s\n");
    free(text);
}
END_TEST

START_TEST(prints_all_or_nothing_without_memory)
{
    two_variants();
    bool printed = false;
    for (int64_t failed = 0; !printed; failed++) {
        char *text = NULL;
        size_t len = 0;
        FILE *to = open_memstream(&text, &len);
        ck_assert_ptr_nonnull(to);
        fail_memory_after(failed, false);
        enum trib_status status = trib_sim_print_table(to, &results, NULL);
        fail_memory_after(-1, false);
        ck_assert_int_eq(fclose(to), 0);
        printed = status == TRIB_OK;
        ck_assert(printed || status == TRIB_NO_MEMORY);
        ck_assert_int_eq(len > 0, printed);
        free(text);
    }
}
END_TEST

int main(void)
{
    const int n = sizeof writers / sizeof writers[0];
    Suite *suite = suite_create("results");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_checked_fixture(all, results_setup, results_teardown);
    tcase_add_test(all, keeps_points_in_order);
    tcase_add_test(all, cuts_long_names);
    tcase_add_test(all, stays_whole_without_memory);
    tcase_add_test(all, takes_means_over_seeds);
    tcase_add_test(all, tells_when_targets_were_reached);
    tcase_add_test(all, leaves_failed_runs_out);
    tcase_add_test(all, takes_runs_without_points_or_accuracy);
    tcase_add_test(all, summarises_at_most_so_many_targets);
    tcase_add_test(all, writes_json);
    tcase_add_test(all, writes_json_of_nothing);
    tcase_add_test(all, writes_csv);
    tcase_add_loop_test(all, says_where_it_cannot_write, 0, n);
    tcase_add_loop_test(all, leaves_the_old_file_without_memory, 0, n);
    tcase_add_test(all, prints_what_targets_took);
    tcase_add_test(all, prints_what_was_not_reached_and_what_failed);
    tcase_add_test(all, prints_no_range_of_equal_runs);
    tcase_add_test(all, prints_all_or_nothing_without_memory);
    tcase_add_test(all, says_when_the_table_cannot_be_printed);
    suite_add_tcase(suite, all);
    return trib_test_run(suite);
}
