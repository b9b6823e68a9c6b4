/* Convolution and its input gradient on tiles, NHWC, without building the window matrix.
 *
 * A line of the window, [KW, I], lies as one run in an image; the windows of neighbouring pixels are the same run
 * stride * I further. So a tile reads its left operand straight from an image (padded with zeros into scratch, a band
 * of rows at a time), KH runs of KW I steps, against weights packed as panels [KH KW I][columns].
 *
 * The input gradient is a convolution of dy with the weights turned around: at stride 1 one, of dy padded by K - 1 - p;
 * at stride s one for each of the s x s phases of input pixels, with those taps that reach the phase. */
#include "blas.h"
#include "geometry.h"
#include "parallel.h"
#include "tile.h"

#if TRIB_HAS_TILES

#include <string.h>

/* A band of an image: small enough to stay in the second-level cache beside the weights. */
enum { BAND_BYTES = 128 * 1024, PACK_STEPS = 64, MAX_PHASES = 64 };

struct conv {
    const struct trib_tile_set *set;
    struct trib_window s;
    size_t line;         /* KW I: steps of one run */
    size_t k;            /* KH KW I */
    size_t panels;       /* of set->columns output channels, the last one narrower */
    size_t band;         /* output rows of a part */
    size_t bands;        /* of an image */
    size_t group;        /* images of a part; more than 1 only when bands is 1 */
    size_t padded_width; /* pixels that a line of output rows reads */
    size_t padded_n;     /* floats of a padded band; 0 when images are read where they lie */
    const float *x, *bias;
    float *y;
    float *packed, *scratch; /* in the workspace; scratch per worker */
    size_t y_pixel, y_line;  /* floats from one output pixel, and line, to the next */
    size_t y_image;
    enum trib_activation activation;
    const float *w;
    bool turned;      /* pack for the input gradient: */
    size_t taps[2];   /* height and width of the weights, */
    size_t phase[2];  /* of which those that are phase, phase + stride, ... */
    size_t stride[2]; /* are this convolution's */
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static struct conv conv_of(const struct trib_tile_set *set, const struct trib_window *s)
{
    struct conv conv = {.set = set, .s = *s};
    size_t out_width = (size_t)s->out_width, out_height = (size_t)s->out_height, batch = (size_t)s->batch;
    conv.line = (size_t)(s->kernel_width * s->channels);
    conv.k = conv.line * (size_t)s->kernel_height;
    conv.panels = ((size_t)s->out_channels + (size_t)set->columns - 1) / (size_t)set->columns;
    conv.padded_width = (out_width - 1) * (size_t)s->stride_width + (size_t)s->kernel_width;
    size_t row_bytes = conv.padded_width * (size_t)(s->channels * s->stride_height) * sizeof(float);
    size_t row_multiplies = out_width * (size_t)s->out_channels * conv.k;
    /* As many bands as give every core a part, each worth its hand-over and no larger than the cache. */
    size_t work_rows = TRIB_PART_MULTIPLIES / (row_multiplies + 1) + 1;
    size_t fair_rows = (out_height * batch + TRIB_MAX_PARTS - 1) / TRIB_MAX_PARTS;
    size_t cache_rows = BAND_BYTES / (row_bytes + 1) + 1;
    conv.band = smaller(smaller(work_rows > fair_rows ? work_rows : fair_rows, cache_rows), out_height);
    conv.bands = (out_height + conv.band - 1) / conv.band;
    conv.band = (out_height + conv.bands - 1) / conv.bands;
    conv.bands = (out_height + conv.band - 1) / conv.band;
    conv.group = conv.bands > 1 ? 1 : smaller(work_rows / out_height + 1, batch);
    conv.y_pixel = (size_t)s->out_channels;
    conv.y_line = out_width * conv.y_pixel;
    conv.y_image = out_height * conv.y_line;
    bool inside = (int64_t)conv.padded_width <= s->width &&
                  (s->out_height - 1) * s->stride_height + s->kernel_height <= s->height;
    if (s->padding_height != 0 || s->padding_width != 0 || !inside) {
        size_t rows = (conv.band - 1) * (size_t)s->stride_height + (size_t)s->kernel_height;
        conv.padded_n = (rows * conv.padded_width * (size_t)s->channels + 15) / 16 * 16;
    }
    return conv;
}

static size_t packed_n(const struct conv *conv)
{
    return (conv->k * (size_t)conv->s.out_channels + 15) / 16 * 16;
}

static size_t workspace_bytes(const struct conv *conv, int threads)
{
    return (packed_n(conv) + (size_t)threads * conv->padded_n) * sizeof(float);
}

static size_t panel_columns(const struct conv *conv, size_t panel)
{
    size_t first = panel * (size_t)conv->set->columns;
    return smaller((size_t)conv->s.out_channels - first, (size_t)conv->set->columns);
}

/* ---- packing ---- */

/* packed[k][column] = w[column][k] */
static void pack_straight(const struct conv *conv, size_t first, size_t columns, size_t from, size_t to, float *packed)
{
    for (size_t k = from; k < to; k++) {
        for (size_t c = 0; c < columns; c++) {
            packed[k * columns + c] = conv->w[(first + c) * conv->k + k];
        }
    }
}

/* packed[th, tw, o][column] = w[o, kh, kw, column], taps in reverse; here the window's channels are o, its outputs
 * columns. */
static void pack_turned(const struct conv *conv, size_t first, size_t columns, size_t from, size_t to, float *packed)
{
    size_t channels = (size_t)conv->s.channels, inputs = (size_t)conv->s.out_channels;
    size_t height = (size_t)conv->s.kernel_height, width = (size_t)conv->s.kernel_width;
    for (size_t k = from; k < to; k++) {
        size_t tap = k / channels, o = k % channels;
        size_t kh = conv->phase[0] + conv->stride[0] * (height - 1 - tap / width);
        size_t kw = conv->phase[1] + conv->stride[1] * (width - 1 - tap % width);
        const float *row = conv->w + ((o * conv->taps[0] + kh) * conv->taps[1] + kw) * inputs + first;
        memcpy(packed + k * columns, row, columns * sizeof *packed);
    }
}

static void pack_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct conv *conv = context;
    size_t blocks = (conv->k + PACK_STEPS - 1) / PACK_STEPS, panel = part / blocks, from = part % blocks * PACK_STEPS;
    float *packed = conv->packed + panel * conv->k * (size_t)conv->set->columns;
    (conv->turned ? pack_turned : pack_straight)(conv, panel * (size_t)conv->set->columns, panel_columns(conv, panel),
                                                 from, smaller(from + PACK_STEPS, conv->k), packed);
}

