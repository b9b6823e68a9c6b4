/* tributaryctl codec-bench: what chains of codecs cost and keep, on synthetic vectors or on a user's own models. */
#ifndef TRIB_CTL_CODEC_BENCH_H
#define TRIB_CTL_CODEC_BENCH_H

#include "base/status.h"

/* argv[0] is the command's own name. Prints to stdout, complaints to stderr; returns the process's exit code. */
int trib_ctl_codec_bench(int argc, char *const *argv);

#endif
