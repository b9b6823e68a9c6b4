/* A benchmark's command line: its own options, and --help. Called first in main. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "base/cli.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BENCH_MAX_OPTIONS = 16 };

/* bench_options reads argv into the n `options`. With --help it prints a text and ends the program with exit code 0;
 * what cannot be read is told, and ends it with the exit code 64. `about` is one sentence. */
static inline void bench_options(int argc, char **argv, const char *name, const char *about,
                                 const struct trib_option *options, size_t n)
{
    struct trib_option all[BENCH_MAX_OPTIONS];
    bool help = false;
    struct trib_error error;
    size_t operands;
    char usage[64];
    if (n >= BENCH_MAX_OPTIONS) {
        abort();
    }
    if (n > 0) {
        memcpy(all, options, n * sizeof *options);
    }
    all[n] = (struct trib_option){"help", 'h', TRIB_OPTION_FLAG, &help, 0, 0, NULL, "print this help and exit"};
    if (trib_cli_parse(argc, argv, all, n + 1, NULL, 0, &operands, &error) != TRIB_OK) {
        fprintf(stderr, "%s: %s\n", name, error.message);
        exit(64);
    }
    if (help) {
        (void)snprintf(usage, sizeof usage, "%s [options]", name);
        trib_cli_help(stdout, usage, about, all, n + 1);
        exit(EXIT_SUCCESS);
    }
}

#endif
