/* Offers: what clients say of the updates they have made, before they may upload them. Engine's thread only. */
#include "engine_private.h"

#include "base/log.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

#define MOST_LOSS 1e9 /* sums of it, by weight, stay finite */

/* Why an offer cannot be accepted, or NULL. */
static const char *check_offer(const struct trib_engine *engine, const struct client *client,
                               const Tributary__V1__Offer *offer)
{
    uint64_t most = trib_uplink_most_bytes(&engine->uplink, engine->schema.n_floats);
    if (!offer->update || offer->update->sha256.len != TRIB_SHA256_LEN || offer->update->len == 0) {
        return "the offer lacks the update's hash or length";
    }
    if (offer->update->len > most) {
        return "the offered update is longer than any update of this model can be";
    }
    if (offer->examples == 0) {
        return "the offer is for no examples";
    }
    if (engine->settings->weights == TRIB_WEIGHTS_STEPS && offer->steps == 0) {
        return "the offer is for no steps, by which this run weighs";
    }
    if (!isfinite(offer->loss) || !isfinite(offer->norm) || offer->norm < 0) {
        return "the offer's loss or norm is not a finite number";
    }
    if (fabs(offer->loss) > MOST_LOSS) {
        return "the offer's loss is absurd";
    }
    if (engine->relevance.k > 0 && offer->sketch.len != trib_sketch_bytes(engine->relevance.k)) {
        return "the offer's sketch has not the length that was asked for";
    }
    if (engine->worker.strategy->caps & TRIB_STRATEGY_DIFFERENCES && offer->feedback_round != client->folded_round) {
        return "its ef21 state is not that of its last folded update: it was lost, and this run cannot go on with it";
    }
    return NULL;
}

static bool keep_sketch(const struct trib_engine *engine, struct client *client, const Tributary__V1__Offer *offer)
{
    trib_free(client->sketch);
    client->sketch = NULL;
    if (engine->relevance.k == 0) {
        return true;
    }
    client->sketch = trib_malloc(offer->sketch.len);
    if (client->sketch) {
        memcpy(client->sketch, offer->sketch.data, offer->sketch.len);
    }
    return client->sketch;
}

static void keep_offer(struct trib_engine *engine, struct client *client, const Tributary__V1__Offer *offer,
                       double relevance)
{
    bool claims_more = client->examples > 0 && offer->examples > client->examples; /* than it told of when it came */
    client->offer_examples = claims_more ? client->examples : offer->examples;
    client->offer_steps = offer->steps;
    client->offer_loss = offer->loss;
    memcpy(client->offer_sha256, offer->update->sha256.data, sizeof client->offer_sha256);
    client->offer_len = offer->update->len;
    client->held = client->task.version;
    client->holds_model = true;
    trib_engine_note_offer(engine, client, offer, relevance);
    trib_log(TRIB_LOG_DEBUG, "round", "offer", TRIB_F_INT("round", offer->round), TRIB_F_STR("node", client->node),
             TRIB_F_INT("examples", offer->examples), TRIB_F_INT("steps", offer->steps),
             TRIB_F_BOOL("stopped_early", offer->stopped_early), TRIB_F_REAL("loss", offer->loss),
             TRIB_F_REAL("norm", offer->norm), TRIB_F_REAL("relevance", relevance),
             TRIB_F_REAL("relevance_error", trib_sketch_error(relevance, engine->relevance.k, engine->relevance.n)),
             TRIB_F_REAL("seconds", offer->train_seconds), TRIB_F_INT("bytes", offer->update->len),
             TRIB_F_STR("codec", offer->codec), TRIB_F_STR("codec_reason", offer->codec_reason));
}

void trib_engine_on_offer(struct trib_engine *engine, uint32_t number, const Tributary__V1__Offer *offer)
{
    struct client *client = &engine->clients[number];
    uint64_t attempt = 0, task_round = trib_round_task_of(engine->round, number, &attempt);
    enum trib_member_state state = trib_round_member(engine->round, number);
    const char *fault = check_offer(engine, client, offer);
    double relevance = (double)NAN;
    bool awaited =
        task_round != 0 && offer->round == task_round && (state == TRIB_MEMBER_TASKED || state == TRIB_MEMBER_GRANTED);
    if (!fault && awaited) {
        if (!keep_sketch(engine, client, offer)) {
            fault = "the server is out of memory for its sketch";
        } else {
            relevance = trib_relevance_of(&engine->relevance, engine->run, task_round, client->sketch);
            keep_offer(engine, client, offer, relevance);
        }
    }
    trib_engine_step(engine, &(struct trib_round_event){.kind = fault ? TRIB_EVENT_REFUSED : TRIB_EVENT_OFFER,
                                                        .client = number,
                                                        .round = offer->round,
                                                        .attempt = attempt,
                                                        .examples = trib_engine_most_examples(engine, offer->examples),
                                                        .bytes = offer->update ? offer->update->len : 0,
                                                        .loss = offer->loss,
                                                        .relevance = relevance,
                                                        .reason = fault});
}

void trib_engine_forget_sketch(struct trib_engine *engine, uint32_t number)
{
    trib_free(engine->clients[number].sketch);
    engine->clients[number].sketch = NULL;
}

/* ---- offers that are compared with each other ---- */

struct comparison {
    struct trib_score *scores;
    const uint8_t **sketches;
    size_t n;
};

static void list_offers(const struct trib_engine *engine, struct comparison *comparison)
{
    uint64_t attempt, round = trib_round_number(engine->round);
    for (uint32_t i = 0; i < engine->n_clients; i++) {
        if (trib_round_member(engine->round, i) == TRIB_MEMBER_OFFERED && engine->clients[i].sketch &&
            trib_round_task_of(engine->round, i, &attempt) == round) {
            comparison->sketches[comparison->n] = engine->clients[i].sketch;
            comparison->scores[comparison->n++] = (struct trib_score){.client = i};
        }
    }
}

void trib_engine_score(struct trib_engine *engine)
{
    uint64_t round = trib_round_number(engine->round);
    struct comparison comparison = {.scores = trib_calloc(engine->n_clients + 1, sizeof *comparison.scores),
                                    .sketches = trib_calloc(engine->n_clients + 1, sizeof *comparison.sketches)};
    if (comparison.scores && comparison.sketches) {
        list_offers(engine, &comparison);
        trib_relevance_vote(&engine->relevance, round, comparison.sketches, comparison.n);
    } else {
        trib_log(TRIB_LOG_ERROR, "round", "offers_not_compared", TRIB_F_INT("round", round),
                 TRIB_F_STR("reason", "out of memory; all of them are let through"));
    }
    for (size_t i = 0; i < comparison.n; i++) {
        struct trib_score *score = &comparison.scores[i];
        score->relevance =
            trib_relevance_of(&engine->relevance, engine->run, round, engine->clients[score->client].sketch);
        trib_log(TRIB_LOG_DEBUG, "round", "scored", TRIB_F_INT("round", round),
                 TRIB_F_STR("node", engine->clients[score->client].node), TRIB_F_REAL("relevance", score->relevance));
    }
    trib_engine_step(
        engine, &(struct trib_round_event){
                    .kind = TRIB_EVENT_SCORED, .round = round, .scores = comparison.scores, .n_scores = comparison.n});
    trib_free(comparison.scores);
    trib_free(comparison.sketches);
}
