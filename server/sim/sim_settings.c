/* A simulation's file is read here: the rows, then a variant's keys, then --set, then what rows cannot check. */
#include "sim/sim_settings.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { KEY_LEN = 160 };

/* ---- where a value comes from ---- */

enum trib_status trib_sim_settings_fail(const struct trib_sim_settings *settings, const char *key,
                                        struct trib_error *error, const char *format, ...)
{
    char text[TRIB_ERROR_MESSAGE_LEN / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct trib_config_source source = {.maps = {settings->tree, settings->variant_set},
                                        .overrides = settings->overrides,
                                        .n_overrides = settings->n_overrides,
                                        .file = settings->tree ? settings->tree->file : ""};
    source.n_rows = trib_sim_rows(&source.rows);
    return trib_config_fail_key(&source, key, error, "%s", text);
}

/* ---- variants ---- */

static const struct trib_config_row *find_row(const char *key)
{
    const struct trib_config_row *rows;
    size_t n = trib_sim_rows(&rows);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].key, key) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static enum trib_status set_scalar(struct trib_sim_settings *settings, const struct trib_config_row *row,
                                   const char *key, const struct trib_config_node *node, struct trib_error *error)
{
    const struct trib_config_row *rows;
    size_t n = trib_sim_rows(&rows);
    char origin[KEY_LEN * 2];
    snprintf(origin, sizeof origin, "%s:%d", node->file, node->line);
    char *dir = NULL, *path = NULL;
    if (row && row->type == TRIB_TYPE_PATH && node->scalar[0]) { /* as everywhere in a file: from its folder */
        dir = trib_path_dir(node->file);
        path = dir ? strcmp(dir, ".") == 0 ? trib_strdup(node->scalar) : trib_path_join(dir, node->scalar) : NULL;
        trib_free(dir);
        if (!path) {
            return trib_fail_no_memory(error);
        }
    }
    enum trib_status status = trib_config_set(rows, n, settings, key, path ? path : node->scalar, origin, error);
    trib_free(path);
    return status;
}

static enum trib_status set_node(struct trib_sim_settings *settings, const char *key,
                                 const struct trib_config_node *node, struct trib_error *error)
{
    const struct trib_config_row *row = find_row(key);
    if (row && (row->offset == offsetof(struct trib_sim_settings, variants) ||
                strncmp(key, "output.", strlen("output.")) == 0 || strcmp(key, "targets") == 0)) {
        return trib_config_fail(node, error, "is of the whole experiment; a variant cannot have its own");
    }
    if (node->kind == TRIB_CONFIG_SCALAR) {
        return set_scalar(settings, row, key, node, error);
    }
    if (row && row->type == TRIB_TYPE_NODE) {
        *(const struct trib_config_node **)(void *)((char *)settings + row->offset) = node;
        return TRIB_OK;
    }
    if (row || node->kind != TRIB_CONFIG_MAP) {
        return trib_config_fail(node, error, "must be a single value");
    }
    return TRIB_OK;
}

/* All keys of a variant's map, nested or with dots. */
static enum trib_status set_map(struct trib_sim_settings *settings, const char *prefix,
                                const struct trib_config_node *map, struct trib_error *error)
{
    for (const struct trib_config_node *child = map->first; child; child = child->next) {
        char key[KEY_LEN];
        int len = snprintf(key, sizeof key - 1, "%s%s", prefix, child->key);
        if (len < 0 || (size_t)len >= sizeof key - 1) {
            return trib_config_fail(child, error, "unknown key");
        }
        TRIB_TRY(set_node(settings, key, child, error));
        if (child->kind == TRIB_CONFIG_MAP && !find_row(key)) {
            key[len] = '.';
            key[len + 1] = '\0';
            TRIB_TRY(set_map(settings, key, child, error));
        }
    }
    return TRIB_OK;
}

