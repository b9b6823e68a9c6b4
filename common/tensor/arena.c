/* The bump allocator. One thread. */
#include "tensor/arena.h"

#include "base/mem.h"

static const size_t ALIGNMENT = 64;

enum trib_status trib_arena_init(struct trib_arena *arena, size_t capacity, struct trib_error *error)
{
    uint8_t *base = trib_malloc_aligned(capacity > 0 ? capacity : 1, 1);
    if (!base) {
        return trib_fail_no_memory(error);
    }
    *arena = (struct trib_arena){.base = base, .capacity = capacity};
    return TRIB_OK;
}

void *trib_arena_take(struct trib_arena *arena, size_t size)
{
    /* `used` is a multiple of the alignment or the full capacity, so the subtraction cannot wrap. */
    size_t left = arena->capacity - arena->used;
    if (!arena->base || size > left) {
        return NULL;
    }
    void *block = arena->base + arena->used;
    size_t rest = left - size;
    size_t padding = (ALIGNMENT - size % ALIGNMENT) % ALIGNMENT;
    arena->used += size + (padding < rest ? padding : rest);
    return block;
}

void trib_arena_reset(struct trib_arena *arena)
{
    arena->used = 0;
}

void trib_arena_clear(struct trib_arena *arena)
{
    trib_free(arena->base);
    *arena = (struct trib_arena){0};
}
