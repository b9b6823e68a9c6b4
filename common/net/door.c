/* Accepting connections for gRPC, within limits. Any thread; a door's lock is held around nothing but system calls and
 * a line of the log.
 *
 * libgrpc finds accept4() by name when it is loaded, and a program's own function comes before the C library's. The
 * function below serves every caller of the process: listening sockets without a door get the system's answer. Were
 * gRPC to accept in another way one day, connections would come in unlimited; a unit test would tell. */
#include "door.h"
#include "runtime.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    MAX_STRANGERS = 4096, /* of all addresses */
    N_METERS = 1024,
    PROBES = 8,
    BURST_S = 5,       /* so many seconds' worth of connections may come at once */
    SPARE_FILES = 256, /* kept for everything that is not a connection; at most an eighth of the limit */
    SWEEP_MS = 1000
};

/* An IPv4 address in IPv6's form. */
struct place {
    uint8_t ip[16];
    uint16_t port;
};
struct stranger {
    struct place place;
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

struct trib_net_door {
    struct trib_net_door *next; /* under `doors_lock` */
    int port;
    int64_t max_strangers, rate; /* of an address, 0 = any */
    int spare;                   /* a descriptor to give up for a moment when there are no others */
    pthread_mutex_t lock;        /* what follows */
    struct stranger strangers[MAX_STRANGERS];
    size_t n_strangers;
    struct meter meters[N_METERS];
    int64_t swept_ms;
    uint64_t seed;
};

static pthread_mutex_t doors_lock = PTHREAD_MUTEX_INITIALIZER;
static struct trib_net_door *doors;

/* ---- addresses ---- */

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool place_of(const struct sockaddr_storage *address, struct place *place)
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

/* gRPC's way of writing an address, as trib_net_peer has it: "ipv4:1.2.3.4:5", "ipv6:[::1]:5", "ipv6:[fe80::1%eth0]:5".
 */
static bool place_of_text(const char *text, struct place *place)
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

static void network_of(const struct place *place, uint8_t network[16])
{
    bool v4 = memcmp(place->ip, mapped_prefix, sizeof mapped_prefix) == 0;
    memset(network, 0, 16);
    memcpy(network, place->ip, v4 ? 16 : 8);
}

static bool same_network(const struct place *place, const uint8_t network[16])
{
    uint8_t other[16];
    network_of(place, other);
    return memcmp(other, network, sizeof other) == 0;
}

/* ---- counting, under the lock ---- */

static void forget(struct trib_net_door *door, size_t at)
{
    door->strangers[at] = door->strangers[--door->n_strangers];
}

/* Connections whose handshake failed or that left: nobody tells of them, so they are looked for. */
static void sweep(struct trib_net_door *door, int64_t now_ms)
{
    door->swept_ms = now_ms;
    for (size_t i = door->n_strangers; i > 0; i--) {
        const struct stranger *stranger = &door->strangers[i - 1];
        struct stat info;
        if (fstat(stranger->fd, &info) != 0 || info.st_ino != stranger->inode) {
            forget(door, i - 1);
        }
    }
}

static size_t count_strangers(const struct trib_net_door *door, const uint8_t network[16])
{
    size_t n = 0;
    for (size_t i = 0; i < door->n_strangers; i++) {
        n += same_network(&door->strangers[i].place, network);
    }
    return n;
}

/* The network's own meter; a new one takes the place of that which has been still for the longest. */
static struct meter *meter_of(struct trib_net_door *door, const uint8_t network[16], int64_t now_ms)
{
    size_t first = (size_t)trib_hash64(network, 16, door->seed);
    struct meter *stalest = &door->meters[first % N_METERS];
    for (size_t i = 0; i < PROBES; i++) {
        struct meter *meter = &door->meters[(first + i) % N_METERS];
        if (meter->used && memcmp(meter->network, network, sizeof meter->network) == 0) {
            return meter;
        }
        if (!meter->used || (stalest->used && meter->at_ms < stalest->at_ms)) {
            stalest = meter;
        }
    }
    *stalest = (struct meter){.used = true, .left = (double)door->rate * BURST_S, .at_ms = now_ms};
    memcpy(stalest->network, network, sizeof stalest->network);
    return stalest;
}

static bool may_pass_meter(struct trib_net_door *door, const uint8_t network[16], int64_t now_ms)
{
    if (door->rate == 0) {
        return true;
    }
    struct meter *meter = meter_of(door, network, now_ms);
    double most = (double)door->rate * BURST_S;
    meter->left += (double)door->rate * (double)(now_ms - meter->at_ms) / 1000;
    meter->left = meter->left < most ? meter->left : most;
    meter->at_ms = now_ms;
    if (meter->left < 1) {
        return false;
    }
    meter->left -= 1;
    return true;
}

/* Why a connection may not come in, or NULL; then it counts. */
static const char *judge(struct trib_net_door *door, const struct place *place, int fd, int64_t now_ms)
{
    uint8_t network[16];
    struct stat info;
    network_of(place, network);
    if (now_ms - door->swept_ms >= SWEEP_MS) {
        sweep(door, now_ms);
    }
    if (!may_pass_meter(door, network, now_ms)) {
        return "too many connections of this address in a short time (limits.connections)";
    }
    bool crowded = door->max_strangers > 0 && count_strangers(door, network) >= (size_t)door->max_strangers;
    if (crowded || door->n_strangers == MAX_STRANGERS) {
        sweep(door, now_ms);
        crowded = door->max_strangers > 0 && count_strangers(door, network) >= (size_t)door->max_strangers;
    }
    if (crowded) {
        return "too many connections of this address have shown no certificate yet (limits.strangers)";
    }
    if (door->n_strangers == MAX_STRANGERS) {
        return "too many connections have shown no certificate yet";
    }
    if (fstat(fd, &info) == 0) {
        door->strangers[door->n_strangers++] = (struct stranger){.place = *place, .fd = fd, .inode = info.st_ino};
    }
    return NULL;
}

/* ---- accepting ---- */

/* The highest descriptor that a connection may have; the files of the server want some too. */
static bool leaves_spare_files(int fd)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return true;
    }
    rlim_t spare = limit.rlim_cur / 8 < SPARE_FILES ? limit.rlim_cur / 8 : SPARE_FILES;
    return (rlim_t)fd < limit.rlim_cur - spare;
}

