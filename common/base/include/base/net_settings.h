/* A connection's settings: the same keys for every daemon, under "tls" and "net". They are here, below the block that
 * opens connections, because the blocks that read a daemon's settings do not see that one. */
#ifndef TRIB_BASE_NET_SETTINGS_H
#define TRIB_BASE_NET_SETTINGS_H

#include "base/config_table.h"

struct trib_tls_settings {
    char *ca, *certificate, *key; /* paths of PEM files */
};
struct trib_net_settings {
    int64_t keepalive_ms, lookahead_bytes;
};
extern const struct trib_config_group trib_tls_group, trib_net_group;

#endif
