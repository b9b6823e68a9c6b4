/* Counting a door's connections: strangers in a list that is swept, and a token bucket for each network that has been
 * here lately. One thread at a time. */
#include "crowd.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/stat.h>

enum {
    N_METERS = 1024,
    PROBES = 8,
    BURST_S = 5, /* so many seconds' worth of connections may come at once */
    SWEEP_MS = 1000
};

struct stranger {
    struct trib_net_place place;
    int fd;
    ino_t inode; /* another one under this number: the connection has gone */
};
/* A token bucket. */
struct meter {
    uint8_t network[16];
    bool used;
    double left;
    int64_t at_ms;
};

struct trib_net_crowd {
    int64_t max_strangers, rate; /* of an address, 0 = any */
    struct stranger strangers[TRIB_NET_CROWD_STRANGERS];
    size_t n_strangers;
    struct meter meters[N_METERS];
    int64_t swept_ms;
    uint64_t seed;
};

/* ---- addresses ---- */

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

bool trib_net_place_of(const struct sockaddr_storage *address, struct trib_net_place *place)
{
    memset(place, 0, sizeof *place);
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        memcpy(place->ip, mapped_prefix, sizeof mapped_prefix);
        memcpy(place->ip + sizeof mapped_prefix, &in->sin_addr, sizeof in->sin_addr);
        place->port = ntohs(in->sin_port);
        return true;
    }
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;
        memcpy(place->ip, &in->sin6_addr, sizeof place->ip);
        place->port = ntohs(in->sin6_port);
        return true;
    }
    return false;
}

bool trib_net_place_of_text(const char *text, struct trib_net_place *place)
{
    char host[128];
    int64_t port = 0;
    bool v6 = trib_str_starts_with(text, "ipv6:");
    const char *from = text + strlen("ipv4:") + (v6 ? 1 : 0);
    const char *colon = strrchr(text, ':');
    if ((!v6 && !trib_str_starts_with(text, "ipv4:")) || colon <= from ||
        trib_parse_int(colon + 1, 0, 65535, &port, NULL) != TRIB_OK) {
        return false;
    }
    size_t len = strcspn(from, v6 ? "%]" : ":");
    if (len >= sizeof host) {
        return false;
    }
    memcpy(host, from, len);
    host[len] = '\0';
    memset(place, 0, sizeof *place);
    memcpy(place->ip, mapped_prefix, sizeof mapped_prefix);
    place->port = (uint16_t)port;
    return inet_pton(v6 ? AF_INET6 : AF_INET, host, v6 ? place->ip : place->ip + sizeof mapped_prefix) == 1;
}

const char *trib_net_place_host(const struct trib_net_place *place, char host[INET6_ADDRSTRLEN])
{
    bool v4 = memcmp(place->ip, mapped_prefix, sizeof mapped_prefix) == 0;
    return inet_ntop(v4 ? AF_INET : AF_INET6, place->ip + (v4 ? sizeof mapped_prefix : 0), host, INET6_ADDRSTRLEN);
}

/* What counts as one address. */
static void network_of(const struct trib_net_place *place, uint8_t network[16])
{
    bool v4 = memcmp(place->ip, mapped_prefix, sizeof mapped_prefix) == 0;
    memset(network, 0, 16);
    memcpy(network, place->ip, v4 ? 16 : 8);
}

static bool same_network(const struct trib_net_place *place, const uint8_t network[16])
{
    uint8_t other[16];
    network_of(place, other);
    return memcmp(other, network, sizeof other) == 0;
}

/* ---- counting ---- */

static void forget(struct trib_net_crowd *crowd, size_t at)
{
    crowd->strangers[at] = crowd->strangers[--crowd->n_strangers];
}

/* Connections whose handshake failed or that left: nobody tells of them, so they are looked for. */
static void sweep(struct trib_net_crowd *crowd, int64_t now_ms)
{
    crowd->swept_ms = now_ms;
    for (size_t i = crowd->n_strangers; i > 0; i--) {
        const struct stranger *stranger = &crowd->strangers[i - 1];
        struct stat info;
        if (fstat(stranger->fd, &info) != 0 || info.st_ino != stranger->inode) {
            forget(crowd, i - 1);
        }
    }
}

