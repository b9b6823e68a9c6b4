/* The picture: well-formed, nothing but numbers where numbers belong, axes that fit what is drawn. */
#include "base/mem.h"
#include "results_fixture.h"
#include "test_main.h"

#include <ctype.h>

static struct trib_buf picture;

/* Tags are balanced, no attribute is left open, no stray "&" or "<". Enough for what we write: no comments. */
static void check_well_formed(const char *text)
{
    char open[16][16];
    size_t depth = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '&') {
            at += strspn(at + 1, "#0123456789") + 1;
            ck_assert_int_eq(*at, ';');
        }
        ck_assert_int_ne(*at, depth == 0 ? '&' : '>');
        if (*at != '<') {
            continue;
        }
        bool closing = at[1] == '/';
        const char *name = at + 1 + closing;
        size_t len = strcspn(name, " >/");
        const char *end = strchr(at, '>');
        ck_assert_ptr_nonnull(end);
        ck_assert(len > 0 && len < sizeof open[0]);
        ck_assert_ptr_null(memchr(name, '<', (size_t)(end - name)));
        size_t quotes = 0;
        for (const char *q = at; q < end; q++) {
            quotes += *q == '"';
        }
        ck_assert_uint_eq(quotes % 2, 0);
        if (closing) {
            ck_assert_uint_gt(depth, 0);
            depth--;
            ck_assert_uint_eq(strlen(open[depth]), len);
            ck_assert_int_eq(strncmp(open[depth], name, len), 0);
        } else if (end[-1] != '/') {
            ck_assert_uint_lt(depth, 16);
            snprintf(open[depth++], sizeof open[0], "%.*s", (int)len, name);
        }
        at = end;
    }
    ck_assert_uint_eq(depth, 0);
}

/* Draw and check what holds for every picture. */
static const char *draw(void)
{
    trib_buf_clear(&picture);
    picture = results_written(trib_sim_write_svg);
    const char *text = trib_buf_text(&picture);
    check_well_formed(text);
    ck_assert_ptr_eq(strstr(text, "<svg xmlns=\"http://www.w3.org/2000/svg\""), text);
    ck_assert_ptr_null(strstr(text, "<script"));
    ck_assert_ptr_null(strstr(text, "nan"));
    ck_assert_ptr_null(strstr(text, "inf"));
    ck_assert_ptr_nonnull(strstr(text, ">rounds<"));
    return text;
}

static void teardown(void)
{
    trib_buf_clear(&picture);
    results_teardown();
}

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++) {
        n++;
    }
    return n;
}

static bool has_tick(const char *text, const char *label)
{
    char tag[64];
    snprintf(tag, sizeof tag, "text-anchor=\"middle\">%s</text>", label);
    return strstr(text, tag);
}

START_TEST(draws_a_line_a_variant_in_each_panel)
{
    RESULTS_RUN("one", 1, 1, 0.1, 0.2, 0.6);
    RESULTS_RUN("two", 1, 1, 0.2, 0.4, 0.9);
    RESULTS_RUN("two", 2, 1, 0.1, 0.3, 0.7);
    const char *text = draw();
    ck_assert_uint_eq(count_of(text, "class=\"line\""), 2 * 5); /* four panels and the legend */
    ck_assert_uint_eq(count_of(text, "class=\"band\""), 4);     /* of the one that has several runs */
    ck_assert_uint_eq(count_of(text, "class=\"target\""), 2 * 4);
    ck_assert_uint_eq(count_of(text, "class=\"dot\""), 4 * 3); /* 50 % twice, 90 % once */
    ck_assert_ptr_nonnull(strstr(text, ">one: 60.0 %</text>"));
    ck_assert_ptr_nonnull(strstr(text, ">two: 80.0 %, 2 runs</text>"));
    ck_assert_ptr_nonnull(strstr(text, ">90 %</text>"));
    ck_assert_ptr_null(strstr(text, "log scale"));
}
END_TEST

/* The places of "M x,y x,y ..." of the first line in the first panel, after the legend's. */
static size_t line_places(const char *text, double *x, double *y)
{
    const char *at = strstr(strstr(text, "<g>"), "class=\"line\"");
    size_t n = 0;
    at = strstr(at, " d=\"M") + 5;
    while (*at == ' ') {
        ck_assert_int_eq(sscanf(at, " %lf,%lf", &x[n], &y[n]), 2);
        n++;
        at += 1 + strcspn(at + 1, " \"");
    }
    return n;
}