/* ---- multiplying ---- */

/* The tiles of one output row against one panel. `image` is the first pixel that the row's first window covers. */
static void multiply_row(const struct conv *conv, size_t panel, const float *image, size_t pitch, float *y)
{
    const struct trib_window *s = &conv->s;
    size_t columns = panel_columns(conv, panel), first = panel * (size_t)conv->set->columns;
    size_t step = (size_t)(s->stride_width * s->channels);
    struct trib_tile tile = {
        .b = conv->packed + first * conv->k,
        .bias = conv->bias ? conv->bias + first : NULL,
        .a_row = step,
        .a_step = 1,
        .a_segment = pitch,
        .b_step = columns,
        .b_segment = columns * conv->line,
        .c_row = conv->y_pixel,
        .k = conv->line,
        .segments = (size_t)s->kernel_height,
        .columns = (int)columns,
        .relu = conv->activation == TRIB_ACTIVATION_RELU,
    };
    size_t width = (size_t)s->out_width;
    for (size_t w = 0; w < width; w += (size_t)tile.rows) {
        tile.rows = trib_tile_even(width - w, conv->set->rows);
        tile.a = image + w * step;
        tile.c = y + w * conv->y_pixel + first;
        conv->set->tile(&tile);
    }
}

static void multiply_band(const struct conv *conv, size_t image, size_t from, size_t to, float *scratch)
{
    const struct trib_window *s = &conv->s;
    const float *x = conv->x + image * (size_t)(s->height * s->width * s->channels);
    float *y = conv->y + image * conv->y_image + from * conv->y_line;
    size_t pitch = (size_t)(s->width * s->channels), down = (size_t)s->stride_height;
    if (conv->padded_n > 0) {
        pitch = conv->padded_width * (size_t)s->channels;
        trib_tile_pad(s, x, (int64_t)from, (to - from - 1) * down + (size_t)s->kernel_height, conv->padded_width,
                      scratch);
        x = scratch;
    } else {
        x += from * down * pitch;
    }
    for (size_t panel = 0; panel < conv->panels; panel++) {
        for (size_t r = 0; r < to - from; r++) {
            multiply_row(conv, panel, x + r * down * pitch, pitch, y + r * conv->y_line);
        }
    }
    if (conv->activation != TRIB_ACTIVATION_NONE && conv->activation != TRIB_ACTIVATION_RELU) {
        trib_blas_activate(conv->activation, y, y, (to - from) * conv->y_line);
    }
}

