/* A pass rewrites a graph and keeps its meaning. Each is a row: a name and a function from graph to graph. */
#ifndef TRIB_GRAPH_PASS_H
#define TRIB_GRAPH_PASS_H

#include "graph/graph.h"

struct trib_pass {
    const char *name; /* "dead-code", "common-subexpression", "constant-folding", "redundant-op", "fusion" */
    const char *help;
    /* A new graph; names of inputs, parameters, states and outputs, and the order of parameters and states, stay. */
    enum trib_status (*run)(const struct trib_graph *graph, struct trib_graph **result, struct trib_error *error);
};

size_t trib_passes(const struct trib_pass *const **passes); /* in pipeline order */
/* Run the whole pipeline until nothing changes (at most 8 times). When `trace` is not NULL, every pass that changed
 * the graph appends its name and the graph before and after. */
TRIB_MUST_CHECK enum trib_status trib_pass_pipeline(const struct trib_graph *graph, struct trib_graph **result,
                                                    struct trib_buf *trace, struct trib_error *error);

#endif
