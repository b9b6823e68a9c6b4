/* A configuration is YAML read into a tree that remembers lines, and tables of typed, bounded, documented rows.
 *
 * One table of rows describes a section; it drives reading, checking, --dump-config, the sample file and the man
 * page, so that none of them can drift. Every message names file, line, key, what is wrong and what would be right:
 *   client.yaml:14: train.batch_size: 0 is below the minimum 1
 *   server.yaml:3: rouns: unknown key; did you mean "rounds"?
 * The parser underneath is libyaml. Aliases and anchors are refused; size, depth and node count are bounded. */
#ifndef TRIB_BASE_CONFIG_H
#define TRIB_BASE_CONFIG_H

#include "base/buf.h"
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* ---- the tree ---- */
enum trib_config_kind { TRIB_CONFIG_SCALAR, TRIB_CONFIG_LIST, TRIB_CONFIG_MAP };
struct trib_config_node {
    enum trib_config_kind kind;
    int line;                              /* 1-based; in a map, of the key */
    const char *file;                      /* as given; owned by the tree's root */
    char *key;                             /* inside a map, else NULL */
    char *scalar;                          /* kind SCALAR: never NULL */
    struct trib_config_node *first;        /* children of a list or map, in file order */
    struct trib_config_node *next;         /* next sibling */
    size_t n;                              /* children */
    const struct trib_config_node *parent; /* NULL for the root */
    bool quoted;                           /* the scalar stood in quotes or in a block of its own; `key:` alone is an
                                              empty scalar that is not quoted */
};
/* trib_config_parse_file parses a file (at most 1 MiB). The root is a map; an empty file gives an empty map. */
TRIB_MUST_CHECK enum trib_status trib_config_parse_file(const char *path, struct trib_config_node **root,
                                                        struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_config_parse_text(const char *name, const char *text, size_t len,
                                                        struct trib_config_node **root, struct trib_error *error);
void trib_config_free(struct trib_config_node *root);
const struct trib_config_node *trib_config_child(const struct trib_config_node *map, const char *key);

/* ---- the rows ---- */
enum trib_config_type {
    TRIB_TYPE_BOOL,     /* bool */
    TRIB_TYPE_INT,      /* int64_t, min..max */
    TRIB_TYPE_REAL,     /* double, min..max */
    TRIB_TYPE_DURATION, /* int64_t milliseconds, min..max; written with a unit */
    TRIB_TYPE_SIZE,     /* int64_t bytes, min..max; written plain or with a unit */
    TRIB_TYPE_STRING,   /* char *, owned by the struct; at most max bytes when max > 0 */
    TRIB_TYPE_PATH,     /* char *, owned; a relative path is taken from the config file's directory */
    TRIB_TYPE_ENUM,     /* int: index into `choices` */
    TRIB_TYPE_NODE,     /* const struct trib_config_node *, borrowed from the tree: a list or map of its own kind */
    TRIB_TYPE_ALIAS     /* a former name of the key in `fallback`: it is read as that key, and never written */
};
enum { TRIB_ROW_REQUIRED = 1, TRIB_ROW_RELOADABLE = 2, TRIB_ROW_SECRET = 4 };
/* A list of names is a function: the name of a registry's entry at an index, NULL behind the last. */
typedef const char *(*trib_config_names)(size_t index);
/* A row describes one key. Rows with the same key (of several entries of a registry, each with its own struct) are all
 * filled by it; a dump and a sample show the first. */
struct trib_config_row {
    const char *key; /* dotted path within the table's map: "round.deadline" */
    enum trib_config_type type;
    size_t offset;        /* into the settings struct */
    const char *fallback; /* default, as it would be written; NULL = NULL/absent; required rows have none */
    double min, max;      /* bounds, ends included; max 0 with min >= 0 = no upper bound; min 1 for text = not empty */
    const char *const *choices; /* NULL-terminated, for enums */
    unsigned flags;
    const char *help;        /* one sentence, for people; "{names}" stands for the names below: "a, b or c" */
    trib_config_names names; /* of the entries that a text may name; NULL = none */
    const char *owners;      /* of a composed table: the entries that have a use for the key, "a, b"; NULL = all */
};
#define TRIB_ROW_AT(type, member) offsetof(type, member)
/* TRIB_ROW writes a row in one line, without names. */
#define TRIB_ROW(key_, type_, offset_, fallback_, min_, max_, choices_, flags_, help_)                                 \
    {                                                                                                                  \
        .key = (key_), .type = (type_), .offset = (offset_), .fallback = (fallback_), .min = (min_), .max = (max_),    \
        .choices = (choices_), .flags = (flags_), .help = (help_)                                                      \
    }

/* trib_config_apply fills `settings` (zeroed by the caller) from a map: defaults first, then the file; unknown keys,
 * wrong types and values out of bounds are errors. Dotted keys stand for nested maps. Rows of TRIB_TYPE_NODE point into
 * the tree, which must then outlive the settings. On failure everything already set is cleared again. */
TRIB_MUST_CHECK enum trib_status trib_config_apply(const struct trib_config_node *map,
                                                   const struct trib_config_row *rows, size_t n, void *settings,
                                                   struct trib_error *error);
/* trib_config_set sets one value by dotted key, from a command line's --set KEY=VALUE; `origin` stands where file:line
 * would. A relative path is kept as it is; TRIB_TYPE_NODE cannot be set so. */
TRIB_MUST_CHECK enum trib_status trib_config_set(const struct trib_config_row *rows, size_t n, void *settings,
                                                 const char *key, const char *value, const char *origin,
                                                 struct trib_error *error);
/* trib_config_override sets a list of "KEY=VALUE", in order; TRIB_INVALID for one that is written otherwise. */
TRIB_MUST_CHECK enum trib_status trib_config_override(const struct trib_config_row *rows, size_t n, void *settings,
                                                      const char *const *overrides, size_t n_overrides,
                                                      struct trib_error *error);
/* trib_config_is_overridden tells whether such a list sets this key. */
bool trib_config_is_overridden(const char *const *overrides, size_t n_overrides, const char *key);
void trib_config_clear(const struct trib_config_row *rows, size_t n, void *settings);
/* trib_config_dump writes the effective settings as YAML that parses back to the same: absent values are left out,
 * relative paths made absolute, secrets shown as "***". */
TRIB_MUST_CHECK enum trib_status trib_config_dump(const struct trib_config_row *rows, size_t n, const void *settings,
                                                  struct trib_buf *yaml);
/* trib_config_sample writes a commented sample file: every key with help, bounds and default (optional ones commented
 * out, required ones with a value that only shows the form). */
TRIB_MUST_CHECK enum trib_status trib_config_sample(const struct trib_config_row *rows, size_t n, const char *title,
                                                    struct trib_buf *yaml);
/* trib_config_fail makes "FILE:LINE: KEY: " + message with status TRIB_CONFIG, for checks beyond a row's bounds. */
enum trib_status trib_config_fail(const struct trib_config_node *node, struct trib_error *error, const char *format,
                                  ...) TRIB_PRINTF(3, 4);

/* ---- where a value comes from ---- */

/* A source is the places that settings were read from, the later ones counting more: a file, then another map of it,
 * then --set. */
struct trib_config_source {
    const struct trib_config_row *rows;
    size_t n_rows;
    const struct trib_config_node *maps[2]; /* NULL = none */
    const char *const *overrides;           /* "KEY=VALUE" */
    size_t n_overrides;
    const char *file; /* stands before the key of a default; NULL = nothing does */
};
/* trib_config_find returns the node of a dotted key, nested or with dots, below a map; NULL when it is not there. */
const struct trib_config_node *trib_config_find(const struct trib_config_node *map, const char *key);
/* trib_config_fail_key makes "FILE:LINE: KEY: " or "--set: KEY: " + message for the place of the key's value, under its
 * former name where that was given; "KEY: " for a default. Status TRIB_CONFIG. */
enum trib_status trib_config_fail_key(const struct trib_config_source *source, const char *key,
                                      struct trib_error *error, const char *format, ...) TRIB_PRINTF(4, 5);
/* trib_config_hints tells of every former name that was given, once a place: "client.yaml:7: training.backend is called
 * compute.backend now". */
void trib_config_hints(const struct trib_config_source *source, void (*report)(void *context, const char *text),
                       void *context);

/* ---- names of entries ---- */

/* trib_config_has_name tells whether the word is among the names. */
bool trib_config_has_name(trib_config_names names, const char *word);
/* trib_config_list_names writes "a, b, c", or with a last word of "or" "a, b or c", cut to fit; returns `to`. */
const char *trib_config_list_names(trib_config_names names, const char *last, char *to, size_t size);
/* trib_config_check_name fails for a word that is not among the names, with the nearest of them or all. */
TRIB_MUST_CHECK enum trib_status trib_config_check_name(const struct trib_config_source *source, const char *key,
                                                        trib_config_names names, const char *word,
                                                        struct trib_error *error);

#endif
