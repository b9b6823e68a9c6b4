/* The process and the limits, as the files of this block share them. */
#ifndef TRIB_NET_RUNTIME_H
#define TRIB_NET_RUNTIME_H

#include "net/net.h"

#include <grpc/grpc.h>

/* A quiet log: gRPC's own messages of this thread are logged for debugging only: the caller reports the fault itself.
 */
void trib_net_log_quiet(bool quiet);
/* Whether a line that a peer can provoke may be logged now, and how many were held back since the last one. */
bool trib_net_log_may(int64_t *suppressed);
/* The caller's limits (NULL: defaults) with every zero replaced by its default. */
struct trib_net_limits trib_net_limits_or_default(const struct trib_net_limits *limits, int default_threads);

/* gRPC's call of that name, which trib_net_fail_after can make fail. */
struct trib_net_tag;
grpc_call_error trib_net_start_batch(grpc_call *call, const grpc_op *ops, size_t n_ops, struct trib_net_tag *tag);

/* gRPC channel arguments under construction. */
struct trib_net_args {
    grpc_arg items[32];
    size_t n;
};
void trib_net_args_add_int(struct trib_net_args *args, const char *key, int64_t value);
void trib_net_args_add_text(struct trib_net_args *args, const char *key, const char *value);
void trib_net_args_add_quota(struct trib_net_args *args, grpc_resource_quota *quota);
/* Common arguments are those that both sides need: sizes, keepalive, flow control, no compression, no introspection. */
void trib_net_args_add_common(struct trib_net_args *args, const struct trib_net_limits *limits);
grpc_channel_args trib_net_args_done(struct trib_net_args *args);

#endif
