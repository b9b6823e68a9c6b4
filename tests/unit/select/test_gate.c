/* The gate: known cases of each rule, late offers, absurd settings, and what holds for any offers. */
#include "select/gate.h"

#include "base/rng.h"
#include "test_main.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 40 };

static struct trib_gate_offer offers[MOST];
static struct trib_gate_cut cut;

/* Clients 0 .. n-1; keys fall, so that among equals the last one comes first. */
static void offer(const double *relevance, const uint64_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        offers[i] = (struct trib_gate_offer){.client = (uint32_t)i,
                                             .key = 1000 - i,
                                             .bytes = bytes ? bytes[i] : 10,
                                             .relevance = relevance[i],
                                             .upload = i % 2 == 0};
    }
}

/* Who was let through, as text: "0 2 3". */
static const char *admitted(size_t n)
{
    static char text[MOST * 4];
    size_t len = 0;
    text[0] = 0;
    for (uint32_t client = 0; client < n; client++) {
        for (size_t i = 0; i < n; i++) {
            if (offers[i].client == client && offers[i].upload) {
                len += (size_t)snprintf(text + len, sizeof text - len, len ? " %u" : "%u", client);
            }
        }
    }
    return text;
}

static const char *decide(struct trib_gate gate, uint64_t round, const double *relevance, const uint64_t *bytes,
                          size_t n)
{
    offer(relevance, bytes, n);
    memset(&cut, 0x5a, sizeof cut);
    trib_gate_decide(&gate, round, offers, n, &cut);
    return admitted(n);
}

static const double five[5] = {0.5, 0.9, 0.6, 0.7, 0.6};
static const double mixed[5] = {0.5, NAN, 0.6, NAN, 0.7};

START_TEST(rules_without_comparison)
{
    ck_assert_str_eq(decide((struct trib_gate){.rule = TRIB_GATE_OPEN, .value = 0.9}, 1, five, NULL, 5), "0 1 2 3 4");
    ck_assert(isnan(cut.threshold));
    struct trib_gate constant = {.rule = TRIB_GATE_CONSTANT, .value = 0.6};
    ck_assert_str_eq(decide(constant, 1, five, NULL, 5), "1 2 3 4");
    ck_assert_str_eq(decide(constant, 100, five, NULL, 5), "1 2 3 4");
    ck_assert_double_eq(cut.threshold, 0.6);
    ck_assert_str_eq(decide(constant, 1, mixed, NULL, 5), "1 2 3 4");
    struct trib_gate decay = {.rule = TRIB_GATE_DECAY, .value = 1.2};
    ck_assert_str_eq(decide(decay, 1, five, NULL, 5), "");
    ck_assert_str_eq(decide(decay, 2, five, NULL, 5), "1");
    ck_assert_str_eq(decide(decay, 4, five, NULL, 5), "1 2 3 4");
    ck_assert_str_eq(decide(decay, 6, five, NULL, 5), "0 1 2 3 4");
    ck_assert_double_eq_tol(trib_gate_cut(&decay, 9).threshold, 0.4, 1e-15);
    ck_assert_double_eq(trib_gate_cut(&decay, 0).threshold, 1.2);
}
END_TEST

