/* Pooling and its gradients, vectorised over channels, in parts of output rows (or of images, where windows overlap
 * and gradients add up). Any thread. */
#include "blas.h"

#include "geometry.h"
#include "loops.h"
#include "parallel.h"
#include "tables.h"

#include <string.h>

struct pool {
    struct trib_window s;
    const float *x, *dy;
    float *y, *dx;
    int32_t *index;
    const int32_t *taken; /* index, read by the gradient */
    size_t units, parts;  /* output rows of all images, or images */
};

static void run_parts(struct pool *p, const struct trib_kernel_call *call, size_t units,
                      void (*work)(void *context, size_t part, int worker))
{
    size_t bytes = (size_t)(p->s.batch * p->s.height * p->s.width * p->s.channels) * sizeof(float);
    p->units = units;
    p->parts = trib_parts(units, TRIB_PART_BYTES / (bytes / units + 1) + 1);
    trib_thread_pool_run(call->pool, p->parts, work, p);
}

/* ---- maximum ---- */

/* One tap: where x is larger, it and its offset replace what y and index hold. */
TRIB_CLONES static void take_larger(const float *restrict x, int32_t offset, size_t channels, float *restrict y,
                                    int32_t *restrict index)
{
    for (size_t c = 0; c < channels; c++) {
        bool larger = x[c] > y[c];
        index[c] = larger ? offset + (int32_t)c : index[c];
        y[c] = larger ? x[c] : y[c];
    }
}

TRIB_CLONES static void take_larger_value(const float *restrict x, size_t channels, float *restrict y)
{
    for (size_t c = 0; c < channels; c++) {
        y[c] = x[c] > y[c] ? x[c] : y[c];
    }
}

/* All four taps of a 2 x 2 window at once; first wins ties. */
TRIB_CLONES static void take_largest_of_4(const float *restrict x, size_t right, size_t down, int32_t offset,
                                          size_t channels, float *restrict y, int32_t *restrict index)
{
    int32_t to_right = (int32_t)right, to_down = (int32_t)down;
    for (size_t c = 0; c < channels; c++) {
        float best = x[c];
        int32_t at = 0;
        at = x[right + c] > best ? to_right : at;
        best = x[right + c] > best ? x[right + c] : best;
        at = x[down + c] > best ? to_down : at;
        best = x[down + c] > best ? x[down + c] : best;
        at = x[down + right + c] > best ? to_down + to_right : at;
        best = x[down + right + c] > best ? x[down + right + c] : best;
        y[c] = best;
        index[c] = offset + at + (int32_t)c;
    }
}

static void max_window(const struct pool *p, const float *image, int64_t oh, int64_t ow, float *y, int32_t *index)
{
    const struct trib_window *s = &p->s;
    size_t channels = (size_t)s->channels;
    int64_t from_h, to_h, from_w, to_w;
    trib_window_span(oh, s->stride_height, s->padding_height, s->kernel_height, s->height, &from_h, &to_h);
    trib_window_span(ow, s->stride_width, s->padding_width, s->kernel_width, s->width, &from_w, &to_w);
    size_t first = (size_t)(from_h * s->width + from_w) * channels;
    if (index && to_h - from_h == 2 && to_w - from_w == 2) {
        take_largest_of_4(image + first, channels, (size_t)s->width * channels, (int32_t)first, channels, y, index);
        return;
    }
    memcpy(y, image + first, channels * sizeof *y);
    for (size_t c = 0; c < channels && index; c++) {
        index[c] = (int32_t)(first + c);
    }
    for (int64_t h = from_h; h < to_h; h++) {
        for (int64_t w = from_w; w < to_w; w++) {
            size_t at = (size_t)(h * s->width + w) * channels;
            if (index) {
                take_larger(image + at, (int32_t)at, channels, y, index);
            } else {
                take_larger_value(image + at, channels, y);
            }
        }
    }
}

static void max_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct pool *p = context;
    const struct trib_window *s = &p->s;
    size_t channels = (size_t)s->channels, height = (size_t)s->out_height;
    size_t to = trib_part_start(p->units, p->parts, part + 1, 1);
    for (size_t row = trib_part_start(p->units, p->parts, part, 1); row < to; row++) {
        const float *image = p->x + row / height * (size_t)(s->height * s->width) * channels;
        for (int64_t ow = 0; ow < s->out_width; ow++) {
            size_t at = (row * (size_t)s->out_width + (size_t)ow) * channels;
            max_window(p, image, (int64_t)(row % height), ow, p->y + at, p->index ? p->index + at : NULL);
        }
    }
}

