/* The lists of members: who has a part, who is idle, whose time is over when, whose upload is next. They follow every
 * change of a member, so that an event costs what its cohort costs, however many clients are known or connected; and
 * room for a whole step is reserved before it. */
#include "phase.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* No step appends more than this per member (a decision, a grant, and its end), besides a handful for the round. */
enum { ACTIONS_PER_MEMBER = 4, ACTIONS_PER_STEP = 8 };

/* ---- room ---- */

/* *array is grown in place of itself; on failure it is as it was. */
#define GROW(array, n)                                                                                                 \
    do {                                                                                                               \
        void *grown = trib_realloc_array((array), (n), sizeof *(array));                                               \
        if (!grown) {                                                                                                  \
            return TRIB_NO_MEMORY;                                                                                     \
        }                                                                                                              \
        (array) = grown;                                                                                               \
    } while (0)

enum trib_status trib_round_reserve_member(struct trib_round *round, uint32_t client)
{
    size_t needed = (size_t)client + 1;
    if (needed > round->members_capacity) {
        size_t capacity = needed + needed / 4 + 16;
        GROW(round->members, capacity);
        round->members_capacity = capacity;
    }
    for (; round->n_members < needed; round->n_members++) {
        struct member *member = &round->members[round->n_members];
        memset(member, 0, sizeof *member);
        member->loss = member->seconds = member->relevance = (double)NAN;
        member->offer_loss = member->offer_seconds = member->offer_relevance = (double)NAN;
        round->counts[TRIB_MEMBER_NONE]++;
    }
    return TRIB_OK;
}

size_t trib_round_most_tasks(const struct trib_round *round)
{
    const struct trib_round_options *options = &round->options;
    size_t idle = round->lists.n_idle + 1; /* one may come in this step */
    double asked = ceil((double)options->clients_per_round * options->over_selection);
    return options->clients_per_round == 0 || asked > (double)idle ? idle : (size_t)asked;
}

/* Whoever has a part may be idle by the end of the step, and whoever is idle may be picked. */
static enum trib_status reserve_idle(struct trib_round *round, size_t needed)
{
    if (needed > round->idle_capacity) {
        size_t capacity = needed + needed / 2;
        GROW(round->candidates, capacity);
        GROW(round->picks, capacity);
        GROW(round->lists.idle, capacity);
        round->idle_capacity = capacity;
    }
    return TRIB_OK;
}

static enum trib_status reserve_parts(struct trib_round *round, size_t needed)
{
    if (needed > round->parts_capacity) {
        size_t capacity = needed + needed / 2;
        GROW(round->gate_offers, capacity);
        GROW(round->reports, capacity);
        GROW(round->lists.parts, capacity);
        GROW(round->lists.touched, capacity + 1);
        GROW(round->lists.expired, capacity);
        round->parts_capacity = capacity;
    }
    return TRIB_OK;
}

enum trib_status trib_round_reserve_step(struct trib_round *round, size_t more)
{
    struct lists *lists = &round->lists;
    size_t parts = lists->n_parts + more;
    size_t changed = round->n_changed + parts + 1, actions;
    TRIB_TRY(reserve_idle(round, lists->n_idle + parts + 1));
    TRIB_TRY(reserve_parts(round, parts));
    TRIB_TRY(trib_heap_reserve(&lists->timers, round->n_members, parts));
    TRIB_TRY(trib_heap_reserve(&lists->admitted, round->n_members, parts));
    TRIB_TRY(trib_phases_reserve(round, &actions));
    actions += parts * ACTIONS_PER_MEMBER + ACTIONS_PER_STEP;
    if (changed > round->changed_capacity) {
        GROW(round->changed, changed + changed / 2);
        round->changed_capacity = changed + changed / 2;
    }
    if (actions > round->actions_capacity) {
        GROW(round->actions, actions + actions / 2);
        round->actions_capacity = actions + actions / 2;
    }
    return TRIB_OK;
}

void trib_round_clear_lists(struct trib_round *round)
{
    trib_free(round->candidates);
    trib_free(round->picks);
    trib_free(round->gate_offers);
    trib_free(round->reports);
    trib_free(round->changed);
    trib_free(round->lists.parts);
    trib_free(round->lists.idle);
    trib_free(round->lists.touched);
    trib_free(round->lists.expired);
    trib_heap_clear(&round->lists.timers);
    trib_heap_clear(&round->lists.admitted);
}

