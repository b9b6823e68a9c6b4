/* Losses, as training and evaluation share them. Private to the block. */
#ifndef TRIB_TRAIN_LOSS_H
#define TRIB_TRAIN_LOSS_H

#include "train/trainer.h"

/* Append the input "y" and the loss of the graph's "logits" (or "prediction"), named "loss". y is int32 [batch] for
 * cross entropy, float [batch, width] for mean squared error. On failure the graph must be thrown away. */
TRIB_MUST_CHECK enum trib_status trib_loss_attach(struct trib_graph *graph, enum trib_loss loss, trib_value *value,
                                                  struct trib_error *error);
/* The model's output: TRIB_INVALID when the graph has neither. */
TRIB_MUST_CHECK enum trib_status trib_loss_find_logits(const struct trib_graph *graph, trib_value *value,
                                                       struct trib_error *error);
/* TRIB_MISMATCH unless the dataset's examples and labels suit the model and the loss. */
TRIB_MUST_CHECK enum trib_status trib_loss_check_dataset(const struct trib_graph *graph, enum trib_loss loss,
                                                         const struct trib_dataset *dataset, struct trib_error *error);

/* Hits are how many labels count (>= 0), and how many of these the largest logit hits; the first of equals wins, nan
 * never does. */
struct trib_hits {
    uint64_t counted, correct;
};
struct trib_hits trib_loss_hits(const float *logits, const int32_t *labels, size_t n, size_t classes);

#endif
