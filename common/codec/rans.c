/* The coder is rANS: a state x lies in [2^16, 2^32); a symbol of frequency f of 2^14, whose slots begin at b, makes of
 * it
 *
 *     x / f * 2^14 + x % f + b,     after x's lower half was written out as a word if the result would not fit,
 *
 * and the decoder, which finds the symbol by x % 2^14, takes it back: so symbols are coded last to first. */
#include "rans.h"

#include "golomb.h"
#include "pack.h"
#include "rans_model.h"

#include "base/buf.h"

#include <string.h>

enum {
    STATE_LOW = 1 << 16,
    WORD_BITS = 16,
    FINEST = 6,   /* buckets of 2^6 tokens to a power of two: 704 for an alphabet of 65536 */
    CHUNK = 1024, /* buckets at a time */
    LANES_MOST = 4
};

enum mode { MODE_PACKED, MODE_ONE, MODE_SYMBOLS, MODE_BUCKETS, MODE_RICE };
enum { MODE_BITS = 3, FINE_BITS = 3, RICE_BITS = 4, LANES_BITS = 2 };

/* ---- how a part is coded ---- */

struct plan {
    enum mode mode;
    unsigned rice;
    uint32_t one; /* the symbol of MODE_ONE */
    struct trib_buckets buckets;
    struct trib_rans_model model;
    uint64_t model_cost; /* of its rANS words, TRIB_RANS_BIT to a bit; 0 without */
};

static bool uses_model(const struct plan *plan)
{
    return plan->mode == MODE_SYMBOLS || plan->mode == MODE_BUCKETS;
}

static bool is_empty(const struct trib_rans_part *part)
{
    return part->n == 0 || part->alphabet == 1;
}

/* Tokens that numbers of the alphabet can have. */
static uint32_t token_count(const struct trib_buckets *buckets)
{
    return trib_bucket_token(buckets->fine, buckets->alphabet - 1) + 1;
}

static void put_head(struct trib_bit_writer *bits, const struct plan *plan, const struct trib_rans_part *part)
{
    unsigned width = trib_bits_of(part->alphabet);
    trib_bit_put(bits, plan->mode, MODE_BITS);
    switch (plan->mode) {
    case MODE_ONE:
        trib_bit_put(bits, plan->one, width);
        break;
    case MODE_SYMBOLS:
        trib_rans_model_put(bits, &plan->model, part->alphabet, part->n);
        break;
    case MODE_BUCKETS:
        trib_bit_put(bits, plan->buckets.fine, FINE_BITS);
        trib_bit_put(bits, plan->buckets.centre, width);
        trib_rans_model_put(bits, &plan->model, token_count(&plan->buckets), part->n);
        break;
    case MODE_RICE:
        trib_bit_put(bits, plan->rice, RICE_BITS);
        break;
    default:
        break;
    }
}

static bool get_head(struct trib_bit_reader *bits, struct plan *plan, const struct trib_rans_part *part)
{
    unsigned width = trib_bits_of(part->alphabet);
    plan->mode = trib_bit_get(bits, MODE_BITS);
    switch (plan->mode) {
    case MODE_PACKED:
        return true;
    case MODE_ONE:
        plan->one = trib_bit_get(bits, width);
        return plan->one < part->alphabet;
    case MODE_SYMBOLS:
        return part->alphabet <= TRIB_RANS_MODEL_MOST &&
               trib_rans_model_get(bits, &plan->model, part->alphabet, part->n);
    case MODE_BUCKETS:
        plan->buckets.alphabet = part->alphabet;
        plan->buckets.fine = trib_bit_get(bits, FINE_BITS);
        plan->buckets.centre = trib_bit_get(bits, width);
        return plan->buckets.centre < part->alphabet && token_count(&plan->buckets) <= TRIB_RANS_MODEL_MOST &&
               trib_rans_model_get(bits, &plan->model, token_count(&plan->buckets), part->n);
    case MODE_RICE:
        plan->rice = trib_bit_get(bits, RICE_BITS);
        return true;
    default:
        return false;
    }
}

