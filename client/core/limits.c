/* The owner's limits, turned into the trainer's. */
#include "client/limits.h"
#include "base/str.h"

#include <inttypes.h>

enum { TEXT_LEN = 32 };

enum trib_status trib_limits_check_model(const struct trib_client_limits *limits, uint64_t frame_len, bool in_memory,
                                         struct trib_error *error)
{
    char need[TEXT_LEN], allowed[TEXT_LEN];
    if (frame_len == 0) {
        return trib_fail(error, TRIB_INVALID, "the model's frame is empty");
    }
    if (frame_len > TRIB_MODEL_FRAME_MAX) {
        return trib_fail(error, TRIB_LIMIT, "the model takes %s, more than the %s that any model may take",
                         trib_format_size((double)frame_len, need, sizeof need),
                         trib_format_size((double)TRIB_MODEL_FRAME_MAX, allowed, sizeof allowed));
    }
    if (in_memory && limits->max_bytes > 0 && frame_len > (uint64_t)limits->max_bytes) {
        return trib_fail(error, TRIB_LIMIT, "the model takes %s, more than the owner's limits.max_memory of %s",
                         trib_format_size((double)frame_len, need, sizeof need),
                         trib_format_size((double)limits->max_bytes, allowed, sizeof allowed));
    }
    return TRIB_OK;
}

enum trib_status trib_limits_check_sketch(uint64_t positions, struct trib_error *error)
{
    if (trib_sketch_bytes(positions) > TRIB_SKETCH_MAX_BYTES) {
        return trib_fail(error, TRIB_LIMIT,
                         "sketch_positions: an offer has room for the signs of %" PRIu64 " positions, not for %" PRIu64,
                         (uint64_t)TRIB_SKETCH_MAX_BYTES * 8, positions);
    }
    return TRIB_OK;
}

enum trib_status trib_limits_for_training(const struct trib_client_limits *limits, size_t held_bytes,
                                          struct trib_train_limits *train, struct trib_error *error)
{
    size_t left = 0;
    if (limits->max_bytes > 0) {
        if (held_bytes >= (uint64_t)limits->max_bytes) {
            char need[TEXT_LEN], allowed[TEXT_LEN];
            return trib_fail(
                error, TRIB_LIMIT,
                "the model, its copy and the update take %s, more than the owner's limits.max_memory of %s",
                trib_format_size((double)held_bytes, need, sizeof need),
                trib_format_size((double)limits->max_bytes, allowed, sizeof allowed));
        }
        left = (size_t)limits->max_bytes - held_bytes;
    }
    train->max_epochs = limits->max_epochs > UINT32_MAX ? UINT32_MAX : (uint32_t)limits->max_epochs;
    train->max_ms = limits->max_ms;
    train->max_bytes = left;
    return TRIB_OK;
}
