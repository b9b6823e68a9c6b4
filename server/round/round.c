/* The round engine: see round.h for the contract. Every handler either changes the state and appends actions, or
 * returns why the event was ignored. */
#include "round_private.h"

#include "base/mem.h"

#include <inttypes.h>

/* ---- events: each returns NULL, or why nothing changed ---- */

static const char *on_joined(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = &round->members[event->client];
    member->known = true;
    member->available = true;
    member->key = event->key;
    member->examples = event->examples;
    if (round->state == TRIB_ROUND_COLLECTING && trib_round_is_pending(member->state)) {
        trib_round_send_task(round, event->client, event->now_ms);
        trib_round_pump_grants(round, event->now_ms);
    }
    return NULL;
}

static const char *on_left(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = trib_round_find(round, event->client);
    if (!member || !member->available) {
        return "the client was not here";
    }
    member->available = false;
    if (trib_round_is_pending(member->state)) {
        member->state = TRIB_MEMBER_TASKED; /* it may come back, offer again and go on with its upload */
        member->last_progress_ms = event->now_ms;
        trib_round_pump_grants(round, event->now_ms);
    }
    return NULL;
}

/* The member that an event of a client is about, or NULL with *ignored set; a client that is behind is told. */
static struct member *current_member(struct trib_round *round, const struct trib_round_event *event,
                                     const char **ignored)
{
    struct member *member = trib_round_find(round, event->client);
    if (!member) {
        *ignored = "unknown client";
        return NULL;
    }
    if (event->round == round->number &&
        (member->state == TRIB_MEMBER_FOLDING || member->state == TRIB_MEMBER_FOLDED)) {
        *ignored = "its update is here already";
        return NULL;
    }
    if (round->state != TRIB_ROUND_COLLECTING || event->round != round->number || member->state == TRIB_MEMBER_NONE ||
        member->state == TRIB_MEMBER_LATE) {
        trib_round_tell(round, event->client, event->round, TRIB_OUTCOME_LATE, "the round went on without it");
        *ignored = "not for the round that is being collected";
        return NULL;
    }
    return member;
}

static const char *on_progress(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = trib_round_find(round, event->client);
    if (!member || !trib_round_is_pending(member->state)) {
        return "the client has nothing to do in this round";
    }
    member->last_progress_ms = event->now_ms;
    return NULL;
}

static const char *on_offer(struct trib_round *round, const struct trib_round_event *event)
{
    const char *ignored = NULL;
    struct member *member = current_member(round, event, &ignored);
    if (!member) {
        return ignored;
    }
    if (member->state == TRIB_MEMBER_GRANTED) {
        trib_round_act(round, TRIB_ACTION_GRANT, event->client); /* its upload broke: it asks where to go on */
        member->last_progress_ms = event->now_ms;
        return NULL;
    }
    if (member->state != TRIB_MEMBER_TASKED) {
        return "it has offered already";
    }
    member->state = TRIB_MEMBER_OFFERED;
    member->last_progress_ms = event->now_ms;
    member->examples = event->examples;
    member->offer_order = round->offers++;
    round->summary.offered++;
    if (round->summary.first_offer_ms == 0) {
        round->summary.first_offer_ms = event->now_ms;
    }
    trib_round_pump_grants(round, event->now_ms);
    return NULL;
}

static const char *on_failure(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = trib_round_find(round, event->client);
    if (!member || round->state != TRIB_ROUND_COLLECTING || event->round != round->number ||
        !trib_round_is_pending(member->state)) {
        return "the client has nothing to do in this round";
    }
    trib_round_discard(round, event->client);
    member->state = TRIB_MEMBER_FAILED;
    round->summary.failed++;
    trib_round_pump_grants(round, event->now_ms);
    trib_round_check_close(round, event->now_ms);
    return NULL;
}

static const char *on_uploaded(struct trib_round *round, const struct trib_round_event *event)
{
    const char *ignored = NULL;
    struct member *member = current_member(round, event, &ignored);
    if (!member) {
        return ignored; /* it was discarded when the client's part ended */
    }
    if (event->attempt != round->attempt) {
        return "of an earlier attempt";
    }
    if (member->state != TRIB_MEMBER_GRANTED) {
        if (trib_round_is_pending(member->state)) {
            trib_round_discard(round, event->client); /* its session broke meanwhile: it offers again */
        }
        return "no upload was granted";
    }
    member->state = TRIB_MEMBER_FOLDING;
    round->summary.uploaded++;
    trib_round_act(round, TRIB_ACTION_FOLD, event->client);
    return NULL;
}

static bool is_current_work(const struct trib_round *round, const struct trib_round_event *event)
{
    return event->round == round->number && event->attempt == round->attempt;
}

static const char *on_refused(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = trib_round_find(round, event->client);
    if (!member || round->state != TRIB_ROUND_COLLECTING || !is_current_work(round, event) ||
        !trib_round_is_pending(member->state)) {
        return "the client has nothing to do in this round";
    }
    trib_round_discard(round, event->client);
    member->state = TRIB_MEMBER_REJECTED;
    round->summary.rejected++;
    trib_round_tell(round, event->client, round->number, TRIB_OUTCOME_REJECTED, event->reason);
    trib_round_pump_grants(round, event->now_ms);
    trib_round_check_close(round, event->now_ms);
    return NULL;
}

