/* Drawn examples stand in for a file here: Synthetic(alpha, beta) of Li, Sahu, Zaheer, Sanjabi, Talwalkar and Smith:
 * Federated optimization in heterogeneous networks (2020), section 5.1. For experiments; any thread.
 *
 *   n_k = floor(LogNormal(4, 2)) + 50                      examples of user k, here at most 20,000
 *   W_k [60, 10], b_k [10] ~ N(u_k, 1),  u_k ~ N(0, alpha) the user's own rule
 *   v_k [60] ~ N(B_k, 1),                B_k ~ N(0, beta)  the middle of its features
 *   x ~ N(v_k, diag(j^-1.2)), j = 1..60,  y = argmax(x W_k + b_k)
 *
 * alpha and beta are standard deviations, as in the authors' program. u_k adds the same to the score of every class and
 * so decides no label: what makes users differ is that each draws its own W_k. With "iid" there is one W, b ~ N(0, 1)
 * and v = 0 for all.
 *
 * Every example has its own stream of random numbers, so that a split is drawn without the other one. */
#include "reader.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

#include <math.h>
#include <string.h>

enum { FEATURES = 60, CLASSES = 10, DEFAULT_USERS = 30, MAX_USERS = 1000000, MIN_EXAMPLES = 50, MAX_EXAMPLES = 20000 };

#define USAGE "write synthetic:ALPHA,BETA[,USERS[,SEED]] or synthetic:iid[,USERS[,SEED]]"

struct world {
    bool iid;
    double alpha, beta;
    int64_t users, seed;
};

struct user {
    double weights[FEATURES][CLASSES], bias[CLASSES];
    double middle[FEATURES];
};

/* ---- "ALPHA,BETA,USERS,SEED" ---- */

enum { MAX_FIELDS = 4, FIELD_LEN = 32 };

/* Cut `text` at its commas; false when there are too many fields or one is too long. */
static bool cut_fields(const char *text, char fields[MAX_FIELDS][FIELD_LEN], size_t *n)
{
    for (*n = 0; *n < MAX_FIELDS;) {
        size_t len = strcspn(text, ",");
        if (len >= FIELD_LEN) {
            return false;
        }
        memcpy(fields[*n], text, len);
        fields[(*n)++][len] = '\0';
        if (text[len] == '\0') {
            return true;
        }
        text += len + 1;
    }
    return false;
}

static enum trib_status take_fields(char fields[MAX_FIELDS][FIELD_LEN], size_t n, struct world *world,
                                    struct trib_error *error)
{
    const double most = 1000;
    size_t at = 1;
    world->iid = strcmp(fields[0], "iid") == 0;
    if (!world->iid) {
        TRIB_TRY(trib_parse_double(fields[0], 0, most, &world->alpha, error));
        TRIB_TRY(trib_parse_double(fields[1], 0, most, &world->beta, error));
        at = 2;
    }
    if (at < n) {
        TRIB_TRY(trib_parse_int(fields[at++], 1, MAX_USERS, &world->users, error));
    }
    if (at < n) {
        TRIB_TRY(trib_parse_int(fields[at++], 0, INT64_MAX, &world->seed, error));
    }
    return at == n ? TRIB_OK : trib_fail(error, TRIB_CONFIG, "\"%s\" is one number too many", fields[at]);
}

static enum trib_status parse(const char *format, struct world *world, struct trib_error *error)
{
    char fields[MAX_FIELDS][FIELD_LEN] = {{0}};
    char quoted[96];
    size_t n = 0;
    const char *argument = strchr(format, ':');
    *world = (struct world){.users = DEFAULT_USERS, .seed = 1};
    (void)trib_data_quote(format, quoted, sizeof quoted);
    if (!argument || !cut_fields(argument + 1, fields, &n) || (n < 2 && strcmp(fields[0], "iid") != 0)) {
        return trib_fail(error, TRIB_CONFIG, "dataset format %s: not complete or too long; " USAGE, quoted);
    }
    if (take_fields(fields, n, world, error) != TRIB_OK) {
        if (error) {
            error->status = TRIB_CONFIG;
        }
        return trib_error_prefix(error, TRIB_CONFIG, "dataset format %s (" USAGE ")", quoted);
    }
    return TRIB_OK;
}

static enum trib_status check_options(const struct trib_dataset_spec *spec, struct trib_error *error)
{
    static const char instead[] = "its users are the keys, its rule gives the labels";
    TRIB_TRY(trib_data_refuse("synthetic", "labels", spec->labels, instead, error));
    TRIB_TRY(trib_data_refuse("synthetic", "label_column", spec->label_column, instead, error));
    TRIB_TRY(trib_data_refuse("synthetic", "key_column", spec->key_column, instead, error));
    TRIB_TRY(trib_data_refuse("synthetic", "keys", spec->keys, instead, error));
    TRIB_TRY(trib_data_refuse("synthetic", "regression", spec->regression ? "yes" : NULL, instead, error));
    if (spec->classes != 0 && spec->classes < CLASSES) {
        return trib_fail(error, TRIB_CONFIG, "dataset classes: %lld, but format synthetic has %d",
                         (long long)spec->classes, CLASSES);
    }
    return TRIB_OK;
}

