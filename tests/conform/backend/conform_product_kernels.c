/* Matrix products and linear layers: every backend against the reference. */
#include "kernel_trial.h"

int main(void)
{
    TCase *tests;
    return trib_test_run(family_suite("product_kernels", add_products, &tests));
}
