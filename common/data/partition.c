/* A partition is made here: the rule is found by name and handed its argument. Also what the rules share. Any thread.
 */
#include "data/partition.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "reader.h"
#include "split.h"

#include <stdlib.h>
#include <string.h>

#define RULE(name) extern const struct trib_partition_rule trib_partition_rule_##name;
#include "partition_list.def"
#undef RULE

static const struct trib_partition_rule *const rule_list[] = {
#define RULE(name) &trib_partition_rule_##name,
#include "partition_list.def"
#undef RULE
};
enum { RULE_N = sizeof rule_list / sizeof rule_list[0] };

size_t trib_partition_rules(const struct trib_partition_rule *const **rules)
{
    *rules = rule_list;
    return RULE_N;
}

static enum trib_status find_rule(const char *text, const struct trib_partition_rule **rule, const char **argument,
                                  struct trib_error *error)
{
    const char *names[RULE_N];
    char word[64];
    size_t len = strcspn(text, ":");
    /* A name that is too long to keep is none of ours: the cut one is for the message. */
    memcpy(word, text, len < sizeof word ? len : sizeof word - 1);
    word[len < sizeof word ? len : sizeof word - 1] = '\0';
    for (size_t i = 0; i < RULE_N; i++) {
        names[i] = rule_list[i]->name;
        if (trib_str_equal(word, names[i])) {
            *rule = rule_list[i];
            *argument = text[len] == ':' ? text + len + 1 : NULL;
            return TRIB_OK;
        }
    }
    (void)trib_data_fail_unknown("partition", word, names, RULE_N, error);
    if (error) {
        error->status = TRIB_INVALID;
    }
    return TRIB_INVALID;
}

static int compare_indices(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

enum trib_status trib_partition_make(const char *text, const struct trib_dataset *dataset, size_t n_clients,
                                     uint64_t seed, struct trib_partition *partition, struct trib_error *error)
{
    const struct trib_partition_rule *rule = NULL;
    const char *argument = NULL;
    TRIB_TRY(find_rule(text, &rule, &argument, error));
    if (n_clients == 0) {
        return trib_fail(error, TRIB_INVALID, "partition %s: 0 clients; there must be at least 1", rule->name);
    }
    if (n_clients > dataset->n) {
        return trib_fail(error, TRIB_INVALID,
                         "partition %s: %zu clients, but only %zu examples; every client needs at least one",
                         rule->name, n_clients, dataset->n);
    }
    struct trib_partition made = {0};
    enum trib_status status = rule->split(dataset, n_clients, argument, seed, &made, error);
    if (status != TRIB_OK) {
        trib_partition_clear(&made);
        return status;
    }
    for (size_t c = 0; c < n_clients; c++) {
        size_t count = made.offsets[c + 1] - made.offsets[c];
        qsort(made.indices + made.offsets[c], count, sizeof *made.indices, compare_indices);
    }
    *partition = made;
    return TRIB_OK;
}

void trib_partition_clear(struct trib_partition *partition)
{
    trib_free(partition->offsets);
    trib_free(partition->indices);
    *partition = (struct trib_partition){0};
}

/* ---- what the rules share ---- */
enum trib_status trib_split_init(size_t n_clients, size_t n_examples, struct trib_partition *partition,
                                 struct trib_error *error)
{
    partition->n_clients = n_clients;
    partition->offsets = trib_calloc(n_clients + 1, sizeof *partition->offsets);
    partition->indices = trib_malloc_aligned(n_examples, sizeof *partition->indices);
    return partition->offsets && partition->indices ? TRIB_OK : trib_fail_no_memory(error);
}

enum trib_status trib_split_no_argument(const char *rule, const char *argument, struct trib_error *error)
{
    char quoted[48];
    if (!argument) {
        return TRIB_OK;
    }
    return trib_fail(error, TRIB_INVALID, "partition %s: takes nothing after a colon, but was given %s", rule,
                     trib_data_quote(argument, quoted, sizeof quoted));
}

enum trib_status trib_split_need_labels(const char *rule, const struct trib_dataset *dataset, struct trib_error *error)
{
    if (dataset->labels) {
        return TRIB_OK;
    }
    return trib_fail(
        error, TRIB_UNSUPPORTED,
        "partition %s: divides by class, but the dataset has targets instead of classes; use iid or by-key", rule);
}

void trib_split_shuffle(const struct trib_dataset *dataset, uint64_t seed, uint32_t *indices)
{
    struct trib_rng rng = trib_rng_init(seed, "partition", 0, 0);
    for (size_t i = 0; i < dataset->n; i++) {
        indices[i] = (uint32_t)i;
    }
    trib_rng_shuffle_u32(&rng, indices, dataset->n);
}

size_t trib_split_at(size_t n, size_t part, size_t parts)
{
    size_t larger = n % parts;
    return part * (n / parts) + (part < larger ? part : larger);
}

enum trib_status trib_split_by_label(const struct trib_dataset *dataset, uint64_t seed, uint32_t *indices,
                                     size_t *starts, struct trib_error *error)
{
    size_t classes = (size_t)dataset->classes;
    uint32_t *shuffled = trib_malloc_aligned(dataset->n, sizeof *shuffled);
    size_t *next = trib_calloc(classes + 1, sizeof *next);
    if (!shuffled || !next) {
        trib_free(shuffled);
        trib_free(next);
        return trib_fail_no_memory(error);
    }
    trib_split_shuffle(dataset, seed, shuffled);
    for (size_t i = 0; i < dataset->n; i++) {
        next[dataset->labels[i] + 1]++;
    }
    for (size_t k = 0; k < classes; k++) {
        next[k + 1] += next[k];
    }
    memcpy(starts, next, (classes + 1) * sizeof *starts);
    for (size_t i = 0; i < dataset->n; i++) {
        indices[next[dataset->labels[shuffled[i]]]++] = shuffled[i];
    }
    trib_free(shuffled);
    trib_free(next);
    return TRIB_OK;
}