/* Several counters for each symbol, since incrementing one over and over waits for memory. */
static void count_symbols(const struct trib_rans_part *part, uint32_t *counts)
{
    enum { WAYS = 4 };
    uint32_t ways[WAYS][TRIB_RANS_MODEL_MOST];
    for (size_t way = 0; way < WAYS; way++) {
        memset(ways[way], 0, part->alphabet * sizeof ways[way][0]);
    }
    size_t whole = part->n / WAYS * WAYS;
    for (size_t i = 0; i < whole; i += WAYS) {
        ways[0][part->symbols[i]]++;
        ways[1][part->symbols[i + 1]]++;
        ways[2][part->symbols[i + 2]]++;
        ways[3][part->symbols[i + 3]]++;
    }
    for (size_t i = whole; i < part->n; i++) {
        ways[0][part->symbols[i]]++;
    }
    for (uint32_t symbol = 0; symbol < part->alphabet; symbol++) {
        counts[symbol] = ways[0][symbol] + ways[1][symbol] + ways[2][symbol] + ways[3][symbol];
    }
}

static void count_tokens(const struct trib_rans_part *part, const struct trib_buckets *buckets, uint32_t *counts)
{
    memset(counts, 0, TRIB_RANS_MODEL_MOST * sizeof *counts);
    for (size_t i = 0; i < part->n; i++) {
        counts[trib_bucket_token(buckets->fine, trib_bucket_fold(buckets, part->symbols[i]))]++;
    }
}

/* The counts of coarser buckets from those of the finest; gives the bits that stand beside the coarser tokens. */
static uint64_t merge_tokens(const uint32_t *finest, uint32_t n, unsigned fine, uint32_t *counts)
{
    uint64_t beside = 0;
    memset(counts, 0, TRIB_RANS_MODEL_MOST * sizeof *counts);
    for (uint32_t token = 0; token < n; token++) {
        unsigned extra;
        uint32_t folded = trib_bucket_first(FINEST, token, &extra);
        counts[trib_bucket_token(fine, folded)] += finest[token];
        beside += (uint64_t)finest[token] * trib_bucket_extra(fine, folded);
    }
    return beside;
}

/* Candidates compete for a place in `best`; *cost is the bits of it, head included. */
static void compete(const struct trib_rans_part *part, const struct plan *candidate, uint64_t beside, struct plan *best,
                    uint64_t *cost)
{
    struct trib_bit_writer head = {0};
    put_head(&head, candidate, part);
    uint64_t sum = head.n + beside + (candidate->model_cost + TRIB_RANS_BIT - 1) / TRIB_RANS_BIT;
    if (sum < *cost) {
        *cost = sum;
        *best = *candidate;
    }
}

static void compete_with_model(const struct trib_rans_part *part, struct plan *candidate, const uint32_t *counts,
                               uint32_t n, uint64_t beside, struct plan *best, uint64_t *cost)
{
    while (counts[n - 1] == 0) {
        n--;
    }
    if (n < 2 || counts[n - 1] == part->n) { /* a model has two symbols at least */
        return;
    }
    trib_rans_model_make(counts, n, part->n, &candidate->model);
    candidate->model_cost = trib_rans_model_cost(&candidate->model, counts);
    compete(part, candidate, beside, best, cost);
}

/* Around 0, where gaps are dense, and around the mean, where what is symmetric is. */
static void try_buckets(const struct trib_rans_part *part, struct plan *best, uint64_t *cost)
{
    uint32_t finest[TRIB_RANS_MODEL_MOST], counts[TRIB_RANS_MODEL_MOST];
    uint64_t sum = 0;
    for (size_t i = 0; i < part->n; i++) {
        sum += part->symbols[i];
    }
    const uint32_t centres[] = {0, (uint32_t)((sum + part->n / 2) / part->n)};
    for (size_t i = 0; i < sizeof centres / sizeof centres[0]; i++) {
        struct plan candidate = {.mode = MODE_BUCKETS,
                                 .buckets = {.alphabet = part->alphabet, .centre = centres[i], .fine = FINEST}};
        uint32_t n_finest = token_count(&candidate.buckets);
        count_tokens(part, &candidate.buckets, finest);
        for (unsigned fine = 0; fine <= FINEST; fine++) {
            candidate.buckets.fine = fine;
            uint32_t n = token_count(&candidate.buckets);
            if (fine < 2 || n <= part->n / 4) { /* more have no chance to pay for their model */
                uint64_t beside = merge_tokens(finest, n_finest, fine, counts);
                compete_with_model(part, &candidate, counts, n, beside, best, cost);
            }
        }
    }
}

