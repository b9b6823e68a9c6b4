/* Command lines. Two passes over argv: the first checks everything, the second stores, so that a wrong command line
 * changes nothing. Called by main before threads start. */
#include "base/cli.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdint.h>
#include <string.h>

enum { HELP_WIDTH = 80, HELP_COLUMN = 28 };

struct parsing {
    int argc;
    char *const *argv;
    const struct trib_option *options;
    size_t n;
    size_t *given; /* how often each option was seen in this pass */
    bool store;
    const char **operands;
    size_t max_operands;
    size_t n_operands;
    struct trib_error *error;
};

static const struct trib_option *find_long(const struct parsing *parsing, const char *name, size_t len)
{
    for (size_t i = 0; i < parsing->n; i++) {
        const char *option = parsing->options[i].name;
        if (strlen(option) == len && memcmp(option, name, len) == 0) {
            return &parsing->options[i];
        }
    }
    return NULL;
}

static const struct trib_option *find_letter(const struct parsing *parsing, char letter)
{
    for (size_t i = 0; i < parsing->n; i++) {
        if (parsing->options[i].letter == letter) {
            return &parsing->options[i];
        }
    }
    return NULL;
}

/* `given` is the argument without its value. */
static enum trib_status fail_unknown(const struct parsing *parsing, const char *given, size_t len)
{
    char *word = trib_strndup(given, len);
    const char **names = trib_calloc(parsing->n, sizeof *names);
    if (!word || !names) {
        trib_free(word);
        trib_free(names);
        return trib_fail_no_memory(parsing->error);
    }
    for (size_t i = 0; i < parsing->n; i++) {
        names[i] = parsing->options[i].name;
    }
    const char *nearest = trib_str_nearest(word + strspn(word, "-"), names, parsing->n);
    enum trib_status status =
        trib_fail(parsing->error, TRIB_INVALID, "%s: unknown option%s%s%s; see --help", word,
                  !nearest ? "" : "; did you mean --", !nearest ? "" : nearest, !nearest ? "" : "?");
    trib_free(word);
    trib_free(names);
    return status;
}

static int64_t highest(const struct trib_option *option)
{
    return option->max == 0 && option->min >= 0 ? INT64_MAX : option->max;
}

static enum trib_status take_int(const struct parsing *parsing, const struct trib_option *option, const char *value)
{
    int64_t number = 0;
    enum trib_status status = trib_parse_int(value, option->min, highest(option), &number, parsing->error);
    if (status != TRIB_OK) {
        return trib_error_prefix(parsing->error, status, "--%s", option->name);
    }
    if (parsing->store) {
        *(int64_t *)option->value = number;
    }
    return TRIB_OK;
}

static enum trib_status take_repeat(const struct parsing *parsing, const struct trib_option *option, const char *value)
{
    struct trib_option_list *list = option->value;
    size_t most = sizeof list->values / sizeof list->values[0];
    size_t before = parsing->store ? list->n : list->n + parsing->given[option - parsing->options];
    if (before >= most) {
        return trib_fail(parsing->error, TRIB_INVALID, "--%s: given more than %zu times", option->name, most);
    }
    if (parsing->store) {
        list->values[list->n++] = value;
    }
    return TRIB_OK;
}

static enum trib_status take_value(const struct parsing *parsing, const struct trib_option *option, const char *value)
{
    enum trib_status status = TRIB_OK;
    switch (option->kind) {
    case TRIB_OPTION_FLAG:
        if (parsing->store) {
            *(bool *)option->value = true;
        }
        break;
    case TRIB_OPTION_STRING:
        if (parsing->store) {
            *(const char **)option->value = value;
        }
        break;
    case TRIB_OPTION_INT:
        status = take_int(parsing, option, value);
        break;
    case TRIB_OPTION_REPEAT:
        status = take_repeat(parsing, option, value);
        break;
    }
    parsing->given[option - parsing->options]++;
    return status;
}

