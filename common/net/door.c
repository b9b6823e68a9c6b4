/* Accepting connections for gRPC, within limits. Any thread; a door's lock is held around nothing but system calls and
 * a line of the log.
 *
 * libgrpc finds accept4() by name when it is loaded, and a program's own function comes before the C library's. The
 * function below serves every caller of the process: listening sockets without a door get the system's answer. Were
 * gRPC to accept in another way one day, connections would come in unlimited; a unit test would tell. */
#include "crowd.h"
#include "door.h"
#include "runtime.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPARE_FILES = 256 /* kept for everything that is not a connection; at most an eighth of the limit */ };

struct trib_net_door {
    struct trib_net_door *next; /* under `doors_lock` */
    int port;
    int spare;            /* a descriptor to give up for a moment when there are no others */
    pthread_mutex_t lock; /* what follows, and the spare descriptor */
    struct trib_net_crowd *crowd;
};

static pthread_mutex_t doors_lock = PTHREAD_MUTEX_INITIALIZER;
static struct trib_net_door *doors;

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
        struct trib_net_place place;
        if (trib_net_place_of(address, &place)) {
            trib_net_place_host(&place, host);
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
        struct trib_net_place place;
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
        } else if (trib_net_place_of(address, &place)) {
            pthread_mutex_lock(&door->lock);
            reason = trib_net_crowd_judge(door->crowd, &place, fd, trib_clock_ms());
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
    struct trib_net_place place;
    if (getsockname(listener, (struct sockaddr *)&address, &len) != 0 || !trib_net_place_of(&address, &place)) {
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
    struct trib_net_crowd *crowd = trib_net_crowd_new(limits->max_strangers, limits->connection_rate);
    if (!made || !crowd) {
        trib_net_crowd_free(crowd);
        trib_free(made);
        return trib_fail_no_memory(error);
    }
    made->port = port;
    made->crowd = crowd;
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
    trib_net_crowd_free(door->crowd);
    trib_free(door);
}

void trib_net_door_known(struct trib_net_door *door, const char *address)
{
    struct trib_net_place place;
    if (trib_net_place_of_text(address, &place)) {
        pthread_mutex_lock(&door->lock);
        trib_net_crowd_known(door->crowd, &place);
        pthread_mutex_unlock(&door->lock);
    }
}
