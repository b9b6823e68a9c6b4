/* The graph IR, a recipe, and their messages. Everything that comes from a peer is checked by the graph's own rules. */
#ifndef TRIB_WIRE_GRAPH_MESSAGE_H
#define TRIB_WIRE_GRAPH_MESSAGE_H

#include "graph/graph.h"
#include "train/trainer.h"
#include "wire/message.h"

/* Append the serialised Graph message. Gradients are not part of it. The same graph gives the same bytes. */
TRIB_MUST_CHECK enum trib_status trib_graph_pack(const struct trib_graph *graph, struct trib_buf *buf,
                                                 struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_graph_unpack(const uint8_t *bytes, size_t len, struct trib_graph **graph,
                                                   struct trib_error *error);
/* The message borrows static strings only. */
void trib_recipe_to_message(const struct trib_recipe *recipe, Tributary__V1__Recipe *message);
/* Checked by trib_recipe_check; an unknown loss or optimiser is TRIB_UNSUPPORTED by name. */
TRIB_MUST_CHECK enum trib_status trib_recipe_from_message(const Tributary__V1__Recipe *message,
                                                          struct trib_recipe *recipe, struct trib_error *error);

#endif
