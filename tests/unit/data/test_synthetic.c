/* Synthetic(alpha, beta): the moments of what is drawn, whose rule decides labels, splits and keys, bad texts. Bounds
 * are at least five standard deviations wide where a sample's size decides them; seeds are fixed anyway. */
#include "base/mem.h"
#include "data/partition.h"
#include "data_files.h"
#include "fail_memory.h"
#include "test_main.h"

#include <math.h>

enum { FEATURES = 60, CLASSES = 10 };

static struct trib_dataset draw(const char *format, const char *split)
{
    return data_open(&(struct trib_dataset_spec){.format = format, .split = split});
}

static const float *example_at(const struct trib_dataset *dataset, size_t i)
{
    return (const float *)dataset->data + i * FEATURES;
}

static size_t *count_keys(const struct trib_dataset *dataset)
{
    size_t *counts = calloc((size_t)dataset->n_keys, sizeof *counts);
    bool ascend = true;
    for (size_t i = 0; i < dataset->n; i++) {
        counts[dataset->keys[i]]++;
        ascend &= i == 0 || dataset->keys[i] >= dataset->keys[i - 1];
    }
    ck_assert(ascend);
    return counts;
}

static void check_same(const struct trib_dataset *a, const struct trib_dataset *b)
{
    ck_assert_uint_eq(a->n, b->n);
    ck_assert_mem_eq(a->data, b->data, a->n * FEATURES * sizeof(float));
    ck_assert_mem_eq(a->labels, b->labels, a->n * sizeof *a->labels);
    ck_assert_mem_eq(a->keys, b->keys, a->n * sizeof *a->keys);
}

/* ---- shape, splits, seeds ---- */

START_TEST(gives_ten_classes_of_sixty_features)
{
    struct trib_dataset dataset = draw("synthetic:1,1", NULL);
    ck_assert_int_eq(dataset.example.rank, 1);
    ck_assert_int_eq(dataset.example.dims[0], FEATURES);
    ck_assert_uint_eq(dataset.example_n, FEATURES);
    ck_assert(!dataset.is_u8);
    ck_assert_int_eq(dataset.classes, CLASSES);
    ck_assert_int_eq(dataset.n_keys, 30);
    ck_assert_ptr_null(dataset.targets);
    bool within = true, finite = true;
    size_t by_class[CLASSES] = {0};
    for (size_t i = 0; i < dataset.n; i++) {
        within &= dataset.labels[i] >= 0 && dataset.labels[i] < CLASSES;
        by_class[within ? dataset.labels[i] : 0]++;
        finite &= isfinite(example_at(&dataset, i)[i % FEATURES]) != 0;
    }
    ck_assert(within && finite);
    for (size_t k = 0; k < CLASSES; k++) {
        ck_assert_uint_gt(by_class[k], 0);
    }
    trib_dataset_clear(&dataset);
}
END_TEST

START_TEST(splits_each_user_nine_to_one)
{
    struct trib_dataset train = draw("synthetic:0.5,0.5,40,7", "train");
    struct trib_dataset test = draw("synthetic:0.5,0.5,40,7", "test");
    size_t *train_n = count_keys(&train), *test_n = count_keys(&test);
    for (size_t u = 0; u < 40; u++) {
        size_t n = train_n[u] + test_n[u];
        ck_assert_uint_ge(n, 50);
        ck_assert_uint_le(n, 20000);
        ck_assert_uint_eq(train_n[u], n * 9 / 10);
    }
    size_t same = 0;
    for (size_t i = 0; i < test.n; i++) {
        same += memcmp(example_at(&test, i), example_at(&train, i), FEATURES * sizeof(float)) == 0;
    }
    ck_assert_uint_eq(same, 0);
    free(train_n);
    free(test_n);
    trib_dataset_clear(&train);
    trib_dataset_clear(&test);
}
END_TEST

START_TEST(depends_on_the_seed_alone)
{
    struct trib_dataset once = draw("synthetic:1,1,10,3", "test");
    struct trib_dataset again = draw("synthetic:1,1,10,3", "test");
    struct trib_dataset other = draw("synthetic:1,1,10,4", "test");
    struct trib_dataset more = draw("synthetic:1,1,11,3", "test");
    check_same(&once, &again);
    ck_assert_mem_ne(once.data, other.data, FEATURES * sizeof(float));
    more.n = once.n; /* users that are added change nothing about the others */
    check_same(&once, &more);
    trib_dataset_clear(&again);
    again = draw("synthetic:1,1,30,1", "test");
    trib_dataset_clear(&other);
    other = draw("synthetic:1,1", "test");
    check_same(&again, &other);
    trib_dataset_clear(&once);
    trib_dataset_clear(&again);
    trib_dataset_clear(&other);
    trib_dataset_clear(&more);
}
END_TEST

