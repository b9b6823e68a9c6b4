/* Token buckets and counts by node. */
#include "nodes.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

enum {
    BURST_S = 4,         /* so many seconds' worth of messages may come at once */
    NEW_CONNECTION = 25, /* what the first call of another connection counts as: it took a handshake */
    ADDRESS_LEN = 64,
    LOG_BURST = 50,
    LOG_REFILL_MS = 1000,
    FORGET_MS = 10000 /* how often nodes are looked through */
};

/* Fills by `rate` a second up to `most`; may go below zero, and is then in debt. */
struct bucket {
    double left;
    int64_t at_ms;
};

struct trib_node {
    struct trib_node *next;
    char *name;
    char address[ADDRESS_LEN]; /* that its last call came from */
    int64_t calls;
    int64_t paused_until_ms;
    struct bucket messages, bytes, lines;
    int64_t suppressed;
};

struct trib_nodes {
    struct trib_node_limits limits;
    pthread_mutex_t lock; /* what follows */
    struct trib_map *by_name;
    struct trib_node *first;
    int64_t forgotten_ms;
};

static double refill(struct bucket *bucket, double rate, double most, int64_t now_ms)
{
    double left = bucket->left + rate * (double)(now_ms - bucket->at_ms) / 1000;
    bucket->left = left < most ? left : most;
    bucket->at_ms = now_ms;
    return bucket->left;
}

static bool take(struct bucket *bucket, double n, double rate, double most, int64_t now_ms)
{
    bool enough = refill(bucket, rate, most, now_ms) >= n;
    bucket->left -= enough ? n : 0;
    return enough;
}

struct trib_nodes *trib_nodes_new(const struct trib_node_limits *limits)
{
    struct trib_nodes *nodes = trib_calloc(1, sizeof *nodes);
    if (!nodes) {
        return NULL;
    }
    nodes->limits = *limits;
    nodes->by_name = trib_map_new();
    if (!nodes->by_name) {
        trib_free(nodes);
        return NULL;
    }
    pthread_mutex_init(&nodes->lock, NULL);
    return nodes;
}

static void free_node(struct trib_node *node)
{
    trib_free(node->name);
    trib_free(node);
}

void trib_nodes_free(struct trib_nodes *nodes)
{
    if (!nodes) {
        return;
    }
    while (nodes->first) {
        struct trib_node *node = nodes->first;
        nodes->first = node->next;
        free_node(node);
    }
    trib_map_free(nodes->by_name);
    pthread_mutex_destroy(&nodes->lock);
    trib_free(nodes);
}

/* ---- under the lock ---- */

static double most_messages(const struct trib_nodes *nodes)
{
    return (double)nodes->limits.messages * BURST_S + NEW_CONNECTION;
}

static bool is_settled(const struct trib_nodes *nodes, struct trib_node *node, int64_t now_ms)
{
    double rate = (double)nodes->limits.messages;
    return node->calls == 0 && now_ms >= node->paused_until_ms &&
           refill(&node->messages, rate, most_messages(nodes), now_ms) >= most_messages(nodes) &&
           refill(&node->bytes, (double)nodes->limits.upload_rate, 0, now_ms) >= 0 &&
           refill(&node->lines, 1000.0 / LOG_REFILL_MS, LOG_BURST, now_ms) >= LOG_BURST;
}

static void forget_settled(struct trib_nodes *nodes, int64_t now_ms)
{
    struct trib_node **at = &nodes->first;
    nodes->forgotten_ms = now_ms;
    while (*at) {
        struct trib_node *node = *at;
        if (is_settled(nodes, node, now_ms)) {
            *at = node->next;
            trib_map_remove(nodes->by_name, node->name);
            free_node(node);
        } else {
            at = &node->next;
        }
    }
}

static struct trib_node *find_or_add(struct trib_nodes *nodes, const char *name, int64_t now_ms)
{
    struct trib_node *node = trib_map_get(nodes->by_name, name);
    if (node) {
        return node;
    }
    if (now_ms - nodes->forgotten_ms >= FORGET_MS) {
        forget_settled(nodes, now_ms);
    }
    node = trib_calloc(1, sizeof *node);
    char *copy = trib_strdup(name);
    if (!node || !copy || trib_map_put(nodes->by_name, name, node) != TRIB_OK) {
        trib_free(node);
        trib_free(copy);
        return NULL;
    }
    node->name = copy;
    node->messages = (struct bucket){.left = most_messages(nodes), .at_ms = now_ms};
    node->bytes = (struct bucket){.left = 0, .at_ms = now_ms};
    node->lines = (struct bucket){.left = LOG_BURST, .at_ms = now_ms};
    node->paused_until_ms = now_ms;
    node->next = nodes->first;
    nodes->first = node;
    return node;
}

