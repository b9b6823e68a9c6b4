/* The choice of a chain: within the target, for a reason that is told, and as good as the best that can be written. */
#include "codec/choose.h"

#include "base/rng.h"

#include "test_frames.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 200000 };
static float vector[N];
static struct trib_error error;

/* Layers of unlike scale; the more, the larger `tail` is, the heavier tailed: kurtosis 3 to some hundreds. */
static void fill(double tail, double spread)
{
    struct trib_rng rng = trib_rng_init(8, "choose", 0, 0);
    for (size_t i = 0; i < N; i++) {
        double layer = pow(spread, (double)(i * 4 / N));
        double heavy = tail > 0 ? exp(tail * trib_rng_normal(&rng)) : 1;
        vector[i] = (float)(1e-3 * layer * heavy * trib_rng_normal(&rng));
    }
}

static struct trib_choice choose(double bits, double seconds, double bytes_per_second)
{
    const struct trib_choice_target target = {.bits = bits, .seconds = seconds};
    struct trib_choice choice;
    enum trib_status status = trib_choose_chain(&target, bytes_per_second, 3, vector, N, &choice, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    return choice;
}

static enum trib_status compare(void *context, size_t first, const float *values, size_t n, struct trib_error *unused)
{
    (void)unused;
    double *sum = context;
    for (size_t i = 0; i < n; i++) {
        double difference = (double)values[i] - (double)vector[first + i];
        *sum += difference * difference;
    }
    return TRIB_OK;
}

/* NMSE and bits of a chain on the whole vector, every byte of the frame counted. */
static double measure(const struct trib_chain *chain, double *bits)
{
    static const uint8_t schema[TRIB_FRAME_HASH_LEN];
    const struct trib_frame_job job = {
        .kind = TRIB_FRAME_UPDATE, .chain = chain, .seed = 3, .schema = schema, .vector = vector, .n = N};
    struct trib_blob *frame = NULL;
    double sum = 0, energy = 0;
    ck_assert_msg(trib_frame_encode(&job, &frame, &error) == TRIB_OK, "%s", error.message);
    struct trib_frame_source source = trib_frame_source_memory(frame);
    ck_assert_msg(trib_frame_walk(&source, NULL, NULL, compare, &sum, NULL, &error) == TRIB_OK, "%s", error.message);
    *bits = (double)trib_blob_len(frame) * 8 / N;
    trib_blob_unref(frame);
    for (size_t i = 0; i < N; i++) {
        energy += (double)vector[i] * (double)vector[i];
    }
    return sum / energy;
}

static const struct {
    double tail, spread, bits;
} vectors[] = {{0, 1, 2}, {0, 5, 1}, {0.8, 2, 1}, {0.8, 2, 4}, {1.5, 1, 0.5}};

/* The best of what the frame could have been coded with, each at the same rate. */
START_TEST(as_good_as_the_best_listed)
{
    static const char *const listed[] = {"rotate|uniform", "uniform", "rotate|trellis", "trellis"};
    double rate = vectors[_i].bits, bits = 0, best = INFINITY;
    fill(vectors[_i].tail, vectors[_i].spread);
    struct trib_choice choice = choose(rate, 0, 0);
    double chosen = measure(&choice.chain, &bits);
    ck_assert_msg(bits <= rate * 1.01, "%s: %g bits", choice.chain.text, bits);
    chosen *= exp2(2 * (bits - rate));
    for (size_t i = 0; i < sizeof listed / sizeof listed[0]; i++) {
        char text[TRIB_CHAIN_TEXT];
        (void)snprintf(text, sizeof text, "%s:%.3f|range", listed[i], rate);
        struct trib_chain chain;
        if (trib_chain_parse(text, &chain, &error) != TRIB_OK) {
            continue; /* it does not go so low */
        }
        double nmse = measure(&chain, &bits);
        best = fmin(best, nmse * exp2(2 * (bits - rate)));
    }
    ck_assert_msg(chosen <= 1.01 * best, "%s: NMSE %g, the best listed has %g", choice.chain.text, chosen, best);
}
END_TEST

START_TEST(the_network_sets_the_rate)
{
    fill(0, 1);
    struct trib_choice free = choose(2, 0, 0), wide = choose(2, 10, 1e9), narrow = choose(2, 10, N / 80.0);
    ck_assert_double_eq(free.bits, 2);
    ck_assert_ptr_nonnull(strstr(free.reason, "bandwidth not measured yet: 2 bits; kurtosis 3"));
    ck_assert_double_eq(wide.bits, 2);
    ck_assert_double_eq_tol(narrow.bits, 1, 1e-9);
    ck_assert_msg(strstr(narrow.reason, "0.02 Mbit/s allow 1 bits in 10 s: 1 bits"), "%s", narrow.reason);
    ck_assert_double_eq(choose(2, 1, 1).bits, TRIB_CHOICE_MIN_BITS);
    ck_assert_str_eq(choose(32, 0, 0).chain.text, "f32");
    ck_assert_uint_eq(choose(16, 0, 0).chain.n, 1);
}
END_TEST

START_TEST(odd_vectors)
{
    memset(vector, 0, sizeof vector);
    ck_assert_double_eq(choose(1, 0, 0).nmse, 0);
    vector[N / 2] = 3;
    struct trib_choice choice = choose(1, 0, 0);
    ck_assert_msg(choice.nmse < 1e-3, "%s: NMSE %g", choice.chain.text, choice.nmse);
    vector[7] = NAN;
    const struct trib_choice_target target = {.bits = 1};
    ck_assert_int_eq(trib_choose_chain(&target, 0, 3, vector, N, &choice, &error), TRIB_NOT_FINITE);
}
END_TEST

START_TEST(its_text)
{
    char text[TRIB_CHAIN_TEXT];
    struct trib_choice_target target = {.bits = 1.5, .seconds = 12};
    trib_choice_format(&target, text);
    ck_assert_str_eq(text, "auto:1.5,12");
    ck_assert_int_eq(trib_choice_parse(text, &target, &error), TRIB_OK);
    ck_assert_double_eq(target.bits, 1.5);
    ck_assert_double_eq(target.seconds, 12);
    static const char *const faulty[] = {"auto",      "auto:",     "auto:2",     "auto:2,", "auto:0,1",
                                         "auto:33,1", "auto:2,-1", "auto:nan,1", "f16"};
    for (size_t i = 0; i < sizeof faulty / sizeof faulty[0]; i++) {
        ck_assert_msg(trib_choice_parse(faulty[i], &target, &error) == TRIB_INVALID, "%s", faulty[i]);
        ck_assert_int_eq(trib_choice_is_auto(faulty[i]), i + 1 < sizeof faulty / sizeof faulty[0]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("choose");
    TCase *tests = tcase_create("choose");
    tcase_add_loop_test(tests, as_good_as_the_best_listed, 0, sizeof vectors / sizeof vectors[0]);
    tcase_add_test(tests, the_network_sets_the_rate);
    tcase_add_test(tests, odd_vectors);
    tcase_add_test(tests, its_text);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
