/* Convolutions: every backend against the reference. */
#include "kernel_trial.h"

int main(void)
{
    TCase *tests;
    return trib_test_run(family_suite("conv_kernels", add_convolutions, &tests));
}