static const char *on_folded(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = trib_round_find(round, event->client);
    if (!member || round->state != TRIB_ROUND_COLLECTING || !is_current_work(round, event) ||
        member->state != TRIB_MEMBER_FOLDING) {
        return "nothing of this client was being folded";
    }
    if (event->ok) {
        member->state = TRIB_MEMBER_FOLDED;
        round->summary.folded++;
    } else if (event->harmful) {
        trib_round_abandon(round, event->now_ms, event->reason);
        return NULL;
    } else {
        member->state = TRIB_MEMBER_REJECTED;
        round->summary.rejected++;
        trib_round_tell(round, event->client, round->number, TRIB_OUTCOME_REJECTED, event->reason);
    }
    trib_round_pump_grants(round, event->now_ms);
    trib_round_check_close(round, event->now_ms);
    return NULL;
}

static bool evaluation_due(const struct trib_round *round)
{
    return round->options.evaluate &&
           (round->number % round->options.evaluate_every == 0 || round->number == round->last_round);
}

static void start_commit(struct trib_round *round)
{
    round->state = TRIB_ROUND_COMMITTING;
    trib_round_act(round, TRIB_ACTION_COMMIT, 0);
}

static const char *on_applied(struct trib_round *round, const struct trib_round_event *event)
{
    if (round->state != TRIB_ROUND_APPLYING || !is_current_work(round, event)) {
        return "no update was being applied";
    }
    round->summary.applied_ms = event->now_ms;
    if (!event->ok) {
        trib_round_abandon(round, event->now_ms, event->reason);
    } else if (evaluation_due(round)) {
        round->state = TRIB_ROUND_EVALUATING;
        trib_round_act(round, TRIB_ACTION_EVALUATE, 0);
    } else {
        start_commit(round);
    }
    return NULL;
}

static const char *on_evaluated(struct trib_round *round, const struct trib_round_event *event)
{
    if (round->state != TRIB_ROUND_EVALUATING || !is_current_work(round, event)) {
        return "no model was being evaluated";
    }
    round->summary.evaluated_ms = event->now_ms;
    start_commit(round);
    return NULL;
}

static const char *on_committed(struct trib_round *round, const struct trib_round_event *event)
{
    if (round->state != TRIB_ROUND_COMMITTING || !is_current_work(round, event)) {
        return "no model was being committed";
    }
    round->summary.committed_ms = event->now_ms;
    if (!event->ok) {
        trib_round_abandon(round, event->now_ms, event->reason);
        return NULL;
    }
    trib_round_act(round, TRIB_ACTION_COMMITTED, 0);
    for (uint32_t i = 0; i < round->n_members; i++) {
        if (round->members[i].state == TRIB_MEMBER_FOLDED) {
            trib_round_tell(round, i, round->number, TRIB_OUTCOME_FOLDED, "");
        }
    }
    trib_round_forget_cohort(round);
    round->number++;
    round->attempt = 0;
    round->retry_at_ms = event->now_ms;
    round->state = TRIB_ROUND_WAITING;
    if (round->number > round->last_round) {
        trib_round_finish(round, "all rounds are done");
    } else if (round->stopping) {
        trib_round_finish(round, "stopped");
    }
    return NULL;
}

/* Members that made no progress in time drop out. */
static void drop_idle(struct trib_round *round, int64_t now_ms)
{
    for (uint32_t i = 0; i < round->n_members; i++) {
        const struct member *member = &round->members[i];
        if (!trib_round_is_pending(member->state)) {
            continue;
        }
        int64_t idle_ms = now_ms - member->last_progress_ms;
        bool waits_for_us = member->state == TRIB_MEMBER_OFFERED;
        if (!member->available && idle_ms >= round->options.away_timeout_ms) {
            trib_round_mark_late(round, i, "disconnected and did not come back in time");
        } else if (member->available && !waits_for_us && round->options.idle_timeout_ms > 0 &&
                   idle_ms >= round->options.idle_timeout_ms) {
            trib_round_mark_late(round, i, "made no progress in time");
        }
    }
}

static const char *on_tick(struct trib_round *round, const struct trib_round_event *event)
{
    if (round->state == TRIB_ROUND_COLLECTING) {
        drop_idle(round, event->now_ms);
        trib_round_pump_grants(round, event->now_ms);
        trib_round_check_close(round, event->now_ms);
    }
    return NULL;
}

static const char *on_stop(struct trib_round *round, const struct trib_round_event *event)
{
    round->stopping = true;
    if (round->state == TRIB_ROUND_WAITING) {
        trib_round_finish(round, "stopped");
    } else if (round->state == TRIB_ROUND_COLLECTING) {
        trib_round_abandon(round, event->now_ms, "the server is stopping");
    }
    return NULL;
}

