/* Models are made from counts and sent in few bits. */
#include "rans_model.h"

#include "pack.h"

/* log2, TRIB_RANS_BIT to a bit, by squaring: the same everywhere. */
static uint32_t log2_parts(uint32_t value)
{
    unsigned whole = trib_bit_length(value) - 1;
    uint32_t result = whole * TRIB_RANS_BIT;
    uint64_t x = (uint64_t)value << (31 - whole);
    for (uint32_t part = TRIB_RANS_BIT / 2; part > 0; part /= 2) {
        x = x * x >> 31;
        if (x >> 32) {
            result += part;
            x >>= 1;
        }
    }
    return result;
}

/* Frequencies are sent with as many digits as n symbols are worth: an error e of ln f costs f/2^14 * n * e^2/2 nats,
 * so half as many digits as the count has, and no more, pay. This is how many bits after the first a frequency of
 * `length` bits keeps. */
static unsigned kept_bits(unsigned length, unsigned log_n)
{
    unsigned kept = length + log_n > 17 ? (length + log_n - 17) / 2 : 0;
    return kept < length ? kept : length - 1;
}

/* Of the two representable frequencies around the ideal one, that which keeps the sum of errors small; the largest
 * symbol's is what is left of TRIB_RANS_SLOTS and need not be sent. When many rare symbols take more slots (one each)
 * than they are due, too little is left: then all get less. */
void trib_rans_model_make(const uint32_t *counts, uint32_t n, size_t sum, struct trib_rans_model *model)
{
    unsigned log_n = trib_bit_length((uint32_t)sum) - 1;
    model->n = n;
    model->largest = 0;
    for (uint32_t i = 1; i < n; i++) {
        model->largest = counts[i] > counts[model->largest] ? i : model->largest;
    }
    uint64_t due = (uint64_t)counts[model->largest] * TRIB_RANS_SLOTS / sum;
    for (uint64_t budget = TRIB_RANS_SLOTS;; budget -= budget / 8) {
        int64_t error = 0, left = TRIB_RANS_SLOTS; /* error in 1/256 slots */
        for (uint32_t i = 0; i < n; i++) {
            model->frequency[i] = 0;
            if (counts[i] == 0 || i == model->largest) {
                continue;
            }
            int64_t ideal = (int64_t)((uint64_t)counts[i] * budget * 256 / sum);
            int64_t below = 1, above = 1;
            if (ideal > 256) {
                unsigned length = trib_bit_length((uint32_t)(ideal >> 8));
                int64_t step = INT64_C(1) << (length - 1 - kept_bits(length, log_n));
                below = (ideal >> 8) & -step;
                above = below + step;
            }
            int64_t down = error + below * 256 - ideal, up = error + above * 256 - ideal;
            bool lower = (down < 0 ? -down : down) <= (up < 0 ? -up : up);
            error = lower ? down : up;
            model->frequency[i] = (uint16_t)(lower ? below : above);
            left -= model->frequency[i];
        }
        if (left > 0 && (uint64_t)left * 2 >= due) {
            model->frequency[model->largest] = (uint16_t)left;
            return;
        }
    }
}

uint64_t trib_rans_model_cost(const struct trib_rans_model *model, const uint32_t *counts)
{
    uint64_t cost = 0;
    for (uint32_t i = 0; i < model->n; i++) {
        if (counts[i] > 0) {
            cost += (uint64_t)counts[i] * (TRIB_RANS_SLOT_BITS * TRIB_RANS_BIT - log2_parts(model->frequency[i]));
        }
    }
    return cost;
}

/* ---- as bits: for each symbol the length of its frequency, as the difference from a guess, and its kept bits ---- */

/* The next length is likely as the last one (slope 0), or goes on as the last two did (slope 1). */
static int guess_length(const int last[2], int slope)
{
    int guess = last[0] + slope * (last[0] - last[1]);
    return guess < 0 ? 0 : guess > TRIB_RANS_SLOT_BITS ? TRIB_RANS_SLOT_BITS : guess;
}

static void put_lengths(struct trib_bit_writer *bits, const struct trib_rans_model *model, unsigned log_n, int slope)
{
    int last[2] = {0, 0};
    trib_bit_put(bits, (uint32_t)slope, 1);
    for (uint32_t i = 0; i < model->n; i++) {
        if (i == model->largest) {
            continue;
        }
        uint32_t frequency = model->frequency[i];
        int length = (int)trib_bit_length(frequency), miss = length - guess_length(last, slope);
        trib_bit_put_gamma(bits, (uint32_t)(miss > 0 ? 2 * miss - 1 : -2 * miss));
        if (length > 1) {
            unsigned kept = kept_bits((unsigned)length, log_n);
            trib_bit_put(bits, frequency >> ((unsigned)length - 1 - kept) & ((UINT32_C(1) << kept) - 1), kept);
        }
        last[1] = last[0];
        last[0] = length;
    }
}

void trib_rans_model_put(struct trib_bit_writer *bits, const struct trib_rans_model *model, uint32_t most, size_t n)
{
    unsigned log_n = trib_bit_length((uint32_t)n) - 1;
    struct trib_bit_writer flat = {0}, sloping = {0};
    put_lengths(&flat, model, log_n, 0);
    put_lengths(&sloping, model, log_n, 1);
    trib_bit_put(bits, model->n - 1, trib_bits_of(most));
    trib_bit_put(bits, model->largest, trib_bits_of(model->n));
    put_lengths(bits, model, log_n, sloping.n < flat.n);
}

static bool get_length(struct trib_bit_reader *bits, const int last[2], int slope, int *length)
{
    uint32_t miss = trib_bit_get_gamma(bits);
    if (miss > 2 * TRIB_RANS_SLOT_BITS) {
        return false;
    }
    *length = guess_length(last, slope) + (miss % 2 == 1 ? (int)(miss + 1) / 2 : -(int)(miss / 2));
    return *length >= 0 && *length <= TRIB_RANS_SLOT_BITS;
}

bool trib_rans_model_get(struct trib_bit_reader *bits, struct trib_rans_model *model, uint32_t most, size_t n)
{
    unsigned log_n = trib_bit_length((uint32_t)n) - 1;
    model->n = trib_bit_get(bits, trib_bits_of(most)) + 1;
    if (model->n < 2 || model->n > most) {
        return false;
    }
    model->largest = trib_bit_get(bits, trib_bits_of(model->n));
    int slope = (int)trib_bit_get(bits, 1), last[2] = {0, 0};
    uint32_t left = TRIB_RANS_SLOTS;
    for (uint32_t i = 0; i < model->n; i++) {
        int length = 0;
        model->frequency[i] = 0;
        if (i == model->largest) {
            continue;
        }
        if (!get_length(bits, last, slope, &length)) {
            return false;
        }
        if (length > 0) {
            unsigned kept = kept_bits((unsigned)length, log_n);
            uint32_t top = UINT32_C(1) << kept | trib_bit_get(bits, kept);
            model->frequency[i] = (uint16_t)(top << ((unsigned)length - 1 - kept));
        }
        if (model->frequency[i] >= left) {
            return false;
        }
        left -= model->frequency[i];
        last[1] = last[0];
        last[0] = length;
    }
    if (model->largest >= model->n || left == TRIB_RANS_SLOTS) {
        return false;
    }
    model->frequency[model->largest] = (uint16_t)left;
    return !bits->in->failed;
}
