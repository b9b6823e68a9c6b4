/* Bounds of a round follow from the settings. */
#include "settings/settings.h"

#include <math.h>

bool trib_server_may_be_stale(const struct trib_server_settings *settings)
{
    return settings->max_staleness > 0 || settings->buffer > 0;
}

uint64_t trib_server_most_weight(const struct trib_server_settings *s, uint64_t updates)
{
    return updates * (uint64_t)s->max_examples * (trib_server_may_be_stale(s) ? TRIB_WEIGHT_PARTS : 1);
}

uint64_t trib_server_most_updates(const struct trib_server_settings *s)
{
    uint64_t clients = (uint64_t)s->max_clients, updates = clients;
    if (s->buffer > 0) { /* and those that are being folded when it is full, or wait for the next */
        updates = (uint64_t)(s->buffer + 2 * s->uploads_in_flight);
    } else if (s->clients_per_round > 0) {
        updates = (uint64_t)(ceil((double)s->clients_per_round * s->over_selection) * (double)(1 + s->max_staleness));
    }
    return updates < clients ? updates : clients; /* nobody is folded twice in a round */
}
