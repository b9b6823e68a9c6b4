/* Shorthand for appending layers to a graph, shared by the zoo and the list of layers. Private to the block.
 *
 * A builder carries the graph, the value that the next layer takes, and the first failure: after one, every call does
 * nothing, and trib_build_end returns it. Layers are plain matmul/conv2d, add and activation nodes; joining them is
 * the fusion pass's business. */
#ifndef TRIB_MODEL_BUILD_H
#define TRIB_MODEL_BUILD_H

#include "model/zoo.h"

struct trib_builder {
    struct trib_graph *graph;
    struct trib_error *error;
    enum trib_status status;
    trib_value at;
};
struct trib_window {
    int64_t channels; /* of the result; convolutions only */
    int32_t kernel, stride, padding;
};

/* The start checks the spec and declares input "x" [batch, example...]. */
void trib_build_start(struct trib_builder *builder, const struct trib_model_spec *spec, struct trib_graph *graph,
                      struct trib_error *error);
/* The end names the value at hand "logits", which must be [batch, classes]; returns the first failure. */
TRIB_MUST_CHECK enum trib_status trib_build_end(struct trib_builder *builder, int64_t classes);
/* The shape of the value at hand. */
struct trib_shape trib_build_shape(const struct trib_builder *builder);

/* A linear layer's parameters are NAME.weight and, with bias, NAME.bias. */
void trib_build_linear(struct trib_builder *builder, const char *name, int64_t units, bool bias,
                       enum trib_init_rule init); /* [B, I] -> [B, units] */
void trib_build_conv2d(struct trib_builder *builder, const char *name, const struct trib_window *window, bool bias,
                       enum trib_init_rule init); /* [B,H,W,I] -> [B,OH,OW,channels] */
void trib_build_pool(struct trib_builder *builder, enum trib_op op, const struct trib_window *window);
void trib_build_global_avg_pool(struct trib_builder *builder); /* [B,H,W,C] -> [B,C] */
void trib_build_flatten(struct trib_builder *builder);         /* [B, ...] -> [B, N]; nothing when it is flat */
void trib_build_activation(struct trib_builder *builder, enum trib_op op);
void trib_build_group_norm(struct trib_builder *builder, const char *name, int32_t groups, float epsilon);
void trib_build_batch_norm(struct trib_builder *builder, const char *name, float epsilon, float momentum);
void trib_build_dropout(struct trib_builder *builder, float rate, uint32_t stream);
void trib_build_add(struct trib_builder *builder, trib_value other);

/* "same" of an odd window: the size stays with stride 1. */
static inline int32_t trib_padding_same(int32_t kernel)
{
    return (kernel - 1) / 2;
}

#endif
