/* Partitions: properties that every rule keeps, and what each promises beyond them. */
#include "base/mem.h"
#include "data/partition.h"
#include "fail_memory.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CLASSES = 10 };

/* n examples whose labels cycle, and whose keys have sizes 1, 2, 3, ... */
static struct trib_dataset make_dataset(size_t n)
{
    struct trib_dataset dataset = {.n = n, .classes = CLASSES};
    dataset.labels = calloc(n, sizeof *dataset.labels);
    dataset.keys = calloc(n, sizeof *dataset.keys);
    int32_t key = 0;
    size_t left = 1;
    for (size_t i = 0; i < n; i++) {
        dataset.labels[i] = (int32_t)(i * 7 % CLASSES);
        dataset.keys[i] = key;
        dataset.n_keys = key + 1;
        if (--left == 0) {
            key++;
            left = (size_t)key + 1;
        }
    }
    return dataset;
}

static void free_dataset(struct trib_dataset *dataset)
{
    free(dataset->labels);
    free(dataset->keys);
}

static struct trib_partition make(const char *rule, const struct trib_dataset *dataset, size_t n_clients, uint64_t seed)
{
    struct trib_partition partition;
    struct trib_error error = {0};
    enum trib_status status = trib_partition_make(rule, dataset, n_clients, seed, &partition, &error);
    ck_assert_msg(status == TRIB_OK, "%s, %zu clients: %s", rule, n_clients, error.message);
    return partition;
}

/* Every example exactly once, nobody empty, ascending within a client. */
static void check_cover(const struct trib_partition *partition, const struct trib_dataset *dataset, size_t n_clients)
{
    uint8_t *seen = calloc(dataset->n, 1);
    ck_assert_uint_eq(partition->n_clients, n_clients);
    ck_assert_uint_eq(partition->offsets[0], 0);
    ck_assert_uint_eq(partition->offsets[n_clients], dataset->n);
    for (size_t c = 0; c < n_clients; c++) {
        ck_assert_uint_lt(partition->offsets[c], partition->offsets[c + 1]);
        for (size_t i = partition->offsets[c]; i < partition->offsets[c + 1]; i++) {
            ck_assert_uint_lt(partition->indices[i], dataset->n);
            ck_assert_uint_eq(seen[partition->indices[i]]++, 0);
            ck_assert(i == partition->offsets[c] || partition->indices[i - 1] < partition->indices[i]);
        }
    }
    free(seen);
}

static bool same(const struct trib_partition *a, const struct trib_partition *b, size_t n)
{
    return a->n_clients == b->n_clients &&
           memcmp(a->offsets, b->offsets, (a->n_clients + 1) * sizeof *a->offsets) == 0 &&
           memcmp(a->indices, b->indices, n * sizeof *a->indices) == 0;
}

static size_t classes_of(const struct trib_partition *partition, const struct trib_dataset *dataset, size_t client)
{
    bool seen[CLASSES] = {false};
    size_t count = 0;
    for (size_t i = partition->offsets[client]; i < partition->offsets[client + 1]; i++) {
        bool *class = &seen[dataset->labels[partition->indices[i]]];
        count += !*class;
        *class = true;
    }
    return count;
}

/* Each registered rule but "file", which divides nothing. */
static const char *const dividing[] = {"iid",           "shards:1",       "shards:2", "shards:3", "dirichlet:0.001",
                                       "dirichlet:0.5", "dirichlet:1000", "by-key"};

START_TEST(every_registered_rule_is_tested)
{
    const struct trib_partition_rule *const *rules;
    size_t n = trib_partition_rules(&rules);
    ck_assert_uint_gt(n, 0);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(rules[i]->name);
        bool tested = strcmp(rules[i]->name, "file") == 0;
        for (size_t r = 0; r < sizeof dividing / sizeof dividing[0]; r++) {
            tested = tested || (strncmp(dividing[r], rules[i]->name, len) == 0 && strchr(":", dividing[r][len]));
        }
        ck_assert_msg(tested, "rule %s is not in the list above", rules[i]->name);
        ck_assert_ptr_nonnull(rules[i]->help);
    }
}
END_TEST

