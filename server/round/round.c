/* The round engine: see round.h for the contract. Every handler either changes the state and appends actions, or
 * returns why the event was ignored. */
#include "phase.h"

#include "base/mem.h"

#include <inttypes.h>

/* ---- events: each returns NULL, or why nothing changed ---- */

void trib_round_move_on(struct trib_round *round, int64_t now_ms)
{
    trib_phases_advance(round, now_ms);
    trib_round_check_close(round, now_ms);
    trib_round_refill(round, now_ms);
}

static const char *on_joined(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = &round->members[event->client];
    round->n_available += !member->available;
    trib_round_note_change(round, member);
    member->known = true;
    member->available = true;
    member->eligible = event->eligible;
    member->key = event->key;
    member->examples = event->examples;
    trib_round_list_idle(round, member);
    trib_round_touch(round, member);
    if (trib_round_is_pending(member->state)) {
        trib_round_send_task(round, member, event->now_ms);
        trib_phases_returned(round, event->now_ms);
    }
    trib_phases_came(round, member, event->now_ms);
    trib_round_refill(round, event->now_ms);
    return NULL;
}

static const char *on_eligible(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = trib_round_find(round, event->client);
    if (!member || member->eligible == event->eligible) {
        return "nothing has changed";
    }
    member->eligible = event->eligible;
    trib_round_list_idle(round, member);
    trib_round_refill(round, event->now_ms);
    return NULL;
}

static const char *on_left(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = trib_round_find(round, event->client);
    if (!member || !member->available) {
        return "the client was not here";
    }
    member->available = false;
    round->n_available--;
    trib_round_list_idle(round, member);
    trib_round_touch(round, member);
    if (trib_round_is_pending(member->state)) {
        /* it may come back and go on */
        trib_round_set_state(round, member, TRIB_MEMBER_TASKED);
        member->last_progress_ms = event->now_ms;
        trib_phases_returned(round, event->now_ms);
    }
    return NULL;
}

static const char *on_progress(struct trib_round *round, const struct trib_round_event *event)
{
    struct member *member = trib_round_find(round, event->client);
    if (!member || !trib_round_is_pending(member->state)) {
        return "the client has nothing to do in this round";
    }
    member->last_progress_ms = event->now_ms;
    trib_round_touch(round, member);
    return NULL;
}

static const char *on_failure(struct trib_round *round, const struct trib_round_event *event)
{
    if (event->phase) {
        return trib_phases_take(round, event);
    }
    struct member *member = trib_round_find(round, event->client);
    if (!member || event->round != member->task_round || !trib_round_is_pending(member->state)) {
        return "the client has nothing to do in this round";
    }
    trib_round_fail(round, member);
    trib_round_move_on(round, event->now_ms);
    return NULL;
}

bool trib_round_is_current_work(const struct trib_round *round, const struct trib_round_event *event)
{
    return event->round == round->number && event->attempt == round->attempt;
}

static bool evaluation_due(const struct trib_round *round)
{
    return round->options.evaluate &&
           (round->number % round->options.evaluate_every == 0 || round->number == round->last_round);
}

static void start_commit(struct trib_round *round)
{
    round->state = TRIB_ROUND_COMMITTING;
    trib_round_report(round);
    trib_round_act(round, TRIB_ACTION_COMMIT, 0);
}

