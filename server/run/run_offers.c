/* Offers: what clients say of their updates, figures and signs, before they may upload them. */
#include "run_private.h"

#include "base/log.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

#define MOST_LOSS 1e9 /* sums of it, by weight, stay finite */

/* Why an offer cannot be accepted, or NULL. */
static const char *check_offer(const struct trib_run *run, const struct trib_part *part,
                               const Tributary__V1__Offer *offer)
{
    uint64_t most = trib_uplink_most_bytes(&run->rooms.uplink, run->rooms.schema.n_floats);
    if (!offer->update || offer->update->sha256.len != TRIB_SHA256_LEN || offer->update->len == 0) {
        return "the offer lacks the update's hash or length";
    }
    if (offer->update->len > most) {
        return "the offered update is longer than any update of this model can be";
    }
    if (offer->examples == 0) {
        return "the offer is for no examples";
    }
    if (run->rooms.settings->weights == TRIB_WEIGHTS_STEPS && offer->steps == 0) {
        return "the offer is for no steps, by which this run weighs";
    }
    if (!isfinite(offer->loss) || !isfinite(offer->norm) || offer->norm < 0) {
        return "the offer's loss or norm is not a finite number";
    }
    if (fabs(offer->loss) > MOST_LOSS) {
        return "the offer's loss is absurd";
    }
    if (trib_relevance_positions(run->rooms.relevance) > 0 &&
        offer->sketch.len != trib_sketch_bytes(trib_relevance_positions(run->rooms.relevance))) {
        return "the offer's sketch has not the length that was asked for";
    }
    if (run->rooms.strategy->caps & TRIB_STRATEGY_DIFFERENCES &&
        offer->feedback_round != (part ? part->folded_round : 0)) {
        return "its ef21 state is not that of its last folded update: it was lost, and this run cannot go on with it";
    }
    return NULL;
}

static bool keep_sketch(const struct trib_run *run, struct trib_part *part, const Tributary__V1__Offer *offer)
{
    trib_part_forget_sketch(part);
    if (trib_relevance_positions(run->rooms.relevance) == 0) {
        return true;
    }
    part->sketch = trib_malloc(offer->sketch.len);
    if (part->sketch) {
        memcpy(part->sketch, offer->sketch.data, offer->sketch.len);
    }
    return part->sketch;
}

static void keep_offer(struct trib_run *run, uint32_t client, struct trib_part *part, const Tributary__V1__Offer *offer,
                       double relevance)
{
    uint64_t told = trib_roster_session(run->rooms.roster, client)->said.examples;
    bool claims_more = told > 0 && offer->examples > told; /* than it told of when it came */
    struct trib_offer_figures figures = {.examples = offer->examples,
                                         .steps = offer->steps,
                                         .len = offer->update->len,
                                         .loss = offer->loss,
                                         .norm = offer->norm,
                                         .seconds = offer->train_seconds,
                                         .stopped_early = offer->stopped_early,
                                         .codec = offer->codec,
                                         .codec_reason = offer->codec_reason};
    part->offer_examples = claims_more ? told : offer->examples;
    part->offer_steps = offer->steps;
    part->offer_loss = offer->loss;
    memcpy(part->offer_sha256, offer->update->sha256.data, sizeof part->offer_sha256);
    memcpy(figures.sha256, part->offer_sha256, sizeof figures.sha256);
    part->offer_len = offer->update->len;
    trib_roster_note_held(run->rooms.roster, client, part->task.version);
    trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_OFFERED,
                                           .round = offer->round,
                                           .node = trib_roster_node(run->rooms.roster, client),
                                           .offer = &figures,
                                           .relevance = relevance,
                                           .relevance_error = trib_relevance_error(run->rooms.relevance, relevance)});
}

uint64_t trib_run_most_examples(const struct trib_run *run, uint64_t told)
{
    uint64_t most = (uint64_t)run->rooms.settings->max_examples;
    return told < most ? told : most;
}