START_TEST(every_rule_covers_and_repeats)
{
    static const size_t sizes[] = {12, 57, 1000};
    static const size_t clients[] = {1, 3, 4};
    for (size_t r = 0; r < sizeof dividing / sizeof dividing[0]; r++) {
        for (size_t s = 0; s < 3; s++) {
            for (size_t c = 0; c < 3; c++) {
                struct trib_dataset dataset = make_dataset(sizes[s]);
                struct trib_partition first = make(dividing[r], &dataset, clients[c], 42);
                struct trib_partition again = make(dividing[r], &dataset, clients[c], 42);
                struct trib_partition other = make(dividing[r], &dataset, clients[c], 43);
                check_cover(&first, &dataset, clients[c]);
                check_cover(&other, &dataset, clients[c]);
                ck_assert(same(&first, &again, dataset.n));
                /* By key, sizes decide nearly all. */
                if (clients[c] > 1 && sizes[s] == 1000 && strcmp(dividing[r], "by-key") != 0) {
                    ck_assert_msg(!same(&first, &other, dataset.n), "%s ignores the seed", dividing[r]);
                }
                trib_partition_clear(&first);
                trib_partition_clear(&again);
                trib_partition_clear(&other);
                free_dataset(&dataset);
            }
        }
    }
}
END_TEST

START_TEST(as_many_clients_as_examples)
{
    struct trib_dataset dataset = make_dataset(50);
    for (size_t r = 0; r < 3; r++) {
        struct trib_partition partition =
            make((const char *[]){"iid", "shards:1", "dirichlet:0.01"}[r], &dataset, 50, 1);
        check_cover(&partition, &dataset, 50);
        trib_partition_clear(&partition);
    }
    free_dataset(&dataset);
}
END_TEST

START_TEST(iid_is_even_and_mixed)
{
    struct trib_dataset dataset = make_dataset(1003);
    struct trib_partition partition = make("iid", &dataset, 10, 7);
    for (size_t c = 0; c < 10; c++) {
        size_t count = partition.offsets[c + 1] - partition.offsets[c];
        ck_assert_uint_eq(count, c < 3 ? 101 : 100);
        ck_assert_uint_eq(classes_of(&partition, &dataset, c), CLASSES);
    }
    trib_partition_clear(&partition);
    free_dataset(&dataset);
}
END_TEST

START_TEST(shards_limit_the_classes)
{
    struct trib_dataset dataset = make_dataset(6000);
    struct trib_partition partition = make("shards:2", &dataset, 100, 7);
    for (size_t c = 0; c < 100; c++) {
        ck_assert_uint_eq(partition.offsets[c + 1] - partition.offsets[c], 60);
        ck_assert_uint_le(classes_of(&partition, &dataset, c), 2); /* 20 whole shards a class */
    }
    trib_partition_clear(&partition);
    partition = make("shards:2", &dataset, 77, 7); /* shards that straddle two classes */
    for (size_t c = 0; c < 77; c++) {
        ck_assert_uint_le(classes_of(&partition, &dataset, c), 4);
    }
    trib_partition_clear(&partition);
    free_dataset(&dataset);
}
END_TEST

/* Mean over clients of sum_k |client's share of k - overall share of k| / 2 */
static double skew(const struct trib_partition *partition, const struct trib_dataset *dataset)
{
    double total = 0;
    for (size_t c = 0; c < partition->n_clients; c++) {
        double counts[CLASSES] = {0};
        double n = (double)(partition->offsets[c + 1] - partition->offsets[c]);
        for (size_t i = partition->offsets[c]; i < partition->offsets[c + 1]; i++) {
            counts[dataset->labels[partition->indices[i]]]++;
        }
        for (int k = 0; k < CLASSES; k++) {
            total += fabs(counts[k] / n - 1.0 / CLASSES) / 2;
        }
    }
    return total / (double)partition->n_clients;
}

