/* What the machine's owner allows the server to ask for. Values; any thread. */
#ifndef TRIB_CLIENT_LIMITS_H
#define TRIB_CLIENT_LIMITS_H

#include "codec/sketch.h"
#include "train/trainer.h"

#include <stddef.h>
#include <stdint.h>

/* 0 = no limit. */
struct trib_client_limits {
    int64_t max_epochs;
    int64_t max_ms; /* of one round's training */
    int64_t
        max_bytes; /* the received model, the copy that is trained, the trainer, the update and its sketch together */
};

/* No model frame may be longer than this, whatever the owner allows. */
#define TRIB_MODEL_FRAME_MAX ((uint64_t)1 << 36)
/* May a model frame of this length be received? TRIB_LIMIT with both figures. `in_memory`: it will be held there. */
TRIB_MUST_CHECK enum trib_status trib_limits_check_model(const struct trib_client_limits *limits, uint64_t frame_len,
                                                         bool in_memory, struct trib_error *error);
/* May the signs of so many positions be asked for? TRIB_LIMIT. */
TRIB_MUST_CHECK enum trib_status trib_limits_check_sketch(uint64_t positions, struct trib_error *error);
/* What remains for the trainer once `held_bytes` are taken by the model's frame, its copy and the update. TRIB_LIMIT
 * when nothing does. */
TRIB_MUST_CHECK enum trib_status trib_limits_for_training(const struct trib_client_limits *limits, size_t held_bytes,
                                                          struct trib_train_limits *train, struct trib_error *error);

#endif