static bool all_equal(const uint16_t *symbols, size_t n)
{
    return memcmp(symbols, symbols + 1, (n - 1) * sizeof *symbols) == 0;
}

/* The shortest way without rANS in `plain`, and in `best` with it, if that is shorter: by how many bits. */
static uint64_t plan_part(const struct trib_rans_part *part, struct plan *plain, struct plan *best)
{
    bool wide = part->alphabet > 16 && part->n < 64 * (size_t)part->alphabet;
    uint64_t cost = UINT64_MAX;
    struct plan candidate = {.mode = MODE_PACKED};
    compete(part, &candidate, 8 * (uint64_t)trib_bits_len(part->n, part->alphabet), plain, &cost);
    if (all_equal(part->symbols, part->n)) {
        candidate = (struct plan){.mode = MODE_ONE, .one = part->symbols[0]};
        compete(part, &candidate, 0, plain, &cost);
    }
    if (wide) {
        uint64_t bits;
        candidate = (struct plan){.mode = MODE_RICE, .rice = trib_rice_best(part->symbols, part->n, &bits)};
        compete(part, &candidate, bits, plain, &cost);
    }
    *best = *plain;
    uint64_t plain_cost = cost;
    if (part->alphabet <= TRIB_RANS_MODEL_MOST) {
        uint32_t counts[TRIB_RANS_MODEL_MOST];
        count_symbols(part, counts);
        candidate = (struct plan){.mode = MODE_SYMBOLS};
        compete_with_model(part, &candidate, counts, part->alphabet, 0, best, &cost);
    }
    if (wide || part->alphabet > TRIB_RANS_MODEL_MOST) {
        try_buckets(part, best, &cost);
    }
    return plain_cost - cost;
}

/* ---- encoding ---- */

/* Division by a frequency as multiplication: x / f = x * ceil(2^46 / f) >> 46, exactly, for x < 2^18 f and f <= 2^14,
 * and the product fits in 64 bits. */
enum { RECIPROCAL_BITS = 46 };

struct code {
    uint64_t reciprocal;
    uint32_t limit;       /* from here on a word must go out first */
    uint16_t first, rest; /* slot; TRIB_RANS_SLOTS - frequency */
};

struct encoder {
    uint32_t states[LANES_MOST];
    uint16_t *at; /* the last word written; they grow downwards */
};

static void make_codes(const struct trib_rans_model *model, struct code *codes)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < model->n; i++) {
        uint32_t frequency = model->frequency[i];
        if (frequency > 0) {
            codes[i] = (struct code){
                .reciprocal = ((UINT64_C(1) << RECIPROCAL_BITS) + frequency - 1) / frequency,
                .limit = frequency << (32 - TRIB_RANS_SLOT_BITS),
                .first = (uint16_t)first,
                .rest = (uint16_t)(TRIB_RANS_SLOTS - frequency),
            };
        }
        first += frequency;
    }
}

static inline uint32_t put_symbol(uint32_t state, const struct code *code, uint16_t **at)
{
    bool out = state >= code->limit;
    (*at)[-1] = (uint16_t)state;
    *at -= out;
    state = out ? state >> WORD_BITS : state;
    uint32_t quotient = (uint32_t)(state * code->reciprocal >> RECIPROCAL_BITS);
    return state + code->first + quotient * code->rest;
}

/* Symbol i goes through lane i % lanes; `lanes` is a constant wherever this is compiled. */
static inline __attribute__((always_inline)) void put_lanes(struct encoder *encoder, const struct code *codes,
                                                            const uint16_t *symbols, size_t n, size_t lanes)
{
    uint32_t states[LANES_MOST];
    uint16_t *at = encoder->at;
    memcpy(states, encoder->states, sizeof states);
    for (; n % lanes != 0; n--) {
        states[(n - 1) % lanes] = put_symbol(states[(n - 1) % lanes], &codes[symbols[n - 1]], &at);
    }
    for (; n > 0; n -= lanes) {
#pragma GCC unroll 8
        for (size_t lane = lanes; lane-- > 0;) {
            states[lane] = put_symbol(states[lane], &codes[symbols[n - lanes + lane]], &at);
        }
    }
    memcpy(encoder->states, states, sizeof states);
    encoder->at = at;
}

