/* Gradients of convolutions' weights: every backend against the reference. */
#include "kernel_trial.h"

int main(void)
{
    TCase *tests;
    return trib_test_run(family_suite("conv_weight_kernels", add_weight_gradients, &tests));
}