START_TEST(puts_points_where_they_belong)
{
    double x[8], y[8];
    RESULTS_RUN("one", 1, 1, 0, NAN, 0.5, 1);
    const char *text = draw();
    ck_assert_uint_eq(line_places(text, x, y), 3);
    ck_assert_double_eq_tol((x[1] - x[0]) / (x[2] - x[0]), 2.0 / 3, 0.01); /* rounds 1, 3, 4 */
    ck_assert_double_eq_tol((y[1] - y[0]) / (y[2] - y[0]), 0.5, 0.01);
    ck_assert_double_lt(y[2], y[0]);
    ck_assert(has_tick(text, "0") && has_tick(text, "1") && has_tick(text, "4"));
    ck_assert_ptr_nonnull(strstr(text, "text-anchor=\"end\">100</text>"));
}
END_TEST

START_TEST(draws_means_of_rounds_that_all_runs_measured)
{
    double x[8], y[8], x2[8], y2[8];
    results.n_targets = 0;
    RESULTS_RUN("v", 1, 1, 0.2, NAN, 0.4, 0.6, 1.0);
    RESULTS_RUN("v", 2, 1, 0.0, 0.3, 0.6, 1.0);
    ck_assert_uint_eq(line_places(draw(), x, y), 3);
    results.n = 0;
    trib_sim_curve_clear(&results_curves[0]);
    trib_sim_curve_clear(&results_curves[1]);
    RESULTS_RUN("v", 1, 1, 0.1, NAN, 0.5, 0.8);
    RESULTS_RUN("w", 1, 1, 0.0, 0.3, NAN, 1.0);                       /* for the same axes */
    ck_assert_uint_eq(line_places(strstr(draw(), "<g>"), x2, y2), 3); /* of w, which is drawn first */
    const char *text = strstr(trib_buf_text(&picture), "<g>");
    text = strstr(strstr(text, "class=\"line\""), "/>");
    const char *at = strstr(strstr(text, "class=\"line\""), " d=\"M") + 5;
    ck_assert_int_eq(sscanf(at, " %lf,%lf %lf,%lf %lf,%lf", x2, y2, x2 + 1, y2 + 1, x2 + 2, y2 + 2), 6);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_double_eq_tol(x[i], x2[i], 0.11);
        ck_assert_double_eq_tol(y[i], y2[i], 0.11);
    }
}
END_TEST

START_TEST(takes_a_log_axis_for_a_wide_span)
{
    RESULTS_RUN("heavy", 1, 1000, 0.1, 0.2, 0.6);
    RESULTS_RUN("light", 1, 1, 0.2, 0.4, 0.9);
    const char *text = draw();
    ck_assert_ptr_nonnull(strstr(text, ">MB up and down (log scale)</text>"));
    ck_assert_ptr_nonnull(strstr(text, ">simulated minutes (log scale)</text>"));
    ck_assert_uint_eq(count_of(text, "log scale"), 2); /* rounds and uploads are alike */
    ck_assert(has_tick(text, "0.01") && has_tick(text, "0.1") && has_tick(text, "1"));
}
END_TEST

START_TEST(chooses_units_that_keep_ticks_short)
{
    double accuracies[400];
    for (size_t i = 0; i < 400; i++) {
        accuracies[i] = 0.9 + 0.0001 * (double)i;
    }
    results.n_targets = 0;
    results_run("v", 1, 100, accuracies, 400); /* 40 MB, 4.6 days */
    const char *text = draw();
    ck_assert_ptr_nonnull(strstr(text, ">MB up and down</text>"));
    ck_assert_ptr_nonnull(strstr(text, ">simulated hours</text>"));
    ck_assert(has_tick(text, "100") && has_tick(text, "400") && has_tick(text, "40"));
    ck_assert_ptr_nonnull(strstr(text, "text-anchor=\"end\">94</text>")); /* the axis fits what is drawn */
    ck_assert_ptr_null(strstr(text, "text-anchor=\"end\">80</text>"));
}
END_TEST

START_TEST(thins_out_long_lines)
{
    static double accuracies[20000];
    for (size_t i = 0; i < 20000; i++) {
        accuracies[i] = 0.5;
    }
    results_run("v", 1, 1, accuracies, 20000);
    draw();
    ck_assert_uint_lt(picture.len, 100000);
}
END_TEST

