/* Offers: which are let through, and when their uploads may begin. */
#include "round_private.h"

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

static void describe(const struct trib_round *round, const struct member *member, const char *what, char *text,
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

static void skip(struct trib_round *round, struct member *member)
{
    trib_round_discard(round, member); /* it was let through once, and came back with something worse */
    trib_round_set_state(round, member, TRIB_MEMBER_SKIPPED);
    member->skipped++;
    member->skipped_in_row++;
    round->summary.skipped++;
    trib_round_skip_again(round, member);
}

void trib_round_skip_again(struct trib_round *round, const struct member *member)
{
    struct trib_round_action *action = trib_round_act_task(round, TRIB_ACTION_SKIP, member);
    describe(round, member, "not relevant enough", action->reason, sizeof action->reason);
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

bool trib_round_is_as_admitted(const struct member *member, double relevance, uint64_t bytes)
{
    return member->admitted && !(relevance < member->admitted_relevance) && bytes <= member->admitted_bytes;
}

void trib_round_take_offer(struct trib_round *round, struct member *member, int64_t now_ms)
{
    double relevance = member->offer_relevance;
    note_relevance(round, member, relevance);
    if (waits(round) && !round->decided) {
        trib_round_check_decide(round, now_ms);
    } else if (trib_round_is_as_admitted(member, relevance, member->bytes)) {
        trib_round_set_state(round, member, TRIB_MEMBER_ADMITTED);
    } else {
        if (member->admitted && round->decided) {
            round->cut.bytes_left += member->admitted_bytes; /* what it was let through with, it does not send */
        }
        settle(round, member,
               trib_gate_admit(&round->options.gate, &round->cut, standing(round, member), member->bytes));
    }
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

int64_t trib_round_decide_at(const struct trib_round *round)
{
    bool set = round->state == TRIB_ROUND_COLLECTING && waits(round) && !round->decided &&
               round->options.deadline_ms > 0 && round->counts[TRIB_MEMBER_OFFERED] > 0;
    return set ? round->summary.began_ms + round->options.deadline_ms / 4 * 3 : INT64_MAX;
}

void trib_round_check_decide(struct trib_round *round, int64_t now_ms)
{
    if (round->state != TRIB_ROUND_COLLECTING || !waits(round) || round->decided || round->closing) {
        return;
    }
    uint32_t here = round->counts[TRIB_MEMBER_OFFERED], expected = round->counts_now[TRIB_MEMBER_TASKED];
    if (here == 0 || (here < round->wanted && expected > 0 && now_ms < trib_round_decide_at(round))) {
        return;
    }
    if (round->options.compare_offers) {
        round->state = TRIB_ROUND_DECIDING;
        trib_round_act(round, TRIB_ACTION_SCORE, 0);
    } else {
        decide(round);
        trib_round_pump_grants(round, now_ms);
    }
}

void trib_round_take_scores(struct trib_round *round, const struct trib_score *scores, size_t n, int64_t now_ms)
{
    for (size_t i = 0; i < n; i++) {
        struct member *member = trib_round_find(round, scores[i].client);
        if (member && is_compared(member)) {
            note_relevance(round, member, scores[i].relevance);
        }
    }
    round->state = TRIB_ROUND_COLLECTING;
    decide(round);
    trib_round_pump_grants(round, now_ms);
}

/* ---- grants ---- */

void trib_round_pump_grants(struct trib_round *round, int64_t now_ms)
{
    while (trib_round_is_open(round) && !round->closing &&
           round->counts[TRIB_MEMBER_GRANTED] + round->counts[TRIB_MEMBER_FOLDING] < round->options.uploads_in_flight) {
        struct trib_heap_entry next;
        if (!trib_heap_first(&round->lists.admitted, &next)) {
            return;
        }
        struct member *member = &round->members[next.id];
        trib_round_set_state(round, member, TRIB_MEMBER_GRANTED);
        member->granted = true;
        member->last_progress_ms = now_ms;
        round->summary.granted++;
        struct trib_round_action *action = trib_round_act_task(round, TRIB_ACTION_GRANT, member);
        describe(round, member, "selected", action->reason, sizeof action->reason);
    }
}