START_TEST(deals_one_user_to_each_client)
{
    struct trib_dataset dataset = draw("synthetic:1,1,50", "train");
    struct trib_partition partition;
    ck_assert_int_eq(trib_partition_make("by-key", &dataset, 50, 1, &partition, NULL), TRIB_OK);
    size_t *counts = count_keys(&dataset);
    bool seen[50] = {false};
    for (size_t c = 0; c < 50; c++) {
        int32_t key = dataset.keys[partition.indices[partition.offsets[c]]];
        size_t n = partition.offsets[c + 1] - partition.offsets[c];
        ck_assert_uint_eq(n, counts[key]);
        ck_assert_int_eq(dataset.keys[partition.indices[partition.offsets[c] + n - 1]], key);
        ck_assert(!seen[key]);
        seen[key] = true;
    }
    free(counts);
    trib_partition_clear(&partition);
    trib_dataset_clear(&dataset);
}
END_TEST

/* ---- moments ---- */

enum { USERS = 400 };

struct moments {
    double log_mean, log_deviation; /* of n - 50, + 1/2 for what floor takes */
    double within[FEATURES];        /* variance of a feature around its user's mean */
    double around;                  /* variance of the users' means over their features: beta^2 + 1/60 */
    double between;                 /* variance of a user's features' means around that: 1 */
    size_t largest;
};

/* sums: [USERS, FEATURES] means of the users */
static void take_sizes(const size_t *counts, struct moments *to)
{
    double sum = 0, squares = 0;
    for (size_t u = 0; u < USERS; u++) {
        size_t n = (counts[u] * 10 + 8) / 9; /* of which counts are nine tenths, rounded down */
        double value = log((double)n - 50 + 0.5);
        sum += value;
        squares += value * value;
        to->largest = n > to->largest ? n : to->largest;
    }
    to->log_mean = sum / USERS;
    to->log_deviation = sqrt(squares / USERS - to->log_mean * to->log_mean);
}

static void take_middles(const double *means, struct moments *to)
{
    double sum = 0, squares = 0;
    for (size_t u = 0; u < USERS; u++) {
        double middle = 0, spread = 0;
        for (size_t j = 0; j < FEATURES; j++) {
            middle += means[u * FEATURES + j] / FEATURES;
        }
        for (size_t j = 0; j < FEATURES; j++) {
            spread += pow(means[u * FEATURES + j] - middle, 2) / (FEATURES - 1);
        }
        to->between += spread / USERS;
        sum += middle / USERS;
        squares += middle * middle / USERS;
    }
    to->around = squares - sum * sum;
}

static struct moments measure(const char *format)
{
    struct moments moments = {0};
    struct trib_dataset dataset = draw(format, "train");
    ck_assert_int_eq(dataset.n_keys, USERS);
    size_t *counts = count_keys(&dataset);
    double *means = calloc((size_t)USERS * FEATURES, sizeof *means);
    for (size_t i = 0; i < dataset.n; i++) {
        size_t u = (size_t)dataset.keys[i];
        for (size_t j = 0; j < FEATURES; j++) {
            means[u * FEATURES + j] += (double)example_at(&dataset, i)[j] / (double)counts[u];
        }
    }
    for (size_t i = 0; i < dataset.n; i++) {
        for (size_t j = 0; j < FEATURES; j++) {
            double off = (double)example_at(&dataset, i)[j] - means[(size_t)dataset.keys[i] * FEATURES + j];
            moments.within[j] += off * off / (double)(dataset.n - USERS);
        }
    }
    take_sizes(counts, &moments);
    take_middles(means, &moments);
    free(counts);
    free(means);
    trib_dataset_clear(&dataset);
    return moments;
}

START_TEST(has_the_moments_of_the_paper)
{
    struct moments moments = measure("synthetic:0.5,0.5,400,11");
    /* 400 draws of N(4, 2), cut at log(19950): the cut takes 0.01 off the mean, 0.03 off the deviation */
    ck_assert_double_eq_tol(moments.log_mean, 4, 0.55);
    ck_assert_double_eq_tol(moments.log_deviation, 2, 0.4);
    ck_assert_uint_le(moments.largest, 20000);
    for (size_t j = 0; j < FEATURES; j++) { /* at least 20,000 examples: 5 deviations are 5 % */
        double variance = pow((double)(j + 1), -1.2);
        ck_assert_double_eq_tol(moments.within[j], variance, 0.05 * variance);
    }
    /* relative deviations sqrt(2 / 400) and sqrt(2 / (400 * 59)); means of few examples add a little */
    ck_assert_double_eq_tol(moments.around, 0.25 + 1.0 / 60, 0.36 * (0.25 + 1.0 / 60));
    ck_assert_double_eq_tol(moments.between, 1, 0.05);
}
END_TEST