static const char *on_applied(struct trib_round *round, const struct trib_round_event *event)
{
    if (round->state != TRIB_ROUND_APPLYING || !trib_round_is_current_work(round, event)) {
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
    if (round->state != TRIB_ROUND_EVALUATING || !trib_round_is_current_work(round, event)) {
        return "no model was being evaluated";
    }
    round->summary.evaluated_ms = event->now_ms;
    start_commit(round);
    return NULL;
}

static const char *on_committed(struct trib_round *round, const struct trib_round_event *event)
{
    if (round->state != TRIB_ROUND_COMMITTING || !trib_round_is_current_work(round, event)) {
        return "no model was being committed";
    }
    if (event->ok) {
        trib_round_commit_done(round, event->now_ms, false);
    } else {
        round->summary.committed_ms = event->now_ms;
        trib_round_abandon(round, event->now_ms, event->reason);
    }
    return NULL;
}

/* Where members outlive their round, none may be at work for longer than this, whatever progress it tells of. */
static int64_t most_work_ms(const struct trib_round *round)
{
    const struct trib_round_options *options = &round->options;
    bool outlive = options->max_staleness > 0 || trib_round_is_asynchronous(round);
    int64_t rounds = (int64_t)options->max_staleness + 1;
    if (!outlive || options->deadline_ms <= 0) {
        return INT64_MAX / 4;
    }
    return options->deadline_ms < INT64_MAX / 4 / rounds ? options->deadline_ms * rounds : INT64_MAX / 4;
}

/* Does the member owe us a sign of life? Not while it waits for us. */
static bool is_watched(const struct trib_round *round, const struct member *member)
{
    return round->options.idle_timeout_ms > 0 && trib_member_means(member->state, WATCHED);
}

/* Members that made no progress in time drop out. */
static void drop_idle(struct trib_round *round, int64_t now_ms)
{
    size_t n;
    const uint32_t *expired = trib_round_take_expired(round, now_ms, &n);
    for (size_t i = 0; i < n; i++) {
        struct member *member = &round->members[expired[i]];
        int64_t idle_ms = now_ms - member->last_progress_ms;
        if (!member->available && idle_ms >= round->options.away_timeout_ms) {
            member->failed++;
            trib_round_mark_late(round, member, "disconnected and did not come back in time");
        } else if (member->available && is_watched(round, member) && idle_ms >= round->options.idle_timeout_ms) {
            member->failed++;
            trib_round_mark_late(round, member, "made no progress in time");
        } else if (now_ms - member->tasked_ms >= most_work_ms(round)) {
            member->failed++;
            trib_round_mark_late(round, member, "was at work for too long");
        }
    }
}

static const char *on_tick(struct trib_round *round, const struct trib_round_event *event)
{
    drop_idle(round, event->now_ms);
    trib_phases_tick(round, event->now_ms);
    trib_round_move_on(round, event->now_ms);
    return NULL;
}

static const char *on_resume(struct trib_round *round, const struct trib_round_event *event)
{
    if (round->state != TRIB_ROUND_WAITING) {
        return "not after a restart";
    }
    trib_phases_resumed(round, event->now_ms);
    trib_round_resume(round, event->now_ms);
    trib_round_move_on(round, event->now_ms);
    return NULL;
}

static const char *on_stop(struct trib_round *round, const struct trib_round_event *event)
{
    round->stopping = true;
    round->suspended = round->options.outlives;
    if (round->state == TRIB_ROUND_WAITING) {
        trib_round_finish(round, event->now_ms, "stopped");
    } else if (trib_round_is_open(round) && round->suspended) {
        round->reopen = true;
        trib_round_finish(round, event->now_ms, "stopped");
    } else if (trib_round_is_open(round)) {
        trib_round_abandon(round, event->now_ms, "the server is stopping");
    }
    return NULL;
}

static const char *dispatch(struct trib_round *round, const struct trib_round_event *event)
{
    switch (event->kind) {
    case TRIB_EVENT_JOINED:
        return on_joined(round, event);
    case TRIB_EVENT_ELIGIBLE:
        return on_eligible(round, event);
    case TRIB_EVENT_LEFT:
        return on_left(round, event);
    case TRIB_EVENT_PROGRESS:
        return on_progress(round, event);
    case TRIB_EVENT_FAILURE:
        return on_failure(round, event);
    case TRIB_EVENT_APPLIED:
        return on_applied(round, event);
    case TRIB_EVENT_EVALUATED:
        return on_evaluated(round, event);
    case TRIB_EVENT_COMMITTED:
        return on_committed(round, event);
    case TRIB_EVENT_TICK:
        return on_tick(round, event);
    case TRIB_EVENT_RESUME:
        return on_resume(round, event);
    case TRIB_EVENT_STOP:
        return on_stop(round, event);
    default:
        return trib_phases_take(round, event);
    }
}

enum trib_status trib_round_step(struct trib_round *round, const struct trib_round_event *event,
                                 const struct trib_round_action **actions, size_t *n, const char **ignored)
{
    if (event->kind == TRIB_EVENT_JOINED) {
        TRIB_TRY(trib_round_reserve_member(round, event->client));
    }
    TRIB_TRY(trib_round_reserve_step(round, trib_round_most_tasks(round)));
    round->n_actions = 0;
    /* Never in the step that ended a round: its summary is still needed. */
    bool may_begin =
        round->state == TRIB_ROUND_WAITING && !round->reopen &&
        (event->kind == TRIB_EVENT_JOINED || event->kind == TRIB_EVENT_ELIGIBLE || event->kind == TRIB_EVENT_TICK);
    const char *why = round->state == TRIB_ROUND_FINISHED ? "the run is finished" : dispatch(round, event);
    if (round->state == TRIB_ROUND_WAITING && !round->reopen) {
        trib_round_release_members(round); /* parts that end between two rounds */
    }
    trib_round_maybe_end(round, event->now_ms);
    if (may_begin && !why) {
        trib_round_maybe_begin(round, event->now_ms);
    }
    trib_round_set_timers(round);
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

int64_t trib_round_due_ms(const struct trib_round *round, const struct member *member)
{
    int64_t due_ms = INT64_MAX;
    if (!trib_round_is_pending(member->state)) {
        return due_ms;
    }
    if (!member->available) {
        due_ms = member->last_progress_ms + round->options.away_timeout_ms;
    } else if (is_watched(round, member)) {
        due_ms = member->last_progress_ms + round->options.idle_timeout_ms;
    }
    return sooner(due_ms, member->tasked_ms + most_work_ms(round));
}

int64_t trib_round_next_tick(const struct trib_round *round)
{
    if (round->state == TRIB_ROUND_FINISHED) {
        return INT64_MAX;
    }
    struct trib_heap_entry first = {.key = INT64_MAX};
    (void)trib_heap_first(&round->lists.timers, &first);
    int64_t next = sooner(first.key, trib_phases_timer(round));
    if (round->state == TRIB_ROUND_WAITING && trib_round_may_begin(round)) {
        next = sooner(next, round->retry_at_ms);
    }
    if (trib_round_is_asynchronous(round) && trib_round_is_open(round) && !round->closing &&
        trib_round_count_at_work(round) == 0) {
        next = sooner(next, round->retry_at_ms); /* the selector was short of memory */
    }
    if (round->state == TRIB_ROUND_COLLECTING && !round->closing) {
        next = sooner(next, trib_phases_due(round));
        if (round->options.deadline_ms > 0) {
            next = sooner(next, round->wait_from_ms + round->options.deadline_ms);
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
    if (options->buffer == 0 && options->clients_per_round > 0 && options->min_updates > options->clients_per_round) {
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
    if (options->selector->state_size > 0) {
        result->selector_state = trib_calloc(1, options->selector->state_size);
        result->next_selector_state = trib_calloc(1, options->selector->state_size);
        if (!result->selector_state || !result->next_selector_state) {
            trib_round_free(result);
            return trib_fail_no_memory(error);
        }
    }
    result->options = *options;
    enum trib_status status = trib_phases_open_rooms(result, error);
    if (status != TRIB_OK) {
        trib_round_free(result);
        return status;
    }
    result->number = options->first_round;
    result->last_round = options->rounds;
    *round = result;
    return TRIB_OK;
}

void trib_round_free(struct trib_round *round)
{
    if (round) {
        trib_free(round->members);
        trib_free(round->selector_state);
        trib_free(round->next_selector_state);
        trib_free(round->actions);
        trib_round_clear_lists(round);
        trib_phases_close_rooms(round);
        trib_free(round);
    }
}

enum trib_round_state trib_round_state(const struct trib_round *round)
{
    return round->state;
}

enum trib_status trib_round_reserve(struct trib_round *round)
{
    return trib_round_reserve_step(round, trib_round_most_tasks(round) + 1);
}

enum trib_status trib_round_reserve_client(struct trib_round *round, uint32_t client)
{
    TRIB_TRY(trib_round_reserve_member(round, client));
    return trib_round_reserve(round);
}

uint32_t trib_round_members_in(const struct trib_round *round, enum trib_member_state state)
{
    return round->counts[state];
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

uint64_t trib_round_task_of(const struct trib_round *round, uint32_t client, uint64_t *attempt)
{
    if (client >= round->n_members) {
        return 0;
    }
    *attempt = round->members[client].task_attempt;
    return round->members[client].task_round;
}
