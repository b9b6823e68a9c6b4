/* Normalisations and their gradients: every backend against the reference. */
#include "kernel_trial.h"

int main(void)
{
    TCase *tests;
    return trib_test_run(family_suite("norm_kernels", add_norms, &tests));
}
