/* Rules between keys are checked here, on settings that were read by their rows. Any thread; no allocation. */
#include "base/config_rules.h"

#include "config_private.h"

#include "base/str.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

enum { VALUE_LEN = 128 };

struct checking {
    const struct trib_config_row *rows;
    size_t n;
    const void *settings;
    const char *missing; /* a key without a row */
};

static const struct trib_config_row *row_of(struct checking *checking, const char *key)
{
    const struct trib_config_row *row = trib_config_find_row(checking->rows, checking->n, key);
    if (!row) {
        checking->missing = key;
    }
    return row;
}

/* The value as a person would write it; "" for an absent one, "given" for a list or a map. */
static const char *write_value(struct checking *checking, const char *key, char *to, size_t size)
{
    const struct trib_config_row *row = row_of(checking, key);
    const char *text = "";
    to[0] = '\0';
    if (!row) {
        return to;
    }
    const void *field = (const char *)checking->settings + row->offset;
    switch (row->type) {
    case TRIB_TYPE_BOOL:
        text = *(const bool *)field ? "true" : "false";
        break;
    case TRIB_TYPE_INT:
        snprintf(to, size, "%lld", (long long)*(const int64_t *)field);
        return to;
    case TRIB_TYPE_REAL:
        return trib_config_write_real(*(const double *)field, to, size);
    case TRIB_TYPE_DURATION:
        return trib_config_write_duration(*(const int64_t *)field, to, size);
    case TRIB_TYPE_SIZE:
        return trib_config_write_size(*(const int64_t *)field, to, size);
    case TRIB_TYPE_STRING:
    case TRIB_TYPE_PATH:
        text = *(char *const *)field ? *(char *const *)field : "";
        break;
    case TRIB_TYPE_ENUM:
        text = row->choices[*(const int *)field];
        break;
    case TRIB_TYPE_NODE:
        text = *(const struct trib_config_node *const *)field ? "given" : "";
        break;
    case TRIB_TYPE_ALIAS:
        break;
    }
    (void)trib_str_copy(to, size, text);
    return to;
}

/* The number of a key; 0 for one that has none. */
static double number_of(struct checking *checking, const char *key)
{
    const struct trib_config_row *row = row_of(checking, key);
    const void *field = row ? (const char *)checking->settings + row->offset : NULL;
    if (!field) {
        return 0;
    }
    switch (row->type) {
    case TRIB_TYPE_INT:
    case TRIB_TYPE_DURATION:
    case TRIB_TYPE_SIZE:
        return (double)*(const int64_t *)field;
    case TRIB_TYPE_REAL:
        return *(const double *)field;
    default:
        checking->missing = key;
        return 0;
    }
}

/* Is the word among those of the list? "" is in a list of none. */
static bool is_listed(const char *list, const char *word)
{
    size_t len = strlen(word);
    if (list[0] == '\0') {
        return len == 0;
    }
    for (const char *at = list; *at != '\0';) {
        size_t n = strcspn(at, " ");
        if (n == len && strncmp(at, word, n) == 0) {
            return true;
        }
        at += n + strspn(at + n, " ");
    }
    return false;
}

static bool holds(struct checking *checking, const struct trib_config_condition *condition)
{
    if (!condition->key) {
        return true;
    }
    const char *value = condition->value ? condition->value : "";
    if (condition->relation == TRIB_IS || condition->relation == TRIB_IS_NOT) {
        char text[VALUE_LEN];
        bool listed = is_listed(value, write_value(checking, condition->key, text, sizeof text));
        return listed == (condition->relation == TRIB_IS);
    }
    double bound = 0;
    if (condition->than) {
        bound = number_of(checking, condition->than);
    } else if (trib_parse_double(value, -DBL_MAX, DBL_MAX, &bound, NULL) != TRIB_OK) {
        checking->missing = condition->key;
    }
    bool above = number_of(checking, condition->key) > bound;
    return above == (condition->relation == TRIB_ABOVE);
}

/* ---- the message ---- */

static void add(char *to, size_t size, size_t *used, const char *text, size_t len)
{
    int wrote = *used < size ? snprintf(to + *used, size - *used, "%.*s", (int)len, text) : 0;
    *used += wrote < 0 ? 0 : (size_t)wrote;
}

static enum trib_status fail(struct checking *checking, const char *owner, const struct trib_config_rule *rule,
                             struct trib_error *error)
{
    char value[VALUE_LEN], other[VALUE_LEN], text[TRIB_ERROR_MESSAGE_LEN] = "";
    const char *dot = strrchr(rule->other.key, '.');
    const struct {
        const char *mark, *text;
    } marks[] = {{"{value}", write_value(checking, owner, value, sizeof value)},
                 {"{key}", rule->other.key},
                 {"{word}", dot ? dot + 1 : rule->other.key},
                 {"{other}", write_value(checking, rule->other.key, other, sizeof other)}};
    size_t used = 0;
    for (const char *at = rule->says; *at != '\0';) {
        size_t len = 1 + strcspn(at + 1, "{");
        const char *by = NULL;
        for (size_t i = 0; i < sizeof marks / sizeof marks[0] && !by; i++) {
            if (trib_str_starts_with(at, marks[i].mark)) {
                by = marks[i].text;
                len = strlen(marks[i].mark);
            }
        }
        add(text, sizeof text, &used, by ? by : at, by ? strlen(by) : len);
        at += len;
    }
    return trib_fail(error, TRIB_CONFIG, "%s: %s", rule->at ? rule->at : owner, text);
}

enum trib_status trib_config_check_rules(const struct trib_config_row *rows, size_t n, const void *settings,
                                         const char *owner, const struct trib_config_rule *rules, size_t n_rules,
                                         struct trib_error *error)
{
    struct checking checking = {.rows = rows, .n = n, .settings = settings};
    for (size_t i = 0; i < n_rules; i++) {
        bool counts = holds(&checking, &rules[i].when[0]) && holds(&checking, &rules[i].when[1]);
        bool broken = counts && holds(&checking, &rules[i].other) == (rules[i].kind == TRIB_RULE_FORBIDS);
        if (checking.missing) {
            return trib_fail(error, TRIB_INTERNAL, "a rule of %s: %s is no key of that kind", owner, checking.missing);
        }
        if (broken) {
            return fail(&checking, owner, &rules[i], error);
        }
    }
    return TRIB_OK;
}
