/* Limits, and the gRPC channel arguments that they become. */
#include "runtime.h"

#include <assert.h>
#include <limits.h>

void trib_net_limits_default(struct trib_net_limits *limits)
{
    *limits = (struct trib_net_limits){
        .max_message_bytes = (size_t)2 << 20,
        .send_queue_bytes = (size_t)4 << 20,
        .keepalive_ms = 30000,
        .handshake_timeout_ms = 10000,
        .lookahead_bytes = 0,
        .threads = 0,
        .idle_ms = 60000,
        .max_strangers = 512,
        .connection_rate = 0,
        .calls_per_connection = 256,
        .memory_bytes = 0,
    };
}

struct trib_net_limits trib_net_limits_of(const struct trib_net_settings *settings)
{
    struct trib_net_limits limits;
    trib_net_limits_default(&limits);
    limits.keepalive_ms = settings->keepalive_ms;
    limits.lookahead_bytes = settings->lookahead_bytes;
    return limits;
}

struct trib_net_tls trib_net_tls_of(const struct trib_tls_settings *settings)
{
    return (struct trib_net_tls){
        .ca_path = settings->ca, .cert_path = settings->certificate, .key_path = settings->key};
}

static int64_t or_default(int64_t value, int64_t standard)
{
    return value > 0 ? value : standard;
}

/* A ping waits behind what a slow line has to carry first, so its answer gets as long as it takes until the next. */
static int64_t patience(int64_t keepalive_ms)
{
    enum { LEAST_MS = 5000, MOST_MS = 30000 };
    return keepalive_ms < LEAST_MS ? LEAST_MS : keepalive_ms > MOST_MS ? MOST_MS : keepalive_ms;
}

struct trib_net_limits trib_net_limits_or_default(const struct trib_net_limits *limits, int default_threads)
{
    struct trib_net_limits chosen;
    trib_net_limits_default(&chosen);
    if (limits) {
        const struct trib_net_limits standard = chosen;
        chosen = *limits;
        chosen.max_message_bytes =
            limits->max_message_bytes > 0 ? limits->max_message_bytes : standard.max_message_bytes;
        chosen.send_queue_bytes = limits->send_queue_bytes > 0 ? limits->send_queue_bytes : standard.send_queue_bytes;
        chosen.handshake_timeout_ms = or_default(limits->handshake_timeout_ms, standard.handshake_timeout_ms);
        chosen.idle_ms = or_default(limits->idle_ms, standard.idle_ms);
        chosen.calls_per_connection =
            limits->calls_per_connection > 0 ? limits->calls_per_connection : standard.calls_per_connection;
    }
    chosen.keepalive_timeout_ms = or_default(chosen.keepalive_timeout_ms, patience(chosen.keepalive_ms));
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

void trib_net_args_add_quota(struct trib_net_args *args, grpc_resource_quota *quota)
{
    grpc_arg *arg = next_arg(args, GRPC_ARG_RESOURCE_QUOTA, GRPC_ARG_POINTER);
    arg->value.pointer.p = quota;
    arg->value.pointer.vtable = grpc_resource_quota_arg_vtable();
}

grpc_channel_args trib_net_args_done(struct trib_net_args *args)
{
    return (grpc_channel_args){.num_args = args->n, .args = args->items};
}