START_TEST(escapes_what_people_write)
{
    results.title = "<b>a & 'b' \"c\"\x02 \xff</b>";
    results.name = "</svg><script>";
    RESULTS_RUN("v<&>\"'", 1, 1, 0.5);
    const char *text = draw();
    ck_assert_ptr_nonnull(strstr(text, "&#60;b&#62;a &#38; &#39;b&#39; &#34;c&#34;\xef\xbf\xbd \xef\xbf\xbd"));
    ck_assert_ptr_nonnull(strstr(text, "v&#60;&#38;&#62;&#34;&#39;: 50.0 %"));
}
END_TEST

START_TEST(wraps_a_long_legend)
{
    static const char *const names[8] = {"a variant with a long name 1", "a variant with a long name 2",
                                         "a variant with a long name 3", "a variant with a long name 4",
                                         "a variant with a long name 5", "a variant with a long name 6",
                                         "a variant with a long name 7", "a variant with a long name 8"};
    int height = 0, taller = 0;
    RESULTS_RUN(names[0], 1, 1, 0.5);
    ck_assert_int_eq(sscanf(strstr(draw(), "height="), "height=\"%d\"", &height), 1);
    double below = 0; /* the entry's line: under the title and its note, in a row of its own above the panels */
    ck_assert_int_eq(
        sscanf(strstr(trib_buf_text(&picture), "class=\"entry\""), "class=\"entry\" x=\"%*f\" y=\"%lf\"", &below), 1);
    ck_assert(below > 58 && below < 80);
    for (size_t i = 1; i < 8; i++) {
        RESULTS_RUN(names[i], 1, 1, 0.5);
    }
    ck_assert_int_eq(sscanf(strstr(draw(), "height="), "height=\"%d\"", &taller), 1);
    ck_assert_int_gt(taller, height);
    const char *text = trib_buf_text(&picture);
    double most = 0, x;
    for (const char *at = text; (at = strstr(at, "class=\"entry\" x=\"")); at++) {
        ck_assert_int_eq(sscanf(at, "class=\"entry\" x=\"%lf\"", &x), 1);
        most = x > most ? x : most;
    }
    ck_assert_double_lt(most, 960 - 7 * 28);
}
END_TEST

START_TEST(says_when_there_is_nothing)
{
    const char *text = draw();
    ck_assert_uint_eq(count_of(text, "nothing was measured"), 4);
    RESULTS_RUN("v", 1, 1, NAN, NAN);
    snprintf(RESULTS_RUN("w", 1, 1, 0.5)->error, 8, "died");
    trib_sim_curve_init(&results_curves[results.n++], "x", 1);
    text = draw();
    ck_assert_uint_eq(count_of(text, "nothing was measured"), 4);
    ck_assert_ptr_nonnull(strstr(text, ">v: not measured<"));
    ck_assert_ptr_nonnull(strstr(text, ">w: failed<"));
}
END_TEST

START_TEST(draws_single_points_and_flat_lines)
{
    results.n_targets = 0;
    RESULTS_RUN("v", 1, 0, 0.5);
    ck_assert_uint_eq(count_of(draw(), "<circle"), 4);
    RESULTS_RUN("w", 1, 0, 1, 1, 1);
    RESULTS_RUN("x", 1, 0, 0, 0, 0);
    draw();
    results_curves[0].points[0] = (struct trib_sim_point){.accuracy = 0.5}; /* the model it began with */
    draw();
}
END_TEST

START_TEST(takes_odd_targets)
{
    static const double odd[] = {NAN, -1, 2, 0.123456789, INFINITY};
    results.targets = odd;
    results.n_targets = 5;
    RESULTS_RUN("v", 1, 1, 0.5, 0.6);
    ck_assert_ptr_nonnull(strstr(draw(), ">12.35 %<"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plot");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_checked_fixture(all, results_setup, teardown);
    tcase_add_test(all, draws_a_line_a_variant_in_each_panel);
    tcase_add_test(all, puts_points_where_they_belong);
    tcase_add_test(all, draws_means_of_rounds_that_all_runs_measured);
    tcase_add_test(all, takes_a_log_axis_for_a_wide_span);
    tcase_add_test(all, chooses_units_that_keep_ticks_short);
    tcase_add_test(all, thins_out_long_lines);
    tcase_add_test(all, escapes_what_people_write);
    tcase_add_test(all, wraps_a_long_legend);
    tcase_add_test(all, says_when_there_is_nothing);
    tcase_add_test(all, draws_single_points_and_flat_lines);
    tcase_add_test(all, takes_odd_targets);
    suite_add_tcase(suite, all);
    return trib_test_run(suite);
}