static enum trib_status check_variant(const struct trib_config_node *variant, struct trib_error *error)
{
    if (variant->kind != TRIB_CONFIG_MAP) {
        return trib_config_fail(variant, error, "a variant is a map: {name: ..., set: {...}}");
    }
    for (const struct trib_config_node *child = variant->first; child; child = child->next) {
        bool name = strcmp(child->key, "name") == 0;
        if (!name && strcmp(child->key, "set") != 0) {
            return trib_config_fail(child, error, "unknown key; a variant has name and set");
        }
        if (name && (child->kind != TRIB_CONFIG_SCALAR || child->scalar[0] == '\0' ||
                     strlen(child->scalar) >= TRIB_SIM_VARIANT_LEN)) {
            return trib_config_fail(child, error, "must be a text of 1 to %d bytes", TRIB_SIM_VARIANT_LEN - 1);
        }
        bool nothing = child->kind == TRIB_CONFIG_SCALAR && child->scalar[0] == '\0';
        if (!name && child->kind != TRIB_CONFIG_MAP && !nothing) {
            return trib_config_fail(child, error, "must be a map of keys and their values");
        }
    }
    if (!trib_config_child(variant, "name")) {
        return trib_config_fail(variant, error, "a variant needs a name");
    }
    return TRIB_OK;
}

static enum trib_status check_variants(const struct trib_config_node *list, struct trib_error *error)
{
    if (list->kind != TRIB_CONFIG_LIST || list->n == 0) {
        return trib_config_fail(list, error, "must be a list of variants");
    }
    for (const struct trib_config_node *variant = list->first; variant; variant = variant->next) {
        TRIB_TRY(check_variant(variant, error));
        const struct trib_config_node *name = trib_config_child(variant, "name");
        for (const struct trib_config_node *other = list->first; other != variant; other = other->next) {
            if (strcmp(trib_config_child(other, "name")->scalar, name->scalar) == 0) {
                return trib_config_fail(name, error, "\"%s\" is the name of two variants", name->scalar);
            }
        }
    }
    return TRIB_OK;
}

size_t trib_sim_settings_variants(const struct trib_sim_settings *settings)
{
    return settings->variants ? settings->variants->n : 1;
}

static enum trib_status apply_variant(struct trib_sim_settings *settings, size_t number, struct trib_error *error)
{
    if (!settings->variants) {
        return TRIB_OK;
    }
    TRIB_TRY(check_variants(settings->variants, error));
    const struct trib_config_node *variant = settings->variants->first;
    for (size_t i = 0; i < number && variant->next; i++) {
        variant = variant->next;
    }
    trib_str_copy(settings->variant, sizeof settings->variant, trib_config_child(variant, "name")->scalar);
    const struct trib_config_node *set = trib_config_child(variant, "set");
    if (!set || set->kind != TRIB_CONFIG_MAP) {
        return TRIB_OK;
    }
    settings->variant_set = set;
    return set_map(settings, "", set, error);
}

static enum trib_status apply_overrides(struct trib_sim_settings *settings, const struct trib_sim_choice *choice,
                                        struct trib_error *error)
{
    const struct trib_config_row *rows;
    size_t n = trib_sim_rows(&rows);
    TRIB_TRY(trib_config_override(rows, n, settings, choice->overrides, choice->n_overrides, error));
    settings->overrides = choice->overrides;
    settings->n_overrides = choice->n_overrides;
    return TRIB_OK;
}

/* ---- checks beyond a row ---- */

static enum trib_status read_distributions(struct trib_sim_settings *settings, struct trib_error *error)
{
    struct trib_sim_behaviour *to = &settings->behaviour;
    const struct {
        const char *key, *text;
        struct trib_distribution *to;
        bool positive;
    } list[] = {
        {"clients.speed", settings->speed, &to->speed, true},
        {"clients.upload", settings->upload, &to->upload, true},
        {"clients.download", settings->download, &to->download, true},
        {"clients.latency", settings->latency, &to->latency, false},
        {"clients.away", settings->away, &to->away, false},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct trib_error reason;
        if (trib_distribution_parse(list[i].text, list[i].to, &reason) != TRIB_OK) {
            return trib_sim_settings_fail(settings, list[i].key, error, "%s", reason.message);
        }
        if (list[i].positive && !(list[i].to->a > 0)) {
            return trib_sim_settings_fail(settings, list[i].key, error, "must be above 0, or nothing would ever end");
        }
    }
    return TRIB_OK;
}

