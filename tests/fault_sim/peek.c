/* The one look behind the engine's interface: at the model that it publishes. */
#include "../../server/core/engine_private.h"

#include "peek.h"

#include <string.h>

bool peek_model(const struct trib_engine *engine, struct peeked *peeked)
{
    size_t n = engine->schema.n_floats;
    if (n > PEEKED_VALUES || !engine->current.vector) {
        return false;
    }
    *peeked = (struct peeked){.version = engine->current.version, .n = n};
    memcpy(peeked->sha256, engine->current.sha256, sizeof peeked->sha256);
    memcpy(peeked->schema, engine->schema.hash, sizeof peeked->schema);
    memcpy(peeked->values, engine->current.vector, n * sizeof peeked->values[0]);
    return true;
}
