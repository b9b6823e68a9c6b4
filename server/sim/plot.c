/* The picture of an experiment: accuracy against what it took, as SVG without scripts. One thread.
 *
 * Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart; dashes tell lines apart without
 * colour. */
#include "sim/results.h"

#include "base/mem.h"
#include "plot_scale.h"
#include "plot_series.h"
#include "results_text.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 960, PANEL_WIDTH = 480, PANEL_HEIGHT = 290, PLOT_LEFT = 62, PLOT_WIDTH = 394, PLOT_TOP = 12 };
enum { PLOT_HEIGHT = 222, TITLE_HEIGHT = 58, LEGEND_ROW = 22, LEGEND_LEFT = 24, LETTER = 7, SAMPLE_LEN = 38 };
enum { LOG_RATIO = 30 }; /* variants whose ends are further apart share no linear axis */

static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"};
static const char *const dashes[] = {"", "8 3", "2 3", "9 3 2 3"};
enum { COLOUR_N = sizeof colours / sizeof colours[0], DASH_N = sizeof dashes / sizeof dashes[0] };

static const struct trib_plot_unit rounds[] = {{0, 1, "rounds"}, {1e5, 1e3, "thousand rounds"}};
static const struct trib_plot_unit sizes[] = {{0, 1e3, "kB"}, {1e6, 1e6, "MB"}, {1e10, 1e9, "GB"}, {1e13, 1e12, "TB"}};
static const struct trib_plot_unit times[] = {
    {0, 1, "seconds"}, {1200, 60, "minutes"}, {36000, 3600, "hours"}, {5 * 86400, 86400, "days"}};
static const struct trib_plot_unit uploads[] = {
    {0, 1, "uploads"}, {1e5, 1e3, "thousand uploads"}, {1e8, 1e6, "million uploads"}};

#define UNITS(list) list, sizeof list / sizeof list[0]
static const struct panel {
    enum trib_sim_metric metric;
    const char *before, *after; /* the unit's name in the axis' label */
    const struct trib_plot_unit *units;
    size_t n_units;
    bool may_be_log;
} panels[] = {
    {TRIB_SIM_ROUNDS, "", "", UNITS(rounds), false},
    {TRIB_SIM_BYTES, "", " up and down", UNITS(sizes), true},
    {TRIB_SIM_SECONDS, "simulated ", "", UNITS(times), true},
    {TRIB_SIM_UPLOADS, "", "", UNITS(uploads), true},
};
enum { PANEL_N = sizeof panels / sizeof panels[0] };

struct picture {
    struct trib_sim_text text;
    const struct trib_sim_results *results;
    const struct trib_plot_series *series;
    size_t n;
    double top; /* of the panel being drawn, and its left edge */
    double left;
    struct trib_plot_scale x, y;
    double divisor; /* of the x axis' unit */
};

static void put(struct picture *picture, double x, double y)
{
    trib_sim_put(&picture->text, " %.1f,%.1f", x, y);
}

/* ---- axes ---- */

/* The values of a panel's x axis: the largest, the smallest above 0, and the ratio of the series' ends. */
static void measure_x(const struct picture *picture, enum trib_sim_metric metric, double *low, double *high,
                      double *ratio)
{
    double least_end = INFINITY;
    *low = INFINITY;
    *high = 0;
    for (size_t v = 0; v < picture->n; v++) {
        const struct trib_plot_series *series = &picture->series[v];
        for (size_t i = 0; i < series->n; i++) {
            double x = series->samples[i].spent[metric];
            *low = x > 0 ? fmin(*low, x) : *low;
            *high = fmax(*high, x);
        }
        if (series->n > 0) {
            double end = series->samples[series->n - 1].spent[metric];
            least_end = end > 0 ? fmin(least_end, end) : least_end;
        }
    }
    *ratio = isfinite(least_end) ? *high / least_end : 1;
}

static const struct trib_plot_unit *set_x(struct picture *picture, const struct panel *panel)
{
    double low, high, ratio;
    double from = picture->left + PLOT_LEFT, to = from + PLOT_WIDTH;
    measure_x(picture, panel->metric, &low, &high, &ratio);
    const struct trib_plot_unit *unit = trib_plot_unit_for(panel->units, panel->n_units, high);
    picture->divisor = unit->divisor;
    bool log = panel->may_be_log && ratio > LOG_RATIO && low < high;
    picture->x = log ? trib_plot_log(low / unit->divisor, high / unit->divisor, from, to)
                     : trib_plot_linear(0, high > 0 ? high / unit->divisor : 1, from, to);
    return unit;
}