START_TEST(dirichlet_skews_with_alpha)
{
    static const char *const rules[] = {"dirichlet:0.01", "dirichlet:1", "dirichlet:10", "dirichlet:1000"};
    struct trib_dataset dataset = make_dataset(10000);
    double last = 1;
    for (size_t r = 0; r < 4; r++) {
        struct trib_partition partition = make(rules[r], &dataset, 20, 3);
        double now = skew(&partition, &dataset);
        ck_assert_msg(now < last, "%s: skew %g, above %g", rules[r], now, last);
        ck_assert(r != 0 || now > 0.7);
        ck_assert(r != 3 || now < 0.1);
        for (size_t c = 0; c < 20; c++) {
            ck_assert_uint_eq(partition.offsets[c + 1] - partition.offsets[c], 500);
        }
        last = now;
        trib_partition_clear(&partition);
    }
    /* A class without examples has no part in it. */
    for (size_t i = 0; i < dataset.n; i++) {
        dataset.labels[i] = dataset.labels[i] == 4 ? 5 : dataset.labels[i];
    }
    struct trib_partition partition = make("dirichlet:0.000001", &dataset, 1000, 9);
    check_cover(&partition, &dataset, 1000);
    trib_partition_clear(&partition);
    free_dataset(&dataset);
}
END_TEST

START_TEST(keys_stay_whole_and_loads_even)
{
    struct trib_dataset dataset = make_dataset(5050); /* keys of 1 .. 100 examples */
    static const size_t clients[] = {1, 7, 50, 100};
    for (size_t r = 0; r < 4; r++) {
        struct trib_partition partition = make("by-key", &dataset, clients[r], 5);
        int64_t owner[128];
        size_t most = 0;
        memset(owner, 0xff, sizeof owner);
        check_cover(&partition, &dataset, clients[r]);
        for (size_t c = 0; c < clients[r]; c++) {
            size_t count = partition.offsets[c + 1] - partition.offsets[c];
            most = count > most ? count : most;
            for (size_t i = partition.offsets[c]; i < partition.offsets[c + 1]; i++) {
                int64_t *key_owner = &owner[dataset.keys[partition.indices[i]]];
                ck_assert(*key_owner == -1 || *key_owner == (int64_t)c);
                *key_owner = (int64_t)c;
            }
        }
        /* Graham's bound for this rule: within 4/3 of the best, which no largest key or mean can beat. */
        double best = fmax(5050.0 / (double)clients[r], 100);
        ck_assert_double_le((double)most, best * 4 / 3);
        trib_partition_clear(&partition);
    }
    free_dataset(&dataset);
}
END_TEST

START_TEST(file_gives_all)
{
    struct trib_dataset dataset = make_dataset(20);
    struct trib_partition partition = make("file", &dataset, 1, 5);
    check_cover(&partition, &dataset, 1);
    trib_partition_clear(&partition);
    ck_assert_ptr_null(partition.offsets);
    free_dataset(&dataset);
}
END_TEST

static void fails(const char *rule, const struct trib_dataset *dataset, size_t n_clients, enum trib_status want,
                  const char *message)
{
    struct trib_partition partition = {.n_clients = 99};
    struct trib_error error = {0};
    ck_assert_int_eq(trib_partition_make(rule, dataset, n_clients, 1, &partition, &error), want);
    ck_assert_int_eq(error.status, want);
    ck_assert_str_eq(error.message, message);
    ck_assert_uint_eq(partition.n_clients, 99);
}

