/* Results as tables for a terminal. One thread. */
#include "sim/results.h"

#include "base/mem.h"
#include "base/str.h"
#include "results_text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { NAME_LEAST = 7, NAME_MOST = 30, CELL_LEN = 32 };

static const struct {
    const char *title;
    enum trib_sim_metric metric;
} columns[] = {
    {"rounds", TRIB_SIM_ROUNDS},      {"uploads", TRIB_SIM_UPLOADS}, {"MB up", TRIB_SIM_BYTES_UP},
    {"MB down", TRIB_SIM_BYTES_DOWN}, {"MB both", TRIB_SIM_BYTES},   {"simulated", TRIB_SIM_SECONDS},
};
enum { COLUMN_N = sizeof columns / sizeof columns[0] };

/* ---- cells ---- */

static const char *format_value(enum trib_sim_metric metric, double value, char cell[CELL_LEN])
{
    if (!isfinite(value)) {
        return "-";
    }
    switch (metric) {
    case TRIB_SIM_ROUNDS:
    case TRIB_SIM_UPLOADS:
        snprintf(cell, CELL_LEN, value == floor(value) ? "%.0f" : "%.1f", value);
        break;
    case TRIB_SIM_SECONDS:
        (void)trib_format_duration((int64_t)(fmin(value, 1e12) * 1000), cell, CELL_LEN);
        break;
    default:
        value /= 1e6;
        snprintf(cell, CELL_LEN, value < 10 ? "%.3f" : value < 1000 ? "%.1f" : "%.0f", value);
        break;
    }
    return cell;
}

static const char *format_share(double value, char cell[CELL_LEN])
{
    if (!isfinite(value)) {
        return "-";
    }
    snprintf(cell, CELL_LEN, "%.2f %%", 100 * value);
    return cell;
}

/* Without the blanks that empty cells leave at its end; nothing for a line of blanks. */
static void end_line(struct trib_sim_text *text)
{
    struct trib_buf *buf = &text->buf;
    while (buf->len > 0 && buf->data[buf->len - 1] == ' ') {
        buf->len--;
    }
    if (buf->len > 0 && buf->data[buf->len - 1] != '\n') {
        trib_sim_put(text, "\n");
    }
}

static void put_range(struct trib_sim_text *text, enum trib_sim_metric metric, const struct trib_sim_spread *spread,
                      int width)
{
    char low[CELL_LEN], high[CELL_LEN], range[2 * CELL_LEN + 2];
    snprintf(range, sizeof range, "%s..%s", format_value(metric, spread->min, low),
             format_value(metric, spread->max, high));
    trib_sim_put(text, " %*s", width, spread->min < spread->max ? range : "");
}

/* ---- tables ---- */

static int name_width(const struct trib_sim_summary *summaries, size_t n)
{
    int width = NAME_LEAST;
    for (size_t v = 0; v < n; v++) {
        int len = (int)strlen(summaries[v].variant);
        width = len > width ? len : width;
    }
    return width < NAME_MOST ? width : NAME_MOST;
}

static void put_ends(struct trib_sim_text *text, const struct trib_sim_summary *summaries, size_t n, int width)
{
    trib_sim_put(text, "%-*s %5s %10s %14s %10s %8s", width, "variant", "runs", "accuracy", "", "best", "loss");
    for (size_t i = 0; i < COLUMN_N; i++) {
        trib_sim_put(text, " %10s", columns[i].title);
    }
    end_line(text);
    for (size_t v = 0; v < n; v++) {
        const struct trib_sim_summary *s = &summaries[v];
        char mean[CELL_LEN], best[CELL_LEN], runs[CELL_LEN], range[2 * CELL_LEN];
        snprintf(runs, sizeof runs, s->failed == 0 ? "%zu" : "%zu/%zu", s->runs - s->failed, s->runs);
        snprintf(range, sizeof range, "%.2f..%.2f", 100 * s->accuracy.min, 100 * s->accuracy.max);
        trib_sim_put(text, "%-*.*s %5s %10s %14s %10s", width, width, s->variant, runs,
                     format_share(s->accuracy.mean, mean), s->accuracy.min < s->accuracy.max ? range : "",
                     format_share(s->best.mean, best));
        if (isfinite(s->loss.mean)) {
            trib_sim_put(text, " %8.4f", s->loss.mean);
        } else {
            trib_sim_put(text, " %8s", "-");
        }
        for (size_t i = 0; i < COLUMN_N; i++) {
            trib_sim_put(text, " %10s", format_value(columns[i].metric, s->spent[columns[i].metric].mean, mean));
        }
        end_line(text);
    }
}

