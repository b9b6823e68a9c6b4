/* Pooling and its gradients: every backend against the reference. */
#include "kernel_trial.h"

int main(void)
{
    TCase *tests;
    return trib_test_run(family_suite("pool_kernels", add_pools, &tests));
}