START_TEST(says_what_is_wrong)
{
    struct trib_dataset dataset = make_dataset(20);
    fails("idd", &dataset, 2, TRIB_INVALID,
          "partition \"idd\": unknown; did you mean \"iid\"? There are: iid, shards, dirichlet, by-key, file");
    fails("", &dataset, 2, TRIB_INVALID, "partition: missing; there are: iid, shards, dirichlet, by-key, file");
    fails("iid", &dataset, 0, TRIB_INVALID, "partition iid: 0 clients; there must be at least 1");
    fails("iid", &dataset, 21, TRIB_INVALID,
          "partition iid: 21 clients, but only 20 examples; every client needs at least one");
    fails("iid:3", &dataset, 2, TRIB_INVALID, "partition iid: takes nothing after a colon, but was given \"3\"");
    fails("shards", &dataset, 2, TRIB_INVALID,
          "partition shards: write shards:K with K shards a client, such as shards:2");
    fails("shards:two", &dataset, 2, TRIB_INVALID, "partition shards:K: \"two\" is not a whole number");
    fails("shards:0", &dataset, 2, TRIB_INVALID, "partition shards:K: 0 is below the minimum 1");
    fails("shards:11", &dataset, 2, TRIB_INVALID,
          "partition shards:11: 11 shards for each of 2 clients, but only 20 examples");
    fails("dirichlet", &dataset, 2, TRIB_INVALID, "partition dirichlet: write dirichlet:ALPHA, such as dirichlet:0.5");
    fails("dirichlet:-1", &dataset, 2, TRIB_INVALID, "partition dirichlet:ALPHA: -1 is below the minimum 1e-06");
    fails("by-key", &dataset, 7, TRIB_INVALID,
          "partition by-key: 7 clients, but only 6 keys; every client needs at least one");
    fails("file", &dataset, 2, TRIB_INVALID,
          "partition file: gives a client all examples of its own file, so there is 1 client, not 2; to divide one "
          "file use iid, shards, dirichlet or by-key");
    free_dataset(&dataset);
    struct trib_dataset plain = {.n = 20};
    fails("by-key", &plain, 2, TRIB_INVALID,
          "partition by-key: the dataset has no keys; name a file of them as keys, or with csv a key_column");
    fails("shards:2", &plain, 2, TRIB_UNSUPPORTED,
          "partition shards: divides by class, but the dataset has targets instead of classes; use iid or by-key");
    fails("dirichlet:1", &plain, 2, TRIB_UNSUPPORTED,
          "partition dirichlet: divides by class, but the dataset has targets instead of classes; use iid or by-key");
}
END_TEST

/* As in the torture tests: fail each allocation in turn. */
START_TEST(survives_failing_allocations)
{
    static const char *const rules[] = {"iid", "shards:2", "dirichlet:0.5", "by-key"};
    struct trib_dataset dataset = make_dataset(57);
    for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
        enum trib_status status = TRIB_NO_MEMORY;
        for (int64_t failed = 0; status != TRIB_OK; failed++) {
            struct trib_partition partition = {.n_clients = 99};
            fail_memory_after(failed, false);
            status = trib_partition_make(rules[r], &dataset, 4, 1, &partition, NULL);
            fail_memory_after(-1, false);
            if (status == TRIB_OK) {
                ck_assert_int_ge(failed, 2);
                check_cover(&partition, &dataset, 4);
                trib_partition_clear(&partition);
            } else {
                ck_assert_int_eq(status, TRIB_NO_MEMORY);
                ck_assert_uint_eq(partition.n_clients, 99);
            }
        }
    }
    free_dataset(&dataset);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("partition");
    TCase *rules = tcase_create("rules");
    tcase_set_timeout(rules, 120);
    tcase_add_test(rules, every_registered_rule_is_tested);
    tcase_add_test(rules, every_rule_covers_and_repeats);
    tcase_add_test(rules, as_many_clients_as_examples);
    tcase_add_test(rules, iid_is_even_and_mixed);
    tcase_add_test(rules, shards_limit_the_classes);
    tcase_add_test(rules, dirichlet_skews_with_alpha);
    tcase_add_test(rules, keys_stay_whole_and_loads_even);
    tcase_add_test(rules, file_gives_all);
    tcase_add_test(rules, says_what_is_wrong);
    tcase_add_test(rules, survives_failing_allocations);
    suite_add_tcase(suite, rules);
    return trib_test_run(suite);
}
