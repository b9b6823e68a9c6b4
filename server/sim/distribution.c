/* Distributions: their table, reading and drawing. */
#include "sim/distribution.h"

#include "base/str.h"

#include <math.h>
#include <string.h>

#define LARGEST 1e15

static double draw_fixed(double a, double b, struct trib_rng *rng)
{
    (void)b;
    (void)rng;
    return a;
}

static double draw_uniform(double a, double b, struct trib_rng *rng)
{
    return a + (b - a) * trib_rng_uniform64(rng);
}

static double draw_lognormal(double a, double b, struct trib_rng *rng)
{
    return a * exp(b * trib_rng_normal(rng));
}

/* By inversion: P(X > x) = (a / x)^b */
static double draw_pareto(double a, double b, struct trib_rng *rng)
{
    return a * pow(1 - trib_rng_uniform64(rng), -1 / b);
}

static double draw_exponential(double a, double b, struct trib_rng *rng)
{
    (void)b;
    return -a * log(1 - trib_rng_uniform64(rng));
}

static const struct kind {
    const char *name, *form;
    bool two;               /* parameters, or one */
    double least_b, most_b; /* bounds of the second */
    double (*draw)(double a, double b, struct trib_rng *rng);
} kinds[TRIB_DISTRIBUTION_KIND_COUNT] = {
    [TRIB_DISTRIBUTION_FIXED] = {.name = "fixed", .form = "fixed:X", .draw = draw_fixed},
    [TRIB_DISTRIBUTION_UNIFORM] =
        {.name = "uniform", .form = "uniform:LO,HI", .two = true, .most_b = LARGEST, .draw = draw_uniform},
    [TRIB_DISTRIBUTION_LOGNORMAL] =
        {.name = "lognormal", .form = "lognormal:MEDIAN,SIGMA", .two = true, .most_b = 10, .draw = draw_lognormal},
    [TRIB_DISTRIBUTION_PARETO] = {.name = "pareto",
                                  .form = "pareto:MIN,ALPHA",
                                  .two = true,
                                  .least_b = 0.05,
                                  .most_b = 1e6,
                                  .draw = draw_pareto},
    [TRIB_DISTRIBUTION_EXPONENTIAL] = {.name = "exponential", .form = "exponential:MEAN", .draw = draw_exponential},
};

static enum trib_status fail_unknown(const char *text, struct trib_error *error)
{
    return trib_fail(error, TRIB_INVALID,
                     "\"%.40s\" is no distribution; known are fixed:X, uniform:LO,HI, lognormal:MEDIAN,SIGMA, "
                     "pareto:MIN,ALPHA, exponential:MEAN",
                     text);
}

static enum trib_status read_parameters(const struct kind *kind, const char *text, struct trib_distribution *read,
                                        struct trib_error *error)
{
    char first[64];
    struct trib_error reason;
    const char *comma = strchr(text, ',');
    size_t len = comma ? (size_t)(comma - text) : strlen(text);
    if (!comma == kind->two || len >= sizeof first) {
        return trib_fail(error, TRIB_INVALID, "\"%.40s\": write it as %s", text, kind->form);
    }
    memcpy(first, text, len);
    first[len] = '\0';
    enum trib_status status = trib_parse_double(first, 0, LARGEST, &read->a, &reason);
    if (status == TRIB_OK && comma) {
        status = trib_parse_double(comma + 1, kind->least_b, kind->most_b, &read->b, &reason);
    }
    return status == TRIB_OK ? TRIB_OK : trib_fail(error, TRIB_INVALID, "as in %s: %s", kind->form, reason.message);
}

enum trib_status trib_distribution_parse(const char *text, struct trib_distribution *distribution,
                                         struct trib_error *error)
{
    size_t len = strcspn(text, ":");
    struct trib_distribution read = {0};
    for (int i = 0; i < TRIB_DISTRIBUTION_KIND_COUNT; i++) {
        const struct kind *kind = &kinds[i];
        if (strlen(kind->name) != len || strncmp(kind->name, text, len) != 0) {
            continue;
        }
        if (text[len] != ':') {
            return trib_fail(error, TRIB_INVALID, "\"%.40s\": write it as %s", text, kind->form);
        }
        read.kind = (enum trib_distribution_kind)i;
        TRIB_TRY(read_parameters(kind, text + len + 1, &read, error));
        if (read.kind == TRIB_DISTRIBUTION_UNIFORM && read.b < read.a) {
            return trib_fail(error, TRIB_INVALID, "uniform:LO,HI: %g is above %g", read.a, read.b);
        }
        *distribution = read;
        return TRIB_OK;
    }
    return fail_unknown(text, error);
}

double trib_distribution_draw(const struct trib_distribution *distribution, struct trib_rng *rng)
{
    double value = kinds[distribution->kind].draw(distribution->a, distribution->b, rng);
    return value > LARGEST ? LARGEST : value;
}
