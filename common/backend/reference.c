/* The reference backend: a table of naive kernels. Any thread; no state. */
#include "reference.h"

#include "tables.h"

static const trib_kernel kernels[TRIB_OP_COUNT] = {
#define OP(code, name, ...) [TRIB_OP_##code] = trib_reference_##name,
#include "graph/op.def"
#undef OP
};

trib_kernel trib_reference_kernel(enum trib_op op)
{
    return kernels[op];
}

static void choose(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    (void)threads;
    *choice = (struct trib_kernel_choice){.run = kernels[call->op]};
}

static const char *describe(void)
{
    return "plain C, one thread";
}

const struct trib_backend trib_backend_reference = {
    .name = "reference",
    .help = "plain C without libraries: slow, for checking the others",
    .caps = TRIB_BACKEND_HOST_MEMORY | TRIB_BACKEND_ORACLE,
    .choose = choose,
    .describe = describe,
};
