/* A version is there: which updates is it made of? Every set of updates that the rules allow is tried, those that
 * clients were told of first; the bits of the naive mean say which it was. So nothing that the server says of itself is
 * believed. */
#include "oracle.h"

#include <math.h>
#include <string.h>

enum { MOST_OPTIONS = 12, MOST_LEAVES = 60000, STALE_PARTS = 64 };

struct search {
    struct world *world;
    const struct commit *commit;
    uint64_t round;
    struct frame *options[MOST_PEERS][MOST_OPTIONS]; /* NULL: none of this peer's */
    size_t n_options[MOST_PEERS];
    struct frame *chosen[MOST_PEERS];
    int shifts[8];
    size_t n_shifts, leaves;
    struct version made;
};

/* ---- what is possible ---- */

static bool was_told_folded(const struct oracle *oracle, uint32_t who, uint64_t round)
{
    for (size_t i = 0; i < oracle->n_told; i++) {
        if (oracle->told[i].who == who && oracle->told[i].round == round && oracle->told[i].folded) {
            return true;
        }
    }
    return false;
}

/* Versions between that of its task and the one that the next is made of. */
static uint64_t staleness_of(const struct oracle *oracle, const struct frame *frame)
{
    return oracle->n_versions - oracle->tasked[frame->who][frame->round];
}

/* At most once a round, and only what a task asked for, not too long ago. */
static bool may_be_part(const struct search *search, const struct frame *frame)
{
    const struct oracle *oracle = search->world->oracle;
    return frame->complete && frame->sound && frame->version == 0 && frame->round <= search->round &&
           oracle->tasked[frame->who][frame->round] > 0 &&
           staleness_of(oracle, frame) <= search->world->plan.max_staleness &&
           frame->round > oracle->folded_round[frame->who];
}

static void list_options(struct search *search)
{
    struct oracle *oracle = search->world->oracle;
    for (uint32_t who = 0; who < search->world->n_peers; who++) {
        size_t n = 0;
        for (size_t i = oracle->n_frames; i-- > 0 && n + 1 < MOST_OPTIONS;) {
            struct frame *frame = &oracle->frames[i];
            if (frame->who == who && may_be_part(search, frame)) {
                search->options[who][n++] = frame;
            }
        }
        /* Nothing of it comes first, unless it was told that something was folded. */
        bool told = n > 0 && was_told_folded(oracle, who, search->options[who][0]->round);
        search->options[who][n] = NULL;
        if (!told) {
            memmove(&search->options[who][1], &search->options[who][0], n * sizeof search->options[who][0]);
            search->options[who][0] = NULL;
        }
        search->n_options[who] = n + 1;
    }
}

/* How finely the sums are divided depends on how many updates the round could have folded when it began. */
static void list_shifts(struct search *search)
{
    const struct trib_server_settings *settings = &search->world->server.settings;
    bool stale = settings->max_staleness > 0 || settings->buffer > 0;
    uint64_t each = (uint64_t)settings->max_examples * (stale ? STALE_PARTS : 1);
    uint64_t first = search->commit->cohort;
    for (uint64_t most = 0; most <= 64; most++) {
        uint64_t updates = most == 0 ? first : most;
        if (updates == 0) {
            continue;
        }
        int shift = naive_shift(settings->max_abs, updates * each);
        bool known = false;
        for (size_t i = 0; i < search->n_shifts; i++) {
            known = known || search->shifts[i] == shift;
        }
        if (!known && search->n_shifts < sizeof search->shifts / sizeof search->shifts[0]) {
            search->shifts[search->n_shifts++] = shift;
        }
    }
}

/* ---- what comes of it ---- */

static struct naive_update weigh(const struct search *search, const struct frame *frame)
{
    const struct world *world = search->world;
    const struct trib_server_settings *settings = &world->server.settings;
    uint64_t examples = frame->examples, told = world->clients[frame->who].examples;
    examples = examples > told ? told : examples;
    uint64_t weight = world->plan.uniform                           ? 1
                      : examples > (uint64_t)settings->max_examples ? (uint64_t)settings->max_examples
                                                                    : examples;
    if (world->plan.with & WITH_EF21 && world->oracle->folded_round[frame->who] > 0) {
        weight = world->oracle->weight[frame->who]; /* it stays that of its first update */
    }
    struct naive_update update = {.values = frame->values, .weight = weight, .counted = weight};
    if (settings->max_staleness > 0 || settings->buffer > 0) {
        uint64_t staleness = staleness_of(world->oracle, frame);
        update.counted *= STALE_PARTS;
        double parts = (double)update.counted * pow(1 + (double)staleness, -settings->staleness_power);
        update.weight = parts < 1 ? 1 : (uint64_t)llround(parts);
    }
    return update;
}

struct sealing {
    const struct version *base;
    struct version *made;
    bool feedback;
    float meant[MOST_VALUES];
};

static void take_decoded(void *context, size_t first, const float *values, size_t n)
{
    struct sealing *sealing = context;
    for (size_t i = first; i < first + n; i++) {
        sealing->made->residual[i] = sealing->feedback ? sealing->meant[i] - values[i - first] : 0;
        sealing->made->values[i] = sealing->base->values[i] + values[i - first];
    }
}

