/* The gate's rules as people name and set them: their words, their settings, what they do not go with. What they decide
 * is in gate.c. Any thread; nothing here changes. */
#include "select/gate.h"

#define AT(member) offsetof(struct trib_gate, member)

#define THRESHOLD_ROW                                                                                                  \
    TRIB_ROW("threshold", TRIB_TYPE_REAL, AT(value), "0.5", 0, 1000, NULL, 0,                                          \
             "the least share of equal signs; two updates that have nothing in common agree in about 0.5.")
static const struct trib_config_row threshold_rows[] = {THRESHOLD_ROW};
static const struct trib_config_row share_rows[] = {
    TRIB_ROW("share", TRIB_TYPE_REAL, AT(share), "0.5", 0, 1, NULL, 0,
             "of a round's offers, so many are uploaded, at least one."),
};
static const struct trib_config_row bytes_rows[] = {
    TRIB_ROW("bytes", TRIB_TYPE_SIZE, AT(bytes), "1MiB", 1, 1e15, NULL, 0, "a round's uploads may add up to so much."),
};

/* There are offers at all. */
#define SKETCHES                                                                                                       \
    {                                                                                                                  \
        .key = "relevance.sketch", .relation = TRIB_ABOVE, .value = "0"                                                \
    }
static const struct trib_config_rule constant_rules[] = {
    {TRIB_RULE_FORBIDS,
     {.key = "relevance.threshold", .relation = TRIB_ABOVE, .value = "1"},
     .when = {SKETCHES},
     .at = "relevance.threshold",
     .says = "no share of equal signs reaches {other}; give 0 to 1"},
};
static const struct trib_config_rule comparing_rules[] = {TRIB_GATE_COMPARES_RULE};

const struct trib_gate_rule_table trib_gate_rule_none = {.name = "none", .help = "all of them (none)"};
const struct trib_gate_rule_table trib_gate_rule_constant = {
    .name = "constant",
    .help = "those with a relevance of threshold (constant)",
    .settings = {TRIB_GROUP_ROWS(threshold_rows), TRIB_GROUP_RULES(constant_rules)},
};
const struct trib_gate_rule_table trib_gate_rule_decay = {
    .name = "decay",
    .help = "those with one of threshold / sqrt(round) (decay)",
    .settings = {TRIB_GROUP_ROWS(threshold_rows)},
};
const struct trib_gate_rule_table trib_gate_rule_share = {
    .name = "share",
    .help = "the most relevant share",
    .settings = {TRIB_GROUP_ROWS(share_rows), TRIB_GROUP_RULES(comparing_rules)},
};
const struct trib_gate_rule_table trib_gate_rule_bytes = {
    .name = "bytes",
    .help = "the most relevant up to so many bytes",
    .settings = {TRIB_GROUP_ROWS(bytes_rows), TRIB_GROUP_RULES(comparing_rules)},
};

static const struct trib_gate_rule_table *const tables[TRIB_GATE_RULE_COUNT] = {
#define GATE_RULE(code, name) [TRIB_GATE_##code] = &trib_gate_rule_##name,
#include "gate_rule_list.def"
#undef GATE_RULE
};
static const char *const names[TRIB_GATE_RULE_COUNT + 1] = {
#define GATE_RULE(code, name) [TRIB_GATE_##code] = #name,
#include "gate_rule_list.def"
#undef GATE_RULE
};
enum {
#define GATE_RULE(code, name) LISTED_##name,
#include "gate_rule_list.def"
#undef GATE_RULE
    LISTED
};
_Static_assert((int)LISTED == (int)TRIB_GATE_RULE_COUNT, "every rule has a table");

static const char *describe(size_t index)
{
    return index < TRIB_GATE_RULE_COUNT ? tables[index]->help : NULL;
}

static const struct trib_config_row rule_rows[] = {
    {.key = "rule",
     .type = TRIB_TYPE_ENUM,
     .offset = AT(rule),
     .fallback = "constant",
     .choices = names,
     .help = "Which updates are uploaded: {names}.",
     .names = describe},
};

const struct trib_gate_rule_table *trib_gate_rule_find(enum trib_gate_rule rule)
{
    return (unsigned)rule < TRIB_GATE_RULE_COUNT ? tables[rule] : NULL;
}

const char *trib_gate_rule_name(enum trib_gate_rule rule)
{
    return (unsigned)rule < TRIB_GATE_RULE_COUNT ? tables[rule]->name : "unknown";
}

void trib_gate_add_rows(struct trib_config_table *table, size_t offset)
{
    trib_config_table_add(table, "relevance", rule_rows, 1, offset, NULL);
    for (size_t i = 0; i < TRIB_GATE_RULE_COUNT; i++) {
        const struct trib_config_group *group = &tables[i]->settings;
        trib_config_table_add(table, "relevance", group->rows, group->n_rows, offset, tables[i]->name);
    }
}
