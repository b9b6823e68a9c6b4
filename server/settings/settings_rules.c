/* server.yaml is checked here for what does not go together: the rules of the server's own keys, and one walk over
 * those of the entries that the settings name. */
#include "settings_table.h"

#include "base/str.h"
#include "select/selector.h"
#include "strategy/strategy.h"

#define ABOVE_0(key_)                                                                                                  \
    {                                                                                                                  \
        .key = (key_), .relation = TRIB_ABOVE, .value = "0"                                                            \
    }
#define IS_0(key_)                                                                                                     \
    {                                                                                                                  \
        .key = (key_), .relation = TRIB_NOT_ABOVE, .value = "0"                                                        \
    }
#define ABOVE(key_, than_)                                                                                             \
    {                                                                                                                  \
        .key = (key_), .relation = TRIB_ABOVE, .than = (than_)                                                         \
    }
#define GIVEN(key_)                                                                                                    \
    {                                                                                                                  \
        .key = (key_), .relation = TRIB_IS_NOT, .value = ""                                                            \
    }
#define ABSENT(key_)                                                                                                   \
    {                                                                                                                  \
        .key = (key_), .relation = TRIB_IS, .value = ""                                                                \
    }

/* ---- entries that are no tables of a block ---- */

static const struct trib_config_rule majority_rules[] = {
    TRIB_GATE_COMPARES_RULE,
    {TRIB_RULE_FORBIDS, ABOVE_0("federation.max_staleness"), .when = {ABOVE_0("relevance.sketch")},
     .says = "offers for different rounds have no majority in common; with {key} use last_update"},
};
static const struct trib_config_rule feedback_ef21_rules[] = {
    {TRIB_RULE_NEEDS,
     {.key = "strategy.name", .relation = TRIB_IS, .value = "ef21"},
     .says = "{value} does not go with {key} {other}: clients send differences under ef21 and strategy ef21 adds them "
             "up; set both or neither"},
};
static const struct trib_config_rule feedback_dgc_rules[] = {
    {TRIB_RULE_NEEDS,
     {.key = "codec.up", .relation = TRIB_IS_NOT, .value = "auto"},
     .says = "{value} is made for sparsifiers; give {key} one, such as \"topk:0.1%|f16\""},
};
static const struct trib_config_group no_group, majority_group = {TRIB_GROUP_RULES(majority_rules)},
                                                feedback_ef21_group = {TRIB_GROUP_RULES(feedback_ef21_rules)},
                                                feedback_dgc_group = {TRIB_GROUP_RULES(feedback_dgc_rules)};

static const struct trib_config_group *feedback_group(const char *name)
{
    return trib_str_equal(name, "ef21")  ? &feedback_ef21_group
           : trib_str_equal(name, "dgc") ? &feedback_dgc_group
                                         : &no_group;
}

/* ---- the server's own keys ---- */

static const struct trib_config_rule buffer_rules[] = {
    {TRIB_RULE_NEEDS, ABOVE_0("federation.max_staleness"), .when = {ABOVE_0("federation.buffer")},
     .says = "give {word} as well, such as 20: updates are behind as soon as another version is made"},
    {TRIB_RULE_FORBIDS, ABOVE_0("federation.clients_per_round"),
     .when = {ABOVE("federation.buffer", "federation.clients_per_round")},
     .says = "{value} is above {word} {other}, the clients that are at work at a time; it would never fill"},
};
static const struct trib_config_rule model_rules[] = {
    {TRIB_RULE_FORBIDS, GIVEN("model.layers"), .when = {GIVEN("model.name")}, .at = "model",
     .says = "give exactly one of model.name and {key}"},
    {TRIB_RULE_NEEDS, GIVEN("model.layers"), .when = {ABSENT("model.name")}, .at = "model",
     .says = "give exactly one of model.name and {key}"},
    {TRIB_RULE_NEEDS, GIVEN("model.example"), .at = "model.example",
     .says = "missing; give the shape of one example, such as [28, 28, 1]"},
};
static const struct trib_config_rule min_updates_rules[] = {
    {TRIB_RULE_FORBIDS, ABOVE_0("federation.clients_per_round"),
     .when = {ABOVE("federation.min_updates", "federation.clients_per_round"), IS_0("federation.buffer")},
     .says = "{value} is above {word} {other}; no round could ever commit"},
    {TRIB_RULE_FORBIDS, ABOVE_0("federation.min_clients"),
     .when = {ABOVE("federation.min_updates", "federation.min_clients"), IS_0("federation.clients_per_round")},
     .says = "{value} is above {word} {other}; a round could begin that cannot commit"},
};
#define TOO_FEW                                                                                                        \
    "{value} is below the {other} clients that a round needs (federation.min_clients, min_updates); no round could "   \
    "ever begin"
static const struct trib_config_rule max_clients_rules[] = {
    {TRIB_RULE_FORBIDS, ABOVE("federation.min_updates", "max_clients"),
     .when = {ABOVE("federation.min_updates", "federation.min_clients")}, .says = TOO_FEW},
    {TRIB_RULE_FORBIDS, ABOVE("federation.min_clients", "max_clients"), .says = TOO_FEW},
};
static const struct {
    const char *key;
    struct trib_config_group group;
} own[] = {
    {"federation.buffer", {TRIB_GROUP_RULES(buffer_rules)}},
    {"model.name", {TRIB_GROUP_RULES(model_rules)}},
    {"federation.min_updates", {TRIB_GROUP_RULES(min_updates_rules)}},
    {"max_clients", {TRIB_GROUP_RULES(max_clients_rules)}},
};

static enum trib_status check(const struct trib_server_settings *settings, const char *key,
                              const struct trib_config_group *group, struct trib_error *error)
{
    const struct trib_config_table *table = trib_server_table();
    return trib_config_check_rules(table->rows, table->n, settings, key, group->rules, group->n_rules, error);
}

enum trib_status trib_server_rules_check(const struct trib_server_settings *s, struct trib_error *error)
{
    const struct trib_backend *backend = trib_compute_backend(s->compute.backend);
    const struct {
        const char *key;
        const struct trib_config_group *group;
    } named[] = {
        {"relevance.rule", &trib_gate_rule_find(s->gate.rule)->settings},
        {"relevance.reference", s->relevance_reference == TRIB_REFERENCE_MAJORITY ? &majority_group : &no_group},
        {"strategy.name", &trib_strategy_find(s->strategy)->settings},
        {"codec.feedback", feedback_group(s->codec_feedback)},
        {"federation.selector", &trib_selector_find(s->selector)->settings},
        {"compute.backend", backend ? &backend->settings : &no_group},
    };
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        TRIB_TRY(check(s, named[i].key, named[i].group, error));
    }
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        TRIB_TRY(check(s, own[i].key, &own[i].group, error));
    }
    return TRIB_OK;
}
