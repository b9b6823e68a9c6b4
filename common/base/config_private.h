/* The configuration's files share these helpers; inside this block only. */
#ifndef TRIB_BASE_CONFIG_PRIVATE_H
#define TRIB_BASE_CONFIG_PRIVATE_H

#include "base/config.h"

enum {
    TRIB_CONFIG_DEPTH_MAX = 16,
    TRIB_CONFIG_NODES_MAX = 20000,
    TRIB_CONFIG_LEN_MAX = 1 << 20,
    TRIB_CONFIG_PATH_LEN = 256,  /* of a dotted key in a message */
    TRIB_CONFIG_NAMES_LEN = 512, /* of a list of names in a text */
    TRIB_CONFIG_NAMES_MAX = 128  /* names of one registry */
};

/* trib_config_path_of writes "train.layers[2].units": the keys from the root to the node; "" for the root. */
const char *trib_config_path_of(const struct trib_config_node *node, char *to, size_t size);

/* trib_config_row_min and _max return the bounds of a row, with those that are not given filled in. */
double trib_config_row_min(const struct trib_config_row *row);
double trib_config_row_max(const struct trib_config_row *row); /* HUGE_VAL = none */

/* trib_config_write_duration, _size and _real write the shortest text that parses back to exactly the same value. */
const char *trib_config_write_duration(int64_t milliseconds, char *to, size_t size);
const char *trib_config_write_size(int64_t bytes, char *to, size_t size);
const char *trib_config_write_real(double value, char *to, size_t size);
/* trib_config_write_number writes a bound or a value of the row's type (numbers only). */
const char *trib_config_write_number(const struct trib_config_row *row, double value, char *to, size_t size);

/* trib_config_find_row returns the first row with this key, or NULL. */
const struct trib_config_row *trib_config_find_row(const struct trib_config_row *rows, size_t n, const char *key);
/* trib_config_is_first tells whether no row before this one has its key. */
bool trib_config_is_first(const struct trib_config_row *rows, size_t index);
/* trib_config_expand_help writes a row's help with its names in place; returns `to`, cut to fit. */
const char *trib_config_expand_help(const struct trib_config_row *row, char *to, size_t size);
/* trib_config_suggest writes what an unknown key may have been meant to be, a dotted key, in `to`; NULL when nothing is
 * near. `prefix_len` bytes of the key (with their dot) are known to be right. */
const char *trib_config_suggest(const struct trib_config_row *rows, size_t n, const char *key, size_t prefix_len,
                                char *to, size_t size);

#endif
