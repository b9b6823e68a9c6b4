/* The rows of client.yaml, and the checks that go beyond a row. */
#include "client/client_settings.h"
#include "backend/backend.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/partition.h"

#include <stdio.h>
#include <string.h>

enum { MAX_TAGS = 64, MAX_TAG_LEN = 64, MAX_NAMES = 32, KEEPALIVE_MIN_MS = 5000 };

#define AT(member) offsetof(struct trib_client_settings, member)
#define HOUR_MS    3600e3
#define DAY_MS     86400e3

static const char *const battery_rules[] = {"auto", "no", "yes", NULL}; /* as enum trib_battery_rule */
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_formats[] = {"logfmt", "json", NULL};

static const struct trib_config_row rows[] = {
    {.key = "node",
     .type = TRIB_TYPE_STRING,
     .offset = AT(node),
     .max = 255,
     .help = "This node's identity; when given, it must be the one in tls.certificate."},
    {.key = "tags",
     .type = TRIB_TYPE_NODE,
     .offset = AT(tag_list),
     .help = "Words that the server may select clients by, such as [ward-3, gpu]."},
    {.key = "server.address",
     .type = TRIB_TYPE_STRING,
     .offset = AT(server_address),
     .min = 1,
     .max = 300,
     .flags = TRIB_ROW_REQUIRED,
     .help = "The server as host:port, such as fl.example.org:7443."},
    {.key = "server.name",
     .type = TRIB_TYPE_STRING,
     .offset = AT(server_name),
     .max = 255,
     .help = "The name in the server's certificate, when it differs from the host in server.address."},
    {.key = "tls.ca",
     .type = TRIB_TYPE_PATH,
     .offset = AT(tls_ca),
     .min = 1,
     .flags = TRIB_ROW_REQUIRED,
     .help = "PEM file of the federation's certificate authority."},
    {.key = "tls.certificate",
     .type = TRIB_TYPE_PATH,
     .offset = AT(tls_certificate),
     .min = 1,
     .flags = TRIB_ROW_REQUIRED,
     .help = "PEM file of this node's certificate; it is the node's identity."},
    {.key = "tls.key",
     .type = TRIB_TYPE_PATH,
     .offset = AT(tls_key),
     .min = 1,
     .flags = TRIB_ROW_REQUIRED,
     .help = "PEM file of the certificate's private key, readable by the owner alone."},
    {.key = "data.format",
     .type = TRIB_TYPE_STRING,
     .offset = AT(data_format),
     .fallback = "idx",
     .min = 1,
     .max = 32,
     .help = "How the data are stored: idx (MNIST), cifar, csv or npy."},
    {.key = "data.path",
     .type = TRIB_TYPE_PATH,
     .offset = AT(data_path),
     .min = 1,
     .flags = TRIB_ROW_REQUIRED,
     .help = "The file or folder of this node's own examples. They never leave this machine."},
    {.key = "data.labels",
     .type = TRIB_TYPE_PATH,
     .offset = AT(data_labels),
     .help = "File of labels (idx, npy), when data.path is a single file."},
    {.key = "data.split",
     .type = TRIB_TYPE_STRING,
     .offset = AT(data_split),
     .fallback = "train",
     .min = 1,
     .max = 32,
     .help = "Which files of a folder: train or test."},
    {.key = "data.label_column",
     .type = TRIB_TYPE_STRING,
     .offset = AT(data_label_column),
     .max = 255,
     .help = "csv: the column of labels, by name or 0-based number; the last one when not given."},
    {.key = "data.key_column",
     .type = TRIB_TYPE_STRING,
     .offset = AT(data_key_column),
     .max = 255,
     .help = "csv: the column of group keys, for the partition by-key."},
    {.key = "data.keys",
     .type = TRIB_TYPE_PATH,
     .offset = AT(data_keys),
     .help = "File with one group key an example, for the partition by-key."},
    {.key = "data.classes",
     .type = TRIB_TYPE_INT,
     .offset = AT(data_classes),
     .fallback = "0",
     .min = 0,
     .max = 1e6,
     .help = "Number of classes; 0 = the largest label in the data and one."},
    {.key = "data.regression",
     .type = TRIB_TYPE_BOOL,
     .offset = AT(data_regression),
     .fallback = "false",
     .help = "csv, npy: the label is a number to be predicted, not a class."},
    {.key = "data.normalise",
     .type = TRIB_TYPE_STRING,
     .offset = AT(data_normalise),
     .fallback = "unit",
     .min = 1,
     .max = 255,
     .help = "How values are scaled: unit, none, or \"m1,m2,m3/s1,s2,s3\"; the same on every node."},
    {.key = "data.partition",
     .type = TRIB_TYPE_STRING,
     .offset = AT(data_partition),
     .fallback = "file",
     .min = 1,
     .max = 64,
     .help = "file = all examples are this node's own; for experiments: iid, shards:K, dirichlet:ALPHA, by-key."},
    {.key = "data.clients",
     .type = TRIB_TYPE_INT,
     .offset = AT(data_clients),
     .fallback = "1",
     .min = 1,
     .max = 1e6,
     .help = "Experiments: over how many clients the data are split."},
    {.key = "data.client",
     .type = TRIB_TYPE_INT,
     .offset = AT(data_client),
     .fallback = "0",
     .min = 0,
     .max = 1e6,
     .help = "Experiments: which of them this node is, from 0."},
    {.key = "data.seed",
     .type = TRIB_TYPE_INT,
     .offset = AT(data_seed),
     .fallback = "1",
     .min = 0,
     .max = 9007199254740992.0,
     .help = "Experiments: the seed of the split; the same on every node."},
    {.key = "device.metered",
     .type = TRIB_TYPE_BOOL,
     .offset = AT(device_metered),
     .fallback = "false",
     .help = "Whether this machine's connection costs money; the server may then choose others."},
    {.key = "device.battery",
     .type = TRIB_TYPE_ENUM,
     .offset = AT(device_battery),
     .fallback = "auto",
     .choices = battery_rules,
     .help = "Whether it runs on a battery: as the system says (auto), never (no) or always (yes)."},
    {.key = "training.backend",
     .type = TRIB_TYPE_STRING,
     .offset = AT(training_backend),
     .fallback = "auto",
     .min = 1,
     .max = 32,
     .help = "What computes: auto (the best there is), blas or reference."},
    {.key = "training.threads",
     .type = TRIB_TYPE_INT,
     .offset = AT(training_threads),
     .fallback = "0",
     .min = 0,
     .max = 1024,
     .help = "Threads for training; 0 = one for each core."},
    {.key = "limits.max_epochs",
     .type = TRIB_TYPE_INT,
     .offset = AT(max_epochs),
     .fallback = "0",
     .min = 0,
     .max = 1e6,
     .help = "The most epochs this node trains in one round; 0 = as many as the server asks for."},
    {.key = "limits.max_seconds",
     .type = TRIB_TYPE_DURATION,
     .offset = AT(max_ms),
     .fallback = "0s",
     .min = 0,
     .max = 7 * DAY_MS,
     .help = "The longest this node trains in one round; 0s = no limit."},
    {.key = "limits.max_memory",
     .type = TRIB_TYPE_SIZE,
     .offset = AT(max_memory),
     .fallback = "0",
     .min = 0,
     .max = 1e15,
     .help = "The most memory for a model and its training; 0 = no limit."},
    {.key = "limits.disk",
     .type = TRIB_TYPE_SIZE,
     .offset = AT(max_disk),
     .fallback = "0",
     .min = 0,
     .max = 1e15,
     .help = "The most disk under state_dir: model, download, error feedback, finished update; 0 = no limit."},
    {.key = "state_dir",
     .type = TRIB_TYPE_PATH,
     .offset = AT(state_dir),
     .help =
         "Folder for what outlives a restart: model, download, error feedback, finished update; without it: memory."},
    {.key = "reconnect.min",
     .type = TRIB_TYPE_DURATION,
     .offset = AT(reconnect_min_ms),
     .fallback = "500ms",
     .min = 10,
     .max = HOUR_MS,
     .help = "The shortest wait before connecting again."},
    {.key = "reconnect.max",
     .type = TRIB_TYPE_DURATION,
     .offset = AT(reconnect_max_ms),
     .fallback = "60s",
     .min = 10,
     .max = DAY_MS,
     .help = "The longest wait before connecting again; waits double up to here, with jitter."},
    {.key = "log.level",
     .type = TRIB_TYPE_ENUM,
     .offset = AT(log_level),
     .fallback = "info",
     .choices = log_levels,
     .help = "How much is logged."},
    {.key = "log.format",
     .type = TRIB_TYPE_ENUM,
     .offset = AT(log_format),
     .fallback = "logfmt",
     .choices = log_formats,
     .help = "How log lines are written."},
    {.key = "log.file",
     .type = TRIB_TYPE_PATH,
     .offset = AT(log_file),
     .help = "Log file; without it the log goes to stderr. SIGHUP opens it anew."},
    {.key = "net.keepalive",
     .type = TRIB_TYPE_DURATION,
     .offset = AT(keepalive_ms),
     .fallback = "30s",
     .min = 0,
     .max = HOUR_MS,
     .help = "How often an idle connection is checked; 0s = never."},
    {.key = "net.lookahead",
     .type = TRIB_TYPE_SIZE,
     .offset = AT(lookahead_bytes),
     .fallback = "0",
     .min = 0,
     .max = 64 << 20,
     .help = "Fixed flow-control window; 0 = found by probing. 16MiB helps on long fat links."},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

size_t trib_client_rows(const struct trib_config_row **table)
{
    *table = rows;
    return ROWS;
}

/* The node of a dotted key in the file, or NULL when it is not given there. */
static const struct trib_config_node *node_of(const struct trib_client_settings *settings, const char *key)
{
    const struct trib_config_node *node = !settings->tree ? NULL : trib_config_child(settings->tree, key);
    const char *dot = strchr(key, '.');
    if (node || !settings->tree || !dot) {
        return node;
    }
    char section[32];
    if ((size_t)(dot - key) >= sizeof section) {
        return NULL;
    }
    memcpy(section, key, (size_t)(dot - key));
    section[dot - key] = '\0';
    const struct trib_config_node *map = trib_config_child(settings->tree, section);
    return !map || map->kind != TRIB_CONFIG_MAP ? NULL : trib_config_child(map, dot + 1);
}

enum trib_status trib_client_settings_fail(const struct trib_client_settings *settings, const char *key,
                                           struct trib_error *error, const char *format, ...)
{
    char text[TRIB_ERROR_MESSAGE_LEN / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const struct trib_config_node *node = node_of(settings, key);
    if (trib_config_is_overridden(settings->overrides, settings->n_overrides, key)) {
        return trib_fail(error, TRIB_CONFIG, "--set: %s: %s", key, text);
    }
    if (node) {
        return trib_config_fail(node, error, "%s", text);
    }
    return trib_fail(error, TRIB_CONFIG, "%s: %s", key, text);
}

/* ---- checks beyond a row ---- */

static enum trib_status fail_unknown(const struct trib_client_settings *settings, const char *key, const char *word,
                                     const char *const *names, size_t n, struct trib_error *error)
{
    char list[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < n && used < sizeof list; i++) {
        int wrote = snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", names[i]);
        used += wrote < 0 ? sizeof list : (size_t)wrote;
    }
    const char *nearest = trib_str_nearest(word, names, n);
    if (nearest) {
        return trib_client_settings_fail(settings, key, error, "\"%.40s\" is not known; did you mean \"%s\"?", word,
                                         nearest);
    }
    return trib_client_settings_fail(settings, key, error, "\"%.40s\" is not known; it is one of: %s", word, list);
}

static bool is_one_of(const char *word, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(word, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static enum trib_status check_names(const struct trib_client_settings *settings, struct trib_error *error)
{
    const char *names[MAX_NAMES];
    const struct trib_dataset_reader *const *readers;
    size_t n = trib_dataset_readers(&readers);
    for (size_t i = 0; i < n && i < MAX_NAMES; i++) {
        names[i] = readers[i]->name;
    }
    if (!is_one_of(settings->data_format, names, n)) {
        return fail_unknown(settings, "data.format", settings->data_format, names, n, error);
    }
    const struct trib_backend *const *backends;
    n = trib_backends(&backends);
    names[0] = "auto";
    for (size_t i = 0; i < n && i + 1 < MAX_NAMES; i++) {
        names[i + 1] = backends[i]->name;
    }
    if (!is_one_of(settings->training_backend, names, n + 1)) {
        return fail_unknown(settings, "training.backend", settings->training_backend, names, n + 1, error);
    }
    const struct trib_partition_rule *const *rules;
    n = trib_partition_rules(&rules);
    char rule[64];
    (void)trib_str_copy(rule, sizeof rule, settings->data_partition);
    rule[strcspn(rule, ":")] = '\0';
    for (size_t i = 0; i < n && i < MAX_NAMES; i++) {
        names[i] = rules[i]->name;
    }
    if (!is_one_of(rule, names, n)) {
        return fail_unknown(settings, "data.partition", rule, names, n, error);
    }
    return TRIB_OK;
}

static enum trib_status check_numbers(const struct trib_client_settings *settings, struct trib_error *error)
{
    if (settings->data_client >= settings->data_clients) {
        return trib_client_settings_fail(settings, "data.client", error,
                                         "%lld is not below data.clients %lld; clients are numbered from 0",
                                         (long long)settings->data_client, (long long)settings->data_clients);
    }
    if (settings->reconnect_max_ms < settings->reconnect_min_ms) {
        return trib_client_settings_fail(settings, "reconnect.max", error, "is below reconnect.min");
    }
    if (settings->keepalive_ms != 0 && settings->keepalive_ms < KEEPALIVE_MIN_MS) {
        return trib_client_settings_fail(settings, "net.keepalive", error,
                                         "is below the minimum 5s, at which servers begin to refuse; 0s = never");
    }
    const char *colon = strrchr(settings->server_address, ':');
    int64_t port = 0;
    if (!colon || colon == settings->server_address || trib_parse_int(colon + 1, 1, 65535, &port, NULL) != TRIB_OK) {
        return trib_client_settings_fail(settings, "server.address", error,
                                         "\"%.100s\" is not HOST:PORT, such as fl.example.org:7443",
                                         settings->server_address);
    }
    return TRIB_OK;
}

static enum trib_status read_tags(struct trib_client_settings *settings, struct trib_error *error)
{
    const struct trib_config_node *list = settings->tag_list;
    if (!list || list->n == 0) {
        return TRIB_OK;
    }
    if (list->kind != TRIB_CONFIG_LIST || list->n > MAX_TAGS) {
        return trib_config_fail(list, error, "must be a list of at most %d words, such as [ward-3, gpu]", MAX_TAGS);
    }
    settings->tags = trib_calloc(list->n, sizeof *settings->tags);
    if (!settings->tags) {
        return trib_fail_no_memory(error);
    }
    for (const struct trib_config_node *tag = list->first; tag; tag = tag->next) {
        size_t len = tag->kind == TRIB_CONFIG_SCALAR ? strlen(tag->scalar) : 0;
        if (len == 0 || len > MAX_TAG_LEN) {
            return trib_config_fail(tag, error, "each tag is a word of 1 to %d bytes", MAX_TAG_LEN);
        }
        settings->tags[settings->n_tags++] = tag->scalar;
    }
    return TRIB_OK;
}

/* "" means the same as not given. */
static void drop_empty(char **text)
{
    if (*text && **text == '\0') {
        trib_free(*text);
        *text = NULL;
    }
}

static void drop_empties(struct trib_client_settings *settings)
{
    char **const optional[] = {&settings->node,      &settings->server_name,       &settings->data_labels,
                               &settings->data_keys, &settings->data_label_column, &settings->data_key_column,
                               &settings->state_dir, &settings->log_file};
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        drop_empty(optional[i]);
    }
}

/* Takes over `tree`. */
static enum trib_status settle(struct trib_config_node *tree, const char *const *overrides, size_t n_overrides,
                               struct trib_client_settings *settings, struct trib_error *error)
{
    *settings = (struct trib_client_settings){.tree = tree, .overrides = overrides, .n_overrides = n_overrides};
    enum trib_status status = trib_config_apply(tree, rows, ROWS, settings, error);
    if (status == TRIB_OK) {
        status = trib_config_override(rows, ROWS, settings, overrides, n_overrides, error);
    }
    if (status == TRIB_OK) {
        drop_empties(settings);
        status = check_names(settings, error);
    }
    if (status == TRIB_OK) {
        status = check_numbers(settings, error);
    }
    if (status == TRIB_OK) {
        status = read_tags(settings, error);
    }
    if (status != TRIB_OK) {
        trib_client_settings_clear(settings);
    }
    return status;
}

enum trib_status trib_client_settings_load(const char *path, const char *const *overrides, size_t n_overrides,
                                           struct trib_client_settings *settings, struct trib_error *error)
{
    struct trib_config_node *tree = NULL;
    TRIB_TRY(trib_config_parse_file(path, &tree, error));
    return settle(tree, overrides, n_overrides, settings, error);
}

enum trib_status trib_client_settings_parse(const char *name, const char *text, size_t len,
                                            const char *const *overrides, size_t n_overrides,
                                            struct trib_client_settings *settings, struct trib_error *error)
{
    struct trib_config_node *tree = NULL;
    TRIB_TRY(trib_config_parse_text(name, text, len, &tree, error));
    return settle(tree, overrides, n_overrides, settings, error);
}

void trib_client_settings_clear(struct trib_client_settings *settings)
{
    trib_config_clear(rows, ROWS, settings);
    trib_free(settings->tags);
    trib_config_free(settings->tree);
    *settings = (struct trib_client_settings){0};
}

struct trib_client_limits trib_client_settings_limits(const struct trib_client_settings *settings)
{
    return (struct trib_client_limits){
        .max_epochs = settings->max_epochs, .max_ms = settings->max_ms, .max_bytes = settings->max_memory};
}

struct trib_dataset_spec trib_client_settings_data(const struct trib_client_settings *settings)
{
    return (struct trib_dataset_spec){
        .format = settings->data_format,
        .path = settings->data_path,
        .labels = settings->data_labels,
        .split = settings->data_split,
        .label_column = settings->data_label_column,
        .key_column = settings->data_key_column,
        .keys = settings->data_keys,
        .classes = settings->data_classes,
        .regression = settings->data_regression,
    };
}
