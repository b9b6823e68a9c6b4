/* Gradients of convolutions' inputs: every backend against the reference. */
#include "kernel_trial.h"

int main(void)
{
    TCase *tests;
    return trib_test_run(family_suite("conv_input_kernels", add_input_gradients, &tests));
}