START_TEST(centres_everyone_when_iid)
{
    struct moments moments = measure("synthetic:iid,400,11");
    ck_assert_double_le(moments.around, 0.001);
    ck_assert_double_le(moments.between, 0.01);
    ck_assert_double_eq_tol(moments.within[0], 1, 0.05);
}
END_TEST

/* ---- whose rule ---- */

/* Multi-class perceptron (Rosenblatt 1958): w [CLASSES][FEATURES + 1] */
static int32_t predict(double w[CLASSES][FEATURES + 1], const float *x)
{
    int32_t best = 0;
    double best_score = -INFINITY;
    for (int32_t k = 0; k < CLASSES; k++) {
        double score = w[k][FEATURES];
        for (size_t j = 0; j < FEATURES; j++) {
            score += w[k][j] * (double)x[j];
        }
        if (score > best_score) {
            best = k;
            best_score = score;
        }
    }
    return best;
}

static void learn(double w[CLASSES][FEATURES + 1], const struct trib_dataset *dataset, int32_t key)
{
    for (int pass = 0; pass < 30; pass++) {
        for (size_t i = 0; i < dataset->n; i++) {
            const float *x = example_at(dataset, i);
            int32_t said = dataset->keys[i] == key ? predict(w, x) : dataset->labels[i];
            if (said == dataset->labels[i]) {
                continue;
            }
            for (size_t j = 0; j <= FEATURES; j++) {
                double step = j < FEATURES ? (double)x[j] : 1;
                w[dataset->labels[i]][j] += step;
                w[said][j] -= step;
            }
        }
    }
}

/* share of right answers on the examples of `key`, or of all others */
static double score(double w[CLASSES][FEATURES + 1], const struct trib_dataset *dataset, int32_t key, bool others)
{
    size_t right = 0, n = 0;
    for (size_t i = 0; i < dataset->n; i++) {
        if ((dataset->keys[i] == key) != others) {
            right += predict(w, example_at(dataset, i)) == dataset->labels[i];
            n++;
        }
    }
    return (double)right / (double)n;
}

static void learn_from_largest(const char *format, double *own, double *others)
{
    double w[CLASSES][FEATURES + 1] = {{0}};
    struct trib_dataset train = draw(format, "train"), test = draw(format, "test");
    size_t *counts = count_keys(&train);
    int32_t largest = 0;
    for (int32_t u = 1; u < train.n_keys; u++) {
        largest = counts[u] > counts[largest] ? u : largest;
    }
    learn(w, &train, largest);
    *own = score(w, &test, largest, false);
    *others = score(w, &test, largest, true);
    free(counts);
    trib_dataset_clear(&train);
    trib_dataset_clear(&test);
}

START_TEST(gives_each_user_a_rule_of_its_own)
{
    double own, others;
    learn_from_largest("synthetic:1,1,20,2", &own, &others);
    ck_assert_double_gt(own, 0.75);
    ck_assert_double_lt(others, 0.4);
}
END_TEST

START_TEST(gives_all_users_one_rule_when_iid)
{
    double own, others;
    learn_from_largest("synthetic:iid,20,2", &own, &others);
    ck_assert_double_gt(own, 0.75);
    ck_assert_double_gt(others, 0.75);
}
END_TEST

START_TEST(moves_middles_with_beta_and_labels_not_with_alpha)
{
    struct trib_dataset low = draw("synthetic:0,1,10,3", "test"), high = draw("synthetic:1,1,10,3", "test");
    struct trib_dataset still = draw("synthetic:1,0,10,3", "test");
    check_same(&low, &high);
    ck_assert_uint_eq(still.n, high.n);
    ck_assert_mem_ne(still.data, high.data, FEATURES * sizeof(float));
    trib_dataset_clear(&low);
    trib_dataset_clear(&high);
    trib_dataset_clear(&still);
}
END_TEST

/* ---- bad input ---- */

#define USAGE "write synthetic:ALPHA,BETA[,USERS[,SEED]] or synthetic:iid[,USERS[,SEED]]"

static void refused(const char *format, const char *message)
{
    char want[TRIB_ERROR_MESSAGE_LEN];
    snprintf(want, sizeof want, "dataset format \"%s\"%s", format, message);
    data_open_fails(&(struct trib_dataset_spec){.format = format}, TRIB_CONFIG, want);
}