/* ---- drawing ---- */

static size_t examples_of(const struct world *world, size_t user)
{
    struct trib_rng rng = trib_rng_init((uint64_t)world->seed, "synthetic-size", user, 0);
    double n = floor(exp(4.0 + 2.0 * trib_rng_normal(&rng))) + MIN_EXAMPLES;
    return n < MAX_EXAMPLES ? (size_t)n : MAX_EXAMPLES;
}

/* Where the user's part of a split starts and ends: nine tenths to train with, the rest to test. */
static size_t part_of(size_t examples, bool train, size_t *first)
{
    size_t split = examples * 9 / 10;
    *first = train ? 0 : split;
    return train ? split : examples - split;
}

static void draw_user(const struct world *world, size_t number, struct user *user)
{
    struct trib_rng rule = trib_rng_init((uint64_t)world->seed, "synthetic-rule", world->iid ? 0 : number, 0);
    double shift = world->alpha * trib_rng_normal(&rule);
    for (size_t j = 0; j < FEATURES; j++) {
        for (size_t k = 0; k < CLASSES; k++) {
            user->weights[j][k] = shift + trib_rng_normal(&rule);
        }
    }
    for (size_t k = 0; k < CLASSES; k++) {
        user->bias[k] = shift + trib_rng_normal(&rule);
    }
    struct trib_rng middle = trib_rng_init((uint64_t)world->seed, "synthetic-middle", number, 0);
    double around = world->beta * trib_rng_normal(&middle);
    for (size_t j = 0; j < FEATURES; j++) {
        user->middle[j] = world->iid ? 0 : around + trib_rng_normal(&middle);
    }
}

/* x: [60]; returns the class */
static int32_t draw_example(struct trib_rng rng, const struct user *user, const double *deviations, float *x)
{
    double scores[CLASSES];
    memcpy(scores, user->bias, sizeof scores);
    for (size_t j = 0; j < FEATURES; j++) {
        x[j] = (float)(user->middle[j] + deviations[j] * trib_rng_normal(&rng));
        for (size_t k = 0; k < CLASSES; k++) {
            scores[k] += (double)x[j] * user->weights[j][k];
        }
    }
    int32_t best = 0;
    for (int32_t k = 1; k < CLASSES; k++) {
        best = scores[k] > scores[best] ? k : best;
    }
    return best;
}

static void draw_all(const struct world *world, bool train, struct trib_dataset *dataset)
{
    double deviations[FEATURES];
    struct user user;
    size_t at = 0;
    for (size_t j = 0; j < FEATURES; j++) {
        deviations[j] = pow((double)(j + 1), -0.6);
    }
    for (size_t u = 0; u < (size_t)world->users; u++) {
        size_t first = 0;
        size_t count = part_of(examples_of(world, u), train, &first);
        draw_user(world, u, &user);
        for (size_t i = first; i < first + count; i++, at++) {
            struct trib_rng rng = trib_rng_init((uint64_t)world->seed, "synthetic-example", u, i);
            dataset->labels[at] = draw_example(rng, &user, deviations, (float *)dataset->data + at * FEATURES);
            dataset->keys[at] = (int32_t)u;
        }
    }
}

static enum trib_status read_synthetic(const struct trib_dataset_spec *spec, struct trib_dataset *dataset,
                                       struct trib_error *error)
{
    struct world world;
    bool train = true;
    TRIB_TRY(parse(spec->format, &world, error));
    TRIB_TRY(check_options(spec, error));
    TRIB_TRY(trib_data_split(spec, &train, error));
    size_t n = 0, first;
    for (size_t u = 0; u < (size_t)world.users; u++) {
        n += part_of(examples_of(&world, u), train, &first);
    }
    size_t budget = trib_data_budget(spec);
    void *labels = NULL, *keys = NULL;
    TRIB_TRY(trib_data_reserve(spec->format, n, FEATURES * sizeof(float), budget, &dataset->data, error));
    TRIB_TRY(trib_data_reserve(spec->format, n, sizeof *dataset->labels, budget, &labels, error));
    dataset->labels = labels;
    TRIB_TRY(trib_data_reserve(spec->format, n, sizeof *dataset->keys, budget, &keys, error));
    dataset->keys = keys;
    dataset->n = n;
    dataset->example = TRIB_SHAPE(FEATURES);
    dataset->example_n = FEATURES;
    dataset->classes = spec->classes != 0 ? (int32_t)spec->classes : CLASSES;
    dataset->n_keys = (int32_t)world.users;
    draw_all(&world, train, dataset);
    return TRIB_OK;
}

static const struct trib_config_row rows[] = {
    TRIB_DATA_ROW_SPLIT,
};

const struct trib_dataset_reader trib_dataset_reader_synthetic = {
    .name = "synthetic",
    .help = "drawn examples, no file: synthetic:ALPHA,BETA[,USERS[,SEED]] or synthetic:iid[,USERS[,SEED]]; each user "
            "(30 of them) has its own rule, and is the key of its examples (Li 2020)",
    .needs_no_file = true,
    .read = read_synthetic,
    TRIB_DATA_ROWS(rows),
};
