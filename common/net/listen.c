/* Listening addresses. Any thread. */
#include "listen.h"

#include "base/str.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOST_LEN = 256 };

/* Split "host:port"; brackets around the host are taken off. */
static enum trib_status split(const char *listen, char host[HOST_LEN], const char **port, struct trib_error *error)
{
    const char *colon = strrchr(listen, ':');
    size_t len = colon ? (size_t)(colon - listen) : 0;
    bool bracketed = len >= 2 && listen[0] == '[' && listen[len - 1] == ']';
    int64_t number = 0;
    if (len == 0 || len >= HOST_LEN || (!bracketed && memchr(listen, ':', len))) {
        return trib_fail(error, TRIB_INVALID, "listen: \"%s\" must be host:port, such as 0.0.0.0:7443 or [::]:7443",
                         listen);
    }
    if (trib_parse_int(colon + 1, 0, 65535, &number, NULL) != TRIB_OK) {
        return trib_fail(error, TRIB_INVALID, "listen: \"%s\": the port must be a number from 0 to 65535", listen);
    }
    size_t skip = bracketed ? 1 : 0;
    memcpy(host, listen + skip, len - 2 * skip);
    host[len - 2 * skip] = '\0';
    *port = colon + 1;
    return TRIB_OK;
}

enum trib_status trib_net_listen_check(const char *listen, struct trib_error *error)
{
    char host[HOST_LEN];
    const char *port = NULL;
    return split(listen, host, &port, error);
}

/* The errno of binding and listening as gRPC does, 0 when it works. */
static int try_address(const struct addrinfo *address)
{
    int failure = 0;
    int yes = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, 1) != 0) {
        failure = errno;
    }
    close(fd);
    return failure;
}

static enum trib_status explain(const char *listen, int failure, struct trib_error *error)
{
    switch (failure) {
    case 0:
        return trib_fail(error, TRIB_UNAVAILABLE, "listen: %s: could not be opened; try again", listen);
    case EADDRINUSE:
        return trib_fail(error, TRIB_UNAVAILABLE,
                         "listen: %s: address already in use; choose another port or stop the other process", listen);
    case EADDRNOTAVAIL:
        return trib_fail(error, TRIB_CONFIG, "listen: %s: this machine has no such address", listen);
    case EACCES:
        return trib_fail(error, TRIB_DENIED,
                         "listen: %s: permission denied; ports below 1024 need the capability CAP_NET_BIND_SERVICE",
                         listen);
    default:
        return trib_fail_errno(error, failure, "listen: %s: cannot be opened", listen);
    }
}

enum trib_status trib_net_listen_diagnose(const char *listen, struct trib_error *error)
{
    char host[HOST_LEN];
    const char *port = NULL;
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    TRIB_TRY(split(listen, host, &port, error));
    int unresolved = getaddrinfo(host, port, &hints, &found);
    if (unresolved != 0) {
        return trib_fail(error, TRIB_CONFIG, "listen: %s: %s", listen, gai_strerror(unresolved));
    }
    int failure = 0;
    for (const struct addrinfo *address = found; address && failure == 0; address = address->ai_next) {
        failure = try_address(address);
    }
    freeaddrinfo(found);
    return explain(listen, failure, error);
}
