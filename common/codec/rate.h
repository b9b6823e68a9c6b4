/* The step of a quantiser with an entropy coder behind it is one for the whole vector, such that the frame, with all
 * heads and tables, takes the bits that were asked for. One step for all blocks makes those of small variance take
 * fewer bits: reverse water-filling, the least error for a given sum.
 *
 * After a rotation a block is close to N(0, energy / n), so energies and a table of entropies suffice. Without one, a
 * sample of the values is quantised at trial steps, and then whole blocks at the step found, to correct it.
 *
 * Private to the codec block; any thread; no libm beyond sqrt, frexp and ldexp. */
#ifndef TRIB_CODEC_RATE_H
#define TRIB_CODEC_RATE_H

#include "codec/stage.h"

/* trib_rate_log2 and trib_rate_exp2 return log2(x) for x > 0 and 2^x, the same bits on every machine, to about 1e-13.
 */
double trib_rate_log2(double x);
double trib_rate_exp2(double x);

/* A curve is a function of a positive ratio: values at ratios 2^(first + i / density), cubic between. The two values
 * beyond either end of what is asked for belong to the table; outside it the nearest one is taken. */
struct trib_rate_curve {
    const double *values;
    unsigned n, density;
    double first;
};
double trib_rate_curve_at(const struct trib_rate_curve *curve, double ratio);

/* trib_rate_unbiased_step returns the step of a block where those of much larger variance have `step`, both in the
 * block's standard deviations. Of many blocks of different variance that are decoded unbiased the sum of errors is
 * least where d(error) / d(rate) is the same for all. A block's error is D / (1 - D) of its energy, D the biased one's;
 * at small steps that means one step for all blocks, at large ones less. */
double trib_rate_unbiased_step(double step);

/* trib_rate_of_symbols returns the bits that the symbols of a block take with an ideal coder that knows the counts of
 * each segment; *distinct of them occur, for which it needs a table. `counts` has room for the alphabet. */
double trib_rate_of_symbols(const struct trib_block *block, uint32_t *counts, uint32_t *distinct);

/* ---- a quantiser's survey ---- */

/* A rate model is what the quantiser says about itself. */
struct trib_rate_model {
    /* gaussian returns the bits for each of many values of N(0, 1) at this step. */
    double (*gaussian)(const struct trib_stage_use *use, double step);
    /* quantize quantises block->values, which it may change; fills in symbols, alphabet and segments. */
    void (*quantize)(const struct trib_stage_use *use, float step, struct trib_block *block);
    unsigned head_len;        /* bytes in front of each block, about */
    unsigned measured_blocks; /* whole blocks to quantise, about, where values are not Gaussian; more cost more time */
};

/* The state of the survey; `step` is what the survey finds, 0 for a vector of zeros. */
struct trib_rate_survey {
    float step;
    double rate; /* bits asked for, a value */
    const struct trib_rate_model *model;
    struct trib_survey_info info;
    struct trib_rate_plan *plan; /* NULL once done */
};
enum { TRIB_RATE_PASSES = 2 };
/* trib_rate_begin is for the stage's begin; the model is borrowed. */
enum trib_status trib_rate_begin(struct trib_rate_survey *survey, const struct trib_rate_model *model,
                                 const struct trib_survey_info *info, double rate);
/* trib_rate_block, _end and _clear are the other slots of struct trib_stage_survey; their state is a struct
 * trib_rate_survey. */
void trib_rate_block(const struct trib_stage_use *use, void *state, unsigned pass, const struct trib_block *block);
void trib_rate_end(const struct trib_stage_use *use, void *state, unsigned pass);
void trib_rate_clear(void *state);

/* A size is the sum of squares and the largest magnitude of values. */
struct trib_rate_size {
    double energy;
    float largest;
};
/* Steps below this are hardly floats. */
#define TRIB_RATE_STEP_LEAST 0x1p-140
struct trib_rate_size trib_rate_measure(const float *values, size_t n);

/* trib_rate_args is the rows of arguments of a stage for any rate: "2", "2bit", "0.5bit", and, optionally, "unbiased".
 * args[0] is the rate, args[1] 1 or 0. */
enum { TRIB_RATE_ARGS = 2 };
extern const struct trib_stage_arg trib_rate_args[TRIB_RATE_ARGS];

#endif
