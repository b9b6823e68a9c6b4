/* What the engine publishes, as it is inside. */
#ifndef FAULT_SIM_PEEK_H
#define FAULT_SIM_PEEK_H

#include "hub/hub.h"

enum { PEEKED_VALUES = 64 };
struct peeked {
    uint64_t version;
    uint8_t sha256[32], schema[32];
    size_t n;
    float values[PEEKED_VALUES];
};
bool peek_model(const struct trib_hub *engine, struct peeked *peeked);

#endif
