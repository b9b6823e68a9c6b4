/* Checking a recipe, which the server sends. Any thread. */
#include "train/trainer.h"

#include <math.h>
#include <stddef.h>

static const char *const optimizer_names[TRIB_OPTIMIZER_COUNT] = {[TRIB_OPTIMIZER_SGD] = "sgd"};

const char *trib_optimizer_name(enum trib_optimizer optimizer)
{
    return (unsigned)optimizer < TRIB_OPTIMIZER_COUNT ? optimizer_names[optimizer] : "unknown";
}

/* Inclusive bounds, wide enough for any use and narrow enough that no sum of two terms overflows a float. */
static const struct real_row {
    const char *name;
    size_t offset;
    float min, max;
} real_rows[] = {
    {"learning_rate", offsetof(struct trib_recipe, learning_rate), 1e-30f, 1e6f},
    {"momentum", offsetof(struct trib_recipe, momentum), 0, 0.99999f},
    {"weight_decay", offsetof(struct trib_recipe, weight_decay), 0, 1e3f},
    {"clip_norm", offsetof(struct trib_recipe, clip_norm), 0, 1e30f},
    {"proximal_mu", offsetof(struct trib_recipe, proximal_mu), 0, 1e6f},
};
static const struct count_row {
    const char *name;
    size_t offset;
    uint32_t min, max;
} count_rows[] = {
    {"epochs", offsetof(struct trib_recipe, epochs), 1, 100000},
    {"batch_size", offsetof(struct trib_recipe, batch_size), 1, 1000000},
};

enum trib_status trib_recipe_check(const struct trib_recipe *recipe, struct trib_error *error)
{
    if ((unsigned)recipe->loss >= TRIB_LOSS_COUNT) {
        return trib_fail(error, TRIB_INVALID, "loss: number %d is none that this version knows", (int)recipe->loss);
    }
    if ((unsigned)recipe->optimizer >= TRIB_OPTIMIZER_COUNT) {
        return trib_fail(error, TRIB_INVALID, "optimizer: number %d is none that this version knows",
                         (int)recipe->optimizer);
    }
    for (size_t i = 0; i < sizeof count_rows / sizeof count_rows[0]; i++) {
        const struct count_row *row = &count_rows[i];
        uint32_t count = *(const uint32_t *)(const void *)((const char *)recipe + row->offset);
        if (count < row->min || count > row->max) {
            return trib_fail(error, TRIB_INVALID, "%s: %u is outside %u..%u", row->name, count, row->min, row->max);
        }
    }
    for (size_t i = 0; i < sizeof real_rows / sizeof real_rows[0]; i++) {
        const struct real_row *row = &real_rows[i];
        float real = *(const float *)(const void *)((const char *)recipe + row->offset);
        if (!isfinite(real) || real < row->min || real > row->max) {
            return trib_fail(error, TRIB_INVALID, "%s: %g is outside %g..%g", row->name, (double)real, (double)row->min,
                             (double)row->max);
        }
    }
    return TRIB_OK;
}
