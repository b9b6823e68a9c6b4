/* The beginning of a round: who could take part, who is picked, and their tasks. */
#include "phase.h"

#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NO_MEMORY_PAUSE_MS = 1000 };

static int compare_candidates(const void *a, const void *b)
{
    const struct trib_candidate *x = a, *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return (x->client > y->client) - (x->client < y->client);
}

bool trib_round_is_idle(const struct member *member)
{
    return member->available && member->eligible && member->state == TRIB_MEMBER_NONE;
}

static bool is_barred(const struct trib_round *round, const struct member *member)
{
    return member->barred_until >= round->number;
}

/* A round that is begun again is still the one that it was picked for. */
static bool is_rested(const struct trib_round *round, uint64_t last_round)
{
    return last_round == 0 || last_round == round->number || round->number - last_round > round->options.separation;
}

/* Fewer than this and a round could not commit. */
static size_t least(const struct trib_round *round)
{
    return round->options.min_updates > 1 && !trib_round_is_asynchronous(round) ? round->options.min_updates : 1;
}

/* Everybody who is idle; those who are barred only where a round could not begin without them. */
static size_t list_idle(struct trib_round *round)
{
    const struct lists *lists = &round->lists;
    size_t n = 0, unbarred = 0;
    for (size_t i = 0; i < lists->n_idle; i++) {
        unbarred += !is_barred(round, &round->members[lists->idle[i]]);
    }
    bool barred_too = unbarred < least(round);
    for (size_t i = 0; i < lists->n_idle; i++) {
        const struct member *member = &round->members[lists->idle[i]];
        if (barred_too || !is_barred(round, member)) {
            round->candidates[n++] = (struct trib_candidate){.client = lists->idle[i],
                                                             .key = member->key,
                                                             .examples = member->examples,
                                                             .last_round = member->last_round,
                                                             .picked = member->picked,
                                                             .folded = member->folded,
                                                             .skipped = member->skipped,
                                                             .failed = member->failed,
                                                             .loss = member->loss,
                                                             .seconds = member->seconds,
                                                             .relevance = member->relevance};
        }
    }
    return n;
}

static int compare_last_rounds(const void *a, const void *b)
{
    const struct trib_candidate *x = a, *y = b;
    return (x->last_round > y->last_round) - (x->last_round < y->last_round);
}

/* Leave out those who must rest; where fewer than `needed` remain, those who have rested longest stay. */
static size_t keep_rested(struct trib_round *round, size_t n, size_t needed)
{
    struct trib_candidate *candidates = round->candidates;
    if (n == 0 || round->options.separation == 0) {
        return n;
    }
    qsort(candidates, n, sizeof *candidates, compare_last_rounds);
    uint64_t longest = needed == 0 ? 0 : candidates[needed < n ? needed - 1 : n - 1].last_round;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_rested(round, candidates[i].last_round) || candidates[i].last_round <= longest) {
            candidates[kept++] = candidates[i];
        }
    }
    return kept;
}

/* Clients that a round asks, of n. */
static size_t count_asked(const struct trib_round *round, size_t n)
{
    uint32_t per_round = round->options.clients_per_round;
    size_t wanted = per_round == 0 || per_round > n ? n : per_round;
    /* less a little: 100 * 1.1 is a bit more than 110 */
    double asked = per_round == 0 ? (double)n : ceil((double)wanted * round->options.over_selection - 1e-6);
    return asked > (double)n ? n : (size_t)asked;
}

/* List whoever may be picked, by name; at least `needed`, if so many are idle. */
static size_t list_candidates(struct trib_round *round, size_t needed)
{
    size_t n = keep_rested(round, list_idle(round), needed);
    if (n > 1) {
        qsort(round->candidates, n, sizeof *round->candidates, compare_candidates);
    }
    return n;
}

void trib_round_send_task(struct trib_round *round, struct member *member, int64_t now_ms)
{
    trib_round_set_state(round, member, TRIB_MEMBER_TASKED);
    member->last_progress_ms = now_ms;
    struct trib_round_action *action = trib_round_act_task(round, TRIB_ACTION_TASK, member);
    if (isnan(member->score)) {
        trib_str_copy(action->reason, sizeof action->reason, member->why);
    } else {
        snprintf(action->reason, sizeof action->reason, "%s: %.6g", member->why, member->score);
    }
}

static void pause_for_memory(struct trib_round *round, int64_t now_ms)
{
    round->retry_at_ms = now_ms + (round->options.retry_ms > 0 ? round->options.retry_ms : NO_MEMORY_PAUSE_MS);
}

