/* A training recipe and its message. */
#include "wire/graph_message.h"

#include "base/str.h"

void trib_recipe_to_message(const struct trib_recipe *recipe, Tributary__V1__Recipe *message)
{
    tributary__v1__recipe__init(message);
    message->loss = trib_message_lend(trib_loss_name(recipe->loss));
    message->optimizer = trib_message_lend(trib_optimizer_name(recipe->optimizer));
    message->epochs = recipe->epochs;
    message->batch_size = recipe->batch_size;
    message->max_steps = recipe->max_steps;
    message->learning_rate = recipe->learning_rate;
    message->momentum = recipe->momentum;
    message->weight_decay = recipe->weight_decay;
    message->clip_norm = recipe->clip_norm;
    message->proximal_mu = recipe->proximal_mu;
}

enum trib_status trib_recipe_from_message(const Tributary__V1__Recipe *message, struct trib_recipe *recipe,
                                          struct trib_error *error)
{
    int loss = 0, optimizer = 0;
    while (loss < TRIB_LOSS_COUNT && !trib_str_equal(message->loss, trib_loss_name((enum trib_loss)loss))) {
        loss++;
    }
    while (optimizer < TRIB_OPTIMIZER_COUNT &&
           !trib_str_equal(message->optimizer, trib_optimizer_name((enum trib_optimizer)optimizer))) {
        optimizer++;
    }
    if (loss == TRIB_LOSS_COUNT) {
        return trib_fail(error, TRIB_UNSUPPORTED, "loss \"%.40s\" is not known to this version", message->loss);
    }
    if (optimizer == TRIB_OPTIMIZER_COUNT) {
        return trib_fail(error, TRIB_UNSUPPORTED, "optimizer \"%.40s\" is not known to this version",
                         message->optimizer);
    }
    struct trib_recipe result = {
        .loss = (enum trib_loss)loss,
        .optimizer = (enum trib_optimizer)optimizer,
        .epochs = message->epochs,
        .batch_size = message->batch_size,
        .max_steps = message->max_steps,
        .learning_rate = message->learning_rate,
        .momentum = message->momentum,
        .weight_decay = message->weight_decay,
        .clip_norm = message->clip_norm,
        .proximal_mu = message->proximal_mu,
    };
    TRIB_TRY(trib_recipe_check(&result, error));
    *recipe = result;
    return TRIB_OK;
}
