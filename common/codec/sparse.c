/* Sparsifiers have their common part here (topk, randk, ternary), and the warm-up of Deep Gradient Compression (Lin et
 * al., 2018, section 3.3), which begins with a larger share and takes a quarter of it at a time. */
#include "sparse.h"

#include "stage_table.h"

#include "base/clones.h"
#include "base/mem.h"
#include "codec/feedback.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the share ---- */

const struct trib_stage_arg trib_sparse_share[TRIB_SPARSE_ARGS] = {
    {.name = "SHARE", .kind = TRIB_STAGE_ARG_SHARE, .what = "a share of the values"}};

uint64_t trib_sparse_keeps(double share, uint64_t n)
{
    double product = share * (double)n;
    uint64_t kept = product < (double)n ? (uint64_t)product : n;
    kept += (double)kept < product && kept < n;
    return kept > 0 ? kept : 1;
}

/* ---- counts ---- */

enum { LONG_COUNT = 65535 /* what follows is added to it */ };

void trib_sparse_write_count(struct trib_writer *out, size_t count)
{
    if (count < LONG_COUNT) {
        trib_write_u16(out, (uint16_t)count);
    } else {
        trib_write_u16(out, LONG_COUNT);
        trib_write_u8(out, (uint8_t)(count - LONG_COUNT));
    }
}

enum trib_status trib_sparse_read_count(struct trib_reader *in, size_t most, size_t *count)
{
    size_t read = trib_read_u16(in);
    read += read == LONG_COUNT ? trib_read_u8(in) : 0;
    if (in->failed || read > most) {
        return TRIB_CORRUPT;
    }
    *count = read;
    return TRIB_OK;
}

/* ---- the choice ---- */

enum {
    LOW_BITS = 15,
    BUCKETS = 1 << 16, /* of the upper 16 of a magnitude's 31 bits */
    RUN = 64           /* values that are looked at together */
};

static inline uint32_t magnitude_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x7fffffff;
}

/* Does any of RUN magnitudes lie in [low, low + width)? Nearly always no, which is what makes it worth asking. */
static inline bool any_within(const float *values, uint32_t low, uint32_t width)
{
    uint32_t found = 0;
    for (size_t i = 0; i < RUN; i++) {
        found |= magnitude_of(values[i]) - low < width;
    }
    return found != 0;
}

static enum trib_status begin_choice(const struct trib_stage_use *use, const struct trib_survey_info *info, void *state)
{
    struct trib_sparse_choice *choice = state;
    choice->left = trib_sparse_keeps(use->args[0], info->n);
    choice->histogram = trib_calloc(BUCKETS, sizeof *choice->histogram);
    choice->ties = trib_calloc(info->n_blocks, sizeof *choice->ties);
    return choice->histogram && choice->ties ? TRIB_OK : TRIB_NO_MEMORY;
}

static void count_upper(struct trib_sparse_choice *choice, const struct trib_block *block)
{
    for (size_t i = 0; i < block->n_values; i++) {
        choice->histogram[magnitude_of(block->values[i]) >> LOW_BITS]++;
    }
}

TRIB_CLONES static void count_lower(struct trib_sparse_choice *choice, const struct trib_block *block)
{
    const uint32_t low = choice->threshold, width = 1u << LOW_BITS;
    for (size_t at = 0; at < block->n_values; at += RUN) {
        size_t left = block->n_values - at, run = left < RUN ? left : RUN;
        if (run == RUN && !any_within(block->values + at, low, width)) {
            continue;
        }
        for (size_t i = at; i < at + run; i++) {
            uint32_t beyond = magnitude_of(block->values[i]) - low;
            if (beyond < width) {
                choice->histogram[beyond]++;
            }
        }
    }
}

/* Zeros are never worth sending. */
TRIB_CLONES static void share_ties(struct trib_sparse_choice *choice, const struct trib_block *block)
{
    const uint32_t threshold = choice->threshold, least = threshold > 0 ? threshold : 1;
    uint32_t *ties = &choice->ties[block->number];
    for (size_t at = 0; at < block->n_values; at += RUN) {
        size_t left = block->n_values - at, run = left < RUN ? left : RUN;
        if (run == RUN && !any_within(block->values + at, least, UINT32_MAX - least)) {
            continue;
        }
        for (size_t i = at; i < at + run; i++) {
            uint32_t magnitude = magnitude_of(block->values[i]);
            bool tie = magnitude == threshold && threshold > 0 && choice->left > 0;
            if (magnitude > threshold || tie) {
                choice->sum += (double)fabsf(block->values[i]);
                choice->kept++;
                choice->left -= tie;
                *ties += tie;
            }
        }
    }
}

static void choose_block(const struct trib_stage_use *use, void *state, unsigned pass, const struct trib_block *block)
{
    (void)use;
    struct trib_sparse_choice *choice = state;
    if (pass == 0) {
        count_upper(choice, block);
    } else if (pass == 1) {
        count_lower(choice, block);
    } else {
        share_ties(choice, block);
    }
}