/* Percent, from a round number below all that is drawn to one above it. */
static struct trib_plot_scale scale_y(const struct picture *picture, double from, double to)
{
    double low = INFINITY, high = -INFINITY;
    struct trib_plot_tick ticks[TRIB_PLOT_MAX_TICKS];
    for (size_t v = 0; v < picture->n; v++) {
        for (size_t i = 0; i < picture->series[v].n; i++) {
            low = fmin(low, 100 * picture->series[v].samples[i].low);
            high = fmax(high, 100 * picture->series[v].samples[i].high);
        }
    }
    for (size_t t = 0; t < picture->results->n_targets && isfinite(low); t++) {
        low = fmin(low, 100 * picture->results->targets[t]);
        high = fmax(high, 100 * picture->results->targets[t]);
    }
    struct trib_plot_scale scale =
        isfinite(low) ? trib_plot_linear(low, high, from, to) : trib_plot_linear(0, 100, from, to);
    size_t n = trib_plot_ticks(&scale, 6, ticks);
    double step = n > 1 ? ticks[1].value - ticks[0].value : 1;
    scale.low = fmax(0, floor(scale.low / step + 1e-9) * step);
    scale.high = fmin(100, ceil(scale.high / step - 1e-9) * step);
    return scale;
}

static void draw_axes(struct picture *picture, const struct panel *panel, const struct trib_plot_unit *unit)
{
    struct trib_sim_text *text = &picture->text;
    struct trib_plot_tick ticks[TRIB_PLOT_MAX_TICKS];
    const struct trib_plot_scale *x = &picture->x, *y = &picture->y;
    size_t n = trib_plot_ticks(y, 6, ticks);
    for (size_t i = 0; i < n; i++) {
        double at = trib_plot_at(y, ticks[i].value);
        trib_sim_put(text, "<path class=\"grid\" d=\"M%.1f,%.1fH%.1f\"/>\n", x->from, at, x->to);
        trib_sim_put(text, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", x->from - 7,
                     at + 4, ticks[i].label);
    }
    n = trib_plot_ticks(x, 6, ticks);
    for (size_t i = 0; i < n; i++) {
        double at = trib_plot_at(x, ticks[i].value);
        trib_sim_put(text, "<path class=\"grid\" d=\"M%.1f,%.1fV%.1f\"/>\n", at, y->to, y->from + 4);
        trib_sim_put(text, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", at,
                     y->from + 17, ticks[i].label);
    }
    trib_sim_put(text, "<path class=\"axis\" d=\"M%.1f,%.1fV%.1fH%.1f\"/>\n", x->from, y->to, y->from, x->to);
    trib_sim_put(text, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s%s%s%s</text>\n",
                 (x->from + x->to) / 2, y->from + 36, panel->before, unit->name, panel->after,
                 x->log ? " (log scale)" : "");
    trib_sim_put(text,
                 "<text class=\"label\" text-anchor=\"middle\" transform=\"translate(%.1f,%.1f) rotate(-90)\">test "
                 "accuracy, %%</text>\n",
                 picture->left + 18, (y->from + y->to) / 2);
}

static void draw_targets(struct picture *picture)
{
    for (size_t t = 0; t < picture->results->n_targets; t++) {
        double target = 100 * picture->results->targets[t];
        if (!isfinite(target)) {
            continue;
        }
        double at = trib_plot_at(&picture->y, target);
        trib_sim_put(&picture->text, "<path class=\"target\" d=\"M%.1f,%.1fH%.1f\"/>\n", picture->x.from, at,
                     picture->x.to);
        trib_sim_put(&picture->text, "<text class=\"aim\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.4g %%</text>\n",
                     picture->x.to - 2, at + 11, target);
    }
}

/* ---- lines ---- */

static double place_x(const struct picture *picture, const struct trib_plot_sample *sample, enum trib_sim_metric metric)
{
    return trib_plot_at(&picture->x, sample->spent[metric] / picture->divisor);
}

static double place_y(const struct picture *picture, double accuracy)
{
    return trib_plot_at(&picture->y, 100 * accuracy);
}

/* Samples less than half a unit of the picture after the one before are left out, but for the last. */
static bool is_drawn(double x, double *last, bool is_end)
{
    bool drawn = fabs(x - *last) >= 0.5 || is_end;
    *last = drawn ? x : *last;
    return drawn;
}