static void run_max_pool(const struct trib_kernel_call *call)
{
    struct pool p = {.s = trib_pool_window(call->attributes, &call->inputs[0].shape, &call->outputs[0].shape),
                     .x = call->inputs[0].data,
                     .y = call->outputs[0].data,
                     .index = call->outputs[1].data};
    if (!p.y) {
        trib_reference_kernel(TRIB_OP_MAX_POOL2D)(call);
        return;
    }
    run_parts(&p, call, (size_t)(p.s.batch * p.s.out_height), max_part);
}

/* Where windows do not overlap, a pixel's gradient is its window's, or 0: every pixel is written once. */
TRIB_CLONES static void give_to_taken(const float *restrict dy, const int32_t *restrict taken, int32_t offset,
                                      size_t channels, float *restrict dx)
{
    for (size_t c = 0; c < channels; c++) {
        float g = dy[c]; /* read either way: a branch would keep the loop from vectorising */
        dx[c] = taken[c] == offset + (int32_t)c ? g : 0;
    }
}

/* The input rows under output row `row`, and after the last one those that no window covers. */
static void max_grad_row(const struct pool *p, size_t image, int64_t oh)
{
    const struct trib_window *s = &p->s;
    size_t channels = (size_t)s->channels, width = (size_t)s->width;
    float *dx = p->dx + image * (size_t)s->height * width * channels;
    int64_t to_h = oh == s->out_height - 1 ? s->height : (oh + 1) * s->stride_height;
    for (int64_t h = oh * s->stride_height; h < to_h; h++) {
        float *line = dx + (size_t)h * width * channels;
        if (h >= oh * s->stride_height + s->kernel_height) {
            memset(line, 0, width * channels * sizeof *line);
            continue;
        }
        for (int64_t w = 0; w < s->width; w++) {
            int64_t ow = w / s->stride_width;
            float *to = line + (size_t)w * channels;
            if (ow >= s->out_width || w - ow * s->stride_width >= s->kernel_width) {
                memset(to, 0, channels * sizeof *to);
                continue;
            }
            size_t from = ((image * (size_t)s->out_height + (size_t)oh) * (size_t)s->out_width + (size_t)ow) * channels;
            give_to_taken(p->dy + from, p->taken + from, (int32_t)((size_t)(h * s->width + w) * channels), channels,
                          to);
        }
    }
}

static void max_grad_rows_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct pool *p = context;
    size_t height = (size_t)p->s.out_height, to = trib_part_start(p->units, p->parts, part + 1, 1);
    for (size_t row = trib_part_start(p->units, p->parts, part, 1); row < to; row++) {
        max_grad_row(p, row / height, (int64_t)(row % height));
    }
}

static void max_grad_images_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct pool *p = context;
    const struct trib_window *s = &p->s;
    size_t image_n = (size_t)(s->height * s->width * s->channels);
    size_t pooled_n = (size_t)(s->out_height * s->out_width * s->channels);
    size_t from = trib_part_start(p->units, p->parts, part, 1), to = trib_part_start(p->units, p->parts, part + 1, 1);
    memset(p->dx + from * image_n, 0, (to - from) * image_n * sizeof(float));
    for (size_t i = from * pooled_n; i < to * pooled_n; i++) {
        if (p->taken[i] >= 0) {
            p->dx[i / pooled_n * image_n + (size_t)p->taken[i]] += p->dy[i];
        }
    }
}

static void run_max_pool_grad(const struct trib_kernel_call *call)
{
    struct pool p = {.s = trib_pool_window(call->attributes, &call->outputs[0].shape, &call->inputs[0].shape),
                     .dy = call->inputs[0].data,
                     .taken = call->inputs[1].data,
                     .dx = call->outputs[0].data};
    const struct trib_window *s = &p.s;
    if (s->padding_height == 0 && s->padding_width == 0 && s->stride_height >= s->kernel_height &&
        s->stride_width >= s->kernel_width) {
        run_parts(&p, call, (size_t)(s->batch * s->out_height), max_grad_rows_part);
    } else {
        run_parts(&p, call, (size_t)s->batch, max_grad_images_part);
    }
}

