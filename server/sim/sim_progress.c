/* A progress bar. */
#include "sim/sim_progress.h"

#include "base/clock.h"
#include "base/str.h"

#include <inttypes.h>
#include <math.h>
#include <unistd.h>

enum { BAR = 24, SHOW_EVERY_MS = 100 };

void trib_sim_progress_begin(struct trib_sim_progress *progress, FILE *to, size_t runs, uint64_t rounds)
{
    *progress = (struct trib_sim_progress){.to = to,
                                           .terminal = isatty(fileno(to)) == 1,
                                           .runs = runs,
                                           .rounds = rounds > 0 ? rounds : 1,
                                           .began_ms = trib_clock_ms()};
}

static void clear_line(const struct trib_sim_progress *progress)
{
    if (progress->terminal) {
        fputs("\r\033[K", progress->to);
    }
}

/* The last accuracy that was measured, or nan. */
static double accuracy_of(const struct trib_sim_curve *curve)
{
    for (size_t i = curve->n; i-- > 0;) {
        if (!isnan(curve->points[i].accuracy)) {
            return curve->points[i].accuracy;
        }
    }
    return (double)NAN;
}

static void show_bar(struct trib_sim_progress *progress, const struct trib_sim_curve *curve)
{
    int64_t now_ms = trib_clock_ms();
    if (!progress->terminal || now_ms - progress->shown_ms < SHOW_EVERY_MS) {
        return;
    }
    progress->shown_ms = now_ms;
    double share = (double)progress->done / (double)progress->rounds;
    int filled = (int)(share * BAR);
    char left[32];
    double passed = (double)(now_ms - progress->began_ms);
    clear_line(progress);
    fputc('[', progress->to);
    for (int i = 0; i < BAR; i++) {
        fputc(i < filled ? '#' : '-', progress->to);
    }
    fprintf(progress->to, "] %3.0f%%  %zu/%zu runs  %.24s seed %" PRIu64 " round %" PRIu64 "  accuracy %.4f",
            100 * share, progress->ended, progress->runs, curve->variant, curve->seed,
            curve->points[curve->n - 1].round, accuracy_of(curve));
    if (share > 0.02 && share < 1) {
        int64_t left_ms = (int64_t)(passed / share * (1 - share));
        fprintf(progress->to, "  %s left", trib_format_duration(left_ms / 1000 * 1000, left, sizeof left));
    }
    fflush(progress->to);
}

static void show_end(const struct trib_sim_progress *progress, const struct trib_sim_curve *curve)
{
    char up[32], down[32], simulated[32];
    clear_line(progress);
    if (curve->error[0]) {
        fprintf(progress->to, "%s, seed %" PRIu64 ": failed: %s\n", curve->variant, curve->seed, curve->error);
    } else if (curve->n > 0 && !progress->terminal) {
        const struct trib_sim_point *last = &curve->points[curve->n - 1];
        fprintf(progress->to,
                "%s, seed %" PRIu64 ": %" PRIu64 " rounds, accuracy %.4f, %" PRIu64 " uploads, %s up, %s down, %s "
                "simulated (run %zu of %zu, %.1f s so far)\n",
                curve->variant, curve->seed, last->round, accuracy_of(curve), last->uploads,
                trib_format_size((double)last->bytes_up, up, sizeof up),
                trib_format_size((double)last->bytes_down, down, sizeof down),
                trib_format_duration((int64_t)(last->seconds * 1000), simulated, sizeof simulated), progress->ended,
                progress->runs, (double)(trib_clock_ms() - progress->began_ms) / 1000);
    }
    fflush(progress->to);
}

void trib_sim_progress_change(struct trib_sim_progress *progress, const struct trib_sim_curve *curve, bool ended,
                              uint64_t rounds)
{
    if (ended) {
        progress->ended++;
        progress->done += rounds > curve->n ? rounds - curve->n : 0;
        show_end(progress, curve);
    } else {
        progress->done++;
        show_bar(progress, curve);
    }
}

void trib_sim_progress_end(struct trib_sim_progress *progress)
{
    clear_line(progress);
    fflush(progress->to);
}
