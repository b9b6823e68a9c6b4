/* A crowd is the connections at one door: how many of an address have come lately, and how many of those nobody knows
 * yet (strangers). An address is an IPv4 address, or the /64 network of an IPv6 one. One thread at a time (the door's
 * lock); time comes from the caller, and nothing here waits. */
#ifndef TRIB_NET_CROWD_H
#define TRIB_NET_CROWD_H

#include "net/net.h"

#include <netinet/in.h>
#include <sys/socket.h>

enum { TRIB_NET_CROWD_STRANGERS = 4096 /* of all addresses */ };

/* A place is where a connection comes from; an IPv4 address is in IPv6's form. */
struct trib_net_place {
    uint8_t ip[16];
    uint16_t port;
};
/* trib_net_place_of is false for an address of another family. */
bool trib_net_place_of(const struct sockaddr_storage *address, struct trib_net_place *place);
/* trib_net_place_of_text reads gRPC's way of writing an address, as trib_net_peer has it: "ipv4:1.2.3.4:5",
 * "ipv6:[::1]:5", "ipv6:[fe80::1%eth0]:5". False: it is none. */
bool trib_net_place_of_text(const char *text, struct trib_net_place *place);
/* trib_net_place_host writes the address without its port, and returns `host`. */
const char *trib_net_place_host(const struct trib_net_place *place, char host[INET6_ADDRSTRLEN]);

struct trib_net_crowd; /* opaque */

/* A crowd's bounds, max_strangers and connection_rate, are of an address, 0 = any number. NULL when memory is short. */
struct trib_net_crowd *trib_net_crowd_new(int64_t max_strangers, int64_t connection_rate);
void trib_net_crowd_free(struct trib_net_crowd *crowd); /* NULL is allowed */
/* trib_net_crowd_judge says why the connection `fd` may not come in; NULL: it may, and counts as a stranger. */
const char *trib_net_crowd_judge(struct trib_net_crowd *crowd, const struct trib_net_place *place, int fd,
                                 int64_t now_ms);
/* trib_net_crowd_known takes the connection from this place out of the strangers, if it is one. */
void trib_net_crowd_known(struct trib_net_crowd *crowd, const struct trib_net_place *place);
size_t trib_net_crowd_count(const struct trib_net_crowd *crowd); /* strangers, of all addresses */

#endif
