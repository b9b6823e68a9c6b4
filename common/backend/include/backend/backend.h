/* A backend executes plans. Each is one const table; the list is backend_list.def.
 *
 * A backend supplies kernels op by op. An op for which it has none, or not for these shapes, falls back to the
 * reference kernel when the backend's memory is host memory; otherwise opening the execution fails with the op's
 * name. Every kernel gives the same bits for any number of threads: work is cut into parts by shape alone, and
 * partial sums are added in a fixed order. */
#ifndef TRIB_BACKEND_BACKEND_H
#define TRIB_BACKEND_BACKEND_H

#include "base/config_table.h"
#include "base/thread_pool.h"
#include "graph/plan.h"

struct trib_kernel_call {
    enum trib_op op;
    const struct trib_attributes *attributes;
    int n_inputs, n_outputs;
    struct trib_tensor inputs[TRIB_MAX_INPUTS];
    struct trib_tensor outputs[TRIB_MAX_OUTPUTS]; /* data NULL = output not wanted */
    void *workspace;                              /* as many bytes as the kernel asked for, 64-byte aligned */
    struct trib_thread_pool *pool;                /* may be NULL */
    uint64_t seed, step;                          /* for dropout */
};
typedef void (*trib_kernel)(const struct trib_kernel_call *call);
struct trib_kernel_choice {
    trib_kernel run;
    size_t workspace_bytes;
};

enum { TRIB_BACKEND_HOST_MEMORY = 1, TRIB_BACKEND_ORACLE = 2 };

struct trib_backend {
    const char *name;
    const char *help;
    unsigned caps;
    /* Once per process, on first use: probe and check the library; TRIB_UNAVAILABLE with the reason. Optional. */
    enum trib_status (*probe)(struct trib_error *error);
    /* Choose the kernel for a call whose shapes are set and whose data pointers may be NULL; choice->run stays NULL
     * when there is none. */
    void (*choose)(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice);
    /* One line for the start-up log, such as the core type that the library chose. Optional. */
    const char *(*describe)(void);
    struct trib_config_group settings; /* of its own; keys under "compute". Optional */
};

const struct trib_backend *trib_backend_find(const char *name); /* NULL when unknown */
size_t trib_backends(const struct trib_backend *const **list);
const struct trib_backend *trib_backend_default(void); /* the first of the list whose probe succeeds */

/* An execution is a plan made ready on one backend: kernels chosen, pointers resolved, arena and workspace allocated.
 */
struct trib_execution; /* opaque; one thread at a time */

/* trib_execution_new borrows the plan, which must live as long. pool may be NULL. */
TRIB_MUST_CHECK enum trib_status trib_execution_new(const struct trib_backend *backend, const struct trib_plan *plan,
                                                    struct trib_thread_pool *pool, struct trib_execution **execution,
                                                    struct trib_error *error);
void trib_execution_free(struct trib_execution *execution);

struct trib_execution_values {
    const void *const *inputs; /* one per graph input, in declaration order */
    float *model;              /* flat model vector; states are updated in place */
    float *gradient;           /* flat gradient vector; may be NULL when the graph has no gradients */
    uint64_t seed, step;
};
TRIB_MUST_CHECK enum trib_status trib_execution_run(struct trib_execution *execution,
                                                    const struct trib_execution_values *run, struct trib_error *error);
/* trib_execution_data says where a value lies after a run (host memory); valid until the next run. Outputs are never
 * overwritten. */
const void *trib_execution_data(const struct trib_execution *execution, trib_value value);
/* The profile is the times of each op in the runs so far, for benchmarks: a table of op, calls, milliseconds. */
void trib_execution_profile(struct trib_execution *execution, bool on);
TRIB_MUST_CHECK enum trib_status trib_execution_print_profile(const struct trib_execution *execution,
                                                              struct trib_buf *text);

#endif
