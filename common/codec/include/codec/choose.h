/* A chain is chosen for one update where the codec is "auto": the rate from what the network carries in the time that
 * the server allows, the chain by trial on a sample of the update itself. */
#ifndef TRIB_CODEC_CHOOSE_H
#define TRIB_CODEC_CHOOSE_H

#include "codec/chain.h"

/* A target is what the server asks for. As text "auto:BITS,SECONDS", the codec of a task that leaves the choice to the
 * client. */
struct trib_choice_target {
    double bits;    /* a coordinate, at most; TRIB_CHOICE_MIN_BITS .. TRIB_CHOICE_MAX_BITS */
    double seconds; /* an upload may take; 0 = any time */
};
enum { TRIB_CHOICE_REASON = 200 };
#define TRIB_CHOICE_MIN_BITS 0.1
#define TRIB_CHOICE_MAX_BITS 32.0

/* trib_choice_is_auto tells whether a text is a target; trib_choice_parse says TRIB_INVALID for a faulty one. */
bool trib_choice_is_auto(const char *text);
TRIB_MUST_CHECK enum trib_status trib_choice_parse(const char *text, struct trib_choice_target *target,
                                                   struct trib_error *error);
void trib_choice_format(const struct trib_choice_target *target, char text[TRIB_CHAIN_TEXT]);

/* TRIB_CHOICE_STAGES is the names of every stage that a client may choose, and so must know. */
#define TRIB_CHOICE_STAGES                                                                                             \
    {                                                                                                                  \
        "f32", "f16", "bf16", "rotate", "uniform", "trellis", "topk", "ternary", "q8", "q4", "range"                   \
    }

/* A choice is the chain, and why it was chosen. */
struct trib_choice {
    struct trib_chain chain;
    double bits;                     /* the rate that was chosen for */
    double kurtosis;                 /* E[x^4] / E[x^2]^2 of the sample; 3 = Gaussian */
    double nmse;                     /* of the chain on the sample */
    char reason[TRIB_CHOICE_REASON]; /* for the log */
};
/* trib_choose_chain chooses for a vector of n values. bytes_per_second: the client's measured upload rate, 0 = not
 * known. TRIB_NOT_FINITE, TRIB_NO_MEMORY. */
TRIB_MUST_CHECK enum trib_status trib_choose_chain(const struct trib_choice_target *target, double bytes_per_second,
                                                   uint64_t seed, const float *vector, size_t n,
                                                   struct trib_choice *choice, struct trib_error *error);

#endif
