/* Softmax cross-entropy and its gradient, in parts of rows; losses are summed in order, in double. Any thread.
 *
 * A label at or beyond the number of classes makes loss and gradient NaN, as in the reference. */
#include "blas.h"

#include "geometry.h"
#include "loops.h"
#include "parallel.h"
#include "vector_math.h"

#include <math.h>

struct loss {
    const float *logits, *probabilities;
    const int32_t *labels;
    float *to; /* probabilities or dlogits */
    size_t rows, classes, parts;
    float scale;   /* dloss / counted rows */
    double *sums;  /* [parts] */
    float *unseen; /* [parts][classes]: probabilities that nobody wants */
};

static struct loss loss_of(const struct trib_kernel_call *call, int logits)
{
    struct loss e = {.rows = trib_tensor_rows(&call->inputs[logits]),
                     .classes = trib_tensor_columns(&call->inputs[logits])};
    e.parts = trib_parts(e.rows, TRIB_PART_BYTES / 8 / sizeof(float) / e.classes + 1);
    e.sums = call->workspace;
    e.unseen = call->workspace ? (float *)(void *)(e.sums + e.parts) : NULL;
    return e;
}

static size_t counted(const int32_t *labels, size_t rows)
{
    size_t n = 0;
    for (size_t r = 0; r < rows; r++) {
        n += labels[r] >= 0;
    }
    return n;
}

TRIB_CLONES static void exp_shifted(const float *restrict z, float maximum, size_t n, float *restrict p)
{
    for (size_t c = 0; c < n; c++) {
        p[c] = trib_exp(z[c] - maximum);
    }
}

/* log(sum exp(z)); p = softmax(z) */
static double softmax_row(const float *z, size_t classes, float *p)
{
    float maximum = z[0];
    for (size_t c = 1; c < classes; c++) {
        maximum = z[c] > maximum ? z[c] : maximum;
    }
    exp_shifted(z, maximum, classes, p);
    double total = 0;
    for (size_t c = 0; c < classes; c++) {
        total += (double)p[c];
    }
    float scale = (float)(1 / total);
    for (size_t c = 0; c < classes; c++) {
        p[c] *= scale;
    }
    return log(total) + (double)maximum;
}

static void softmax_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct loss *e = context;
    double sum = 0;
    size_t to = trib_part_start(e->rows, e->parts, part + 1, 1);
    for (size_t r = trib_part_start(e->rows, e->parts, part, 1); r < to; r++) {
        const float *z = e->logits + r * e->classes;
        double log_sum = softmax_row(z, e->classes, e->to ? e->to + r * e->classes : e->unseen + part * e->classes);
        if (e->labels[r] >= 0) {
            sum += (size_t)e->labels[r] < e->classes ? log_sum - (double)z[e->labels[r]] : (double)NAN;
        }
    }
    e->sums[part] = sum;
}

/* loss = mean over counted rows of log(sum exp(z)) - z[label] */
static void run_softmax(const struct trib_kernel_call *call)
{
    struct loss e = loss_of(call, 0);
    e.logits = call->inputs[0].data;
    e.labels = call->inputs[1].data;
    e.to = call->outputs[1].data;
    trib_thread_pool_run(call->pool, e.parts, softmax_part, &e);
    double sum = 0;
    for (size_t part = 0; part < e.parts; part++) {
        sum += e.sums[part];
    }
    size_t n = counted(e.labels, e.rows);
    if (call->outputs[0].data) {
        *(float *)call->outputs[0].data = n > 0 ? (float)(sum / (double)n) : 0;
    }
}

TRIB_CLONES static void scale_row(const float *restrict p, float scale, size_t n, float *restrict to)
{
    for (size_t c = 0; c < n; c++) {
        to[c] = p[c] * scale;
    }
}

static void softmax_grad_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct loss *e = context;
    size_t to = trib_part_start(e->rows, e->parts, part + 1, 1);
    for (size_t r = trib_part_start(e->rows, e->parts, part, 1); r < to; r++) {
        int32_t label = e->labels[r];
        bool known = label >= 0 && (size_t)label < e->classes;
        float scale = known ? e->scale : label < 0 ? 0 : NAN;
        const float *p = e->probabilities + r * e->classes;
        scale_row(p, scale, e->classes, e->to + r * e->classes);
        if (known) {
            e->to[r * e->classes + (size_t)label] = (p[label] - 1.0f) * scale;
        }
    }
}

/* dlogits = dloss (p - onehot(label)) / counted rows */
static void run_softmax_grad(const struct trib_kernel_call *call)
{
    struct loss e = loss_of(call, 1);
    e.probabilities = call->inputs[1].data;
    e.labels = call->inputs[2].data;
    e.to = call->outputs[0].data;
    size_t n = counted(e.labels, e.rows);
    e.scale = n > 0 ? *(const float *)call->inputs[0].data / (float)n : 0;
    trib_thread_pool_run(call->pool, e.parts, softmax_grad_part, &e);
}

void trib_blas_choose_softmax(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    (void)threads;
    struct loss e = loss_of(call, call->op == TRIB_OP_SOFTMAX_CROSS_ENTROPY ? 0 : 1);
    choice->run = call->op == TRIB_OP_SOFTMAX_CROSS_ENTROPY ? run_softmax : run_softmax_grad;
    choice->workspace_bytes = e.parts * (sizeof(double) + e.classes * sizeof(float));
}
