/* What the files of this block share about the process and about limits. */
#ifndef TRIB_NET_RUNTIME_H
#define TRIB_NET_RUNTIME_H

#include "net/net.h"

#include <grpc/grpc.h>

/* While set, gRPC's own messages of this thread are logged for debugging only: the caller reports the fault itself. */
void trib_net_log_quiet(bool quiet);
/* The caller's limits (NULL: defaults) with every zero replaced by its default. */
struct trib_net_limits trib_net_limits_or_default(const struct trib_net_limits *limits, int default_threads);

/* gRPC channel arguments under construction. */
struct trib_net_args {
    grpc_arg items[32];
    size_t n;
};
void trib_net_args_add_int(struct trib_net_args *args, const char *key, int64_t value);
void trib_net_args_add_text(struct trib_net_args *args, const char *key, const char *value);
/* Those that both sides need: sizes, keepalive, flow control, no compression, no introspection. */
void trib_net_args_add_common(struct trib_net_args *args, const struct trib_net_limits *limits);
grpc_channel_args trib_net_args_done(struct trib_net_args *args);

#endif
