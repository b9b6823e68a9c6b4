/* Elementwise, broadcasting and reducing ops: every backend against the reference. */
#include "kernel_trial.h"

int main(void)
{
    TCase *tests;
    return trib_test_run(family_suite("elementwise_kernels", add_elementwise, &tests));
}
