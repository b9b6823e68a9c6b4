/* The rows of connections. Any thread; nothing here changes. */
#include "base/net_settings.h"

#define TLS(member) offsetof(struct trib_tls_settings, member)
#define NET(member) offsetof(struct trib_net_settings, member)

static const struct trib_config_row tls_rows[] = {
    TRIB_ROW("ca", TRIB_TYPE_PATH, TLS(ca), NULL, 1, 4096, NULL, TRIB_ROW_REQUIRED,
             "PEM file of the CA that signed every node of the federation."),
    TRIB_ROW("certificate", TRIB_TYPE_PATH, TLS(certificate), NULL, 1, 4096, NULL, TRIB_ROW_REQUIRED,
             "PEM file of this node's certificate, which states its identity."),
    TRIB_ROW("key", TRIB_TYPE_PATH, TLS(key), NULL, 1, 4096, NULL, TRIB_ROW_REQUIRED,
             "PEM file of the certificate's private key, readable by the owner only."),
};
static const struct trib_config_row net_rows[] = {
    TRIB_ROW("keepalive", TRIB_TYPE_DURATION, NET(keepalive_ms), "30s", 0, 3600e3, NULL, 0,
             "Ping an idle connection this often; 0s = never."),
    TRIB_ROW("lookahead", TRIB_TYPE_SIZE, NET(lookahead_bytes), "4MiB", 0, 1 << 30, NULL, 0,
             "Bytes that a stream may have in flight: 16MiB suits long fat links. 0 = let gRPC adapt, at the price of "
             "memory."),
};

const struct trib_config_group trib_tls_group = {TRIB_GROUP_ROWS(tls_rows), .size = sizeof(struct trib_tls_settings)};
const struct trib_config_group trib_net_group = {TRIB_GROUP_ROWS(net_rows), .size = sizeof(struct trib_net_settings)};