START_TEST(the_best_share)
{
    static const struct {
        double share;
        const char *admitted;
        double threshold;
    } rows[] = {
        {0.01, "1", 0.9},
        {0.2, "1", 0.9},
        {0.29, "1", 0.9},
        {0.3, "1 3", 0.7},
        {0.6, "1 3 4", 0.6},
        {0.8, "1 2 3 4", 0.6},
        {1, "0 1 2 3 4", NAN},
        {7, "0 1 2 3 4", NAN},
        {0.95, "0 1 2 3 4", 0.5},
        {0, "1", 0.9},
        {-1, "1", 0.9},
        {NAN, "1", 0.9},
        {INFINITY, "0 1 2 3 4", NAN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct trib_gate gate = {.rule = TRIB_GATE_SHARE, .share = rows[i].share};
        ck_assert_str_eq(decide(gate, 1, five, NULL, 5), rows[i].admitted);
        ck_assert(isnan(rows[i].threshold) ? isnan(cut.threshold) : cut.threshold == rows[i].threshold);
    }
    ck_assert_double_eq(offers[0].relevance, 0.9); /* sorted, the most relevant first */
    ck_assert_double_eq(offers[4].relevance, 0.5);
}
END_TEST

/* What cannot be compared is uploaded, and takes its place in the share. */
START_TEST(the_share_with_unknown_ones)
{
    struct trib_gate gate = {.rule = TRIB_GATE_SHARE, .share = 0.6};
    ck_assert_str_eq(decide(gate, 1, mixed, NULL, 5), "1 3 4");
    ck_assert_double_eq(cut.threshold, 0.7);
    gate.share = 0.2;
    ck_assert_str_eq(decide(gate, 1, mixed, NULL, 5), "1 3");
    ck_assert(isinf(cut.threshold)); /* the share is used up: no known relevance suffices */
    ck_assert(!trib_gate_admit(&gate, &cut, 1, 1));
    ck_assert(trib_gate_admit(&gate, &cut, NAN, 1));
    static const double unknown[3] = {NAN, NAN, NAN};
    ck_assert_str_eq(decide(gate, 1, unknown, NULL, 3), "0 1 2");
    ck_assert_str_eq(decide(gate, 1, unknown, NULL, 0), "");
    ck_assert(isnan(cut.threshold));
    ck_assert_str_eq(decide(gate, 1, five, NULL, 1), "0");
    ck_assert_double_eq(cut.threshold, 0.5);
    gate.share = NAN;
    ck_assert_str_eq(decide(gate, 1, five, NULL, 1), "0");
    ck_assert_double_eq(cut.threshold, 0.5);
}
END_TEST

START_TEST(bytes_of_the_best)
{
    static const uint64_t sizes[5] = {1, 30, 20, 10, 40};
    static const struct {
        uint64_t bytes;
        const char *admitted;
        double threshold;
        uint64_t left;
    } rows[] = {
        {101, "0 1 2 3 4", NAN, 0},
        {100, "1 2 3 4", 0.6, 0},
        {99, "1 3 4", 0.6, 19}, /* 2 no longer fits; 0 would, but comes after it */
        {80, "1 3 4", 0.6, 0},
        {79, "1 3", 0.7, 39},
        {39, "1", 0.9, 9},
        {29, "1", 0.9, 0}, /* the first always fits */
        {1, "1", 0.9, 0},
        {0, "1", 0.9, 0},
        {UINT64_MAX, "0 1 2 3 4", NAN, UINT64_MAX - 101},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct trib_gate gate = {.rule = TRIB_GATE_BYTES, .bytes = rows[i].bytes};
        ck_assert_str_eq(decide(gate, 1, five, sizes, 5), rows[i].admitted);
        ck_assert(isnan(rows[i].threshold) ? isnan(cut.threshold) : cut.threshold == rows[i].threshold);
        ck_assert_uint_eq(cut.bytes_left, rows[i].left);
    }
    struct trib_gate gate = {.rule = TRIB_GATE_BYTES, .bytes = 45};
    ck_assert_str_eq(decide(gate, 1, mixed, sizes, 5), "1 3"); /* 40 bytes that cannot be compared, then 40 too many */
    ck_assert(isinf(cut.threshold));
    ck_assert_uint_eq(cut.bytes_left, 5);
    static const uint64_t huge[5] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    ck_assert_str_eq(decide(gate, 1, mixed, huge, 5), "1 3");
    ck_assert_uint_eq(cut.bytes_left, 0);
    ck_assert_str_eq(decide(gate, 1, five, huge, 5), "1");
}
END_TEST

START_TEST(late_offers_meet_the_cut)
{
    struct trib_gate share = {.rule = TRIB_GATE_SHARE, .share = 0.4};
    (void)decide(share, 1, five, NULL, 5);
    ck_assert(trib_gate_admit(&share, &cut, 0.7, UINT64_MAX));
    ck_assert(trib_gate_admit(&share, &cut, 0.7, UINT64_MAX));
    ck_assert(!trib_gate_admit(&share, &cut, 0.69, 0));
    ck_assert(trib_gate_admit(&share, &cut, NAN, 0));
    struct trib_gate bytes = {.rule = TRIB_GATE_BYTES, .bytes = 35};
    (void)decide(bytes, 1, five, NULL, 5); /* 10 each: three are in, 5 are left */
    ck_assert_uint_eq(cut.bytes_left, 5);
    ck_assert(!trib_gate_admit(&bytes, &cut, 0.8, 6));
    ck_assert(!trib_gate_admit(&bytes, &cut, 0.1, 1));
    ck_assert_uint_eq(cut.bytes_left, 5);
    ck_assert(trib_gate_admit(&bytes, &cut, 0.8, 5));
    ck_assert(!trib_gate_admit(&bytes, &cut, 0.8, 1));
    ck_assert(trib_gate_admit(&bytes, &cut, NAN, 100));
    ck_assert_uint_eq(cut.bytes_left, 0);
    cut = trib_gate_cut(&bytes, 1);
    ck_assert(trib_gate_admit(&bytes, &cut, 0, 36)); /* the very first fits, however large */
    ck_assert(!trib_gate_admit(&bytes, &cut, 1, 1));
    cut = trib_gate_cut(&bytes, 1);
    (void)decide(bytes, 1, five, NULL, 2);
    ck_assert(isnan(cut.threshold)); /* all fitted: bytes alone decide */
    ck_assert(trib_gate_admit(&bytes, &cut, 0, 15));
    struct trib_gate constant = {.rule = TRIB_GATE_CONSTANT, .value = 0.5};
    cut = trib_gate_cut(&constant, 3);
    ck_assert(trib_gate_admit(&constant, &cut, 0.5, 1) && !trib_gate_admit(&constant, &cut, 0.49, 1));
    ck_assert(trib_gate_admit(&constant, &cut, NAN, 1));
    ck_assert_uint_eq(cut.bytes_left, UINT64_MAX);
}
END_TEST

START_TEST(absurd_thresholds)
{
    static const double values[] = {NAN, -1, 0, 2, INFINITY, -INFINITY, 1e-320};
    static const char *const expected[] = {"0 1 2 3 4", "0 1 2 3 4", "0 1 2 3 4", "1 3",
                                           "1 3",       "0 1 2 3 4", "0 1 2 3 4"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct trib_gate gate = {.rule = TRIB_GATE_CONSTANT, .value = values[i]};
        ck_assert_str_eq(decide(gate, 1, mixed, NULL, 5), expected[i]);
        gate.rule = TRIB_GATE_DECAY;
        ck_assert_str_eq(decide(gate, 1, mixed, NULL, 5), expected[i]);
        (void)decide(gate, UINT64_MAX, mixed, NULL, 5);
    }
    static const double odd[5] = {INFINITY, -INFINITY, 5, -5, NAN};
    struct trib_gate gate = {.rule = TRIB_GATE_SHARE, .share = 0.6};
    ck_assert_str_eq(decide(gate, 1, odd, NULL, 5), "0 2 4");
}
END_TEST

START_TEST(names_and_kinds)
{
    static const char *const names[] = {"none", "constant", "decay", "share", "bytes"};
    for (int i = 0; i < TRIB_GATE_RULE_COUNT; i++) {
        struct trib_gate gate = {.rule = (enum trib_gate_rule)i};
        ck_assert_str_eq(trib_gate_rule_name(gate.rule), names[i]);
        ck_assert_int_eq(trib_gate_waits(&gate), i == TRIB_GATE_SHARE || i == TRIB_GATE_BYTES);
    }
    ck_assert_str_eq(trib_gate_rule_name(TRIB_GATE_RULE_COUNT), "unknown");
}
END_TEST

/* ---- what holds for any offers ---- */

static struct trib_gate random_gate(struct trib_rng *rng)
{
    return (struct trib_gate){.rule = (enum trib_gate_rule)trib_rng_below(rng, TRIB_GATE_RULE_COUNT),
                              .value = trib_rng_uniform64(rng) * 2,
                              .share = trib_rng_uniform64(rng) * 1.1,
                              .bytes = trib_rng_below(rng, 2000)};
}

/* Few values, so that there are ties; some unknown. */
static size_t random_offers(struct trib_rng *rng)
{
    size_t n = trib_rng_below(rng, MOST + 1);
    bool some_unknown = trib_rng_below(rng, 2) == 0;
    for (size_t i = 0; i < n; i++) {
        bool unknown = some_unknown && trib_rng_below(rng, 5) == 0;
        offers[i] = (struct trib_gate_offer){.client = (uint32_t)i,
                                             .key = trib_rng_below(rng, 20),
                                             .bytes = 1 + trib_rng_below(rng, 100),
                                             .relevance = unknown ? NAN : (double)trib_rng_below(rng, 9) / 8};
    }
    return n;
}

static bool unlike(const struct trib_gate_cut *a, const struct trib_gate_cut *b)
{
    bool same = a->threshold == b->threshold || (isnan(a->threshold) && isnan(b->threshold));
    return !same || a->bytes_left != b->bytes_left;
}

/* The same offers in another order come to the same. */
static bool depends_on_order(const struct trib_gate *gate, size_t n, struct trib_rng *rng)
{
    struct trib_gate_offer shuffled[MOST];
    struct trib_gate_cut other;
    uint32_t order[MOST];
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
    }
    trib_rng_shuffle_u32(rng, order, n);
    for (size_t i = 0; i < n; i++) {
        shuffled[i] = offers[order[i]];
        shuffled[i].upload = !shuffled[i].upload;
    }
    trib_gate_decide(gate, 4, shuffled, n, &other);
    bool differs = unlike(&cut, &other);
    for (size_t i = 0; i < n; i++) {
        differs = differs || shuffled[i].client != offers[i].client || shuffled[i].upload != offers[i].upload;
    }
    return differs;
}

