/* tributaryctl: the operator's commands. */
#include "base/str.h"
#include "ctl/codec_bench.h"

#include <stdio.h>
#include <string.h>

static const struct command {
    const char *name, *help;
    int (*run)(int argc, char *const *argv);
} commands[] = {
    {"codec-bench", "measure chains of codecs: bits, error, speed", trib_ctl_codec_bench},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *to)
{
    fprintf(to, "usage: tributaryctl COMMAND [OPTION]...\n\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        fprintf(to, "  %-14s %s\n", commands[i].name, commands[i].help);
    }
    fprintf(to, "\ntributaryctl COMMAND --help tells a command's options; --version this program's version.\n");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0) {
        printf("tributaryctl %s\n", TRIB_VERSION);
        return 0;
    }
    const char *names[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++) {
        names[i] = commands[i].name;
    }
    const char *nearest = trib_str_nearest(name, names, COMMANDS);
    if (*name == '\0') {
        fprintf(stderr, "tributaryctl: give a command\n\n");
        print_help(stderr);
    } else if (nearest) {
        fprintf(stderr, "tributaryctl: no command \"%s\"; did you mean \"%s\"?\n", name, nearest);
    } else {
        fprintf(stderr, "tributaryctl: no command \"%s\"; tributaryctl --help lists them\n", name);
    }
    return trib_status_exit_code(TRIB_INVALID);
}