static void put_symbols(struct encoder *encoder, const struct code *codes, const uint16_t *symbols, size_t n,
                        unsigned log_lanes)
{
    if (log_lanes == 0) {
        put_lanes(encoder, codes, symbols, n, 1);
    } else if (log_lanes == 1) {
        put_lanes(encoder, codes, symbols, n, 2);
    } else {
        put_lanes(encoder, codes, symbols, n, 4);
    }
}

static void put_part(struct encoder *encoder, const struct trib_rans_part *part, const struct plan *plan,
                     unsigned log_lanes)
{
    struct code codes[TRIB_RANS_MODEL_MOST];
    make_codes(&plan->model, codes);
    if (plan->mode == MODE_SYMBOLS) {
        put_symbols(encoder, codes, part->symbols, part->n, log_lanes);
        return;
    }
    uint16_t tokens[CHUNK];
    for (size_t end = part->n; end > 0;) {
        size_t first = (end - 1) / CHUNK * CHUNK;
        for (size_t i = first; i < end; i++) {
            uint32_t folded = trib_bucket_fold(&plan->buckets, part->symbols[i]);
            tokens[i - first] = (uint16_t)trib_bucket_token(plan->buckets.fine, folded);
        }
        put_symbols(encoder, codes, tokens, end - first, log_lanes);
        end = first;
    }
}

static void put_words(const struct trib_rans_part *parts, unsigned n_parts, const struct plan *plans, void *scratch,
                      unsigned log_lanes, struct trib_writer *out)
{
    uint16_t *end = (uint16_t *)scratch + TRIB_RANS_SCRATCH / sizeof(uint16_t);
    struct encoder encoder = {.at = end};
    for (unsigned lane = 0; lane < LANES_MOST; lane++) {
        encoder.states[lane] = STATE_LOW;
    }
    for (unsigned i = n_parts; i-- > 0;) {
        if (!is_empty(&parts[i]) && uses_model(&plans[i])) {
            put_part(&encoder, &parts[i], &plans[i], log_lanes);
        }
    }
    for (unsigned lane = 0; lane < 1u << log_lanes; lane++) {
        trib_write_u32(out, encoder.states[lane]);
    }
    trib_write_bytes(out, encoder.at, (size_t)(end - encoder.at) * sizeof *end);
}

static void put_beside(const struct trib_rans_part *part, const struct plan *plan, struct trib_writer *out)
{
    struct trib_bit_writer bits = {.out = out};
    if (plan->mode == MODE_PACKED) {
        uint8_t *room = trib_write_room(out, trib_bits_len(part->n, part->alphabet));
        if (room) {
            trib_bits_pack(part->symbols, part->n, part->alphabet, room);
        }
    } else if (plan->mode == MODE_RICE) {
        trib_rice_put(&bits, part->symbols, part->n, plan->rice);
    } else if (plan->mode == MODE_BUCKETS) {
        for (size_t i = 0; i < part->n; i++) {
            uint32_t folded = trib_bucket_fold(&plan->buckets, part->symbols[i]);
            unsigned extra = trib_bucket_extra(plan->buckets.fine, folded);
            trib_bit_put(&bits, folded & ((UINT32_C(1) << extra) - 1), extra);
        }
    }
    trib_bit_end(&bits);
}

/* A lane more costs about three bytes, so that short streams, which few lanes code fast enough, take fewer. */
static unsigned choose_lanes(uint64_t words_len)
{
    return words_len < 1024 ? 0 : words_len < 8192 ? 1 : 2;
}