static enum trib_status read_availability(struct trib_sim_settings *settings, struct trib_error *error)
{
    struct trib_error reason;
    char on[64];
    const char *text = settings->availability, *comma = strchr(text, ',');
    if (strcmp(text, "always") == 0) {
        return TRIB_OK;
    }
    if (!comma || (size_t)(comma - text) >= sizeof on) {
        return trib_sim_settings_fail(settings, "clients.availability", error,
                                      "\"%.40s\": write always, or MEAN_ON,MEAN_OFF in seconds", text);
    }
    memcpy(on, text, (size_t)(comma - text));
    on[comma - text] = '\0';
    if (trib_parse_double(on, 1e-3, 1e9, &settings->behaviour.on_seconds, &reason) != TRIB_OK ||
        trib_parse_double(comma + 1, 1e-3, 1e9, &settings->behaviour.off_seconds, &reason) != TRIB_OK) {
        return trib_sim_settings_fail(settings, "clients.availability", error, "%s", reason.message);
    }
    return TRIB_OK;
}

static enum trib_status read_targets(struct trib_sim_settings *settings, struct trib_error *error)
{
    const struct trib_config_node *list = settings->target_list;
    if (list && list->kind != TRIB_CONFIG_LIST) {
        return trib_config_fail(list, error, "must be a list of accuracies, such as [0.8, 0.95]");
    }
    for (const struct trib_config_node *node = list ? list->first : NULL; node; node = node->next) {
        struct trib_error reason;
        if (settings->n_targets == TRIB_SIM_MAX_TARGETS) {
            return trib_config_fail(node, error, "more than %d targets", (int)TRIB_SIM_MAX_TARGETS);
        }
        if (node->kind != TRIB_CONFIG_SCALAR) {
            return trib_config_fail(node, error, "must be an accuracy between 0 and 1");
        }
        if (trib_parse_double(node->scalar, 0, 1, &settings->targets[settings->n_targets], &reason) != TRIB_OK) {
            return trib_config_fail(node, error, "%s", reason.message);
        }
        settings->n_targets++;
    }
    return TRIB_OK;
}

static enum trib_status replace_text(char **text, const char *by, struct trib_error *error)
{
    char *copy = by ? trib_strdup(by) : NULL;
    if (by && !copy) {
        return trib_fail_no_memory(error);
    }
    trib_free(*text);
    *text = copy;
    return TRIB_OK;
}

