/* A program is a graph ready to run at the batch sizes that it meets: the full one and what is left at the end of an
 * epoch. Private to the block; one thread at a time.
 *
 * Plans and executions are kept for reuse; the ones not used for longest go when there are too many or when their
 * arenas would exceed the memory allowed. */
#ifndef TRIB_TRAIN_PROGRAM_H
#define TRIB_TRAIN_PROGRAM_H

#include "backend/backend.h"

enum { TRIB_PROGRAM_SLOTS = 8 };

struct trib_program_slot {
    int64_t batch; /* 0 = empty */
    uint64_t used; /* the program's clock at the last use */
    struct trib_plan *plan;
    struct trib_execution *execution;
    trib_value loss, logits;
};
struct trib_program {
    struct trib_graph *graph; /* after the passes; owned */
    const struct trib_backend *backend;
    struct trib_thread_pool *pool;
    size_t fixed_bytes, max_bytes; /* what is needed beside the arena, and the limit on both; 0 = none */
    size_t x, y;                   /* which inputs they are */
    uint64_t clock;
    struct trib_program_slot slots[TRIB_PROGRAM_SLOTS];
};
struct trib_program_run {
    const float *x; /* [batch, example...] */
    const void *y;
    float *model;
    float *gradient; /* NULL without gradients */
    uint64_t seed, step;
};

/* trib_program_init runs the passes over `graph`, which is borrowed; it has the inputs "x" and "y" and the output
 * "loss" besides the model's own. */
TRIB_MUST_CHECK enum trib_status trib_program_init(struct trib_program *program, const struct trib_graph *graph,
                                                   const struct trib_backend *backend, struct trib_thread_pool *pool,
                                                   struct trib_error *error);
void trib_program_clear(struct trib_program *program);
/* The slot for a batch size, made when it is not there; valid until the next call. TRIB_LIMIT when it alone is over
 * the memory allowed. */
TRIB_MUST_CHECK enum trib_status trib_program_slot(struct trib_program *program, int64_t batch,
                                                   struct trib_program_slot **slot, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_program_run(const struct trib_program *program,
                                                  const struct trib_program_slot *slot,
                                                  const struct trib_program_run *run, struct trib_error *error);

#endif
