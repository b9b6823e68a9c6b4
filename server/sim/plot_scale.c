/* Axes: scales, units, ticks. Any thread. */
#include "plot_scale.h"

#include <math.h>
#include <stdio.h>

const struct trib_plot_unit *trib_plot_unit_for(const struct trib_plot_unit *units, size_t n, double largest)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        best = largest >= units[i].least ? i : best;
    }
    return &units[best];
}

struct trib_plot_scale trib_plot_linear(double low, double high, double from, double to)
{
    if (!(high > low)) {
        double room = fabs(low) > 0 ? fabs(low) / 2 : 0.5;
        high = low + room;
        low -= room;
    }
    return (struct trib_plot_scale){.low = low, .high = high, .from = from, .to = to};
}

struct trib_plot_scale trib_plot_log(double low, double high, double from, double to)
{
    return (struct trib_plot_scale){.log = true, .low = low, .high = high, .from = from, .to = to};
}

double trib_plot_at(const struct trib_plot_scale *scale, double value)
{
    value = fmin(fmax(value, scale->low), scale->high);
    double share = scale->log ? log(value / scale->low) / log(scale->high / scale->low)
                              : (value - scale->low) / (scale->high - scale->low);
    return scale->from + share * (scale->to - scale->from);
}

static void label(struct trib_plot_tick *tick, double value, int decimals)
{
    tick->value = value;
    snprintf(tick->label, sizeof tick->label, "%.*f", decimals, value);
}

static int decimals_of(double step)
{
    double digits = ceil(-log10(step) - 1e-9);
    return digits < 0 ? 0 : digits > 9 ? 9 : (int)digits;
}

static size_t linear_ticks(const struct trib_plot_scale *scale, int wanted, struct trib_plot_tick *ticks)
{
    double rough = (scale->high - scale->low) / wanted;
    double power = pow(10, floor(log10(rough)));
    double step = rough <= power * 1.0000001 ? power
                  : rough <= 2 * power       ? 2 * power
                  : rough <= 5 * power       ? 5 * power
                                             : 10 * power;
    size_t n = 0;
    double slack = step * 1e-6;
    for (double k = ceil((scale->low - slack) / step); k * step <= scale->high + slack && n < TRIB_PLOT_MAX_TICKS;
         k++) {
        label(&ticks[n++], k * step + 0.0, decimals_of(step));
    }
    return n;
}

/* Powers of ten, with 2 and 5 times them when few powers fit, or only every other power and so on when many do. */
static size_t log_ticks(const struct trib_plot_scale *scale, int wanted, struct trib_plot_tick *ticks)
{
    static const double digits[] = {1, 2, 5};
    double first = floor(log10(scale->low)), last = ceil(log10(scale->high));
    double decades = log10(scale->high / scale->low);
    int per_decade = decades * 3 <= wanted + 1 ? 3 : 1;
    double stride = fmax(1, ceil(decades / wanted));
    size_t n = 0;
    for (double power = first; power <= last; power += stride) {
        for (int d = 0; d < per_decade && n < TRIB_PLOT_MAX_TICKS; d++) {
            double value = digits[d] * pow(10, power);
            if (value >= scale->low * 0.999999 && value <= scale->high * 1.000001) {
                label(&ticks[n++], value, decimals_of(value));
            }
        }
    }
    return n;
}

size_t trib_plot_ticks(const struct trib_plot_scale *scale, int wanted, struct trib_plot_tick *ticks)
{
    return scale->log ? log_ticks(scale, wanted, ticks) : linear_ticks(scale, wanted, ticks);
}
