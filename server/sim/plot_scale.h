/* Axes of a picture: from values to places, ticks at round numbers, units that keep labels short. Private to this
 * block; any thread. */
#ifndef TRIB_SIM_PLOT_SCALE_H
#define TRIB_SIM_PLOT_SCALE_H

#include <stdbool.h>
#include <stddef.h>

/* What an axis counts; `divisor` of its values make one of `name`. */
struct trib_plot_unit {
    double least; /* the largest value from which on this unit is used */
    double divisor;
    const char *name;
};
/* The largest unit that `largest` is worth; units ascend, the first serves for all below. */
const struct trib_plot_unit *trib_plot_unit_for(const struct trib_plot_unit *units, size_t n, double largest);

struct trib_plot_scale {
    bool log;
    double low, high; /* values, in the unit */
    double from, to;  /* their places */
};
/* Linear from low to high, which are moved apart when they are one. */
struct trib_plot_scale trib_plot_linear(double low, double high, double from, double to);
/* Logarithmic; 0 < low < high. */
struct trib_plot_scale trib_plot_log(double low, double high, double from, double to);
/* The place of a value; those outside are put at the ends. */
double trib_plot_at(const struct trib_plot_scale *scale, double value);

enum { TRIB_PLOT_MAX_TICKS = 24 };
struct trib_plot_tick {
    double value;
    char label[16];
};
/* At most about `wanted` ticks at multiples of 1, 2 or 5 times a power of ten, or at such numbers of a log scale. */
size_t trib_plot_ticks(const struct trib_plot_scale *scale, int wanted, struct trib_plot_tick *ticks);

#endif