static size_t count_strangers(const struct trib_net_crowd *crowd, const uint8_t network[16])
{
    size_t n = 0;
    for (size_t i = 0; i < crowd->n_strangers; i++) {
        n += same_network(&crowd->strangers[i].place, network);
    }
    return n;
}

/* The network's own meter; a new one takes the place of that which has been still for the longest. */
static struct meter *meter_of(struct trib_net_crowd *crowd, const uint8_t network[16], int64_t now_ms)
{
    size_t first = (size_t)trib_hash64(network, 16, crowd->seed);
    struct meter *stalest = &crowd->meters[first % N_METERS];
    for (size_t i = 0; i < PROBES; i++) {
        struct meter *meter = &crowd->meters[(first + i) % N_METERS];
        if (meter->used && memcmp(meter->network, network, sizeof meter->network) == 0) {
            return meter;
        }
        if (!meter->used || (stalest->used && meter->at_ms < stalest->at_ms)) {
            stalest = meter;
        }
    }
    *stalest = (struct meter){.used = true, .left = (double)crowd->rate * BURST_S, .at_ms = now_ms};
    memcpy(stalest->network, network, sizeof stalest->network);
    return stalest;
}

static bool may_pass_meter(struct trib_net_crowd *crowd, const uint8_t network[16], int64_t now_ms)
{
    if (crowd->rate == 0) {
        return true;
    }
    struct meter *meter = meter_of(crowd, network, now_ms);
    double most = (double)crowd->rate * BURST_S;
    meter->left += (double)crowd->rate * (double)(now_ms - meter->at_ms) / 1000;
    meter->left = meter->left < most ? meter->left : most;
    meter->at_ms = now_ms;
    if (meter->left < 1) {
        return false;
    }
    meter->left -= 1;
    return true;
}

const char *trib_net_crowd_judge(struct trib_net_crowd *crowd, const struct trib_net_place *place, int fd,
                                 int64_t now_ms)
{
    uint8_t network[16];
    struct stat info;
    network_of(place, network);
    if (now_ms - crowd->swept_ms >= SWEEP_MS) {
        sweep(crowd, now_ms);
    }
    if (!may_pass_meter(crowd, network, now_ms)) {
        return "too many connections of this address in a short time (limits.connections)";
    }
    bool crowded = crowd->max_strangers > 0 && count_strangers(crowd, network) >= (size_t)crowd->max_strangers;
    if (crowded || crowd->n_strangers == TRIB_NET_CROWD_STRANGERS) {
        sweep(crowd, now_ms);
        crowded = crowd->max_strangers > 0 && count_strangers(crowd, network) >= (size_t)crowd->max_strangers;
    }
    if (crowded) {
        return "too many connections of this address have shown no certificate yet (limits.strangers)";
    }
    if (crowd->n_strangers == TRIB_NET_CROWD_STRANGERS) {
        return "too many connections have shown no certificate yet";
    }
    if (fstat(fd, &info) == 0) {
        crowd->strangers[crowd->n_strangers++] = (struct stranger){.place = *place, .fd = fd, .inode = info.st_ino};
    }
    return NULL;
}

void trib_net_crowd_known(struct trib_net_crowd *crowd, const struct trib_net_place *place)
{
    size_t at = 0;
    while (at < crowd->n_strangers && (crowd->strangers[at].place.port != place->port ||
                                       memcmp(crowd->strangers[at].place.ip, place->ip, sizeof place->ip) != 0)) {
        at++;
    }
    if (at < crowd->n_strangers) {
        forget(crowd, at);
    }
}

size_t trib_net_crowd_count(const struct trib_net_crowd *crowd)
{
    return crowd->n_strangers;
}

/* ---- life ---- */

struct trib_net_crowd *trib_net_crowd_new(int64_t max_strangers, int64_t connection_rate)
{
    struct trib_net_crowd *made = trib_calloc(1, sizeof *made);
    if (made) {
        made->max_strangers = max_strangers;
        made->rate = connection_rate;
        made->seed = (uint64_t)trib_clock_ns();
    }
    return made;
}

void trib_net_crowd_free(struct trib_net_crowd *crowd)
{
    trib_free(crowd);
}
