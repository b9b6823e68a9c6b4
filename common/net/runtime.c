/* gRPC's start and stop within this process, and where its log goes. */
#include "runtime.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <grpc/support/log.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum {
    /* Lines that a peer can provoke: a burst may pass, then so many a second. */
    LOG_BURST = 20,
    LOG_REFILL_MS = 500
};

static pthread_mutex_t budget_lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t budget_lines = LOG_BURST;
static int64_t budget_refilled_ms;
static int64_t budget_suppressed;

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static bool started;

static _Thread_local bool quiet_thread;

void trib_net_log_quiet(bool quiet)
{
    quiet_thread = quiet;
}

/* One line out of the budget. */
bool trib_net_log_may(int64_t *suppressed)
{
    int64_t now_ms = trib_clock_ms();
    pthread_mutex_lock(&budget_lock);
    int64_t refill = (now_ms - budget_refilled_ms) / LOG_REFILL_MS;
    if (refill > 0) {
        budget_lines = budget_lines + refill < LOG_BURST ? budget_lines + refill : LOG_BURST;
        budget_refilled_ms = now_ms;
    }
    bool may = budget_lines > 0;
    if (may) {
        budget_lines--;
        *suppressed = budget_suppressed;
        budget_suppressed = 0;
    } else {
        budget_suppressed++;
    }
    pthread_mutex_unlock(&budget_lock);
    return may;
}

/* What OpenSSL's terse reasons mean to the person who reads the log. */
static const struct {
    const char *reason;
    const char *hint;
} handshake_hints[] = {
    {"certificate verify failed", "the peer's certificate is not signed by this node's CA, or is out of its dates"},
    {"peer did not return a certificate", "the client has no certificate"},
    {"wrong version number", "the peer does not speak TLS: plain text, or another protocol"},
    {"http request", "the peer does not speak TLS: plain HTTP"},
    {"unsupported protocol", "the peer offers nothing newer than TLS 1.2; 1.3 is required"},
    {"alert unknown ca", "the peer does not know the CA that signed this node's certificate"},
    {"alert certificate expired", "the peer finds this node's certificate expired; are both clocks right?"},
    {"No match found for server name", "the client expects a name that this server's certificate does not carry"},
};

static const char *hint_of(const char *reason)
{
    for (size_t i = 0; i < sizeof handshake_hints / sizeof handshake_hints[0]; i++) {
        if (strstr(reason, handshake_hints[i].reason)) {
            return handshake_hints[i].hint;
        }
    }
    return "";
}

/* The one line of gRPC's for each failed handshake that is short and has the reason; others repeat it at length. */
static bool is_handshake_failure(const char *message)
{
    return trib_str_starts_with(message, "Handshake failed with fatal error") ||
           trib_str_starts_with(message, "No match found for server name");
}

static void route_log(gpr_log_func_args *line)
{
    bool handshake = is_handshake_failure(line->message);
    int64_t suppressed = 0;
    if (quiet_thread || (!handshake && line->severity != GPR_LOG_SEVERITY_ERROR)) {
        trib_log(TRIB_LOG_DEBUG, "net", "grpc", TRIB_F_STR("file", line->file), TRIB_F_INT("line", line->line),
                 TRIB_F_STR("message", line->message));
    } else if (!trib_net_log_may(&suppressed)) {
        return;
    } else if (handshake) {
        trib_log(TRIB_LOG_WARN, "net", "handshake_failed", TRIB_F_STR("reason", line->message),
                 TRIB_F_STR("hint", hint_of(line->message)), TRIB_F_INT("suppressed", suppressed));
    } else {
        trib_log(TRIB_LOG_ERROR, "net", "grpc", TRIB_F_STR("reason", line->message),
                 TRIB_F_INT("suppressed", suppressed));
    }
}

/* ---- failing on purpose ---- */

static _Atomic(int64_t) batches_left = -1;
static _Atomic(int64_t) batches_counted;
static _Atomic(bool) batches_sticky;

int64_t trib_net_fail_after(int64_t after, bool sticky)
{
    atomic_store(&batches_sticky, sticky);
    atomic_store(&batches_left, after);
    return atomic_exchange(&batches_counted, 0);
}

static bool batch_fails(void)
{
    atomic_fetch_add_explicit(&batches_counted, 1, memory_order_relaxed);
    if (atomic_load_explicit(&batches_left, memory_order_relaxed) < 0) {
        return false;
    }
    int64_t left = atomic_fetch_sub(&batches_left, 1);
    if (left == 0 && atomic_load(&batches_sticky)) {
        atomic_store(&batches_left, 0);
    }
    return left == 0;
}

grpc_call_error trib_net_start_batch(grpc_call *call, const grpc_op *ops, size_t n_ops, struct trib_net_tag *tag)
{
    return batch_fails() ? GRPC_CALL_ERROR : grpc_call_start_batch(call, ops, n_ops, tag, NULL);
}

void trib_net_init(void)
{
    pthread_mutex_lock(&start_lock);
    if (!started) {
        started = true;
        gpr_set_log_function(route_log);
        gpr_set_log_verbosity(trib_log_enabled(TRIB_LOG_DEBUG) ? GPR_LOG_SEVERITY_DEBUG : GPR_LOG_SEVERITY_INFO);
    }
    pthread_mutex_unlock(&start_lock);
    grpc_init();
}

void trib_net_shutdown(void)
{
    grpc_shutdown_blocking();
}

const char *trib_net_version(void)
{
    return grpc_version_string();
}
