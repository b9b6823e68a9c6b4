/* The phase `offer`: members that have trained tell of their updates, and the gate lets them through or not, one by one
 * or in comparison. A member goes from TASKED to OFFERED, and on to ADMITTED or SKIPPED. */
#include "phase.h"

#include "base/str.h"

#include <math.h>
#include <stdio.h>

/* Offers are compared with each other, so they wait for each other. */
static bool waits(const struct trib_round *round)
{
    return round->options.compare_offers || trib_gate_waits(&round->options.gate);
}

/* An offer that waits for the others; of an earlier round, if that one closed before its offers were compared. */
static bool is_compared(const struct member *member)
{
    return member->state == TRIB_MEMBER_OFFERED;
}

/* What the gate goes by: nobody's examples may be left out for ever because they are unlike the others'. */
static double standing(const struct trib_round *round, struct member *member)
{
    member->bonus = round->options.patience * (double)member->skipped_in_row;
    return member->offer_relevance + member->bonus;
}

void trib_phase_describe(const struct trib_round *round, const struct member *member, const char *what, char *text,
                         size_t size)
{
    if (isnan(member->offer_relevance) || isnan(round->cut.threshold)) {
        trib_str_copy(text, size, what);
    } else if (member->bonus > 0) {
        snprintf(text, size, "%s: relevance %.4f and %.4f for its patience, threshold %.4f", what,
                 member->offer_relevance, member->bonus, round->cut.threshold);
    } else {
        snprintf(text, size, "%s: relevance %.4f, threshold %.4f", what, member->offer_relevance, round->cut.threshold);
    }
}

static void skip_again(struct trib_round *round, const struct member *member)
{
    struct trib_round_action *action = trib_round_act_task(round, TRIB_ACTION_SKIP, member);
    trib_phase_describe(round, member, "not relevant enough", action->reason, sizeof action->reason);
}

static void skip(struct trib_round *round, struct member *member)
{
    trib_phases_drop(round, member); /* it was let through once, and came back with something worse */
    trib_round_set_state(round, member, TRIB_MEMBER_SKIPPED);
    member->skipped++;
    member->skipped_in_row++;
    round->summary.skipped++;
    skip_again(round, member);
}

static void settle(struct trib_round *round, struct member *member, bool upload)
{
    if (upload) {
        trib_round_set_state(round, member, TRIB_MEMBER_ADMITTED);
        member->admitted = true;
        member->skipped_in_row = 0; /* it has had its turn, whatever it makes of it */
        member->admitted_relevance = member->offer_relevance;
        member->admitted_bytes = member->bytes;
    } else {
        skip(round, member);
    }
}

/* How relevant an offer is has become known. */
static void note_relevance(struct trib_round *round, struct member *member, double relevance)
{
    member->offer_relevance = relevance;
    if (isnan(relevance)) {
        return;
    }
    if (!member->has_score) { /* what it offers again says nothing more of it */
        member->has_score = true;
        member->relevance = isnan(member->relevance) ? relevance : (member->relevance + relevance) / 2;
        round->summary.scored++;
        round->summary.relevance_sum += relevance;
    }
}

/* Was it let through before, and offers again what is no worse: then it has been counted for the gate. */
static bool is_as_admitted(const struct member *member, double relevance, uint64_t bytes)
{
    return member->admitted && !(relevance < member->admitted_relevance) && bytes <= member->admitted_bytes;
}

/* ---- offers that wait for each other ---- */

static void decide(struct trib_round *round)
{
    size_t n_parts, n = 0;
    const uint32_t *parts = trib_round_parts(round, &n_parts);
    for (size_t i = 0; i < n_parts; i++) {
        struct member *member = &round->members[parts[i]];
        if (is_compared(member)) {
            round->gate_offers[n++] = (struct trib_gate_offer){
                .client = parts[i], .key = member->key, .bytes = member->bytes, .relevance = standing(round, member)};
        }
    }
    if (n == 0) {
        return; /* they left while they were compared: wait for others */
    }
    trib_gate_decide(&round->options.gate, round->number, round->gate_offers, n, &round->cut);
    round->decided = true;
    round->summary.threshold = round->cut.threshold;
    for (size_t i = 0; i < n; i++) {
        settle(round, &round->members[round->gate_offers[i].client], round->gate_offers[i].upload);
    }
}

static int64_t decide_at(const struct trib_round *round)
{
    bool set = round->state == TRIB_ROUND_COLLECTING && waits(round) && !round->decided &&
               round->options.deadline_ms > 0 && round->counts[TRIB_MEMBER_OFFERED] > 0;
    return set ? round->summary.began_ms + round->options.deadline_ms / 4 * 3 : INT64_MAX;
}

static void check_decide(struct trib_round *round, int64_t now_ms)
{
    if (round->state != TRIB_ROUND_COLLECTING || !waits(round) || round->decided || round->closing) {
        return;
    }
    uint32_t here = round->counts[TRIB_MEMBER_OFFERED], expected = round->counts_now[TRIB_MEMBER_TASKED];
    if (here == 0 || (here < round->wanted && expected > 0 && now_ms < decide_at(round))) {
        return;
    }
    if (round->options.compare_offers) {
        round->state = TRIB_ROUND_DECIDING;
        trib_round_act(round, TRIB_ACTION_SCORE, 0);
    } else {
        decide(round);
    }
}

