/* client.yaml is read here: its table of rows, and the checks that go beyond a row. */
#include "client/client_settings.h"

#include "base/mem.h"
#include "base/str.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TAGS = 64, MAX_TAG_LEN = 64, KEEPALIVE_MIN_MS = 5000 };

#define AT(member) offsetof(struct trib_client_settings, member)
#define HOUR_MS    3600e3
#define DAY_MS     86400e3

static const char *const battery_rules[] = {"auto", "no", "yes", NULL}; /* as enum trib_battery_rule */

static const struct trib_config_row node_rows[] = {
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
};
static const struct trib_config_row part_rows[] = {
    {.key = "data.partition",
     .type = TRIB_TYPE_STRING,
     .offset = AT(data_partition),
     .fallback = "file",
     .min = 1,
     .max = 64,
     .help = "How the examples are split, {names}: file = all examples are this node's own; the others are for "
             "experiments, shards as shards:K, "
             "dirichlet as dirichlet:ALPHA.",
     .names = trib_partition_rule_names},
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
};
static const struct trib_config_row machine_rows[] = {
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
};
static const struct trib_config_row limit_rows[] = {
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
};
/* Former names. */
static const struct trib_config_row alias_rows[] = {
    TRIB_ROW("training.backend", TRIB_TYPE_ALIAS, 0, "compute.backend", 0, 0, NULL, 0, NULL),
    TRIB_ROW("training.threads", TRIB_TYPE_ALIAS, 0, "compute.threads", 0, 0, NULL, 0, NULL),
};

/* ---- the table ---- */

#define ADD(list) trib_config_table_add(&table, NULL, list, sizeof(list) / sizeof(list)[0], 0, NULL)

static struct trib_config_table table;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void add_data(void)
{
    trib_dataset_add_rows(&table, "data", AT(data));
    struct trib_config_row *path = trib_config_table_row(&table, "data.path");
    path->min = 1;
    path->flags = TRIB_ROW_REQUIRED;
    path->help = "The file or folder of this node's own examples. They never leave this machine.";
    ADD(part_rows);
}

static void compose(void)
{
    table.room_at = AT(room);
    table.room_end = AT(room) + sizeof(((struct trib_client_settings *)NULL)->room);
    ADD(node_rows);
    trib_config_table_embed(&table, "tls", &trib_tls_group, AT(tls));
    add_data();
    ADD(machine_rows);
    trib_compute_add_rows(&table, AT(compute));
    ADD(limit_rows);
    trib_config_table_embed(&table, "log", &trib_log_group, AT(log));
    trib_config_table_embed(&table, "net", &trib_net_group, AT(net));
    trib_config_table_row(&table, "net.lookahead")->fallback =
        "0"; /* found by probing: an edge box has little memory */
    ADD(alias_rows);
}

size_t trib_client_rows(const struct trib_config_row **rows)
{
    (void)pthread_once(&once, compose);
    *rows = table.rows;
    return table.n;
}

static struct trib_config_source source_of(const struct trib_client_settings *settings)
{
    struct trib_config_source source = {
        .maps = {settings->tree}, .overrides = settings->overrides, .n_overrides = settings->n_overrides};
    source.n_rows = trib_client_rows(&source.rows);
    return source;
}

enum trib_status trib_client_settings_fail(const struct trib_client_settings *settings, const char *key,
                                           struct trib_error *error, const char *format, ...)
{
    const struct trib_config_source source = source_of(settings);
    char text[TRIB_ERROR_MESSAGE_LEN / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return trib_config_fail_key(&source, key, error, "%s", text);
}

void trib_client_settings_hints(const struct trib_client_settings *settings,
                                void (*report)(void *context, const char *text), void *context)
{
    const struct trib_config_source source = source_of(settings);
    trib_config_hints(&source, report, context);
}

/* ---- checks beyond a row ---- */

static enum trib_status check_names(const struct trib_client_settings *settings, struct trib_error *error)
{
    const struct trib_config_source source = source_of(settings);
    char rule[64];
    (void)trib_str_copy(rule, sizeof rule, settings->data_partition);
    rule[strcspn(rule, ":")] = '\0';
    TRIB_TRY(trib_config_check_name(&source, "data.format", trib_dataset_reader_names, settings->data.format, error));
    TRIB_TRY(trib_config_check_name(&source, "compute.backend", trib_compute_names, settings->compute.backend, error));
    return trib_config_check_name(&source, "data.partition", trib_partition_rule_names, rule, error);
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
    if (settings->net.keepalive_ms != 0 && settings->net.keepalive_ms < KEEPALIVE_MIN_MS) {
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
    char **const optional[] = {&settings->node,      &settings->server_name,       &settings->data.labels,
                               &settings->data.keys, &settings->data.label_column, &settings->data.key_column,
                               &settings->state_dir, &settings->log.file};
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        drop_empty(optional[i]);
    }
}

/* Takes over `tree`. */
static enum trib_status settle(struct trib_config_node *tree, const char *const *overrides, size_t n_overrides,
                               struct trib_client_settings *settings, struct trib_error *error)
{
    *settings = (struct trib_client_settings){.tree = tree, .overrides = overrides, .n_overrides = n_overrides};
    const struct trib_config_row *rows;
    size_t n = trib_client_rows(&rows);
    enum trib_status status = trib_config_table_check(&table, error);
    if (status == TRIB_OK) {
        status = trib_config_apply(tree, rows, n, settings, error);
    }
    if (status == TRIB_OK) {
        status = trib_config_override(rows, n, settings, overrides, n_overrides, error);
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
    const struct trib_config_row *rows;
    size_t n = trib_client_rows(&rows);
    trib_config_clear(rows, n, settings);
    trib_free(settings->tags);
    trib_config_free(settings->tree);
    *settings = (struct trib_client_settings){0};
}

struct trib_client_limits trib_client_settings_limits(const struct trib_client_settings *settings)
{
    return (struct trib_client_limits){
        .max_epochs = settings->max_epochs, .max_ms = settings->max_ms, .max_bytes = settings->max_memory};
}
