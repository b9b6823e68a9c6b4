/* Convolution and its gradients as products with the rows that the kernel's window covers (im2row; Chellapilla et al.
 * 2006), in NHWC, a chunk at a time so that rows are multiplied while they are in the second-level cache. Any thread.
 *
 * Row r = (image, oh, ow) of the matrix is the window's content [KH, KW, I]; K = KH KW I. The weights [O, KH, KW, I]
 * are an [O, K] matrix as they lie. */
#include "blas.h"

#include "geometry.h"
#include "parallel.h"

#include <string.h>

enum { CHUNK_BYTES = 384 * 1024, MAX_PARTIAL_BYTES = 32 * 1024 * 1024 };

struct conv {
    struct trib_window s;
    size_t k, rows, chunk_rows, chunks; /* of the whole batch */
    size_t image_rows;
    size_t parts; /* groups of images */
    const float *x, *w, *dy, *bias;
    float *y, *dx, *dw;
    float *scratch;  /* per worker: chunk_rows x k */
    float *partials; /* parts x [O, K], for dw */
    enum trib_activation activation;
};

static struct conv conv_of(const struct trib_attributes *attributes, const struct trib_shape *x,
                           const struct trib_shape *w, const struct trib_shape *y)
{
    struct conv conv = {.s = trib_conv_window(attributes, x, w, y)};
    const struct trib_window *s = &conv.s;
    conv.k = (size_t)(s->kernel_height * s->kernel_width * s->channels);
    conv.image_rows = (size_t)(s->out_height * s->out_width);
    conv.rows = conv.image_rows * (size_t)s->batch;
    size_t fit = CHUNK_BYTES / (conv.k * sizeof(float) + 1);
    conv.chunk_rows = fit < 16 ? 16 : fit / 16 * 16;
    if (conv.chunk_rows > conv.rows) {
        conv.chunk_rows = conv.rows;
    }
    conv.chunks = conv.chunk_rows > 0 ? (conv.rows + conv.chunk_rows - 1) / conv.chunk_rows : 0;
    return conv;
}

/* A 1x1 window that moves by one pixel over an unpadded image: x itself is the matrix. */
static bool is_plain(const struct trib_window *s)
{
    return s->kernel_height == 1 && s->kernel_width == 1 && s->stride_height == 1 && s->stride_width == 1 &&
           s->padding_height == 0 && s->padding_width == 0;
}

/* One line of the window at input row h: KW pixels from column w on, zeros where they lie outside. */
static void gather_line(const struct trib_window *s, const float *image, int64_t h, int64_t w, float *to)
{
    size_t pixel = (size_t)s->channels;
    int64_t from_w = w < 0 ? -w : 0, to_w = w + s->kernel_width > s->width ? s->width - w : s->kernel_width;
    if (h < 0 || h >= s->height || to_w <= from_w) {
        memset(to, 0, (size_t)s->kernel_width * pixel * sizeof *to);
        return;
    }
    memset(to, 0, (size_t)from_w * pixel * sizeof *to);
    memcpy(to + (size_t)from_w * pixel, image + (size_t)(h * s->width + w + from_w) * pixel,
           (size_t)(to_w - from_w) * pixel * sizeof *to);
    memset(to + (size_t)to_w * pixel, 0, (size_t)(s->kernel_width - to_w) * pixel * sizeof *to);
}

/* rows[n, K] = rows first .. first+n of the window matrix */
static void im2row(const struct conv *conv, size_t first, size_t n, float *rows)
{
    const struct trib_window *s = &conv->s;
    size_t line = (size_t)(s->kernel_width * s->channels);
    size_t image_n = (size_t)(s->height * s->width * s->channels);
    for (size_t r = 0; r < n; r++) {
        size_t image = (first + r) / conv->image_rows, pixel = (first + r) % conv->image_rows;
        int64_t h = (int64_t)pixel / s->out_width * s->stride_height - s->padding_height;
        int64_t w = (int64_t)pixel % s->out_width * s->stride_width - s->padding_width;
        for (int64_t kh = 0; kh < s->kernel_height; kh++) {
            gather_line(s, conv->x + image * image_n, h + kh, w, rows + r * conv->k + (size_t)kh * line);
        }
    }
}