static void turn_away(int fd, const struct sockaddr_storage *address, const char *reason)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    char host[INET6_ADDRSTRLEN] = "";
    int64_t suppressed = 0;
    if (trib_net_log_may(&suppressed)) {
        struct place place;
        if (place_of(address, &place)) {
            bool v4 = memcmp(place.ip, mapped_prefix, sizeof mapped_prefix) == 0;
            inet_ntop(v4 ? AF_INET : AF_INET6, place.ip + (v4 ? sizeof mapped_prefix : 0), host, sizeof host);
        }
        trib_log(TRIB_LOG_WARN, "net", "connection_refused", TRIB_F_STR("address", host), TRIB_F_STR("reason", reason),
                 TRIB_F_INT("suppressed", suppressed));
    }
    /* A reset leaves nothing behind at our end, and the other one knows at once. */
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
}

static int system_accept(int listener, struct sockaddr_storage *address, socklen_t *len, int flags)
{
    return (int)syscall(SYS_accept4, listener, address, len, flags);
}

/* No descriptor is free: give the spare one up, take the connection, turn it away. It would else wait for ever. */
static bool turn_away_unseen(struct trib_net_door *door, int listener)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof address;
    pthread_mutex_lock(&door->lock);
    if (door->spare >= 0) {
        close(door->spare);
    }
    int fd = system_accept(listener, &address, &len, SOCK_CLOEXEC);
    if (fd >= 0) {
        turn_away(fd, &address, "no file descriptor is free; raise LimitNOFILE, or lower max_clients");
    }
    door->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pthread_mutex_unlock(&door->lock);
    return fd >= 0;
}