static const char *find_fault(const struct trib_gate *gate, size_t n)
{
    double lowest_in = INFINITY, highest_out = -INFINITY;
    uint64_t bytes = 0, n_in = 0, n_known_in = 0;
    for (size_t i = 0; i < n; i++) {
        bool known = !isnan(offers[i].relevance);
        if (!known && !offers[i].upload) {
            return "an offer that cannot be compared was refused";
        }
        if (i > 0 && isnan(offers[i].relevance) && !isnan(offers[i - 1].relevance)) {
            return "not sorted";
        }
        n_in += offers[i].upload;
        n_known_in += known && offers[i].upload;
        bytes += offers[i].upload ? offers[i].bytes : 0;
        lowest_in = known && offers[i].upload ? fmin(lowest_in, offers[i].relevance) : lowest_in;
        highest_out = offers[i].upload ? highest_out : fmax(highest_out, offers[i].relevance);
    }
    if (highest_out > lowest_in) {
        return "one was refused that is more relevant than one that was let through";
    }
    if (trib_gate_waits(gate) && n > 0 && n_in == 0) {
        return "nobody was let through";
    }
    if (gate->rule == TRIB_GATE_BYTES && n_known_in > 0 && n_in > 1 && bytes > gate->bytes) {
        return "more bytes than there are";
    }
    if (gate->rule == TRIB_GATE_SHARE && n_known_in > 0 && n_in > 1 && (double)n_in > gate->share * (double)n + 0.5) {
        return "more than the share";
    }
    bool is_cut = isnan(cut.threshold) || (cut.threshold <= lowest_in && cut.threshold >= highest_out);
    return is_cut ? NULL : "the cut does not divide the offers";
}

