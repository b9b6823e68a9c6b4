/* One chain measured on one vector. */
#ifndef TRIB_CTL_CHAIN_MEASURE_H
#define TRIB_CTL_CHAIN_MEASURE_H

#include "codec/frame.h"

struct trib_chain_measure_options {
    const float *vector; /* [n] */
    size_t n;
    unsigned clients; /* whose frames are averaged, each with its own seed */
    unsigned runs;    /* times are the best of so many */
    uint64_t seed;
    struct trib_thread_pool *pool; /* NULL: one thread */
};
struct trib_chain_figures {
    double bits;      /* a coordinate, of the whole frame with its heads */
    double nmse;      /* |decoded - x|^2 / |x|^2 of one frame, the mean over clients */
    double mean_nmse; /* the same of the clients' mean: nmse / clients when the errors are unbiased and independent */
    double limit;     /* 4^-bits: what the best code reaches on a Gaussian vector (Shannon, 1959) */
    double encode_mbs, decode_mbs; /* 10^6 bytes of float32 a second; decoding includes every check */
};
/* TRIB_NO_MEMORY, or what encoding says. */
TRIB_MUST_CHECK enum trib_status trib_chain_measure(const struct trib_chain *chain,
                                                    const struct trib_chain_measure_options *options,
                                                    struct trib_chain_figures *figures, struct trib_error *error);

#endif
