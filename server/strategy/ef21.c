/* EF21 (Richtarik, Sokolov, Fatkhullin, 2021; with partial participation: Fatkhullin et al., 2021) is the mean of every
 * client's last known update. Client i keeps an estimate g_i of its own update and sends only C(update - g_i); the
 * server keeps G, the weighted mean of all g_i, and moves by it whoever took part:
 *
 *   G_next = (W G + sum_k w_k c_k) / W_next        W = weight of all clients that ever contributed
 *   next   = model + lr_server * G_next
 *
 * A client's weight is that of its first update. Until a client's first update its g_i is 0 and it does not count. */
#include "strategy_table.h"

#include "base/buf.h"
#include "base/mem.h"

#include <string.h>

enum { CHUNK = 1024 };

struct ef21 {
    struct trib_accumulator sum; /* of this round's differences */
    float *mean;                 /* [n]: G of the committed rounds; NULL before the first */
    uint64_t known_weight;       /* W of the committed rounds */
    uint64_t first_weight;       /* of this round's first-time clients */
    double learning_rate;
    bool finished; /* the sums are this round's and wait for commit */
};

static void clear(void *state)
{
    struct ef21 *ef21 = state;
    trib_accumulator_clear(&ef21->sum);
    trib_free(ef21->mean);
    *ef21 = (struct ef21){0};
}

static enum trib_status begin(void *state, const struct trib_strategy_options *options, size_t n, double max_abs,
                              uint64_t max_total_weight, struct trib_error *error)
{
    struct ef21 *ef21 = state;
    trib_accumulator_clear(&ef21->sum);
    TRIB_TRY(trib_strategy_check_rate("ef21", trib_strategy_rate(options), error));
    ef21->learning_rate = trib_strategy_rate(options);
    ef21->first_weight = 0;
    ef21->finished = false;
    enum trib_status status = trib_accumulator_init(&ef21->sum, n, max_abs, max_total_weight, error);
    if (status == TRIB_OK && !ef21->mean) {
        ef21->mean = trib_malloc_aligned(n, sizeof *ef21->mean);
        if (!ef21->mean) {
            status = trib_fail_no_memory(error);
        } else if (n > 0) {
            memset(ef21->mean, 0, n * sizeof *ef21->mean);
        }
    }
    if (status != TRIB_OK) { /* what is remembered stays: the round is begun again */
        trib_accumulator_clear(&ef21->sum);
    }
    return status;
}

static enum trib_status fold_begin(void *state, const struct trib_update_info *info, struct trib_error *error)
{
    struct ef21 *ef21 = state;
    TRIB_TRY(trib_accumulator_begin(&ef21->sum, info->weight, error));
    if (info->first) {
        ef21->first_weight += info->weight;
    }
    return TRIB_OK;
}

static void fold(void *state, const struct trib_update_info *info, size_t first, const float *values, size_t n)
{
    struct ef21 *ef21 = state;
    trib_accumulator_add(&ef21->sum, info->weight, first, values, n);
}

/* next_mean makes G_next of [first, first + n). */
static void next_mean(const struct ef21 *ef21, size_t first, size_t n, float *to)
{
    double known = (double)ef21->known_weight, all = (double)(ef21->known_weight + ef21->first_weight);
    double round = (double)ef21->sum.total_weight;
    trib_accumulator_mean(&ef21->sum, first, n, to);
    for (size_t j = 0; j < n; j++) {
        to[j] = (float)((known * (double)ef21->mean[first + j] + round * (double)to[j]) / all);
    }
}

static size_t chunk_of(const struct ef21 *ef21, size_t first)
{
    return ef21->sum.n - first < CHUNK ? ef21->sum.n - first : CHUNK;
}

static enum trib_status finish(void *state, float *direction, double *step, struct trib_error *error)
{
    struct ef21 *ef21 = state;
    if (ef21->sum.total_weight == 0) {
        return trib_fail(error, TRIB_UNAVAILABLE, "ef21: no update arrived, so there is no next model");
    }
    if (ef21->known_weight + ef21->first_weight == 0) {
        return trib_fail(error, TRIB_INTERNAL, "ef21: updates of clients that were never counted");
    }
    for (size_t first = 0; first < ef21->sum.n; first += CHUNK) {
        next_mean(ef21, first, chunk_of(ef21, first), direction + first);
    }
    *step = ef21->learning_rate;
    ef21->finished = true;
    return TRIB_OK;
}

