/* Limits are what the machine's owner allows the server to ask for. Values; any thread. */
#ifndef TRIB_CLIENT_LIMITS_H
#define TRIB_CLIENT_LIMITS_H

#include "codec/sketch.h"
#include "train/trainer.h"

#include <stddef.h>
#include <stdint.h>

/* A limit of 0 is none. */
struct trib_client_limits {
    int64_t max_epochs;
    int64_t max_ms; /* of one round's training */
    /* The received model, the copy that is trained, the trainer, the update and its sketch together. */
    int64_t max_bytes;
};

/* TRIB_MODEL_FRAME_MAX is the most bytes that a model frame may have, whatever the owner allows. */
#define TRIB_MODEL_FRAME_MAX ((uint64_t)1 << 36)
/* trib_limits_check_model tells whether a model frame of this length may be received. TRIB_LIMIT with both figures.
 * `in_memory`: the frame will be held there. */
TRIB_MUST_CHECK enum trib_status trib_limits_check_model(const struct trib_client_limits *limits, uint64_t frame_len,
                                                         bool in_memory, struct trib_error *error);
/* trib_limits_check_sketch tells whether the signs of so many positions may be asked for. TRIB_LIMIT. */
TRIB_MUST_CHECK enum trib_status trib_limits_check_sketch(uint64_t positions, struct trib_error *error);
/* trib_limits_for_training yields what remains for the trainer once `held_bytes` are taken by the model's frame, its
 * copy and the update. TRIB_LIMIT when nothing does. */
TRIB_MUST_CHECK enum trib_status trib_limits_for_training(const struct trib_client_limits *limits, size_t held_bytes,
                                                          struct trib_train_limits *train, struct trib_error *error);

#endif