/* The transpose of im2row: add rows[n, K] back to the pixels that they were taken from. */
static void row2im(const struct conv *conv, size_t first, size_t n, const float *rows)
{
    const struct trib_window *s = &conv->s;
    size_t line = (size_t)(s->kernel_width * s->channels), channels = (size_t)s->channels;
    size_t image_n = (size_t)(s->height * s->width * s->channels);
    for (size_t r = 0; r < n; r++) {
        size_t image = (first + r) / conv->image_rows, pixel = (first + r) % conv->image_rows;
        int64_t h = (int64_t)pixel / s->out_width * s->stride_height - s->padding_height;
        int64_t w = (int64_t)pixel % s->out_width * s->stride_width - s->padding_width;
        int64_t from_w = w < 0 ? -w : 0, to_w = w + s->kernel_width > s->width ? s->width - w : s->kernel_width;
        for (int64_t kh = 0; kh < s->kernel_height; kh++) {
            if (h + kh < 0 || h + kh >= s->height || to_w <= from_w) {
                continue;
            }
            trib_blas_add(conv->dx + image * image_n + (size_t)((h + kh) * s->width + w + from_w) * channels,
                          rows + r * conv->k + (size_t)kh * line + (size_t)from_w * channels,
                          (size_t)(to_w - from_w) * channels);
        }
    }
}

static const float *window_rows(const struct conv *conv, size_t first, size_t n, int worker)
{
    if (is_plain(&conv->s)) {
        return conv->x + first * conv->k;
    }
    float *rows = conv->scratch + (size_t)worker * conv->chunk_rows * conv->k;
    im2row(conv, first, n, rows);
    return rows;
}

static void forward_chunk(void *context, size_t chunk, int worker)
{
    const struct conv *conv = context;
    size_t outputs = (size_t)conv->s.out_channels, first = chunk * conv->chunk_rows;
    size_t n = conv->rows - first < conv->chunk_rows ? conv->rows - first : conv->chunk_rows;
    float *y = conv->y + first * outputs;
    const float *rows = window_rows(conv, first, n, worker);
    trib_blas_gemm(false, true, n, outputs, conv->k, rows, conv->k, conv->w, conv->k, 0, y, outputs);
    trib_blas_epilogue(y, n, outputs, outputs, conv->bias, conv->activation);
}

/* y = activation(rows(x) w^T + bias) */
static void run_conv2d(const struct trib_kernel_call *call)
{
    struct conv conv =
        conv_of(call->attributes, &call->inputs[0].shape, &call->inputs[1].shape, &call->outputs[0].shape);
    conv.x = call->inputs[0].data;
    conv.w = call->inputs[1].data;
    conv.bias = call->n_inputs > 2 ? call->inputs[2].data : NULL;
    conv.y = call->outputs[0].data;
    conv.activation = call->attributes->activation;
    conv.scratch = call->workspace;
    trib_thread_pool_run(call->pool, conv.chunks, forward_chunk, &conv);
}

void trib_blas_choose_conv2d(const struct trib_kernel_call *call, int threads, struct trib_kernel_choice *choice)
{
    struct conv conv =
        conv_of(call->attributes, &call->inputs[0].shape, &call->inputs[1].shape, &call->outputs[0].shape);
    choice->run = run_conv2d;
    choice->workspace_bytes = (size_t)threads * conv.chunk_rows * conv.k * sizeof(float);
}

/* Images of one part overlap with no other part's, so that adding needs no order between parts. */
static void grad_input_part(void *context, size_t part, int worker)
{
    const struct conv *conv = context;
    size_t outputs = (size_t)conv->s.out_channels, batch = (size_t)conv->s.batch;
    size_t from = trib_part_start(batch, conv->parts, part, 1), to = trib_part_start(batch, conv->parts, part + 1, 1);
    size_t image_n = (size_t)(conv->s.height * conv->s.width * conv->s.channels);
    float *rows = conv->scratch + (size_t)worker * conv->chunk_rows * conv->k;
    memset(conv->dx + from * image_n, 0, (to - from) * image_n * sizeof(float));
    for (size_t first = from * conv->image_rows; first < to * conv->image_rows; first += conv->chunk_rows) {
        size_t left = to * conv->image_rows - first, n = left < conv->chunk_rows ? left : conv->chunk_rows;
        trib_blas_gemm(false, false, n, conv->k, outputs, conv->dy + first * outputs, outputs, conv->w, conv->k, 0,
                       rows, conv->k);
        row2im(conv, first, n, rows);
    }
}