/* Does the clients' data have a split for testing beside it? */
static bool has_test_split(const struct trib_sim_settings *settings)
{
    struct stat status;
    if (!trib_dataset_needs_file(settings->data.format)) {
        return true;
    }
    return settings->data.path && stat(settings->data.path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Without a test set of its own, the test split of the clients' data. */
static enum trib_status choose_test_set(struct trib_sim_settings *settings, struct trib_error *error)
{
    struct trib_server_settings *server = &settings->server;
    if (server->evaluation.path || !has_test_split(settings)) {
        return TRIB_OK;
    }
    const char *path = settings->data.path ? settings->data.path : settings->data.format;
    TRIB_TRY(replace_text(&server->evaluation.path, path, error));
    TRIB_TRY(replace_text(&server->evaluation.format, settings->data.format, error));
    return replace_text(&server->evaluation.normalise, settings->data.normalise, error);
}

static void choose_server(struct trib_sim_settings *settings)
{
    struct trib_server_settings *server = &settings->server;
    bool comes_and_goes = settings->behaviour.on_seconds > 0;
    if (server->min_clients == 0) {
        int64_t some = server->clients_per_round > 0 ? server->clients_per_round : 1;
        server->min_clients = comes_and_goes && some < settings->clients ? some : settings->clients;
    }
    server->max_clients = settings->clients;
    server->checkpoints_keep = 1;
}

static enum trib_status check_numbers(const struct trib_sim_settings *settings, struct trib_error *error)
{
    const struct trib_server_settings *server = &settings->server;
    if (!settings->data.path && trib_dataset_needs_file(settings->data.format)) {
        return trib_sim_settings_fail(settings, "data.path", error,
                                      "is missing; name the examples that the clients share");
    }
    if (server->min_clients > settings->clients) {
        return trib_sim_settings_fail(settings, "federation.min_clients", error,
                                      "%" PRId64 " is above clients.count %" PRId64 "; no round could ever begin",
                                      server->min_clients, settings->clients);
    }
    if (server->clients_per_round > settings->clients) {
        return trib_sim_settings_fail(settings, "federation.clients_per_round", error,
                                      "%" PRId64 " is above clients.count %" PRId64, server->clients_per_round,
                                      settings->clients);
    }
    return TRIB_OK;
}

static enum trib_status finish(struct trib_sim_settings *settings, const struct trib_sim_choice *choice,
                               struct trib_error *error)
{
    TRIB_TRY(apply_variant(settings, choice->variant, error));
    TRIB_TRY(apply_overrides(settings, choice, error));
    if (!settings->variants) {
        trib_str_copy(settings->variant, sizeof settings->variant, settings->name);
    }
    TRIB_TRY(read_distributions(settings, error));
    TRIB_TRY(read_availability(settings, error));
    TRIB_TRY(read_targets(settings, error));
    TRIB_TRY(choose_test_set(settings, error));
    choose_server(settings);
    TRIB_TRY(check_numbers(settings, error));
    enum trib_status status = trib_server_settings_check(&settings->server, error);
    return status == TRIB_OK ? TRIB_OK : trib_error_prefix(error, status, "%s", settings->tree->file);
}

/* ---- loading ---- */

static enum trib_status take_tree(struct trib_config_node *tree, const struct trib_sim_choice *choice,
                                  struct trib_sim_settings *settings, struct trib_error *error)
{
    const struct trib_config_row *rows;
    size_t n = trib_sim_rows(&rows);
    struct trib_sim_settings read = {0};
    enum trib_status status = trib_config_table_check(trib_sim_table(), error);
    if (status == TRIB_OK) {
        status = trib_config_apply(tree, rows, n, &read, error);
    }
    if (status != TRIB_OK) {
        trib_config_free(tree);
        return status;
    }
    read.tree = tree;
    status = finish(&read, choice, error);
    if (status != TRIB_OK) {
        trib_sim_settings_clear(&read);
        return status;
    }
    *settings = read;
    return TRIB_OK;
}

enum trib_status trib_sim_settings_load(const char *path, const struct trib_sim_choice *choice,
                                        struct trib_sim_settings *settings, struct trib_error *error)
{
    struct trib_config_node *tree;
    TRIB_TRY(trib_config_parse_file(path, &tree, error));
    return take_tree(tree, choice, settings, error);
}

enum trib_status trib_sim_settings_parse(const char *name, const char *text, size_t len,
                                         const struct trib_sim_choice *choice, struct trib_sim_settings *settings,
                                         struct trib_error *error)
{
    struct trib_config_node *tree;
    TRIB_TRY(trib_config_parse_text(name, text, len, &tree, error));
    return take_tree(tree, choice, settings, error);
}

void trib_sim_settings_clear(struct trib_sim_settings *settings)
{
    const struct trib_config_row *rows;
    size_t n = trib_sim_rows(&rows);
    trib_config_clear(rows, n, settings);
    trib_config_free(settings->tree);
    memset(settings, 0, sizeof *settings);
}

struct trib_dataset_spec trib_sim_settings_data(const struct trib_sim_settings *settings)
{
    struct trib_dataset_spec spec = trib_dataset_spec_of(&settings->data);
    spec.regression = settings->server.loss == TRIB_LOSS_MSE;
    spec.classes = spec.regression ? 0 : settings->server.model_classes;
    return spec;
}