static void take_scores(struct trib_round *round, const struct trib_score *scores, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct member *member = trib_round_find(round, scores[i].client);
        if (member && is_compared(member)) {
            note_relevance(round, member, scores[i].relevance);
        }
    }
    round->state = TRIB_ROUND_COLLECTING;
    decide(round);
}

/* ---- the phase ---- */

static void take_offer(struct trib_round *round, struct member *member, int64_t now_ms)
{
    double relevance = member->offer_relevance;
    note_relevance(round, member, relevance);
    if (waits(round) && !round->decided) {
        check_decide(round, now_ms);
    } else if (is_as_admitted(member, relevance, member->bytes)) {
        trib_round_set_state(round, member, TRIB_MEMBER_ADMITTED);
    } else {
        if (member->admitted && round->decided) {
            round->cut.bytes_left += member->admitted_bytes; /* what it was let through with, it does not send */
        }
        settle(round, member,
               trib_gate_admit(&round->options.gate, &round->cut, standing(round, member), member->bytes));
    }
}

struct member *trib_phase_current_member(struct trib_round *round, const struct trib_round_event *event,
                                         const char **ignored)
{
    struct member *member = trib_round_find(round, event->client);
    if (!member) {
        *ignored = "unknown client";
        return NULL;
    }
    bool same_round = member->task_round != 0 && event->round == member->task_round;
    if (same_round && trib_member_means(member->state, DELIVERED)) {
        *ignored = "its update is here already";
        return NULL;
    }
    if (same_round && member->state == TRIB_MEMBER_SKIPPED) {
        skip_again(round, member); /* it has not heard */
        *ignored = "its update was skipped";
        return NULL;
    }
    if (!same_round || !trib_round_is_pending(member->state)) {
        trib_round_tell(round, event->client, event->round, TRIB_OUTCOME_LATE, "the round went on without it");
        *ignored = "not for a round that it has a part in";
        return NULL;
    }
    return member;
}

static const char *on_offer(struct trib_round *round, const struct trib_round_event *event)
{
    const char *ignored = NULL;
    struct member *member = trib_phase_current_member(round, event, &ignored);
    if (!member) {
        return ignored;
    }
    bool uploads = member->state == TRIB_MEMBER_GRANTED;
    if (uploads && is_as_admitted(member, event->relevance, event->bytes)) {
        trib_round_act_task(round, TRIB_ACTION_GRANT, member); /* its upload broke: it asks where to go on */
        member->last_progress_ms = event->now_ms;
        trib_round_touch(round, member);
        return NULL;
    }
    if (member->state != TRIB_MEMBER_TASKED && !uploads) {
        return "it has offered already";
    }
    trib_round_set_state(round, member, TRIB_MEMBER_OFFERED);
    member->last_progress_ms = event->now_ms;
    member->examples = event->examples;
    member->bytes = event->bytes;
    member->offer_order = round->offers++;
    member->offer_relevance = event->relevance;
    member->loss = member->offer_loss = event->loss;
    if (!member->has_offered) {                               /* to offer again takes no time worth knowing */
        int64_t spent_ms = event->now_ms - member->tasked_ms; /* clocks may jump back */
        member->seconds = member->offer_seconds = spent_ms > 0 ? (double)spent_ms / 1000 : 0;
        member->has_offered = true;
        round->summary.offered++;
    }
    if (round->summary.first_offer_ms == 0) {
        round->summary.first_offer_ms = event->now_ms;
    }
    take_offer(round, member, event->now_ms);
    trib_round_move_on(round, event->now_ms);
    return NULL;
}

static const char *on_scored(struct trib_round *round, const struct trib_round_event *event)
{
    if (round->state != TRIB_ROUND_DECIDING) {
        return "no offers were being compared";
    }
    take_scores(round, event->scores, event->n_scores);
    trib_round_move_on(round, event->now_ms);
    return NULL;
}

static const char *take(struct trib_round *round, const struct trib_round_event *event)
{
    return event->kind == TRIB_EVENT_OFFER ? on_offer(round, event) : on_scored(round, event);
}

static void begin(struct trib_round *round)
{
    round->decided = false;
    round->cut = trib_gate_cut(&round->options.gate, round->number);
    round->summary.threshold = round->cut.threshold;
}

static void task(struct trib_round *round, struct member *member)
{
    (void)round;
    member->has_offered = member->has_score = member->admitted = false;
    member->offer_loss = member->offer_relevance = member->offer_seconds = (double)NAN;
}

const struct trib_phase trib_phase_offer = {
    .info = {.name = "offer",
             .help = "clients tell of their updates, and the gate lets through those that are relevant"},
    .events = TRIB_PHASE_EVENT(TRIB_EVENT_OFFER) | TRIB_PHASE_EVENT(TRIB_EVENT_SCORED),
    .take = take,
    .begin = begin,
    .task = task,
    .advance = check_decide,
    .due = decide_at,
};