/* The option at argv[*at], with its value; moves *at on to the last argument that was used. */
static enum trib_status parse_option(const struct parsing *parsing, int *at)
{
    const char *argument = parsing->argv[*at];
    bool is_long = argument[1] == '-';
    size_t len = is_long ? strcspn(argument, "=") : strlen(argument);
    const char *value = argument[len] == '=' ? argument + len + 1 : NULL;
    const struct trib_option *option = NULL;
    if (is_long) {
        option = find_long(parsing, argument + 2, len - 2);
    } else if (len == 2) {
        option = find_letter(parsing, argument[1]);
    }
    if (!option) {
        return fail_unknown(parsing, argument, len);
    }
    if (option->kind == TRIB_OPTION_FLAG) {
        if (value) {
            return trib_fail(parsing->error, TRIB_INVALID, "--%s: takes no value", option->name);
        }
    } else if (!value) {
        if (*at + 1 >= parsing->argc) {
            return trib_fail(parsing->error, TRIB_INVALID, "--%s: needs a value (%s)", option->name,
                             !option->placeholder ? "VALUE" : option->placeholder);
        }
        value = parsing->argv[++*at];
    }
    return take_value(parsing, option, value);
}

static enum trib_status parse_all(struct parsing *parsing)
{
    bool options_end = false;
    parsing->n_operands = 0;
    memset(parsing->given, 0, parsing->n * sizeof *parsing->given);
    for (int at = 1; at < parsing->argc; at++) {
        const char *argument = parsing->argv[at];
        if (!options_end && strcmp(argument, "--") == 0) {
            options_end = true;
        } else if (!options_end && argument[0] == '-' && argument[1] != '\0') {
            TRIB_TRY(parse_option(parsing, &at));
        } else if (parsing->n_operands >= parsing->max_operands) {
            return trib_fail(parsing->error, TRIB_INVALID, "%s: unexpected argument; see --help", argument);
        } else {
            if (parsing->store) {
                parsing->operands[parsing->n_operands] = argument;
            }
            parsing->n_operands++;
        }
    }
    return TRIB_OK;
}

enum trib_status trib_cli_parse(int argc, char *const *argv, const struct trib_option *options, size_t n,
                                const char **operands, size_t max_operands, size_t *n_operands,
                                struct trib_error *error)
{
    struct parsing parsing = {.argc = argc,
                              .argv = argv,
                              .options = options,
                              .n = n,
                              .operands = operands,
                              .max_operands = max_operands,
                              .error = error};
    parsing.given = trib_calloc(n, sizeof *parsing.given);
    if (!parsing.given) {
        return trib_fail_no_memory(error);
    }
    enum trib_status status = parse_all(&parsing);
    if (status == TRIB_OK) {
        parsing.store = true;
        status = parse_all(&parsing);
        if (n_operands) {
            *n_operands = parsing.n_operands;
        }
    }
    trib_free(parsing.given);
    return status;
}

/* Words from `column` on, broken before the line's end and indented. */
static void print_wrapped(FILE *to, const char *text, int indent, int column)
{
    while (*text != '\0') {
        int len = (int)strcspn(text, " ");
        if (column + 1 + len > HELP_WIDTH && column > indent) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
        }
        column += fprintf(to, "%s%.*s", column > indent ? " " : "", len, text);
        text += len + (int)strspn(text + len, " ");
    }
    fputc('\n', to);
}

void trib_cli_help(FILE *to, const char *usage, const char *about, const struct trib_option *options, size_t n)
{
    fprintf(to, "Usage: %s\n\n", usage);
    if (about && about[0] != '\0') {
        print_wrapped(to, about, 0, 0);
        fputc('\n', to);
    }
    fputs("Options:\n", to);
    for (size_t i = 0; i < n; i++) {
        const struct trib_option *option = &options[i];
        const char *placeholder = !option->placeholder ? "VALUE" : option->placeholder;
        bool takes_value = option->kind != TRIB_OPTION_FLAG;
        int column = option->letter != 0 ? fprintf(to, "  -%c, ", option->letter) : fprintf(to, "      ");
        column += fprintf(to, "--%s%s%s", option->name, takes_value ? " " : "", takes_value ? placeholder : "");
        if (column + 2 > HELP_COLUMN) {
            fputc('\n', to);
            column = 0;
        }
        fprintf(to, "%*s", HELP_COLUMN - column, "");
        print_wrapped(to, !option->help ? "" : option->help, HELP_COLUMN, HELP_COLUMN);
    }
}