/* With a lossy codec.down: what clients make of the delta. */
static bool seal(const struct search *search, const struct version *base, struct version *made)
{
    const struct oracle *oracle = search->world->oracle;
    const struct trib_server_settings *settings = &search->world->server.settings;
    struct sealing sealing = {.base = base, .made = made, .feedback = settings->codec_down_feedback};
    struct trib_rng rng = trib_rng_init((uint64_t)settings->seed, "broadcast", oracle->n_versions, 0);
    const struct trib_frame_job job = {.kind = TRIB_FRAME_UPDATE,
                                       .chain = &oracle->down,
                                       .seed = trib_rng_u64(&rng),
                                       .schema = oracle->schema,
                                       .vector = sealing.meant,
                                       .n = oracle->n,
                                       .decoded = take_decoded,
                                       .context = &sealing};
    struct trib_blob *frame = NULL;
    struct trib_error error;
    if (!oracle->sends_deltas) {
        return true;
    }
    for (size_t i = 0; i < oracle->n; i++) {
        sealing.meant[i] = (made->values[i] - base->values[i]) + base->residual[i];
    }
    if (trib_frame_encode(&job, &frame, &error) != TRIB_OK) {
        return false;
    }
    trib_blob_unref(frame);
    return true;
}

/* strategy.learning_rate, whichever strategies have it: each has read the same. */
static double learning_rate(const struct trib_server_settings *settings)
{
    const struct trib_config_row *rows;
    size_t n = trib_server_rows(&rows);
    double rate = 1;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].key, "strategy.learning_rate") == 0) {
            memcpy(&rate, (const char *)settings + rows[i].offset, sizeof rate);
        }
    }
    return rate;
}

/* The round's arithmetic into search->made. */
static void add_up(struct search *search, const struct naive_update *updates, size_t n, uint64_t first, int shift)
{
    const struct world *world = search->world;
    const struct oracle *oracle = world->oracle;
    const struct version *base = &oracle->versions[oracle->n_versions - 1];
    const double rate = learning_rate(&world->server.settings);
    struct version *made = &search->made;
    memset(made, 0, sizeof *made);
    if (world->plan.with & WITH_EF21) {
        const struct naive_ef21 weights = {.known = base->known_weight, .first = first};
        memcpy(made->mean, base->mean, sizeof made->mean);
        made->known_weight = base->known_weight + first;
        naive_ef21_next(updates, n, &weights, base->values, oracle->n, shift, rate, made->mean, made->values);
    } else {
        naive_next(updates, n, base->values, oracle->n, shift, rate, made->values);
    }
}

static bool is_it(struct search *search)
{
    const struct oracle *oracle = search->world->oracle;
    const struct version *base = &oracle->versions[oracle->n_versions - 1];
    struct naive_update updates[MOST_PEERS];
    size_t n = 0;
    uint64_t first = 0;
    for (uint32_t who = 0; who < search->world->n_peers; who++) {
        if (search->chosen[who]) {
            updates[n] = weigh(search, search->chosen[who]);
            first += oracle->folded_round[who] == 0 ? updates[n].weight : 0;
            n++;
        }
    }
    if (n == 0 || (search->commit->folded > 0 && n != search->commit->folded)) {
        return false;
    }
    search->leaves++;
    for (size_t i = 0; i < search->n_shifts; i++) {
        add_up(search, updates, n, first, search->shifts[i]);
        if (seal(search, base, &search->made) &&
            memcmp(search->made.values, search->commit->model.values, oracle->n * sizeof(float)) == 0) {
            return true;
        }
    }
    return false;
}

static bool try_from(struct search *search, uint32_t who)
{
    if (who == search->world->n_peers) {
        return is_it(search);
    }
    for (size_t i = 0; i < search->n_options[who] && search->leaves < MOST_LEAVES; i++) {
        search->chosen[who] = search->options[who][i];
        if (try_from(search, who + 1)) {
            return true;
        }
    }
    return false;
}

/* ---- what is known then ---- */

static void take_parts(struct search *search)
{
    struct world *world = search->world;
    struct oracle *oracle = world->oracle;
    struct version *version = &oracle->versions[oracle->n_versions];
    *version = search->made;
    version->round = search->round;
    memcpy(version->sha256, search->commit->model.sha256, sizeof version->sha256);
    for (uint32_t who = 0; who < world->n_peers; who++) {
        struct frame *frame = search->chosen[who];
        if (!frame) {
            continue;
        }
        oracle->weight[who] = weigh(search, frame).weight;
        frame->version = oracle->n_versions;
        oracle->folded_round[who] = frame->round;
        world->totals.folded++;
        world->totals.stale += frame->round < search->round;
        world_note(world, who, "is folded", frame->round, oracle->n_versions);
        if (frame->coded) {
            memcpy(oracle->shadow[who], frame->next_state, sizeof oracle->shadow[who]);
        }
    }
    oracle->n_versions++;
    oracle->last_round = search->round;
}

static bool search_round(struct world *world, const struct commit *commit, uint64_t round)
{
    struct search search = {.world = world, .commit = commit, .round = round};
    list_options(&search);
    list_shifts(&search);
    if (!try_from(&search, 0)) {
        return false;
    }
    take_parts(&search);
    return true;
}

bool search_parts(struct world *world, const struct commit *commit)
{
    uint64_t first = commit->round > 0 ? commit->round : world->oracle->last_round + 1;
    uint64_t last = commit->round > 0 ? commit->round : world->plan.rounds;
    for (uint64_t round = first; round <= last; round++) {
        if (search_round(world, commit, round)) {
            return true;
        }
    }
    return false;
}