static enum trib_status fail_paused(const struct trib_nodes *nodes, const struct trib_node *node, int64_t now_ms,
                                    struct trib_error *error)
{
    return trib_fail(error, TRIB_LIMIT,
                     "messages come faster than they can be taken: more than %" PRId64
                     " a second (limits.messages); come back in %" PRId64 " s",
                     nodes->limits.messages, (node->paused_until_ms - now_ms + 999) / 1000);
}

static enum trib_status spend(struct trib_nodes *nodes, struct trib_node *node, double n, int64_t now_ms,
                              struct trib_error *error)
{
    if (take(&node->messages, n, (double)nodes->limits.messages, most_messages(nodes), now_ms)) {
        return TRIB_OK;
    }
    node->paused_until_ms = now_ms + nodes->limits.pause_ms;
    return fail_paused(nodes, node, now_ms, error);
}

static enum trib_status enter(struct trib_nodes *nodes, struct trib_node *node, const char *address, int64_t now_ms,
                              struct trib_error *error)
{
    if (now_ms < node->paused_until_ms) {
        return fail_paused(nodes, node, now_ms, error);
    }
    bool same = strncmp(node->address, address, sizeof node->address - 1) == 0;
    TRIB_TRY(spend(nodes, node, same ? 1 : NEW_CONNECTION, now_ms, error));
    if (node->calls >= nodes->limits.calls) {
        return trib_fail(error, TRIB_LIMIT,
                         "this node has %" PRId64 " calls open, as many as it may (limits.calls); end some first",
                         node->calls);
    }
    trib_str_copy(node->address, sizeof node->address, address);
    node->calls++;
    return TRIB_OK;
}

/* ---- calls ---- */

enum trib_status trib_nodes_enter(struct trib_nodes *nodes, const char *name, const char *address, int64_t now_ms,
                                  struct trib_node **node, struct trib_error *error)
{
    pthread_mutex_lock(&nodes->lock);
    struct trib_node *found = find_or_add(nodes, name, now_ms);
    enum trib_status status = found ? enter(nodes, found, address, now_ms, error) : trib_fail_no_memory(error);
    pthread_mutex_unlock(&nodes->lock);
    if (status == TRIB_OK) {
        *node = found;
    }
    return status;
}

void trib_nodes_leave(struct trib_nodes *nodes, struct trib_node *node)
{
    pthread_mutex_lock(&nodes->lock);
    node->calls--;
    pthread_mutex_unlock(&nodes->lock);
}

enum trib_status trib_nodes_message(struct trib_nodes *nodes, struct trib_node *node, int64_t now_ms,
                                    struct trib_error *error)
{
    pthread_mutex_lock(&nodes->lock);
    enum trib_status status = spend(nodes, node, 1, now_ms, error);
    pthread_mutex_unlock(&nodes->lock);
    return status;
}

enum trib_status trib_nodes_pause(struct trib_nodes *nodes, struct trib_node *node, int64_t now_ms,
                                  struct trib_error *error)
{
    pthread_mutex_lock(&nodes->lock);
    node->paused_until_ms = now_ms + nodes->limits.pause_ms;
    enum trib_status status =
        trib_fail(error, TRIB_LIMIT, "messages come faster than they can be taken; come back in %" PRId64 " s",
                  (nodes->limits.pause_ms + 999) / 1000);
    pthread_mutex_unlock(&nodes->lock);
    return status;
}

int64_t trib_nodes_upload(struct trib_nodes *nodes, struct trib_node *node, size_t len, int64_t now_ms)
{
    double rate = (double)nodes->limits.upload_rate;
    if (nodes->limits.upload_rate == 0) {
        return 0;
    }
    pthread_mutex_lock(&nodes->lock);
    double left = refill(&node->bytes, rate, 0, now_ms) - (double)len;
    node->bytes.left = left;
    pthread_mutex_unlock(&nodes->lock);
    return (int64_t)(-left / rate * 1000);
}

bool trib_nodes_may_log(struct trib_nodes *nodes, const char *name, int64_t now_ms, int64_t *suppressed)
{
    bool may = true;
    *suppressed = 0;
    pthread_mutex_lock(&nodes->lock);
    struct trib_node *node = find_or_add(nodes, name, now_ms);
    if (node) {
        may = take(&node->lines, 1, 1000.0 / LOG_REFILL_MS, LOG_BURST, now_ms);
        node->suppressed += !may;
        *suppressed = node->suppressed;
        node->suppressed = may ? 0 : node->suppressed;
    }
    pthread_mutex_unlock(&nodes->lock);
    return may;
}

size_t trib_nodes_count(struct trib_nodes *nodes)
{
    pthread_mutex_lock(&nodes->lock);
    size_t n = trib_map_count(nodes->by_name);
    pthread_mutex_unlock(&nodes->lock);
    return n;
}