static void draw_band(struct picture *picture, const struct trib_plot_series *series, size_t number,
                      enum trib_sim_metric metric)
{
    double last = -INFINITY;
    if (series->n < 2 || series->summary->runs - series->summary->failed < 2) {
        return;
    }
    trib_sim_put(&picture->text, "<path class=\"band\" fill=\"%s\" d=\"M", colours[number % COLOUR_N]);
    for (size_t i = 0; i < series->n; i++) {
        double x = place_x(picture, &series->samples[i], metric);
        if (is_drawn(x, &last, i + 1 == series->n)) {
            put(picture, x, place_y(picture, series->samples[i].high));
        }
    }
    last = INFINITY;
    for (size_t i = series->n; i-- > 0;) {
        double x = place_x(picture, &series->samples[i], metric);
        if (is_drawn(x, &last, i == 0)) {
            put(picture, x, place_y(picture, series->samples[i].low));
        }
    }
    trib_sim_put(&picture->text, "Z\"/>\n");
}

static void put_stroke(struct picture *picture, size_t number)
{
    const char *dash = dashes[number % DASH_N];
    trib_sim_put(&picture->text, "class=\"line\" stroke=\"%s\"", colours[number % COLOUR_N]);
    if (dash[0] != '\0') {
        trib_sim_put(&picture->text, " stroke-dasharray=\"%s\"", dash);
    }
}

/* The mean, and a dot where it took that much on average to reach each target. */
static void draw_line(struct picture *picture, const struct trib_plot_series *series, size_t number,
                      enum trib_sim_metric metric)
{
    struct trib_sim_text *text = &picture->text;
    const char *colour = colours[number % COLOUR_N];
    double last = -INFINITY;
    if (series->n == 0) {
        return;
    }
    trib_sim_put(text, "<path ");
    put_stroke(picture, number);
    trib_sim_put(text, " d=\"M");
    for (size_t i = 0; i < series->n; i++) {
        double x = place_x(picture, &series->samples[i], metric);
        if (is_drawn(x, &last, i + 1 == series->n)) {
            put(picture, x, place_y(picture, series->samples[i].mean));
        }
    }
    trib_sim_put(text, "\"/>\n");
    if (series->n == 1) {
        trib_sim_put(text, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"%s\"/>\n",
                     place_x(picture, series->samples, metric), place_y(picture, series->samples->mean), colour);
    }
    for (size_t t = 0; t < series->summary->n_reach; t++) {
        const struct trib_sim_reach *reach = &series->summary->reach[t];
        if (reach->reached > 0) {
            trib_sim_put(text, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"/>\n",
                         trib_plot_at(&picture->x, reach->spent[metric].mean / picture->divisor),
                         place_y(picture, reach->target), colour);
        }
    }
}

static void draw_panel(struct picture *picture, const struct panel *panel)
{
    double top = picture->top + PLOT_TOP;
    bool empty = true;
    picture->y = scale_y(picture, top + PLOT_HEIGHT, top);
    const struct trib_plot_unit *unit = set_x(picture, panel);
    trib_sim_put(&picture->text, "<g>\n");
    draw_axes(picture, panel, unit);
    for (size_t v = 0; v < picture->n; v++) {
        draw_band(picture, &picture->series[v], v, panel->metric);
        empty = empty && picture->series[v].n == 0;
    }
    draw_targets(picture);
    for (size_t v = picture->n; v-- > 0;) { /* the first, which others are compared with, on top */
        draw_line(picture, &picture->series[v], v, panel->metric);
    }
    if (empty) {
        trib_sim_put(&picture->text,
                     "<text class=\"label\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">nothing was measured</text>\n",
                     (picture->x.from + picture->x.to) / 2, (picture->y.from + picture->y.to) / 2);
    }
    trib_sim_put(&picture->text, "</g>\n");
}

/* ---- legend ---- */

/* "name: 97.3 %, 3 runs" */
static void legend_text(const struct trib_sim_summary *summary, char *to, size_t size)
{
    size_t runs = summary->runs - summary->failed;
    if (!isfinite(summary->accuracy.mean)) {
        snprintf(to, size, "%s: %s", summary->variant, runs == 0 ? "failed" : "not measured");
    } else if (runs == 1) {
        snprintf(to, size, "%s: %.1f %%", summary->variant, 100 * summary->accuracy.mean);
    } else {
        snprintf(to, size, "%s: %.1f %%, %zu runs", summary->variant, 100 * summary->accuracy.mean, runs);
    }
}

