/* A chain is chosen by trial and error: candidates for the rate are run on a sample of the vector and the one with the
 * least error wins.
 *
 * Which one that is depends on how the values are distributed. For the same error Gaussian values need the most bits of
 * all of one variance, and a rotation makes any values look Gaussian: so an even update is best left as it is, where an
 * entropy coder gains from its heavy tails, and the sparser and more heavy-tailed it is the more so. Kurtosis tells how
 * far that goes, and where sparsifiers are worth a trial. */
#include "codec/choose.h"

#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    PIECE = 8192, /* values of a sample's piece: long enough to show how a layer looks */
    PIECES = 64,
    SAMPLE = PIECE * PIECES,
    CANDIDATES = 10,
    HEAVY_KURTOSIS = 10 /* from here on few values carry most of the energy */
};

/* ---- the target ---- */

static const char prefix[] = "auto:";

bool trib_choice_is_auto(const char *text)
{
    return strcmp(text, "auto") == 0 || trib_str_starts_with(text, prefix);
}

enum trib_status trib_choice_parse(const char *text, struct trib_choice_target *target, struct trib_error *error)
{
    char copy[TRIB_CHAIN_TEXT];
    struct trib_choice_target read;
    if (!trib_str_starts_with(text, prefix) || !trib_str_copy(copy, sizeof copy, text + sizeof prefix - 1)) {
        return trib_fail(error, TRIB_INVALID, "codec \"%.40s\" is not auto:BITS,SECONDS", text);
    }
    char *comma = strchr(copy, ',');
    if (!comma) {
        return trib_fail(error, TRIB_INVALID, "codec \"%.40s\" is not auto:BITS,SECONDS", text);
    }
    *comma = '\0';
    TRIB_TRY(trib_parse_double(copy, TRIB_CHOICE_MIN_BITS, TRIB_CHOICE_MAX_BITS, &read.bits, error));
    TRIB_TRY(trib_parse_double(comma + 1, 0, 1e9, &read.seconds, error));
    *target = read;
    return TRIB_OK;
}

void trib_choice_format(const struct trib_choice_target *target, char text[TRIB_CHAIN_TEXT])
{
    (void)snprintf(text, TRIB_CHAIN_TEXT, "%s%.4g,%.4g", prefix, target->bits, target->seconds);
}

/* ---- the sample ---- */

static size_t take_sample(const float *vector, size_t n, float *sample)
{
    if (n <= SAMPLE) {
        memcpy(sample, vector, n * sizeof *sample);
        return n;
    }
    for (size_t piece = 0; piece < PIECES; piece++) {
        size_t first = (size_t)((double)(n - PIECE) * (double)piece / (PIECES - 1));
        memcpy(sample + piece * PIECE, vector + first, PIECE * sizeof *sample);
    }
    return SAMPLE;
}

static double kurtosis_of(const float *sample, size_t n)
{
    double second = 0, fourth = 0;
    for (size_t i = 0; i < n; i++) {
        double square = (double)sample[i] * (double)sample[i];
        second += square;
        fourth += square * square;
    }
    return second > 0 ? fourth * (double)n / (second * second) : 0;
}

/* ---- candidates ---- */

struct candidates {
    char texts[CANDIDATES][TRIB_CHAIN_TEXT];
    size_t n;
};

static void add(struct candidates *candidates, const char *before, double value, const char *after)
{
    (void)snprintf(candidates->texts[candidates->n++], TRIB_CHAIN_TEXT, "%s:%.4g%s", before, value, after);
}

static void add_plain(struct candidates *candidates, const char *text)
{
    (void)trib_str_copy(candidates->texts[candidates->n++], TRIB_CHAIN_TEXT, text);
}

static double mask_entropy(double share)
{
    return -share * log2(share) - (1 - share) * log2(1 - share);
}

/* The share of values that can be sent in `bits` a coordinate at `each` bits a value, positions counted. */
static double share_for(double bits, double each)
{
    double low = 1e-6, high = 0.5;
    for (int i = 0; i < 40; i++) {
        double share = (low + high) / 2;
        *(share * each + mask_entropy(share) > bits ? &high : &low) = share;
    }
    return low;
}

static void list_candidates(struct candidates *candidates, double bits, double kurtosis)
{
    candidates->n = 0;
    if (bits >= 32) {
        add_plain(candidates, "f32");
        return;
    }
    if (bits >= 16) {
        add_plain(candidates, "f16");
        add_plain(candidates, "bf16");
        return;
    }
    double rate = bits < 8 ? bits : 8; /* what the grids go up to */
    add(candidates, "rotate|trellis", rate, "|range");
    add(candidates, "trellis", rate, "|range");
    add(candidates, "rotate|uniform", rate, "|range");
    add(candidates, "uniform", rate, "|range");
    if (kurtosis >= HEAVY_KURTOSIS) {
        add(candidates, "topk", share_for(bits, 8), "|q8|range");
        add(candidates, "topk", share_for(bits, 4), "|q4|range");
        add(candidates, "ternary", share_for(bits, 1), "|range");
    }
}

/* ---- trial ---- */

struct trial {
    struct trib_chain_work *work;
    uint8_t *coded;
    float *decoded;
    const float *sample;
    size_t n;
    uint64_t seed;
    double energy;
};

