/* A round's record is every figure that is known of it when it has ended. A value. */
#ifndef TRIB_JOURNAL_ROUND_RECORD_H
#define TRIB_JOURNAL_ROUND_RECORD_H

#include "round/round.h"

struct trib_round_record {
    struct trib_round_summary summary; /* counts and times (on the engine's clock) */
    bool carried;                      /* no update was wanted: the model is the one before */
    uint64_t version;                  /* of the model after it */
    uint64_t bytes_up, bytes_down;     /* on the wire, in this round */
    uint64_t raw_bytes;                /* of the whole model as float32 */
    double train_loss;                 /* of the updates that were folded, by weight; nan = none */
    double loss, accuracy;             /* of the new model on the server's test set; nan = not evaluated */
    double proximal_mu;                /* of its tasks */
    const char *codec_up, *codec_down; /* as configured */
    bool judged;                       /* offers have relevance */
    bool may_be_stale;                 /* updates of earlier rounds are folded as well */
};

#endif
