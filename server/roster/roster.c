/* Nodes in an array by number, their names in a map, and one allocation for each session. */
#include "roster/roster.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

struct session {
    struct trib_peer *peer;
    struct trib_session_facts facts;
};
struct known {
    char *node;
    struct session *session; /* NULL while it is away */
    int64_t first_seen_ms;   /* wall clock; 0: not yet */
    uint64_t joined;
};
struct trib_roster {
    struct trib_filters filters;
    struct known *known; /* [n] */
    size_t n, capacity, connected;
    struct trib_map *by_node; /* node -> number + 1, as a pointer */
};

enum trib_status trib_roster_new(const struct trib_filters *filters, struct trib_roster **roster,
                                 struct trib_error *error)
{
    struct trib_roster *made = trib_calloc(1, sizeof *made);
    struct trib_map *by_node = trib_map_new();
    if (!made || !by_node) {
        trib_free(made);
        trib_map_free(by_node);
        return trib_fail_no_memory(error);
    }
    made->filters = *filters;
    made->by_node = by_node;
    *roster = made;
    return TRIB_OK;
}

void trib_roster_free(struct trib_roster *roster)
{
    if (!roster) {
        return;
    }
    for (uint32_t i = 0; i < roster->n; i++) {
        trib_roster_end(roster, i, NULL, false, 0);
        trib_free(roster->known[i].node);
    }
    trib_map_free(roster->by_node);
    trib_free(roster->known);
    trib_free(roster);
}

/* ---- nodes ---- */

enum trib_status trib_roster_add(struct trib_roster *roster, const char *node, uint32_t *number)
{
    if (roster->n == roster->capacity) {
        size_t capacity = roster->capacity ? roster->capacity * 2 : 16;
        struct known *known = trib_realloc_array(roster->known, capacity, sizeof *known);
        if (!known) {
            return TRIB_NO_MEMORY;
        }
        roster->known = known;
        roster->capacity = capacity;
    }
    char *name = trib_strdup(node);
    uint32_t next = (uint32_t)roster->n;
    if (!name || trib_map_put(roster->by_node, node, (void *)((uintptr_t)next + 1)) != TRIB_OK) {
        trib_free(name);
        return TRIB_NO_MEMORY;
    }
    roster->known[roster->n++] = (struct known){.node = name};
    *number = next;
    return TRIB_OK;
}

bool trib_roster_find(const struct trib_roster *roster, const char *node, uint32_t *number)
{
    uintptr_t stored = (uintptr_t)trib_map_get(roster->by_node, node);
    *number = (uint32_t)(stored - 1);
    return stored != 0;
}

const char *trib_roster_node(const struct trib_roster *roster, uint32_t number)
{
    return roster->known[number].node;
}

size_t trib_roster_known(const struct trib_roster *roster)
{
    return roster->n;
}

void trib_roster_recall(struct trib_roster *roster, uint32_t number, int64_t first_seen_ms, uint64_t joined)
{
    roster->known[number].first_seen_ms = first_seen_ms;
    roster->known[number].joined = joined;
}

int64_t trib_roster_first_seen_ms(const struct trib_roster *roster, uint32_t number)
{
    return roster->known[number].first_seen_ms;
}

uint64_t trib_roster_joined(const struct trib_roster *roster, uint32_t number)
{
    return roster->known[number].joined;
}

/* ---- sessions ---- */

enum trib_status trib_roster_join(struct trib_roster *roster, uint32_t number, struct trib_peer *peer,
                                  const struct trib_introduction *introduction, int64_t wall_ms)
{
    struct known *known = &roster->known[number];
    struct session *session = trib_calloc(1, sizeof *session);
    if (!session) {
        return TRIB_NO_MEMORY;
    }
    session->peer = peer->ops->ref(peer);
    session->peer->client = number;
    session->facts.said = *introduction;
    session->facts.device_filtered = trib_filter_device(&roster->filters, &introduction->device);
    known->session = session;
    known->joined++;
    known->first_seen_ms = known->first_seen_ms > 0 ? known->first_seen_ms : wall_ms;
    roster->connected++;
    return TRIB_OK;
}

void trib_roster_end(struct trib_roster *roster, uint32_t number, const char *reason, bool final,
                     uint32_t retry_seconds)
{
    struct session *session = roster->known[number].session;
    if (session) {
        if (reason) {
            session->peer->ops->close(session->peer, reason, final, retry_seconds);
        }
        session->peer->ops->unref(session->peer);
        trib_free(session);
        roster->known[number].session = NULL;
        roster->connected--;
    }
}

void trib_roster_end_all(struct trib_roster *roster, const char *reason, bool final, uint32_t retry_seconds)
{
    for (uint32_t i = 0; i < roster->n; i++) {
        trib_roster_end(roster, i, reason, final, retry_seconds);
    }
}

size_t trib_roster_connected(const struct trib_roster *roster)
{
    return roster->connected;
}

const struct trib_session_facts *trib_roster_session(const struct trib_roster *roster, uint32_t number)
{
    const struct session *session = number < roster->n ? roster->known[number].session : NULL;
    return session ? &session->facts : NULL;
}

bool trib_roster_of_peer(const struct trib_roster *roster, const struct trib_peer *peer, uint32_t *number)
{
    const struct session *session = peer->client < roster->n ? roster->known[peer->client].session : NULL;
    *number = peer->client;
    return session && session->peer == peer;
}

void trib_roster_dismiss(struct trib_roster *roster, uint32_t number, const char *reason)
{
    const struct session *session = roster->known[number].session;
    if (session) {
        session->peer->ops->close(session->peer, reason, false, 0);
    }
}

void trib_roster_send(struct trib_roster *roster, uint32_t number, Tributary__V1__ServerMessage *message)
{
    const struct session *session = roster->known[number].session;
    if (session && session->peer->ops->send(session->peer, &message->base) != TRIB_OK) {
        trib_log(TRIB_LOG_DEBUG, "engine", "send_failed", TRIB_F_STR("node", roster->known[number].node));
    }
}

const char *trib_roster_filtered(const struct trib_roster *roster, uint32_t number)
{
    const struct trib_session_facts *facts = trib_roster_session(roster, number);
    return !facts ? NULL : facts->said.filtered ? facts->said.filtered : facts->device_filtered;
}

bool trib_roster_eligible(const struct trib_roster *roster, uint32_t number)
{
    return !trib_roster_filtered(roster, number);
}

bool trib_roster_device(struct trib_roster *roster, uint32_t number, const struct trib_client_device *device)
{
    struct session *session = roster->known[number].session;
    const char *now = trib_filter_device(&roster->filters, device);
    if (!session || now == session->facts.device_filtered) {
        return false;
    }
    session->facts.device_filtered = now;
    return true;
}

void trib_roster_note_graph(struct trib_roster *roster, uint32_t number, bool sent)
{
    if (roster->known[number].session) {
        roster->known[number].session->facts.graph_sent = sent;
    }
}

void trib_roster_note_held(struct trib_roster *roster, uint32_t number, uint64_t version)
{
    struct session *session = roster->known[number].session;
    if (session) {
        session->facts.holds_model = true;
        session->facts.held = version;
    }
}