/* ---- who has a part ---- */

static int compare_clients(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

const uint32_t *trib_round_parts(struct trib_round *round, size_t *n)
{
    struct lists *lists = &round->lists;
    if (lists->parts_unsorted) {
        qsort(lists->parts, lists->n_parts, sizeof *lists->parts, compare_clients);
        lists->parts_unsorted = false;
    }
    size_t kept = 0;
    for (size_t i = 0; i < lists->n_parts; i++) {
        struct member *member = &round->members[lists->parts[i]];
        member->listed = member->state != TRIB_MEMBER_NONE;
        if (member->listed) {
            lists->parts[kept++] = lists->parts[i];
        }
    }
    lists->n_parts = kept;
    *n = kept;
    return lists->parts;
}

static void list_part(struct trib_round *round, struct member *member)
{
    struct lists *lists = &round->lists;
    if (!member->listed && member->state != TRIB_MEMBER_NONE) {
        member->listed = true;
        lists->parts_unsorted = true;
        lists->parts[lists->n_parts++] = trib_round_client(round, member);
    }
}

void trib_round_begin_counts(struct trib_round *round)
{
    memset(round->counts_now, 0, sizeof round->counts_now);
    round->returning_now = 0;
}

/* ---- who is idle ---- */

void trib_round_list_idle(struct trib_round *round, struct member *member)
{
    struct lists *lists = &round->lists;
    bool is_idle = trib_round_is_idle(member);
    if (is_idle && member->idle_place == 0) {
        lists->idle[lists->n_idle++] = trib_round_client(round, member);
        member->idle_place = (uint32_t)lists->n_idle;
    } else if (!is_idle && member->idle_place != 0) {
        uint32_t last = lists->idle[--lists->n_idle]; /* fills the gap */
        lists->idle[member->idle_place - 1] = last;
        round->members[last].idle_place = member->idle_place;
        member->idle_place = 0;
    }
}

/* ---- timers, and whose upload is next ---- */

void trib_round_touch(struct trib_round *round, struct member *member)
{
    if (!member->touched) {
        member->touched = true;
        round->lists.touched[round->lists.n_touched++] = trib_round_client(round, member);
    }
}

void trib_round_set_timers(struct trib_round *round)
{
    struct lists *lists = &round->lists;
    for (size_t i = 0; i < lists->n_touched; i++) {
        struct member *member = &round->members[lists->touched[i]];
        int64_t due_ms = trib_round_due_ms(round, member);
        member->touched = false;
        if (due_ms == INT64_MAX) {
            trib_heap_remove(&lists->timers, lists->touched[i]);
        } else {
            trib_heap_put(&lists->timers, lists->touched[i], due_ms);
        }
    }
    lists->n_touched = 0;
}

const uint32_t *trib_round_take_expired(struct trib_round *round, int64_t now_ms, size_t *n)
{
    struct lists *lists = &round->lists;
    struct trib_heap_entry first;
    *n = 0;
    while (trib_heap_first(&lists->timers, &first) && first.key <= now_ms) {
        trib_heap_remove(&lists->timers, first.id);
        trib_round_touch(round, &round->members[first.id]);
        lists->expired[(*n)++] = first.id;
    }
    if (*n > 1) {
        qsort(lists->expired, *n, sizeof *lists->expired, compare_clients);
    }
    return lists->expired;
}

void trib_round_list_member(struct trib_round *round, struct member *member, enum trib_member_state was)
{
    uint32_t client = trib_round_client(round, member);
    trib_round_touch(round, member);
    list_part(round, member);
    trib_round_list_idle(round, member);
    if (was == TRIB_MEMBER_ADMITTED && member->state != TRIB_MEMBER_ADMITTED) {
        trib_heap_remove(&round->lists.admitted, client);
    } else if (member->state == TRIB_MEMBER_ADMITTED) {
        int64_t order = member->offer_order > INT64_MAX ? INT64_MAX : (int64_t)member->offer_order;
        trib_heap_put(&round->lists.admitted, client, order);
    }
}