/* Take the next connection that may come in. -1 with EAGAIN: there is none now. gRPC gets no other error, as it would
 * never accept again. */
static int admit(struct trib_net_door *door, int listener, struct sockaddr_storage *address, socklen_t *len, int flags)
{
    for (;;) {
        struct place place;
        const char *reason = NULL;
        *len = sizeof *address;
        int fd = system_accept(listener, address, len, flags);
        if (fd < 0) {
            bool wait = errno != EINTR && errno != ECONNABORTED && errno != EPROTO && errno != EPERM;
            if ((errno == EMFILE || errno == ENFILE) ? !turn_away_unseen(door, listener) : wait) {
                errno = EAGAIN;
                return -1;
            }
            continue;
        }
        if (!leaves_spare_files(fd)) {
            reason = "hardly a file descriptor is free; raise LimitNOFILE, or lower max_clients";
        } else if (place_of(address, &place)) {
            pthread_mutex_lock(&door->lock);
            reason = judge(door, &place, fd, trib_clock_ms());
            pthread_mutex_unlock(&door->lock);
        }
        if (!reason) {
            return fd;
        }
        turn_away(fd, address, reason);
    }
}

static struct trib_net_door *door_of(int listener)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    struct place place;
    if (getsockname(listener, (struct sockaddr *)&address, &len) != 0 || !place_of(&address, &place)) {
        return NULL;
    }
    pthread_mutex_lock(&doors_lock);
    struct trib_net_door *door = doors;
    while (door && door->port != place.port) {
        door = door->next;
    }
    pthread_mutex_unlock(&doors_lock);
    return door;
}

/* The C library's function, for this whole program. */
__attribute__((visibility("default"))) int accept4(int listener, __SOCKADDR_ARG address, socklen_t *restrict len,
                                                   int flags)
{
    struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
    socklen_t from_len = sizeof from;
    struct trib_net_door *door = door_of(listener);
    int fd = door ? admit(door, listener, &from, &from_len, flags) : system_accept(listener, &from, &from_len, flags);
    if (fd >= 0 && address.__sockaddr__ && len) {
        memcpy(address.__sockaddr__, &from, *len < from_len ? *len : from_len);
        *len = from_len;
    }
    return fd;
}

/* ---- life ---- */

enum trib_status trib_net_door_open(int port, const struct trib_net_limits *limits, struct trib_net_door **door,
                                    struct trib_error *error)
{
    struct trib_net_door *made = trib_calloc(1, sizeof *made);
    if (!made) {
        return trib_fail_no_memory(error);
    }
    made->port = port;
    made->max_strangers = limits->max_strangers;
    made->rate = limits->connection_rate;
    made->seed = (uint64_t)trib_clock_ns();
    made->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pthread_mutex_init(&made->lock, NULL);
    pthread_mutex_lock(&doors_lock);
    made->next = doors;
    doors = made;
    pthread_mutex_unlock(&doors_lock);
    *door = made;
    return TRIB_OK;
}

void trib_net_door_close(struct trib_net_door *door)
{
    if (!door) {
        return;
    }
    pthread_mutex_lock(&doors_lock);
    struct trib_net_door **at = &doors;
    while (*at != door) {
        at = &(*at)->next;
    }
    *at = door->next;
    pthread_mutex_unlock(&doors_lock);
    if (door->spare >= 0) {
        close(door->spare);
    }
    pthread_mutex_destroy(&door->lock);
    trib_free(door);
}

void trib_net_door_known(struct trib_net_door *door, const char *address)
{
    struct place place;
    if (!place_of_text(address, &place)) {
        return;
    }
    pthread_mutex_lock(&door->lock);
    size_t at = 0;
    while (at < door->n_strangers && (door->strangers[at].place.port != place.port ||
                                      memcmp(door->strangers[at].place.ip, place.ip, sizeof place.ip) != 0)) {
        at++;
    }
    if (at < door->n_strangers) {
        forget(door, at);
    }
    pthread_mutex_unlock(&door->lock);
}