static void commit(void *state)
{
    struct ef21 *ef21 = state;
    if (!ef21->finished) {
        return;
    }
    for (size_t first = 0; first < ef21->sum.n; first += CHUNK) {
        float mean[CHUNK];
        size_t n = chunk_of(ef21, first);
        next_mean(ef21, first, n, mean);
        memcpy(ef21->mean + first, mean, n * sizeof *mean);
    }
    ef21->known_weight += ef21->first_weight;
    ef21->finished = false;
    trib_accumulator_clear(&ef21->sum);
}

/* ---- the saved state: "EF21", version, W, then G as float32, little-endian ---- */

enum { SAVED_HEAD = 16, SAVED_VERSION = 1 };

static size_t saved_len(const void *state)
{
    const struct ef21 *ef21 = state;
    return ef21->finished ? SAVED_HEAD + ef21->sum.n * sizeof(float) : 0;
}

static void save(const void *state, void *to)
{
    const struct ef21 *ef21 = state;
    uint8_t *head = to;
    memcpy(head, "EF21", 4);
    trib_store_u32(head + 4, SAVED_VERSION);
    trib_store_u64(head + 8, ef21->known_weight + ef21->first_weight);
    for (size_t first = 0; first < ef21->sum.n; first += CHUNK) {
        float mean[CHUNK];
        size_t n = chunk_of(ef21, first);
        next_mean(ef21, first, n, mean);
        for (size_t j = 0; j < n; j++) {
            uint32_t bits;
            memcpy(&bits, &mean[j], sizeof bits);
            trib_store_u32(head + SAVED_HEAD + (first + j) * sizeof bits, bits);
        }
    }
}

static enum trib_status load(void *state, size_t n, const void *from, size_t len, struct trib_error *error)
{
    struct ef21 *ef21 = state;
    const uint8_t *head = from;
    if (len != SAVED_HEAD + n * sizeof(float) || memcmp(head, "EF21", 4) != 0 ||
        trib_load_u32(head + 4) != SAVED_VERSION) {
        return trib_fail(error, TRIB_CORRUPT, "ef21: %zu bytes are no state of it for %zu elements", len, n);
    }
    float *mean = trib_malloc_aligned(n, sizeof *mean);
    if (!mean) {
        return trib_fail_no_memory(error);
    }
    for (size_t j = 0; j < n; j++) {
        uint32_t bits = trib_load_u32(head + SAVED_HEAD + j * sizeof bits);
        memcpy(&mean[j], &bits, sizeof bits);
    }
    ef21->mean = mean;
    ef21->known_weight = trib_load_u64(head + 8);
    return TRIB_OK;
}

static const struct trib_config_row rows[] = {TRIB_STRATEGY_RATE(struct trib_rate_options)};

#define NEEDS_ITS_ROUND "\"{value}\" needs every update in its round; it does not go with {key}"
static const struct trib_config_rule rules[] = {
    {TRIB_RULE_FORBIDS, {.key = "federation.buffer", .relation = TRIB_ABOVE, .value = "0"}, .says = NEEDS_ITS_ROUND},
    {TRIB_RULE_FORBIDS,
     {.key = "federation.max_staleness", .relation = TRIB_ABOVE, .value = "0"},
     .says = NEEDS_ITS_ROUND},
    {TRIB_RULE_FORBIDS,
     {.key = "relevance.sketch", .relation = TRIB_ABOVE, .value = "0"},
     .says = "\"{value}\" sends differences of updates, whose signs say nothing of their relevance; set {key}: 0"},
    {TRIB_RULE_NEEDS,
     {.key = "codec.feedback", .relation = TRIB_IS, .value = "auto ef21"},
     .at = "codec.feedback",
     .says =
         "{other} does not go with strategy.name {value}: clients send differences under ef21 and strategy ef21 adds "
         "them up; set both or neither"},
};

const struct trib_strategy trib_strategy_ef21 = {
    .name = "ef21",
    .help = "mean of every client's last known update, from compressed differences (Richtarik et al., 2021)",
    .caps = TRIB_STRATEGY_ADDITIVE | TRIB_STRATEGY_REMEMBERS | TRIB_STRATEGY_DIFFERENCES,
    .settings = {TRIB_GROUP_ROWS(rows), TRIB_GROUP_RULES(rules), .size = sizeof(struct trib_rate_options)},
    .state_size = sizeof(struct ef21),
    .begin = begin,
    .fold_begin = fold_begin,
    .fold = fold,
    .finish = finish,
    .commit = commit,
    .saved_len = saved_len,
    .save = save,
    .load = load,
    .clear = clear,
};
