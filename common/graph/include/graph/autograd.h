/* Reverse-mode differentiation: a graph in, a larger graph out. */
#ifndef TRIB_GRAPH_AUTOGRAD_H
#define TRIB_GRAPH_AUTOGRAD_H

#include "graph/graph.h"

/* Append to `graph` the nodes that compute d(loss)/d(parameter) for every PARAMETER, and link them with
 * trib_graph_set_gradient. `loss` is a scalar result. A parameter that the loss does not depend on gets a constant
 * zero gradient. On failure the graph must be thrown away. */
TRIB_MUST_CHECK enum trib_status trib_autograd(struct trib_graph *graph, trib_value loss, struct trib_error *error);

#endif