/* Lay the entries out in rows, and draw them if asked to. Returns the rows. */
static size_t legend(struct picture *picture, bool draw)
{
    double x = LEGEND_LEFT, y = TITLE_HEIGHT + LEGEND_ROW / 2;
    size_t rows_n = 1;
    for (size_t v = 0; v < picture->n; v++) {
        char entry[TRIB_SIM_VARIANT_LEN + 64];
        legend_text(picture->series[v].summary, entry, sizeof entry);
        double width = SAMPLE_LEN + LETTER * (double)strlen(entry) + 18;
        if (x > LEGEND_LEFT && x + width > WIDTH) {
            x = LEGEND_LEFT;
            y += LEGEND_ROW;
            rows_n++;
        }
        if (draw) {
            trib_sim_put(&picture->text, "<path ");
            put_stroke(picture, v);
            trib_sim_put(&picture->text, " d=\"M%.1f,%.1fh%d\"/>\n<text class=\"entry\" x=\"%.1f\" y=\"%.1f\">", x, y,
                         SAMPLE_LEN - 8, x + SAMPLE_LEN, y + 4);
            trib_sim_put_xml(&picture->text, entry);
            trib_sim_put(&picture->text, "</text>\n");
        }
        x += width;
    }
    return rows_n;
}

/* ---- the whole ---- */

static void draw_head(struct picture *picture, double height)
{
    const struct trib_sim_results *results = picture->results;
    const char *title = results->title ? results->title : results->name;
    struct trib_sim_text *text = &picture->text;
    trib_sim_put(text,
                 "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\" "
                 "role=\"img\" font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\">\n<title>",
                 WIDTH, height, WIDTH, height);
    trib_sim_put_xml(text, title);
    trib_sim_put(text, "</title>\n<style>\n"
                       ".line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }\n"
                       ".band { fill-opacity: 0.2; stroke: none; }\n"
                       ".dot { stroke: #fff; stroke-width: 1; }\n"
                       ".grid { stroke: #e6e6e6; stroke-width: 1; fill: none; }\n"
                       ".axis { stroke: #444; stroke-width: 1; fill: none; }\n"
                       ".target { stroke: #777; stroke-width: 1; stroke-dasharray: 1 3; fill: none; }\n"
                       ".tick { font-size: 11px; fill: #444; }\n"
                       ".aim { font-size: 10px; fill: #666; }\n"
                       ".label, .entry { font-size: 12px; fill: #222; }\n"
                       ".title { font-size: 17px; font-weight: bold; fill: #111; }\n"
                       ".note { font-size: 12px; fill: #555; }\n"
                       "</style>\n");
    trib_sim_put(text, "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n");
    trib_sim_put(text, "<text class=\"title\" x=\"%d\" y=\"28\">", LEGEND_LEFT);
    trib_sim_put_xml(text, title);
    trib_sim_put(text, "</text>\n<text class=\"note\" x=\"%d\" y=\"47\">", LEGEND_LEFT);
    trib_sim_put_xml(text, results->name);
    trib_sim_put(text, ": lines are means over the runs of a variant, bands their range, dots the targets reached"
                       "</text>\n");
}

static void draw(struct picture *picture)
{
    double head = TITLE_HEIGHT + (double)LEGEND_ROW * (double)legend(picture, false) + 6;
    draw_head(picture, head + (double)PANEL_HEIGHT * (PANEL_N / 2) + 4);
    (void)legend(picture, true);
    for (size_t p = 0; p < PANEL_N; p++) {
        picture->left = PANEL_WIDTH * (double)(p % 2);
        picture->top = head + PANEL_HEIGHT * floor((double)p / 2);
        draw_panel(picture, &panels[p]);
    }
    trib_sim_put(&picture->text, "</svg>\n");
}

enum trib_status trib_sim_write_svg(const char *path, const struct trib_sim_results *results, struct trib_error *error)
{
    struct trib_sim_summary *summaries = NULL;
    struct trib_plot_series *series = NULL;
    size_t n = 0;
    TRIB_TRY(trib_sim_summarise(results, &summaries, &n, error));
    enum trib_status status = trib_plot_series_make(results, summaries, n, &series, error);
    if (status == TRIB_OK) {
        struct picture picture = {.results = results, .series = series, .n = n};
        draw(&picture);
        status = trib_sim_text_save(&picture.text, path, error);
        trib_plot_series_free(series, n);
    }
    trib_free(summaries);
    return status;
}