void trib_run_on_offer(struct trib_run *run, uint32_t client, const Tributary__V1__Offer *offer)
{
    struct trib_part *part = trib_parts_of(&run->rooms.parts, client);
    uint64_t attempt = 0, task_round = trib_round_task_of(run->rooms.round, client, &attempt);
    enum trib_member_state state = trib_round_member(run->rooms.round, client);
    const char *fault = check_offer(run, part, offer);
    double relevance = (double)NAN;
    bool awaited =
        task_round != 0 && offer->round == task_round && (state == TRIB_MEMBER_TASKED || state == TRIB_MEMBER_GRANTED);
    if (!fault && awaited) {
        if (!keep_sketch(run, part, offer)) {
            fault = "the server is out of memory for its sketch";
        } else {
            relevance = trib_relevance_of(run->rooms.relevance, run->rooms.id, task_round, part->sketch);
            keep_offer(run, client, part, offer, relevance);
        }
    }
    trib_run_step(run, &(struct trib_round_event){.kind = fault ? TRIB_EVENT_REFUSED : TRIB_EVENT_OFFER,
                                                  .client = client,
                                                  .round = offer->round,
                                                  .attempt = attempt,
                                                  .examples = trib_run_most_examples(run, offer->examples),
                                                  .bytes = offer->update ? offer->update->len : 0,
                                                  .loss = offer->loss,
                                                  .relevance = relevance,
                                                  .reason = fault});
}

/* ---- offers that are compared with each other ---- */

struct comparison {
    struct trib_score *scores;
    const uint8_t **sketches;
    size_t n;
};

static void list_offers(const struct trib_run *run, struct comparison *comparison)
{
    uint64_t attempt, round = trib_round_number(run->rooms.round);
    size_t n;
    const uint32_t *clients = trib_round_parts(run->rooms.round, &n);
    for (size_t i = 0; i < n; i++) {
        const struct trib_part *part = trib_parts_of(&run->rooms.parts, clients[i]);
        if (trib_round_member(run->rooms.round, clients[i]) == TRIB_MEMBER_OFFERED && part && part->sketch &&
            trib_round_task_of(run->rooms.round, clients[i], &attempt) == round) {
            comparison->sketches[comparison->n] = part->sketch;
            comparison->scores[comparison->n++] = (struct trib_score){.client = clients[i]};
        }
    }
}

void trib_run_score(struct trib_run *run)
{
    uint64_t round = trib_round_number(run->rooms.round);
    size_t most = trib_round_members_in(run->rooms.round, TRIB_MEMBER_OFFERED);
    struct comparison comparison = {.scores = trib_calloc(most + 1, sizeof *comparison.scores),
                                    .sketches = trib_calloc(most + 1, sizeof *comparison.sketches)};
    if (comparison.scores && comparison.sketches) {
        list_offers(run, &comparison);
        trib_relevance_vote(run->rooms.relevance, round, comparison.sketches, comparison.n);
    } else {
        trib_log(TRIB_LOG_ERROR, "round", "offers_not_compared", TRIB_F_INT("round", round),
                 TRIB_F_STR("reason", "out of memory; all of them are let through"));
    }
    for (size_t i = 0; i < comparison.n; i++) {
        struct trib_score *score = &comparison.scores[i];
        score->relevance = trib_relevance_of(run->rooms.relevance, run->rooms.id, round, comparison.sketches[i]);
        trib_run_tell(run, &(struct trib_fact){.kind = TRIB_FACT_SCORED,
                                               .round = round,
                                               .node = trib_roster_node(run->rooms.roster, score->client),
                                               .relevance = score->relevance});
    }
    trib_run_step(
        run, &(struct trib_round_event){
                 .kind = TRIB_EVENT_SCORED, .round = round, .scores = comparison.scores, .n_scores = comparison.n});
    trib_free(comparison.scores);
    trib_free(comparison.sketches);
}