static void multiply_part(void *context, size_t part, int worker)
{
    const struct conv *conv = context;
    float *scratch = conv->scratch + (size_t)worker * conv->padded_n;
    size_t height = (size_t)conv->s.out_height;
    if (conv->bands > 1) {
        size_t from = part % conv->bands * conv->band;
        multiply_band(conv, part / conv->bands, from, smaller(from + conv->band, height), scratch);
        return;
    }
    size_t last = smaller((part + 1) * conv->group, (size_t)conv->s.batch);
    for (size_t image = part * conv->group; image < last; image++) {
        multiply_band(conv, image, 0, height, scratch);
    }
}

static void convolve(struct conv *conv, const struct trib_kernel_call *call)
{
    conv->packed = call->workspace;
    conv->scratch = conv->packed + packed_n(conv);
    size_t blocks = (conv->k + PACK_STEPS - 1) / PACK_STEPS;
    trib_thread_pool_run(call->pool, conv->panels * blocks, pack_part, conv);
    size_t batch = (size_t)conv->s.batch;
    size_t parts = conv->bands > 1 ? batch * conv->bands : (batch + conv->group - 1) / conv->group;
    trib_thread_pool_run(call->pool, parts, multiply_part, conv);
}

/* ---- forward ---- */

static struct conv forward_of(const struct trib_tile_set *set, const struct trib_kernel_call *call)
{
    struct trib_window s =
        trib_conv_window(call->attributes, &call->inputs[0].shape, &call->inputs[1].shape, &call->outputs[0].shape);
    return conv_of(set, &s);
}

static void conv2d(const struct trib_tile_set *set, const struct trib_kernel_call *call)
{
    struct conv conv = forward_of(set, call);
    conv.x = call->inputs[0].data;
    conv.w = call->inputs[1].data;
    conv.bias = call->n_inputs > 2 ? call->inputs[2].data : NULL;
    conv.y = call->outputs[0].data;
    conv.activation = call->attributes->activation;
    convolve(&conv, call);
}
TRIB_TILE_KERNELS(conv2d)

void trib_tile_choose_conv2d(enum trib_tile_kind kind, const struct trib_kernel_call *call, int threads,
                             struct trib_kernel_choice *choice)
{
    struct conv conv = forward_of(trib_tile_set(kind), call);
    choice->run = conv2d_kernels[kind];
    choice->workspace_bytes = workspace_bytes(&conv, threads);
}

/* ---- input gradient ---- */

/* Along one axis, the input pixels h with (h + padding) % stride == phase: they are h = first + stride * i, i = 0 ..
 * count, and dx[h] is the sum over taps j of dy[origin + i - j] w[phase + stride * j]. */
struct phase {
    int64_t first, count, taps, origin;
};

static struct phase phase_of(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t phase)
{
    struct phase p = {.taps = phase < kernel ? (kernel - phase + stride - 1) / stride : 0};
    p.origin = padding > phase ? (padding - phase + stride - 1) / stride : 0;
    p.first = p.origin * stride + phase - padding;
    p.count = p.first < size ? (size - p.first + stride - 1) / stride : 0;
    return p;
}