/* Let the selector choose `wanted` of the n candidates. */
static enum trib_status pick(struct trib_round *round, size_t n, size_t wanted)
{
    const struct trib_selection selection = {.settings = round->options.selector_settings,
                                             .seed = round->options.seed,
                                             .round = round->number,
                                             .draw = round->draws,
                                             .candidates = round->candidates,
                                             .n = n,
                                             .wanted = wanted};
    TRIB_TRY(round->options.selector->pick(round->selector_state, &selection, round->picks));
    round->draws++;
    return TRIB_OK;
}

static void send_tasks(struct trib_round *round, size_t n, int64_t now_ms)
{
    for (size_t i = 0; i < n; i++) {
        struct member *member = &round->members[round->candidates[round->picks[i].candidate].client];
        member->task_round = member->last_round = round->number;
        member->task_commits = round->commits;
        member->task_attempt = round->attempt;
        member->tasked_ms = now_ms;
        trib_phases_task(round, member);
        member->picked++;
        member->why = round->picks[i].why;
        member->score = round->picks[i].score;
        round->summary.cohort++;
        trib_round_send_task(round, member, now_ms);
    }
}

void trib_round_refill(struct trib_round *round, int64_t now_ms)
{
    uint32_t busy = trib_round_count_at_work(round), most = round->options.clients_per_round;
    if (!trib_round_is_asynchronous(round) || !trib_round_is_open(round) || round->closing ||
        (most > 0 && busy >= most)) {
        return;
    }
    size_t n = list_candidates(round, busy == 0 ? 1 : 0);
    size_t wanted = most == 0 || n < most - busy ? n : most - busy;
    if (wanted > 0 && pick(round, n, wanted) == TRIB_OK) {
        send_tasks(round, wanted, now_ms);
    } else if (wanted > 0) {
        pause_for_memory(round, now_ms); /* or until the next event */
    }
}

static void open_round(struct trib_round *round, size_t candidates, int64_t now_ms)
{
    round->state = TRIB_ROUND_COLLECTING;
    round->closing = false;
    round->wait_from_ms = now_ms;
    round->summary = (struct trib_round_summary){.round = round->number,
                                                 .attempt = round->attempt,
                                                 .available = round->n_available,
                                                 .eligible = (uint32_t)candidates,
                                                 .began_ms = now_ms};
    trib_phases_begin(round);
    trib_round_act(round, TRIB_ACTION_BEGIN, 0);
}

static void begin_with_cohort(struct trib_round *round, int64_t now_ms)
{
    uint32_t per_round = round->options.clients_per_round;
    size_t idle = round->lists.n_idle;
    size_t needed = per_round == 0 ? least(round) : count_asked(round, idle);
    size_t n = list_candidates(round, needed);
    size_t wanted = per_round == 0 || per_round > n ? n : per_round;
    size_t asked = count_asked(round, n);
    if (asked > 0 && pick(round, n, asked) != TRIB_OK) {
        pause_for_memory(round, now_ms);
        return;
    }
    round->wanted = wanted > least(round) ? (uint32_t)wanted : (uint32_t)least(round);
    open_round(round, n, now_ms);
    send_tasks(round, asked, now_ms);
}

/* As many as a round needs to begin, and could commit with: those still at work on an earlier one can only end in a
 * round, so they count. Without cohorts they are enough. */
bool trib_round_may_begin(const struct trib_round *round)
{
    if (round->number > round->last_round) {
        return false; /* phases are under way */
    }
    uint32_t at_work = trib_round_count_at_work(round);
    if (trib_round_is_asynchronous(round) && at_work > 0) {
        return true;
    }
    return round->n_available > 0 && round->n_available >= round->options.min_clients &&
           at_work + round->lists.n_idle >= least(round);
}

void trib_round_maybe_begin(struct trib_round *round, int64_t now_ms)
{
    if (round->state != TRIB_ROUND_WAITING || now_ms < round->retry_at_ms || !trib_round_may_begin(round)) {
        return;
    }
    round->draws = round->attempt << 32;
    if (trib_round_is_asynchronous(round)) {
        round->wanted = round->options.buffer;
        open_round(round, round->lists.n_idle, now_ms);
        trib_round_refill(round, now_ms);
    } else {
        begin_with_cohort(round, now_ms);
    }
    if (round->state == TRIB_ROUND_COLLECTING) {
        trib_phases_opened(round, now_ms);
    }
}
