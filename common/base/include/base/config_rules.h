/* Rules say which values of different keys do not go together. Each belongs to what needs or forbids something: a key,
 * or the entry of a registry that a key names. One checker reads them all and names both keys and what to do.
 *
 * An entry that cannot be had without federation.max_staleness, and one that contradicts relevance.sketch:
 *   {TRIB_RULE_NEEDS, {"federation.max_staleness", TRIB_ABOVE, "0"}, .says = "{value} wants {key} above 0, such as 20"}
 *   {TRIB_RULE_FORBIDS, {"relevance.sketch", TRIB_ABOVE, "0"}, .says = "{value} has no use for {key}; set it to 0"} */
#ifndef TRIB_BASE_CONFIG_RULES_H
#define TRIB_BASE_CONFIG_RULES_H

#include "base/config.h"

enum trib_config_relation {
    TRIB_IS,       /* is one of the words of `value`; "" is a key without a value */
    TRIB_IS_NOT,   /* is none of them */
    TRIB_ABOVE,    /* a number above `value`, or above the key `than` */
    TRIB_NOT_ABOVE /* a number up to that */
};
/* A condition on the value of a key. */
struct trib_config_condition {
    const char *key; /* NULL = always true */
    enum trib_config_relation relation;
    const char *value; /* a number, or words with blanks between them; NULL = "" */
    const char *than;  /* instead: a key with a number */
};
enum trib_config_rule_kind { TRIB_RULE_NEEDS, TRIB_RULE_FORBIDS };
struct trib_config_rule {
    enum trib_config_rule_kind kind;
    struct trib_config_condition other;   /* what is needed, or forbidden */
    struct trib_config_condition when[2]; /* the rule counts where these hold */
    const char *at;                       /* the key that the message begins with; NULL = the owner's */
    /* Why, and what to do: {value} is the owner's value, {key} the other key, {word} what follows its last dot, {other}
     * its value. */
    const char *says;
};

/* trib_config_check_rules finds the first rule that `settings` break: TRIB_CONFIG with "KEY: " + what it says. `owner`
 * is the key that they belong to. A rule about a key that has no row is TRIB_INTERNAL. */
TRIB_MUST_CHECK enum trib_status trib_config_check_rules(const struct trib_config_row *rows, size_t n,
                                                         const void *settings, const char *owner,
                                                         const struct trib_config_rule *rules, size_t n_rules,
                                                         struct trib_error *error);

#endif
