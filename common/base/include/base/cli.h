/* Command lines: a table of options drives parsing, --help and the messages for wrong flags. */
#ifndef TRIB_BASE_CLI_H
#define TRIB_BASE_CLI_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum trib_option_kind {
    TRIB_OPTION_FLAG,   /* bool */
    TRIB_OPTION_STRING, /* const char *, borrowed from argv */
    TRIB_OPTION_INT,    /* int64_t, min..max */
    TRIB_OPTION_REPEAT  /* struct trib_option_list: every value given */
};
struct trib_option_list {
    const char *values[64];
    size_t n;
};
struct trib_option {
    const char *name; /* long name without dashes */
    char letter;      /* 0 when it has none */
    enum trib_option_kind kind;
    void *value;
    int64_t min, max;
    const char *placeholder; /* "FILE" */
    const char *help;
};
/* Parse argv[1..]. Options take "--name value", "--name=value", "-x value"; "--" ends them. What is left over goes
 * to `operands` (at most max_operands, else TRIB_INVALID). A wrong flag's message names the nearest right one. Of an
 * option given twice the last value counts; max 0 with min >= 0 means no upper bound. */
TRIB_MUST_CHECK enum trib_status trib_cli_parse(int argc, char *const *argv, const struct trib_option *options,
                                                size_t n, const char **operands, size_t max_operands,
                                                size_t *n_operands, struct trib_error *error);
void trib_cli_help(FILE *to, const char *usage, const char *about, const struct trib_option *options, size_t n);

#endif