/* A value and, after it, how many times less than the first variant's it is. */
static void put_spent(struct trib_sim_text *text, enum trib_sim_metric metric, const struct trib_sim_reach *reach,
                      bool compared)
{
    char cell[CELL_LEN], saving[CELL_LEN] = "";
    if (compared && isfinite(reach->saving[metric])) {
        snprintf(saving, sizeof saving, reach->saving[metric] < 100 ? "%.2fx" : "%.0fx", reach->saving[metric]);
    }
    trib_sim_put(text, " %9s %6s", format_value(metric, reach->spent[metric].mean, cell), saving);
}

static void put_target(struct trib_sim_text *text, const struct trib_sim_summary *summaries, size_t n, size_t target,
                       int width)
{
    trib_sim_put(text, "\nuntil %.6g %% was first reached", 100 * summaries[0].reach[target].target);
    if (n > 1) {
        trib_sim_put(text, " (x: times less than %.*s)", NAME_MOST, summaries[0].variant);
    }
    end_line(text);
    trib_sim_put(text, "%-*s %5s", width, "variant", "runs");
    for (size_t i = 0; i < COLUMN_N; i++) {
        trib_sim_put(text, " %9s %6s", columns[i].title, "");
    }
    end_line(text);
    for (size_t v = 0; v < n; v++) {
        const struct trib_sim_reach *reach = &summaries[v].reach[target];
        char runs[CELL_LEN];
        snprintf(runs, sizeof runs, "%zu/%zu", reach->reached, summaries[v].runs - summaries[v].failed);
        trib_sim_put(text, "%-*.*s %5s", width, width, summaries[v].variant, runs);
        for (size_t i = 0; i < COLUMN_N; i++) {
            put_spent(text, columns[i].metric, reach, v > 0);
        }
        end_line(text);
        if (reach->reached > 1) {
            trib_sim_put(text, "%*s", width + 6, "");
            for (size_t i = 0; i < COLUMN_N; i++) {
                put_range(text, columns[i].metric, &reach->spent[columns[i].metric], 16);
            }
            end_line(text);
        }
    }
}

static enum trib_status print(FILE *to, const struct trib_sim_text *text, struct trib_error *error)
{
    if (text->status != TRIB_OK) {
        return trib_fail_no_memory(error);
    }
    if (fwrite(text->buf.data, 1, text->buf.len, to) != text->buf.len || fflush(to) != 0) {
        return trib_fail_errno(error, errno, "printing the table of results");
    }
    return TRIB_OK;
}

enum trib_status trib_sim_print_table(FILE *to, const struct trib_sim_results *results, struct trib_error *error)
{
    struct trib_sim_text text = {0};
    struct trib_sim_summary *summaries = NULL;
    size_t n = 0;
    TRIB_TRY(trib_sim_summarise(results, &summaries, &n, error));
    int width = name_width(summaries, n);
    put_ends(&text, summaries, n, width);
    for (size_t t = 0; n > 0 && t < summaries[0].n_reach; t++) {
        put_target(&text, summaries, n, t, width);
    }
    for (size_t c = 0; c < results->n; c++) {
        const struct trib_sim_curve *curve = &results->curves[c];
        if (curve->error[0] != '\0') {
            trib_sim_put(&text, "\n%s, seed %" PRIu64 " failed: %s\n", curve->variant, curve->seed, curve->error);
        }
    }
    trib_free(summaries);
    enum trib_status status = print(to, &text, error);
    trib_buf_clear(&text.buf);
    return status;
}