/* dx = row2im(dy w) */
static void run_grad_input(const struct trib_kernel_call *call)
{
    struct conv conv =
        conv_of(call->attributes, &call->outputs[0].shape, &call->inputs[1].shape, &call->inputs[0].shape);
    conv.dy = call->inputs[0].data;
    conv.w = call->inputs[1].data;
    conv.dx = call->outputs[0].data;
    conv.scratch = call->workspace;
    conv.parts = trib_parts((size_t)conv.s.batch, 1);
    trib_thread_pool_run(call->pool, conv.parts, grad_input_part, &conv);
}

void trib_blas_choose_conv2d_grad_input(const struct trib_kernel_call *call, int threads,
                                        struct trib_kernel_choice *choice)
{
    struct conv conv =
        conv_of(call->attributes, &call->outputs[0].shape, &call->inputs[1].shape, &call->inputs[0].shape);
    choice->run = run_grad_input;
    choice->workspace_bytes = (size_t)threads * conv.chunk_rows * conv.k * sizeof(float);
}

/* The partial sums of dw: as many as fit, at most one an image. */
static void cut_grad_weight(struct conv *conv)
{
    size_t fit = MAX_PARTIAL_BYTES / ((size_t)conv->s.out_channels * conv->k * sizeof(float) + 1);
    conv->parts = trib_parts((size_t)conv->s.batch, 1);
    conv->parts = conv->parts < fit ? conv->parts : fit > 0 ? fit : 1;
}

static void grad_weight_part(void *context, size_t part, int worker)
{
    const struct conv *conv = context;
    size_t outputs = (size_t)conv->s.out_channels, batch = (size_t)conv->s.batch;
    size_t from = trib_part_start(batch, conv->parts, part, 1), to = trib_part_start(batch, conv->parts, part + 1, 1);
    float *sum = part == 0 ? conv->dw : conv->partials + (part - 1) * outputs * conv->k;
    memset(sum, 0, outputs * conv->k * sizeof *sum);
    for (size_t first = from * conv->image_rows; first < to * conv->image_rows; first += conv->chunk_rows) {
        size_t left = to * conv->image_rows - first, n = left < conv->chunk_rows ? left : conv->chunk_rows;
        const float *rows = window_rows(conv, first, n, worker);
        trib_blas_gemm(true, false, outputs, conv->k, n, conv->dy + first * outputs, outputs, rows, conv->k, 1, sum,
                       conv->k);
    }
}

/* dw = dy^T rows(x), the sum over parts taken in order */
static void run_grad_weight(const struct trib_kernel_call *call)
{
    struct conv conv =
        conv_of(call->attributes, &call->inputs[1].shape, &call->outputs[0].shape, &call->inputs[0].shape);
    cut_grad_weight(&conv);
    size_t n = (size_t)conv.s.out_channels * conv.k;
    conv.dy = call->inputs[0].data;
    conv.x = call->inputs[1].data;
    conv.dw = call->outputs[0].data;
    conv.partials = call->workspace;
    conv.scratch = conv.partials + (conv.parts - 1) * n;
    trib_thread_pool_run(call->pool, conv.parts, grad_weight_part, &conv);
    for (size_t part = 1; part < conv.parts; part++) {
        trib_blas_add(conv.dw, conv.partials + (part - 1) * n, n);
    }
}

void trib_blas_choose_conv2d_grad_weight(const struct trib_kernel_call *call, int threads,
                                         struct trib_kernel_choice *choice)
{
    struct conv conv =
        conv_of(call->attributes, &call->inputs[1].shape, &call->outputs[0].shape, &call->inputs[0].shape);
    cut_grad_weight(&conv);
    size_t n = (size_t)conv.s.out_channels * conv.k;
    choice->run = run_grad_weight;
    choice->workspace_bytes = ((conv.parts - 1) * n + (size_t)threads * conv.chunk_rows * conv.k) * sizeof(float);
}
