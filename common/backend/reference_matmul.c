/* Reference kernels: matrix product and linear layer. Any thread. */
#include "reference.h"

#include "geometry.h"

/* y[M, N] = op(a) op(b), op(a) [M, K], op(b) [K, N] */
void trib_reference_matmul(const struct trib_kernel_call *call)
{
    const struct trib_attributes *attributes = call->attributes;
    const float *a = call->inputs[0].data, *b = call->inputs[1].data;
    float *y = call->outputs[0].data;
    size_t m = (size_t)call->outputs[0].shape.dims[0], n = (size_t)call->outputs[0].shape.dims[1];
    size_t k = (size_t)call->inputs[0].shape.dims[attributes->transpose_a ? 0 : 1];
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t l = 0; l < k; l++) {
                double left = attributes->transpose_a ? a[l * m + i] : a[i * k + l];
                double right = attributes->transpose_b ? b[j * k + l] : b[l * n + j];
                sum += left * right;
            }
            y[i * n + j] = (float)sum;
        }
    }
}

/* y[B, O] = activation(x[B, I] w[O, I]^T + bias[O]) */
void trib_reference_linear(const struct trib_kernel_call *call)
{
    const float *x = call->inputs[0].data, *w = call->inputs[1].data;
    const float *bias = call->n_inputs > 2 ? call->inputs[2].data : NULL;
    float *y = call->outputs[0].data;
    size_t outputs = (size_t)call->inputs[1].shape.dims[0], inputs = (size_t)call->inputs[1].shape.dims[1];
    size_t rows = trib_tensor_rows(&call->outputs[0]);
    for (size_t r = 0; r < rows; r++) {
        for (size_t o = 0; o < outputs; o++) {
            double sum = bias ? (double)bias[o] : 0;
            for (size_t i = 0; i < inputs; i++) {
                sum += (double)x[r * inputs + i] * w[o * inputs + i];
            }
            y[r * outputs + o] = trib_reference_activate(call->attributes->activation, (float)sum);
        }
    }
}
