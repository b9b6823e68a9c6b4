/* A bump allocator: one block, freed as a whole, for what lives as long as one plan or one round. One thread. */
#ifndef TRIB_TENSOR_ARENA_H
#define TRIB_TENSOR_ARENA_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct trib_arena {
    uint8_t *base;
    size_t capacity;
    size_t used;
};

TRIB_MUST_CHECK enum trib_status trib_arena_init(struct trib_arena *arena, size_t capacity, struct trib_error *error);
void *trib_arena_take(struct trib_arena *arena, size_t size); /* 64-byte aligned; NULL when full */
void trib_arena_reset(struct trib_arena *arena);
void trib_arena_clear(struct trib_arena *arena);

#endif
