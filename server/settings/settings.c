/* server.yaml is read here, and checked beyond single rows. */
#include "settings/settings.h"

#include "base/mem.h"
#include "settings_table.h"
#include "select/selector.h"
#include "intake/uplink.h"

#include <string.h>

struct trib_uplink_options trib_server_uplink(const struct trib_server_settings *s)
{
    return (struct trib_uplink_options){.up = s->codec_up,
                                        .feedback = s->codec_feedback,
                                        .momentum = s->codec_feedback_momentum,
                                        .target_bits = s->codec_target_bits,
                                        .target_ms = s->codec_target_ms,
                                        .warmup_rounds = (uint64_t)s->codec_warmup_rounds};
}

static enum trib_status fail_unknown(const char *key, const char *word, trib_config_names names,
                                     struct trib_error *error)
{
    char list[256];
    return trib_fail(error, TRIB_CONFIG, "%s: \"%s\" is unknown; known are %s", key, word,
                     trib_config_list_names(names, NULL, list, sizeof list));
}

/* The keys that name a table's entry. */
static enum trib_status check_names(const struct trib_server_settings *s, struct trib_error *error)
{
    if (!trib_selector_find(s->selector)) {
        return fail_unknown("federation.selector", s->selector, trib_selector_names, error);
    }
    if (!trib_strategy_find(s->strategy)) {
        return fail_unknown("strategy.name", s->strategy, trib_server_strategy_names, error);
    }
    struct trib_chain chain;
    if (trib_chain_parse(s->codec_down, &chain, error) != TRIB_OK) {
        return trib_error_prefix(error, TRIB_CONFIG, "codec.down");
    }
    struct trib_uplink uplink;
    const struct trib_uplink_options options = trib_server_uplink(s);
    return trib_uplink_init(&uplink, &options, trib_strategy_find(s->strategy), error);
}

static enum trib_status check_tags(const struct trib_config_node *tags, struct trib_error *error)
{
    if (tags && tags->kind != TRIB_CONFIG_LIST) {
        return trib_config_fail(tags, error, "selection.tags: give a list, such as [ward, gpu]");
    }
    for (const struct trib_config_node *tag = tags ? tags->first : NULL; tag; tag = tag->next) {
        if (tag->kind != TRIB_CONFIG_SCALAR) {
            return trib_config_fail(tag, error, "selection.tags: a tag is a word");
        }
    }
    return TRIB_OK;
}

enum trib_status trib_server_settings_check(const struct trib_server_settings *s, struct trib_error *error)
{
    TRIB_TRY(trib_config_table_check(trib_server_table(), error));
    TRIB_TRY(check_names(s, error));
    TRIB_TRY(check_tags(s->selection_tags, error));
    return trib_server_rules_check(s, error);
}

enum trib_status trib_server_settings_load(const char *path, const char *const *overrides, size_t n,
                                           struct trib_server_settings *settings, struct trib_error *error)
{
    struct trib_server_settings result = {0};
    struct trib_config_node *tree;
    const struct trib_config_row *rows;
    size_t n_rows = trib_server_rows(&rows);
    TRIB_TRY(trib_config_parse_file(path, &tree, error));
    enum trib_status status = trib_config_apply(tree, rows, n_rows, &result, error);
    if (status != TRIB_OK) {
        trib_config_free(tree);
        return status;
    }
    result.tree = tree;
    status = trib_config_override(rows, n_rows, &result, overrides, n, error);
    if (status == TRIB_OK) {
        status = trib_server_settings_check(&result, error);
        if (status != TRIB_OK) {
            status = trib_error_prefix(error, status, "%s", path);
        }
    }
    if (status != TRIB_OK) {
        trib_server_settings_clear(&result);
        return status;
    }
    *settings = result;
    return TRIB_OK;
}

void trib_server_settings_clear(struct trib_server_settings *settings)
{
    const struct trib_config_row *rows;
    size_t n = trib_server_rows(&rows);
    trib_config_clear(rows, n, settings);
    trib_config_free(settings->tree);
    memset(settings, 0, sizeof *settings);
}
