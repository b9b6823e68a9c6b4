/* Faults as a list: drawn from a seed, printed, and counted. */
#include "world.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const fault_names[] = {
#define FAULT_NAME(code, name, help) [FAULT_##code] = name,
    FAULT_KINDS(FAULT_NAME)
#undef FAULT_NAME
};

const char *fault_name(enum fault_kind kind)
{
    return fault_names[kind];
}

const char *host_name(uint32_t who, char text[16])
{
    if (who == SERVER) {
        return "server";
    }
    (void)snprintf(text, 16, "peer-%u", who);
    return text;
}

/* ---- drawing ---- */

/* Where a kind of fault may strike. */
enum { AT_CLIENT = 1, AT_SERVER = 2, AT_ADVERSARY = 4 };

static unsigned places_of(enum fault_kind kind, unsigned with)
{
    unsigned processes = (with & TROUBLE_CLIENTS ? AT_CLIENT : 0u) | (with & TROUBLE_SERVER ? AT_SERVER : 0u);
    unsigned disks = (with & TROUBLE_CLIENT_DISKS ? AT_CLIENT : 0u) | (with & TROUBLE_SERVER_DISK ? AT_SERVER : 0u);
    switch (kind) {
    case FAULT_BREAK:
    case FAULT_HALF_OPEN:
    case FAULT_TRANSFER:
        return with & TROUBLE_NETWORK ? AT_CLIENT : 0;
    case FAULT_CUT:
    case FAULT_STALL:
        return with & TROUBLE_NETWORK ? AT_CLIENT | AT_SERVER : 0;
    case FAULT_SLOW:
        return with & TROUBLE_NETWORK ? AT_CLIENT : 0;
    case FAULT_UNRULY:
        return with & TROUBLE_UNRULY ? AT_CLIENT : 0;
    case FAULT_JUMP:
        return with & TROUBLE_CLOCKS ? AT_CLIENT | AT_SERVER : 0;
    case FAULT_ADVERSARY:
        return with & TROUBLE_ADVERSARIES ? AT_ADVERSARY : 0;
    case FAULT_KILL:
    case FAULT_POWER:
    case FAULT_DISK_STOP:
        return processes;
    case FAULT_ROT:
        return with & TROUBLE_ROT ? AT_SERVER : 0;
    case FAULT_DISK_FULL:
    case FAULT_DISK_FAIL:
        return disks;
    default:
        return 0;
    }
}

static uint32_t draw_place(const struct world *world, unsigned places, struct trib_rng *rng)
{
    const struct plan *plan = &world->plan;
    if (places & AT_ADVERSARY) {
        return plan->n_clients + (uint32_t)trib_rng_below(rng, plan->n_adversaries);
    }
    if (places == AT_SERVER || (places & AT_SERVER && trib_rng_below(rng, 3) == 0)) {
        return SERVER;
    }
    return (uint32_t)trib_rng_below(rng, plan->n_clients);
}

/* Mostly short, sometimes long. */
static int64_t draw_length(struct trib_rng *rng)
{
    static const uint64_t longest[] = {500, 3000, 15000, 60000};
    return 1 + (int64_t)trib_rng_below(rng, longest[trib_rng_below(rng, 4)]);
}

static struct fault draw_fault(const struct world *world, struct trib_rng *rng)
{
    struct fault fault = {.kind = FAULT_KIND_COUNT};
    unsigned places = 0;
    for (int tries = 0; tries < 100 && places == 0; tries++) {
        fault.kind = (enum fault_kind)trib_rng_below(rng, FAULT_KIND_COUNT);
        places = places_of(fault.kind, world->plan.with);
    }
    if (places == 0) {
        fault.kind = FAULT_KIND_COUNT;
        return fault;
    }
    fault.who = draw_place(world, places, rng);
    fault.at_ms = 1000 + (int64_t)trib_rng_below(rng, (uint64_t)world->plan.fault_ms);
    fault.length_ms = draw_length(rng);
    fault.a = trib_rng_u64(rng);
    fault.b = trib_rng_u64(rng);
    return fault;
}

void schedule_draw(const struct world *world, struct schedule *schedule)
{
    struct trib_rng rng = trib_rng_init(world->seed, "faults", 0, 0);
    *schedule = (struct schedule){.n = 0};
    for (size_t i = 0; i < world->plan.fault_count; i++) {
        struct fault fault = draw_fault(world, &rng);
        if (fault.kind == FAULT_KIND_COUNT) {
            return;
        }
        int64_t over_ms = fault.at_ms + fault.length_ms;
        schedule->end_ms = over_ms > schedule->end_ms ? over_ms : schedule->end_ms;
        schedule->list[schedule->n++] = fault;
    }
}

void schedule_print(const struct schedule *schedule)
{
    char name[16];
    for (size_t i = 0; i < schedule->n; i++) {
        const struct fault *fault = &schedule->list[i];
        printf("  %6" PRId64 " ms  %-8s %-10s for %" PRId64 " ms  (%" PRIx64 ", %" PRIx64 ")\n", fault->at_ms,
               host_name(fault->who, name), fault_name(fault->kind), fault->length_ms, fault->a, fault->b);
    }
}