START_TEST(says_what_is_wrong_with_the_text)
{
    refused("synthetic", ": not complete or too long; " USAGE);
    refused("synthetic:", ": not complete or too long; " USAGE);
    refused("synthetic:1", ": not complete or too long; " USAGE);
    refused("synthetic:1,1,10,1,1", ": not complete or too long; " USAGE);
    refused("synthetic:1,0.00000000000000000000000000000000001", ": not complete or too long; " USAGE);
    refused("synthetic:1,x", " (" USAGE "): \"x\" is not a finite number");
    refused("synthetic:-1,1", " (" USAGE "): -1 is below the minimum 0");
    refused("synthetic:1,nan", " (" USAGE "): \"nan\" is not a finite number");
    refused("synthetic:1,1,0", " (" USAGE "): 0 is below the minimum 1");
    refused("synthetic:1,1,30,-1", " (" USAGE "): -1 is below the minimum 0");
    refused("synthetic:iid,30,1,4", " (" USAGE "): \"4\" is one number too many");
    data_open_fails(&(struct trib_dataset_spec){.format = "synthetik:1,1"}, TRIB_CONFIG,
                    "dataset format \"synthetik:1,1\": unknown; there are: idx, cifar, csv, npy, synthetic");
    data_open_fails(&(struct trib_dataset_spec){.format = "idx:1,1", .path = "x"}, TRIB_CONFIG,
                    "dataset format \"idx:1,1\": unknown; there are: idx, cifar, csv, npy, synthetic");
}
END_TEST

START_TEST(says_what_is_wrong_with_the_settings)
{
    struct trib_dataset_spec spec = {.format = "synthetic:1,1", .regression = true};
    data_open_fails(&spec, TRIB_CONFIG,
                    "dataset regression: of no use with format synthetic; its users are the keys, its rule gives the "
                    "labels");
    spec = (struct trib_dataset_spec){.format = "synthetic:1,1", .keys = "keys"};
    data_open_fails(&spec, TRIB_CONFIG,
                    "dataset keys: of no use with format synthetic; its users are the keys, its rule gives the labels");
    spec = (struct trib_dataset_spec){.format = "synthetic:1,1", .classes = 9};
    data_open_fails(&spec, TRIB_CONFIG, "dataset classes: 9, but format synthetic has 10");
    spec = (struct trib_dataset_spec){.format = "synthetic:1,1", .split = "tst"};
    data_open_fails(&spec, TRIB_CONFIG,
                    "dataset split \"tst\": unknown; did you mean \"test\"? There are: train, test");
    spec = (struct trib_dataset_spec){.format = "synthetic:1,1,1000000", .max_bytes = 1e6};
    struct trib_dataset dataset;
    struct trib_error error = {0};
    ck_assert_int_eq(trib_dataset_open(&spec, &dataset, &error), TRIB_LIMIT);
    ck_assert_msg(strstr(error.message, "synthetic:1,1,1000000: needs ") == error.message, "%s", error.message);
}
END_TEST

START_TEST(needs_no_file)
{
    ck_assert(!trib_dataset_needs_file("synthetic:1,1"));
    ck_assert(!trib_dataset_needs_file("synthetic"));
    ck_assert(trib_dataset_needs_file("synthetics"));
    ck_assert(trib_dataset_needs_file("idx"));
    ck_assert(trib_dataset_needs_file(NULL));
    struct trib_dataset dataset =
        data_open(&(struct trib_dataset_spec){.format = "synthetic:1,1,2", .path = "/no/such/file", .classes = 12});
    ck_assert_int_eq(dataset.classes, 12);
    trib_dataset_clear(&dataset);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    struct trib_dataset_spec spec = {.format = "synthetic:1,1,2"};
    int64_t failed = 0;
    for (bool opened = false; !opened; failed++) {
        struct trib_dataset dataset;
        fail_memory_after(failed, false);
        enum trib_status status = trib_dataset_open(&spec, &dataset, NULL);
        fail_memory_after(-1, false);
        opened = status == TRIB_OK;
        ck_assert(opened || status == TRIB_NO_MEMORY);
        if (opened) {
            trib_dataset_clear(&dataset);
        }
    }
    ck_assert_int_eq(failed, 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("synthetic");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, data_files_setup, data_files_teardown);
    tcase_add_test(all, gives_ten_classes_of_sixty_features);
    tcase_add_test(all, splits_each_user_nine_to_one);
    tcase_add_test(all, depends_on_the_seed_alone);
    tcase_add_test(all, deals_one_user_to_each_client);
    tcase_add_test(all, has_the_moments_of_the_paper);
    tcase_add_test(all, centres_everyone_when_iid);
    tcase_add_test(all, gives_each_user_a_rule_of_its_own);
    tcase_add_test(all, gives_all_users_one_rule_when_iid);
    tcase_add_test(all, moves_middles_with_beta_and_labels_not_with_alpha);
    tcase_add_test(all, says_what_is_wrong_with_the_text);
    tcase_add_test(all, says_what_is_wrong_with_the_settings);
    tcase_add_test(all, needs_no_file);
    tcase_add_test(all, survives_failing_allocations);
    suite_add_tcase(suite, all);
    return trib_test_run(suite);
}