static struct trib_window grad_window(const struct trib_kernel_call *call)
{
    return trib_conv_window(call->attributes, &call->outputs[0].shape, &call->inputs[1].shape, &call->inputs[0].shape);
}

/* The convolution that computes one phase; false when the phase has no pixels or no taps. */
static bool backward_of(const struct trib_tile_set *set, const struct trib_kernel_call *call, size_t index,
                        struct conv *conv)
{
    struct trib_window s = grad_window(call);
    int64_t down = (int64_t)index / s.stride_width, right = (int64_t)index % s.stride_width;
    struct phase h = phase_of(s.height, s.kernel_height, s.stride_height, s.padding_height, down);
    struct phase w = phase_of(s.width, s.kernel_width, s.stride_width, s.padding_width, right);
    if (h.count == 0 || w.count == 0 || h.taps == 0 || w.taps == 0) {
        return false;
    }
    struct trib_window back = {
        .batch = s.batch,
        .height = s.out_height,
        .width = s.out_width,
        .channels = s.out_channels,
        .out_height = h.count,
        .out_width = w.count,
        .out_channels = s.channels,
        .kernel_height = h.taps,
        .kernel_width = w.taps,
        .stride_height = 1,
        .stride_width = 1,
        .padding_height = h.taps - 1 - h.origin,
        .padding_width = w.taps - 1 - w.origin,
    };
    size_t channels = (size_t)s.channels, line = (size_t)s.width * channels;
    *conv = conv_of(set, &back);
    conv->turned = true;
    conv->taps[0] = (size_t)s.kernel_height;
    conv->taps[1] = (size_t)s.kernel_width;
    conv->phase[0] = (size_t)down;
    conv->phase[1] = (size_t)right;
    conv->stride[0] = (size_t)s.stride_height;
    conv->stride[1] = (size_t)s.stride_width;
    conv->y_pixel = (size_t)s.stride_width * channels;
    conv->y_line = (size_t)s.stride_height * line;
    conv->y_image = (size_t)s.height * line;
    conv->x = call->inputs[0].data;
    conv->w = call->inputs[1].data;
    float *dx = call->outputs[0].data;
    conv->y = dx ? dx + (size_t)h.first * line + (size_t)w.first * channels : NULL;
    return true;
}

static void conv2d_grad_input(const struct trib_tile_set *set, const struct trib_kernel_call *call)
{
    struct trib_window s = grad_window(call);
    if (s.kernel_height < s.stride_height || s.kernel_width < s.stride_width) {
        /* Some pixels lie under no window. */
        memset(call->outputs[0].data, 0, trib_tensor_n(&call->outputs[0]) * sizeof(float));
    }
    struct conv conv;
    for (size_t phase = 0; phase < (size_t)(s.stride_height * s.stride_width); phase++) {
        if (backward_of(set, call, phase, &conv)) {
            convolve(&conv, call);
        }
    }
}
TRIB_TILE_KERNELS(conv2d_grad_input)

void trib_tile_choose_conv2d_grad_input(enum trib_tile_kind kind, const struct trib_kernel_call *call, int threads,
                                        struct trib_kernel_choice *choice)
{
    const struct trib_tile_set *set = trib_tile_set(kind);
    struct trib_window s = grad_window(call);
    /* Of fewer channels than half a vector, most of every vector would be idle. A stride far beyond the kernel is all
     * phases and no work. */
    if (s.channels * 2 < set->lanes || s.stride_height * s.stride_width > MAX_PHASES) {
        return;
    }
    choice->run = conv2d_grad_input_kernels[kind];
    struct conv conv;
    for (size_t phase = 0; phase < (size_t)(s.stride_height * s.stride_width); phase++) {
        size_t bytes = backward_of(set, call, phase, &conv) ? workspace_bytes(&conv, threads) : 0;
        choice->workspace_bytes = bytes > choice->workspace_bytes ? bytes : choice->workspace_bytes;
    }
}

#endif
