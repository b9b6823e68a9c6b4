/* The list of phases, and the spine's calls to all of them. */
#include "phase.h"

static const struct trib_phase *const phases[PHASES] = {
#define PHASE(name) [PHASE_##name] = &trib_phase_##name,
#include "phase_list.def"
#undef PHASE
};

const struct trib_phase_info *trib_round_phase(size_t index)
{
    return index < PHASES ? &phases[index]->info : NULL;
}

const struct trib_phase *trib_phase_at(size_t index)
{
    return phases[index];
}

const char *trib_phases_take(struct trib_round *round, const struct trib_round_event *event)
{
    if (event->phase) {
        return trib_phases_take_named(round, event);
    }
    for (size_t i = 0; i < PHASES; i++) {
        if (event->kind < 32 && (phases[i]->events & TRIB_PHASE_EVENT(event->kind))) {
            return phases[i]->take(round, event);
        }
    }
    return "unknown event";
}

void trib_phases_begin(struct trib_round *round)
{
    for (size_t i = 0; i < PHASES; i++) {
        if (phases[i]->begin) {
            phases[i]->begin(round);
        }
    }
}

void trib_phases_task(struct trib_round *round, struct member *member)
{
    for (size_t i = 0; i < PHASES; i++) {
        if (phases[i]->task) {
            phases[i]->task(round, member);
        }
    }
}

void trib_phases_opened(struct trib_round *round, int64_t now_ms)
{
    for (size_t i = 0; i < PHASES; i++) {
        if (phases[i]->opened) {
            phases[i]->opened(round, now_ms);
        }
    }
}

void trib_phases_advance(struct trib_round *round, int64_t now_ms)
{
    for (size_t i = 0; i < PHASES; i++) {
        if (phases[i]->advance) {
            phases[i]->advance(round, now_ms);
        }
    }
}

void trib_phases_returned(struct trib_round *round, int64_t now_ms)
{
    for (size_t i = 0; i < PHASES; i++) {
        if (phases[i]->returned) {
            phases[i]->returned(round, now_ms);
        }
    }
}

void trib_phases_drop(struct trib_round *round, const struct member *member)
{
    for (size_t i = 0; i < PHASES; i++) {
        if (phases[i]->drop) {
            phases[i]->drop(round, member);
        }
    }
}

bool trib_phases_hold(const struct trib_round *round)
{
    for (size_t i = 0; i < PHASES; i++) {
        if (phases[i]->holds && phases[i]->holds(round)) {
            return true;
        }
    }
    return false;
}

bool trib_phases_busy(const struct trib_round *round)
{
    for (size_t i = 0; i < PHASES; i++) {
        if (phases[i]->is_busy && phases[i]->is_busy(round)) {
            return true;
        }
    }
    return false;
}

int64_t trib_phases_due(const struct trib_round *round)
{
    int64_t due_ms = INT64_MAX;
    for (size_t i = 0; i < PHASES; i++) {
        int64_t at_ms = phases[i]->due ? phases[i]->due(round) : INT64_MAX;
        due_ms = at_ms < due_ms ? at_ms : due_ms;
    }
    return due_ms;
}
