/* Models by name, and from a list of layers.
 *
 * Every model maps input "x" [batch, example shape...] to output "logits" [batch, classes] (or "prediction"
 * for regression, width = classes); the loss is attached by the trainer. */
#ifndef TRIB_MODEL_ZOO_H
#define TRIB_MODEL_ZOO_H

#include "base/config.h"
#include "graph/graph.h"

struct trib_model_spec {
    struct trib_shape example; /* [784], or height, width, channels: [28, 28, 1] */
    int64_t classes;
};
struct trib_zoo_entry {
    const char *name; /* "logistic", "mlp", "cnn-mnist", "cnn-cifar", "resnet-small" */
    const char *help;
    enum trib_status (*build)(const struct trib_model_spec *spec, struct trib_graph *graph, struct trib_error *error);
};

size_t trib_zoo(const struct trib_zoo_entry *const **entries);
TRIB_MUST_CHECK enum trib_status trib_zoo_build(const char *name, const struct trib_model_spec *spec,
                                                struct trib_graph **graph, struct trib_error *error);
/* A model from the YAML list under model.layers, each entry a map with `layer: NAME` and its settings:
 *   - {layer: conv2d, channels: 32, kernel: 5, stride: 1, padding: same}
 *   - {layer: relu}
 *   - {layer: max_pool2d, kernel: 2}
 *   - {layer: flatten}
 *   - {layer: linear, units: 10}
 * Layers: conv2d max_pool2d avg_pool2d global_avg_pool relu tanh sigmoid gelu batch_norm group_norm dropout flatten
 * linear. Errors name file, line, layer and key, as "server.yaml:4: model.layers[1].kernel: ..."; parameters are named
 * by type and the same number, which counts from 0: "conv2d1.weight". */
TRIB_MUST_CHECK enum trib_status trib_layers_build(const struct trib_config_node *layers,
                                                   const struct trib_model_spec *spec, struct trib_graph **graph,
                                                   struct trib_error *error);
/* An inference graph is a copy for evaluation: dropout gone, batch norm by running statistics, no state updates; the
 * same schema. */
TRIB_MUST_CHECK enum trib_status trib_inference_graph(const struct trib_graph *graph, struct trib_graph **inference,
                                                      struct trib_error *error);

#endif