/* Down from the largest: the bucket in which the last of those that are left lies. */
static uint32_t find_bucket(struct trib_sparse_choice *choice)
{
    uint32_t bucket = BUCKETS - 1;
    while (bucket > 0 && choice->histogram[bucket] < choice->left) {
        choice->left -= choice->histogram[bucket--];
    }
    memset(choice->histogram, 0, BUCKETS * sizeof *choice->histogram);
    return bucket;
}

static void end_choice(const struct trib_stage_use *use, void *state, unsigned pass)
{
    (void)use;
    struct trib_sparse_choice *choice = state;
    if (pass == 0) {
        choice->threshold = find_bucket(choice) << LOW_BITS;
    } else if (pass == 1) {
        choice->threshold += find_bucket(choice);
    }
}

static void clear_choice(void *state)
{
    struct trib_sparse_choice *choice = state;
    trib_free(choice->histogram);
    trib_free(choice->ties);
}

const struct trib_stage_survey trib_sparse_survey = {
    .state_size = sizeof(struct trib_sparse_choice),
    .passes = 3,
    .begin = begin_choice,
    .block = choose_block,
    .end = end_choice,
    .clear = clear_choice,
};

/* ---- a block ---- */

TRIB_CLONES void trib_sparse_pick(const struct trib_sparse_choice *choice, struct trib_block *block)
{
    const uint32_t threshold = choice->threshold, least = threshold > 0 ? threshold : 1;
    uint32_t ties = choice->ties[block->number];
    size_t kept = 0;
    for (size_t at = 0; at < block->n_values; at += RUN) {
        size_t left = block->n_values - at, run = left < RUN ? left : RUN;
        if (run == RUN && !any_within(block->values + at, least, UINT32_MAX - least)) {
            continue;
        }
        for (size_t i = at; i < at + run; i++) {
            uint32_t magnitude = magnitude_of(block->values[i]);
            bool tie = magnitude == threshold && ties > 0;
            if (magnitude > threshold || tie) {
                ties -= tie;
                block->values[kept] = block->values[i];
                block->positions[kept++] = (uint32_t)i;
            }
        }
    }
    block->n_values = kept;
    block->sparse = true;
}

/* In place from the end: no value stands beyond its own position. */
enum trib_status trib_sparse_scatter(struct trib_block *block)
{
    size_t end = block->n; /* everything from here on is in its place */
    for (size_t i = block->n_values; i-- > 0;) {
        size_t position = block->positions[i];
        if (position >= end || position < i) {
            return TRIB_CORRUPT;
        }
        float value = block->values[i];
        memset(block->values + position + 1, 0, (end - position - 1) * sizeof value);
        block->values[position] = value;
        end = position;
    }
    memset(block->values, 0, end * sizeof *block->values);
    block->n_values = block->n;
    block->sparse = false;
    return TRIB_OK;
}

/* ---- the warm-up ---- */

double trib_warmup_share(double last, uint64_t round, uint64_t rounds)
{
    enum { STEPS = 4 };
    if (round == 0 || round > rounds) {
        return last;
    }
    unsigned step = 1;
    while (step < STEPS && round - 1 >= rounds / STEPS * step + rounds % STEPS * step / STEPS) {
        step++;
    }
    double share = ldexp(1, -2 * (int)step);
    return share > last ? share : last;
}

static bool takes_share(const struct trib_stage *stage)
{
    return stage == &trib_stage_topk || stage == &trib_stage_randk || stage == &trib_stage_ternary;
}

enum trib_status trib_chain_at_round(const struct trib_chain *chain, uint64_t round, uint64_t warmup_rounds,
                                     struct trib_chain *out, struct trib_error *error)
{
    char text[TRIB_CHAIN_TEXT];
    const char *from = chain->text;
    size_t at = 0;
    for (unsigned i = 0; i < chain->n; i++) {
        const struct trib_stage_use *use = &chain->uses[i];
        double share = use->args[0];
        size_t len = strcspn(from, "|");
        int put = 0;
        if (takes_share(use->stage)) {
            share = trib_warmup_share(share, round, warmup_rounds);
        }
        if (share != use->args[0]) {
            put = snprintf(text + at, sizeof text - at, "%s%s:%.9g", i == 0 ? "" : "|", use->stage->name, share);
        } else {
            put = snprintf(text + at, sizeof text - at, "%s%.*s", i == 0 ? "" : "|", (int)len, from);
        }
        if (put < 0 || (size_t)put >= sizeof text - at) {
            return trib_fail(error, TRIB_LIMIT, "codec %s: too long for a share of %g", chain->text, share);
        }
        at += (size_t)put;
        from += len + (from[len] == '|');
    }
    return trib_chain_parse(text, out, error);
}
