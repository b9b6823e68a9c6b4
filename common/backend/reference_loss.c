/* Reference kernels: losses and their gradients. Any thread.
 *
 * A label at or beyond the number of classes cannot be honoured: loss and gradient become NaN, which the trainer's
 * finiteness check reports, rather than reading out of bounds or training on wrong data unseen. */
#include "reference.h"

#include "geometry.h"

#include <math.h>

static void softmax_row(const float *logits, size_t classes, double *maximum, double *total)
{
    *maximum = -INFINITY;
    *total = 0;
    for (size_t c = 0; c < classes; c++) {
        *maximum = (double)logits[c] > *maximum ? (double)logits[c] : *maximum;
    }
    for (size_t c = 0; c < classes; c++) {
        *total += exp((double)logits[c] - *maximum);
    }
}

/* loss = mean over counted rows of log(sum exp(z)) - z[label] */
void trib_reference_softmax_cross_entropy(const struct trib_kernel_call *call)
{
    const float *logits = call->inputs[0].data;
    const int32_t *labels = call->inputs[1].data;
    float *loss = call->outputs[0].data, *probabilities = call->outputs[1].data;
    size_t rows = trib_tensor_rows(&call->inputs[0]), classes = trib_tensor_columns(&call->inputs[0]);
    double sum = 0;
    size_t counted = 0;
    for (size_t r = 0; r < rows; r++) {
        const float *row = logits + r * classes;
        double maximum, total;
        softmax_row(row, classes, &maximum, &total);
        for (size_t c = 0; c < classes && probabilities; c++) {
            probabilities[r * classes + c] = (float)(exp((double)row[c] - maximum) / total);
        }
        if (labels[r] >= 0) {
            counted++;
            sum += (size_t)labels[r] < classes ? log(total) + maximum - (double)row[labels[r]] : (double)NAN;
        }
    }
    if (loss) {
        *loss = counted > 0 ? (float)(sum / (double)counted) : 0;
    }
}

/* dlogits = dloss (p - onehot(label)) / counted rows; zero in rows that are not counted */
void trib_reference_softmax_cross_entropy_grad(const struct trib_kernel_call *call)
{
    const float *dloss = call->inputs[0].data, *probabilities = call->inputs[1].data;
    const int32_t *labels = call->inputs[2].data;
    float *dlogits = call->outputs[0].data;
    size_t rows = trib_tensor_rows(&call->inputs[1]), classes = trib_tensor_columns(&call->inputs[1]);
    size_t counted = 0;
    for (size_t r = 0; r < rows; r++) {
        counted += labels[r] >= 0;
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < classes; c++) {
            double hit = labels[r] >= 0 && (size_t)labels[r] == c;
            double gradient = labels[r] < 0 ? 0 : ((double)probabilities[r * classes + c] - hit) / (double)counted;
            gradient = labels[r] >= 0 && (size_t)labels[r] >= classes ? (double)NAN : gradient;
            dlogits[r * classes + c] = (float)(gradient * (double)*dloss);
        }
    }
}

/* loss = mean (prediction - target)^2 */
void trib_reference_mse(const struct trib_kernel_call *call)
{
    const float *prediction = call->inputs[0].data, *target = call->inputs[1].data;
    size_t n = trib_tensor_n(&call->inputs[0]);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double away = (double)prediction[i] - target[i];
        sum += away * away;
    }
    *(float *)call->outputs[0].data = n > 0 ? (float)(sum / (double)n) : 0;
}

/* dprediction = dloss 2 (prediction - target) / n */
void trib_reference_mse_grad(const struct trib_kernel_call *call)
{
    const float *dloss = call->inputs[0].data, *prediction = call->inputs[1].data, *target = call->inputs[2].data;
    float *dprediction = call->outputs[0].data;
    size_t n = trib_tensor_n(&call->inputs[1]);
    double factor = n > 0 ? 2 * (double)*dloss / (double)n : 0;
    for (size_t i = 0; i < n; i++) {
        dprediction[i] = (float)(factor * ((double)prediction[i] - target[i]));
    }
}