void trib_rans_encode(const struct trib_rans_part *parts, unsigned n_parts, void *scratch, struct trib_writer *out)
{
    struct plan plans[TRIB_RANS_PARTS], plain[TRIB_RANS_PARTS];
    struct trib_bit_writer heads = {.out = out};
    uint64_t gain = 0, words_cost = 0;
    bool any_model = false;
    for (unsigned i = 0; i < n_parts; i++) {
        if (!is_empty(&parts[i])) {
            gain += plan_part(&parts[i], &plain[i], &plans[i]);
            words_cost += plans[i].model_cost;
            any_model = any_model || uses_model(&plans[i]);
        }
    }
    unsigned log_lanes = choose_lanes(words_cost / TRIB_RANS_BIT / 8);
    bool worth = any_model && gain > LANES_BITS + (UINT64_C(32) << log_lanes);
    for (unsigned i = 0; i < n_parts; i++) {
        if (!is_empty(&parts[i])) {
            plans[i] = worth ? plans[i] : plain[i];
            put_head(&heads, &plans[i], &parts[i]);
        }
    }
    if (worth) {
        trib_bit_put(&heads, log_lanes, LANES_BITS);
    }
    trib_bit_end(&heads);
    if (worth) {
        put_words(parts, n_parts, plans, scratch, log_lanes, out);
    }
    for (unsigned i = 0; i < n_parts; i++) {
        if (!is_empty(&parts[i])) {
            put_beside(&parts[i], &plans[i], out);
        }
    }
}

/* ---- decoding ---- */

/* A slot: its symbol, the symbol's frequency, and how far in the symbol's slots it is, 16 bits each. */
struct decoder {
    uint32_t states[LANES_MOST];
    const uint8_t *at, *end;
    uint64_t *slots; /* [TRIB_RANS_SLOTS] */
    bool failed;
};

static void make_slots(const struct trib_rans_model *model, uint64_t *slots)
{
    for (uint32_t symbol = 0; symbol < model->n; symbol++) {
        uint64_t frequency = model->frequency[symbol], same = symbol | frequency << 16;
        for (uint64_t i = 0; i < frequency; i++) {
            slots[i] = same | i << 32;
        }
        slots += frequency;
    }
}

static inline uint32_t take_symbol(uint32_t state, const uint64_t *slots, uint16_t *symbol)
{
    uint64_t slot = slots[state % TRIB_RANS_SLOTS];
    *symbol = (uint16_t)slot;
    return (uint32_t)(slot >> 16 & UINT16_MAX) * (state >> TRIB_RANS_SLOT_BITS) + (uint32_t)(slot >> 32);
}

/* One symbol where words may have run out. */
static void get_carefully(struct decoder *decoder, size_t lane, uint16_t *symbol)
{
    uint32_t state = take_symbol(decoder->states[lane], decoder->slots, symbol);
    if (state < STATE_LOW) {
        if (decoder->end - decoder->at < 2) {
            decoder->failed = true;
        } else {
            state = state << WORD_BITS | trib_load_u16(decoder->at);
            decoder->at += 2;
        }
    }
    decoder->states[lane] = state;
}

static inline __attribute__((always_inline)) void get_lanes(struct decoder *decoder, uint16_t *symbols, size_t n,
                                                            size_t lanes)
{
    uint32_t states[LANES_MOST];
    const uint64_t *slots = decoder->slots;
    const uint8_t *at = decoder->at;
    size_t i = 0;
    memcpy(states, decoder->states, sizeof states);
    for (; i + lanes <= n && (size_t)(decoder->end - at) >= lanes * 2; i += lanes) {
#pragma GCC unroll 8
        for (size_t lane = 0; lane < lanes; lane++) {
            uint32_t state = take_symbol(states[lane], slots, &symbols[i + lane]);
            uint16_t word;
            memcpy(&word, at, sizeof word);
            bool in = state < STATE_LOW;
            states[lane] = in ? state << WORD_BITS | word : state;
            at += in ? 2 : 0;
        }
    }
    memcpy(decoder->states, states, sizeof states);
    decoder->at = at;
    for (; i < n; i++) {
        get_carefully(decoder, i % lanes, &symbols[i]);
    }
}

static void get_symbols(struct decoder *decoder, uint16_t *symbols, size_t n, unsigned log_lanes)
{
    if (log_lanes == 0) {
        get_lanes(decoder, symbols, n, 1);
    } else if (log_lanes == 1) {
        get_lanes(decoder, symbols, n, 2);
    } else {
        get_lanes(decoder, symbols, n, 4);
    }
}