static enum trib_status run_blocks(const struct trib_chain *chain, const struct trib_survey *survey,
                                   const struct trial *trial, double *nmse, double *bits)
{
    double error = 0;
    size_t bytes = 0;
    for (size_t first = 0; first < trial->n; first += TRIB_CODEC_BLOCK) {
        size_t n = trial->n - first < TRIB_CODEC_BLOCK ? trial->n - first : TRIB_CODEC_BLOCK, len = 0;
        uint64_t number = first / TRIB_CODEC_BLOCK;
        TRIB_TRY(trib_chain_encode_block(chain, survey, trial->work, trial->seed, number, trial->sample + first, n,
                                         trial->coded, trib_chain_bound(n), &len));
        TRIB_TRY(
            trib_chain_decode_block(chain, trial->work, trial->seed, number, trial->coded, len, trial->decoded, n));
        bytes += len;
        for (size_t i = 0; i < n; i++) {
            double difference = (double)trial->decoded[i] - (double)trial->sample[first + i];
            error += difference * difference;
        }
    }
    *nmse = trial->energy > 0 ? error / trial->energy : 0;
    *bits = (double)bytes * 8 / (double)trial->n;
    return TRIB_OK;
}

/* The chain's error on the sample, as it would be at exactly `bits`: each bit is worth a factor of 4. */
static enum trib_status try_chain(const struct trib_chain *chain, const struct trial *trial, double bits, double *nmse,
                                  double *at_rate, struct trib_error *error)
{
    struct trib_survey *survey = NULL;
    double used = 0;
    TRIB_TRY(trib_survey_new(chain, trial->seed, trial->sample, trial->n, &survey, error));
    enum trib_status status = run_blocks(chain, survey, trial, nmse, &used);
    trib_survey_free(survey);
    if (status != TRIB_OK) {
        return trib_fail(error, status, "codec %s: %s", chain->text, trib_status_text(status));
    }
    *at_rate = *nmse * exp2(2 * (used - bits));
    return TRIB_OK;
}

static enum trib_status try_all(const struct trial *trial, struct trib_choice *choice, struct trib_error *error)
{
    struct candidates candidates;
    double best = INFINITY;
    list_candidates(&candidates, choice->bits, choice->kurtosis);
    for (size_t i = 0; i < candidates.n; i++) {
        struct trib_chain chain;
        double nmse = 0, at_rate = 0;
        if (trib_chain_parse(candidates.texts[i], &chain, error) != TRIB_OK) {
            continue; /* it cannot go so low, or so high */
        }
        TRIB_TRY(try_chain(&chain, trial, choice->bits, &nmse, &at_rate, error));
        if (at_rate < best) {
            best = at_rate;
            choice->chain = chain;
            choice->nmse = nmse;
        }
    }
    return TRIB_OK;
}

static void explain(const struct trib_choice_target *target, double bytes_per_second, double affordable,
                    struct trib_choice *choice)
{
    char network[80] = "bandwidth not measured yet";
    if (bytes_per_second > 0) {
        (void)snprintf(network, sizeof network, "%.3g Mbit/s allow %.3g bits in %.3g s", bytes_per_second * 8e-6,
                       affordable, target->seconds);
    }
    (void)snprintf(choice->reason, sizeof choice->reason,
                   "target %.3g bits, %s: %.3g bits; kurtosis %.3g; least error on a sample: NMSE %.3g", target->bits,
                   network, choice->bits, choice->kurtosis, choice->nmse);
}

enum trib_status trib_choose_chain(const struct trib_choice_target *target, double bytes_per_second, uint64_t seed,
                                   const float *vector, size_t n, struct trib_choice *choice, struct trib_error *error)
{
    struct trib_choice made = {.bits = target->bits};
    double affordable = bytes_per_second * target->seconds * 8 / (double)n;
    if (bytes_per_second > 0 && target->seconds > 0 && affordable < made.bits) {
        made.bits = affordable > TRIB_CHOICE_MIN_BITS ? affordable : TRIB_CHOICE_MIN_BITS;
    }
    float *sample = trib_malloc_aligned(n < SAMPLE ? n : SAMPLE, sizeof *sample);
    struct trial trial = {.work = trib_chain_work_new(),
                          .coded = trib_malloc(trib_chain_bound(TRIB_CODEC_BLOCK)),
                          .decoded = trib_malloc_aligned(TRIB_CODEC_BLOCK, sizeof *trial.decoded),
                          .sample = sample,
                          .seed = seed};
    enum trib_status status = TRIB_OK;
    if (!sample || !trial.work || !trial.coded || !trial.decoded) {
        status = trib_fail_no_memory(error);
    } else {
        trial.n = take_sample(vector, n, sample);
        for (size_t i = 0; i < trial.n; i++) {
            trial.energy += (double)sample[i] * (double)sample[i];
        }
        made.kurtosis = kurtosis_of(sample, trial.n);
        status = isfinite(trial.energy) ? try_all(&trial, &made, error)
                                        : trib_fail(error, TRIB_NOT_FINITE, "the update is not finite");
    }
    trib_chain_work_free(trial.work);
    trib_free(trial.coded);
    trib_free(trial.decoded);
    trib_free(sample);
    if (status == TRIB_OK) {
        explain(target, bytes_per_second, affordable, &made);
        *choice = made;
    }
    return status;
}