static const char *dispatch(struct trib_round *round, const struct trib_round_event *event)
{
    switch (event->kind) {
    case TRIB_EVENT_JOINED:
        return on_joined(round, event);
    case TRIB_EVENT_LEFT:
        return on_left(round, event);
    case TRIB_EVENT_PROGRESS:
        return on_progress(round, event);
    case TRIB_EVENT_OFFER:
        return on_offer(round, event);
    case TRIB_EVENT_FAILURE:
        return on_failure(round, event);
    case TRIB_EVENT_UPLOADED:
        return on_uploaded(round, event);
    case TRIB_EVENT_REFUSED:
        return on_refused(round, event);
    case TRIB_EVENT_FOLDED:
        return on_folded(round, event);
    case TRIB_EVENT_APPLIED:
        return on_applied(round, event);
    case TRIB_EVENT_EVALUATED:
        return on_evaluated(round, event);
    case TRIB_EVENT_COMMITTED:
        return on_committed(round, event);
    case TRIB_EVENT_TICK:
        return on_tick(round, event);
    case TRIB_EVENT_STOP:
        return on_stop(round, event);
    }
    return "unknown event";
}

enum trib_status trib_round_step(struct trib_round *round, const struct trib_round_event *event,
                                 const struct trib_round_action **actions, size_t *n, const char **ignored)
{
    if (event->kind == TRIB_EVENT_JOINED) {
        TRIB_TRY(trib_round_reserve_member(round, event->client));
    }
    TRIB_TRY(trib_round_reserve_actions(round));
    round->n_actions = 0;
    bool may_begin =
        round->state == TRIB_ROUND_WAITING && (event->kind == TRIB_EVENT_JOINED || event->kind == TRIB_EVENT_TICK);
    const char *why = round->state == TRIB_ROUND_FINISHED ? "the run is finished" : dispatch(round, event);
    if (may_begin) {
        trib_round_maybe_begin(round,
                               event->now_ms); /* never in the step that ended a round: its summary is still needed */
    }
    *actions = round->actions;
    *n = round->n_actions;
    if (ignored) {
        *ignored = why;
    }
    return TRIB_OK;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t trib_round_next_tick(const struct trib_round *round)
{
    if (round->state == TRIB_ROUND_WAITING) {
        return trib_round_are_enough(round, trib_round_count_available(round)) ? round->retry_at_ms : INT64_MAX;
    }
    if (round->state != TRIB_ROUND_COLLECTING) {
        return INT64_MAX;
    }
    int64_t next = INT64_MAX;
    if (round->options.deadline_ms > 0 && !round->closing) {
        next = round->summary.began_ms + round->options.deadline_ms;
    }
    for (size_t i = 0; i < round->n_members; i++) {
        const struct member *member = &round->members[i];
        if (!trib_round_is_pending(member->state)) {
            continue;
        }
        if (!member->available) {
            next = sooner(next, member->last_progress_ms + round->options.away_timeout_ms);
        } else if (round->options.idle_timeout_ms > 0 && member->state != TRIB_MEMBER_OFFERED) {
            next = sooner(next, member->last_progress_ms + round->options.idle_timeout_ms);
        }
    }
    return next;
}

static enum trib_status check_options(const struct trib_round_options *options, struct trib_error *error)
{
    if (!options->selector || options->first_round == 0 || options->first_round > options->rounds ||
        options->uploads_in_flight == 0 || options->min_updates == 0 || options->evaluate_every == 0 ||
        !(options->over_selection >= 1) || options->away_timeout_ms < 0 || options->retry_ms < 0) {
        return trib_fail(error, TRIB_INVALID, "round options are out of range");
    }
    if (options->deadline_ms <= 0 && options->idle_timeout_ms <= 0) {
        return trib_fail(error, TRIB_INVALID,
                         "a round needs a deadline or an idle timeout, else it could wait for ever");
    }
    if (options->clients_per_round > 0 && options->min_updates > options->clients_per_round) {
        return trib_fail(error, TRIB_INVALID,
                         "min_updates (%" PRIu32 ") is above clients_per_round (%" PRIu32 "): no round could commit",
                         options->min_updates, options->clients_per_round);
    }
    return TRIB_OK;
}

enum trib_status trib_round_new(const struct trib_round_options *options, struct trib_round **round,
                                struct trib_error *error)
{
    TRIB_TRY(check_options(options, error));
    struct trib_round *result = trib_calloc(1, sizeof *result);
    if (!result) {
        return trib_fail_no_memory(error);
    }
    result->options = *options;
    result->number = options->first_round;
    result->last_round = options->rounds;
    *round = result;
    return TRIB_OK;
}

void trib_round_free(struct trib_round *round)
{
    if (round) {
        trib_free(round->members);
        trib_free(round->candidates);
        trib_free(round->picked);
        trib_free(round->actions);
        trib_free(round);
    }
}

enum trib_round_state trib_round_state(const struct trib_round *round)
{
    return round->state;
}

uint64_t trib_round_number(const struct trib_round *round)
{
    return round->number;
}

const struct trib_round_summary *trib_round_summary(const struct trib_round *round)
{
    return &round->summary;
}

enum trib_member_state trib_round_member(const struct trib_round *round, uint32_t client)
{
    return client < round->n_members ? round->members[client].state : TRIB_MEMBER_NONE;
}