static enum trib_status get_words(const struct trib_rans_part *parts, unsigned n_parts, const struct plan *plans,
                                  void *scratch, unsigned log_lanes, struct trib_reader *in)
{
    struct decoder decoder = {.slots = scratch};
    for (unsigned lane = 0; lane < 1u << log_lanes; lane++) {
        decoder.states[lane] = trib_read_u32(in);
        decoder.failed = decoder.failed || decoder.states[lane] < STATE_LOW;
    }
    if (in->failed || decoder.failed) {
        return TRIB_CORRUPT;
    }
    decoder.at = in->data + in->at;
    decoder.end = in->data + in->len;
    for (unsigned i = 0; i < n_parts; i++) {
        if (!is_empty(&parts[i]) && uses_model(&plans[i])) {
            make_slots(&plans[i].model, decoder.slots);
            get_symbols(&decoder, parts[i].symbols, parts[i].n, log_lanes);
        }
    }
    for (unsigned lane = 0; lane < 1u << log_lanes; lane++) { /* where the encoder began */
        decoder.failed = decoder.failed || decoder.states[lane] != STATE_LOW;
    }
    in->at = (size_t)(decoder.at - in->data);
    return decoder.failed ? TRIB_CORRUPT : TRIB_OK;
}

static bool get_buckets(struct trib_bit_reader *bits, const struct trib_buckets *buckets, uint16_t *symbols, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned extra;
        uint32_t folded = trib_bucket_first(buckets->fine, symbols[i], &extra);
        folded |= trib_bit_get(bits, extra);
        if (folded >= buckets->alphabet) {
            return false;
        }
        symbols[i] = (uint16_t)trib_bucket_unfold(buckets, folded);
    }
    return true;
}

static bool get_beside(const struct trib_rans_part *part, const struct plan *plan, struct trib_reader *in)
{
    struct trib_bit_reader bits = {.in = in};
    if (plan->mode == MODE_PACKED) {
        const uint8_t *bytes = trib_read_bytes(in, trib_bits_len(part->n, part->alphabet));
        return !in->failed && trib_bits_unpack(bytes, part->n, part->alphabet, part->symbols);
    }
    if (plan->mode == MODE_RICE) {
        return trib_rice_get(&bits, plan->rice, part->alphabet, part->symbols, part->n) && trib_bit_close(&bits);
    }
    if (plan->mode == MODE_BUCKETS) {
        return get_buckets(&bits, &plan->buckets, part->symbols, part->n) && trib_bit_close(&bits);
    }
    for (size_t i = 0; plan->mode == MODE_ONE && i < part->n; i++) {
        part->symbols[i] = (uint16_t)plan->one;
    }
    return true;
}

enum trib_status trib_rans_decode(const struct trib_rans_part *parts, unsigned n_parts, void *scratch,
                                  struct trib_reader *in)
{
    struct plan plans[TRIB_RANS_PARTS];
    struct trib_bit_reader heads = {.in = in};
    bool any_model = false;
    for (unsigned i = 0; i < n_parts; i++) {
        if (is_empty(&parts[i])) {
            if (parts[i].n > 0) {
                memset(parts[i].symbols, 0, parts[i].n * sizeof *parts[i].symbols);
            }
            continue;
        }
        if (!get_head(&heads, &plans[i], &parts[i])) {
            return TRIB_CORRUPT;
        }
        any_model = any_model || uses_model(&plans[i]);
    }
    unsigned log_lanes = any_model ? trib_bit_get(&heads, LANES_BITS) : 0;
    if (!trib_bit_close(&heads) || 1 << log_lanes > LANES_MOST) {
        return TRIB_CORRUPT;
    }
    if (any_model) {
        TRIB_TRY(get_words(parts, n_parts, plans, scratch, log_lanes, in));
    }
    for (unsigned i = 0; i < n_parts; i++) {
        if (!is_empty(&parts[i]) && !get_beside(&parts[i], &plans[i], in)) {
            return TRIB_CORRUPT;
        }
    }
    return TRIB_OK;
}