START_TEST(properties_of_any_offers)
{
    struct trib_rng rng = trib_rng_init(4, "gate", 0, 0);
    for (int i = 0; i < 20000; i++) {
        struct trib_gate gate = random_gate(&rng);
        size_t n = random_offers(&rng);
        trib_gate_decide(&gate, 4, offers, n, &cut);
        const char *fault = find_fault(&gate, n);
        if (fault) {
            ck_abort_msg("case %d, rule %s: %s", i, trib_gate_rule_name(gate.rule), fault);
        }
        if (depends_on_order(&gate, n, &rng)) {
            ck_abort_msg("case %d, rule %s: the order matters", i, trib_gate_rule_name(gate.rule));
        }
    }
}
END_TEST

/* Under rules that compare nothing, an offer on its own meets what it meets among others. */
START_TEST(single_offers_meet_the_same)
{
    struct trib_rng rng = trib_rng_init(5, "gate", 0, 0);
    bool same = true;
    for (int i = 0; i < 5000; i++) {
        struct trib_gate gate = random_gate(&rng);
        size_t n = random_offers(&rng);
        trib_gate_decide(&gate, 4, offers, n, &cut);
        struct trib_gate_cut single = trib_gate_cut(&gate, 4);
        for (size_t j = 0; j < n && !trib_gate_waits(&gate); j++) {
            same = same && trib_gate_admit(&gate, &single, offers[j].relevance, offers[j].bytes) == offers[j].upload;
        }
    }
    ck_assert(same);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gate");
    TCase *tcase = tcase_create("gate");
    tcase_add_test(tcase, rules_without_comparison);
    tcase_add_test(tcase, the_best_share);
    tcase_add_test(tcase, the_share_with_unknown_ones);
    tcase_add_test(tcase, bytes_of_the_best);
    tcase_add_test(tcase, late_offers_meet_the_cut);
    tcase_add_test(tcase, absurd_thresholds);
    tcase_add_test(tcase, names_and_kinds);
    tcase_add_test(tcase, properties_of_any_offers);
    tcase_add_test(tcase, single_offers_meet_the_same);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
