/* A schema lists what a model consists of: the named tensors of its flat float vector, in the graph's order of
 * declaration. */
#ifndef TRIB_MODEL_SCHEMA_H
#define TRIB_MODEL_SCHEMA_H

#include "crypto/hash.h"
#include "graph/graph.h"

struct trib_schema_tensor {
    char name[TRIB_VALUE_NAME_LEN];
    struct trib_shape shape;
    bool trained; /* parameter, not state */
    enum trib_init_rule init;
    size_t offset, n; /* in floats */
};
struct trib_schema {
    struct trib_schema_tensor *tensors;
    size_t n_tensors;
    size_t n_floats;
    uint8_t hash[TRIB_SHA256_LEN]; /* over names, shapes and kinds, in order */
};

TRIB_MUST_CHECK enum trib_status trib_schema_init(struct trib_schema *schema, const struct trib_graph *graph,
                                                  struct trib_error *error);
void trib_schema_clear(struct trib_schema *schema);
/* Fill a vector of schema->n_floats by each tensor's init rule; a function of (seed, tensor name) alone. */
void trib_schema_initialise(const struct trib_schema *schema, uint64_t seed, float *model);

#endif
