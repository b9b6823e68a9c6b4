/* Limits and what they become as gRPC channel arguments. */
#include "runtime.h"

#include <assert.h>
#include <limits.h>

void trib_net_limits_default(struct trib_net_limits *limits)
{
    *limits = (struct trib_net_limits){
        .max_message_bytes = (size_t)2 << 20,
        .send_queue_bytes = (size_t)4 << 20,
        .keepalive_ms = 30000,
        .keepalive_timeout_ms = 10000,
        .handshake_timeout_ms = 10000,
        .lookahead_bytes = 0,
        .threads = 0,
    };
}

struct trib_net_limits trib_net_limits_or_default(const struct trib_net_limits *limits, int default_threads)
{
    struct trib_net_limits chosen;
    trib_net_limits_default(&chosen);
    if (limits != NULL) {
        size_t max_message = chosen.max_message_bytes;
        size_t send_queue = chosen.send_queue_bytes;
        int64_t keepalive_timeout = chosen.keepalive_timeout_ms;
        int64_t handshake_timeout = chosen.handshake_timeout_ms;
        chosen = *limits;
        chosen.max_message_bytes = chosen.max_message_bytes > 0 ? chosen.max_message_bytes : max_message;
        chosen.send_queue_bytes = chosen.send_queue_bytes > 0 ? chosen.send_queue_bytes : send_queue;
        chosen.keepalive_timeout_ms = chosen.keepalive_timeout_ms > 0 ? chosen.keepalive_timeout_ms : keepalive_timeout;
        chosen.handshake_timeout_ms = chosen.handshake_timeout_ms > 0 ? chosen.handshake_timeout_ms : handshake_timeout;
    }
    chosen.threads = chosen.threads > 0 ? chosen.threads : default_threads;
    return chosen;
}

static grpc_arg *next_arg(struct trib_net_args *args, const char *key, grpc_arg_type type)
{
    assert(args->n < sizeof args->items / sizeof args->items[0]);
    grpc_arg *arg = &args->items[args->n++];
    /* gRPC's structure lacks the const; it copies what it is given. */
    union {
        const char *in;
        char *out;
    } name = {.in = key};
    arg->type = type;
    arg->key = name.out;
    return arg;
}

void trib_net_args_add_int(struct trib_net_args *args, const char *key, int64_t value)
{
    grpc_arg *arg = next_arg(args, key, GRPC_ARG_INTEGER);
    arg->value.integer = (int)(value < INT_MAX ? value : INT_MAX);
}

void trib_net_args_add_text(struct trib_net_args *args, const char *key, const char *value)
{
    union {
        const char *in;
        char *out;
    } text = {.in = value};
    next_arg(args, key, GRPC_ARG_STRING)->value.string = text.out;
}

void trib_net_args_add_common(struct trib_net_args *args, const struct trib_net_limits *limits)
{
    trib_net_args_add_int(args, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int64_t)limits->max_message_bytes);
    trib_net_args_add_int(args, GRPC_ARG_ENABLE_CHANNELZ, 0);
    /* Compressed input is refused before it could unpack to many times its size; what we send is packed already. */
    trib_net_args_add_int(args, GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
    trib_net_args_add_int(args, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    trib_net_args_add_int(args, GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
    /* A quiet link is pinged, calls or not; a dead peer is noticed within the sum of the two times. */
    trib_net_args_add_int(args, GRPC_ARG_KEEPALIVE_TIME_MS, limits->keepalive_ms > 0 ? limits->keepalive_ms : INT_MAX);
    trib_net_args_add_int(args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, limits->keepalive_timeout_ms);
    trib_net_args_add_int(args, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    trib_net_args_add_int(args, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    if (limits->lookahead_bytes > 0) {
        trib_net_args_add_int(args, GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, limits->lookahead_bytes);
        trib_net_args_add_int(args, GRPC_ARG_HTTP2_BDP_PROBE, 0);
    }
}

grpc_channel_args trib_net_args_done(struct trib_net_args *args)
{
    return (grpc_channel_args){.num_args = args->n, .args = args->items};
}