/* ---- mean ---- */

TRIB_CLONES static void add_scaled(const float *restrict x, float scale, size_t channels, float *restrict y)
{
    for (size_t c = 0; c < channels; c++) {
        y[c] += x[c] * scale;
    }
}

/* Visit the window of (oh, ow): y[c] += x / count, or dx += dy / count. */
static void mean_window(const struct trib_window *s, const float *image, float *image_grad, int64_t oh, int64_t ow,
                        float *y, const float *dy)
{
    size_t channels = (size_t)s->channels;
    int64_t from_h, to_h, from_w, to_w;
    trib_window_span(oh, s->stride_height, s->padding_height, s->kernel_height, s->height, &from_h, &to_h);
    trib_window_span(ow, s->stride_width, s->padding_width, s->kernel_width, s->width, &from_w, &to_w);
    float scale = 1.0f / (float)((to_h - from_h) * (to_w - from_w));
    for (int64_t h = from_h; h < to_h; h++) {
        for (int64_t w = from_w; w < to_w; w++) {
            size_t at = (size_t)(h * s->width + w) * channels;
            if (y) {
                add_scaled(image + at, scale, channels, y);
            } else {
                add_scaled(dy, scale, channels, image_grad + at);
            }
        }
    }
}

static void mean_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct pool *p = context;
    const struct trib_window *s = &p->s;
    size_t channels = (size_t)s->channels, height = (size_t)s->out_height;
    size_t to = trib_part_start(p->units, p->parts, part + 1, 1);
    for (size_t row = trib_part_start(p->units, p->parts, part, 1); row < to; row++) {
        const float *image = p->x + row / height * (size_t)(s->height * s->width) * channels;
        float *y = p->y + row * (size_t)s->out_width * channels;
        memset(y, 0, (size_t)s->out_width * channels * sizeof *y);
        for (int64_t ow = 0; ow < s->out_width; ow++) {
            mean_window(s, image, NULL, (int64_t)(row % height), ow, y + (size_t)ow * channels, NULL);
        }
    }
}

static void mean_grad_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct pool *p = context;
    const struct trib_window *s = &p->s;
    size_t channels = (size_t)s->channels, image_n = (size_t)(s->height * s->width) * channels;
    size_t to = trib_part_start(p->units, p->parts, part + 1, 1);
    for (size_t image = trib_part_start(p->units, p->parts, part, 1); image < to; image++) {
        float *dx = p->dx + image * image_n;
        const float *dy = p->dy + image * (size_t)(s->out_height * s->out_width) * channels;
        memset(dx, 0, image_n * sizeof *dx);
        for (int64_t at = 0; at < s->out_height * s->out_width; at++) {
            mean_window(s, NULL, dx, at / s->out_width, at % s->out_width, NULL, dy + (size_t)at * channels);
        }
    }
}

static void run_avg_pool(const struct trib_kernel_call *call)
{
    struct pool p = {.s = trib_pool_window(call->attributes, &call->inputs[0].shape, &call->outputs[0].shape),
                     .x = call->inputs[0].data,
                     .y = call->outputs[0].data};
    run_parts(&p, call, (size_t)(p.s.batch * p.s.out_height), mean_part);
}

static void run_avg_pool_grad(const struct trib_kernel_call *call)
{
    struct pool p = {.s = trib_pool_window(call->attributes, &call->outputs[0].shape, &call->inputs[0].shape),
                     .dy = call->inputs[0].data,
                     .dx = call->outputs[0].data};
    run_parts(&p, call, (size_t)p.s.batch, mean_grad_part);
}

void trib_blas_choose_pool(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    (void)threads;
    static const trib_kernel kernels[TRIB_OP_COUNT] = {
        [TRIB_OP_MAX_POOL2D] = run_max_pool,
        [TRIB_OP_MAX_POOL2D_GRAD] = run_max_pool_grad,
        [TRIB_OP_AVG_POOL2D] = run_avg_pool,
        [TRIB_OP_AVG_POOL2D_GRAD] = run_avg_pool_grad,
    };
    choice->run = kernels[call->op];
}
