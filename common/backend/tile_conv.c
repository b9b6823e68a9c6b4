/* Convolution and its input gradient on tiles, NHWC, without building the window matrix.
 *
 * A line of the window, [KW, I], lies as one run in an image; the windows of neighbouring pixels are the same run
 * stride * I further. So a tile reads its left operand straight from an image (padded with zeros into scratch, a band
 * of rows at a time), KH runs of KW I steps, against weights packed as panels [KH KW I][columns].
 *
 * The input gradient at stride 1 is a convolution of dy, padded by K - 1 - p, with the weights turned around. */
#include "blas.h"
#include "geometry.h"
#include "parallel.h"
#include "tile.h"

#if TRIB_HAS_TILES

#include <string.h>

/* A band of an image: small enough to stay in the second-level cache beside the weights. */
enum { BAND_BYTES = 128 * 1024, PACK_STEPS = 64 };

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
    enum trib_activation activation;
    const float *w;
    bool turned; /* pack for the input gradient */
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
    if (s->padding_height > 0 || s->padding_width > 0) {
        size_t rows = (conv.band - 1) * (size_t)s->stride_height + (size_t)s->kernel_height;
        conv.padded_n = (rows * conv.padded_width * (size_t)s->channels + 15) / 16 * 16;
    }
    return conv;
}

static size_t packed_n(const struct conv *conv)
{
    return conv->panels * conv->k * (size_t)conv->set->columns;
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

/* packed[kh, kw, o][column] = w[o, KH-1-kh, KW-1-kw, column]; here the window's channels are o, its outputs columns. */
static void pack_turned(const struct conv *conv, size_t first, size_t columns, size_t from, size_t to, float *packed)
{
    size_t channels = (size_t)conv->s.channels, inputs = (size_t)conv->s.out_channels;
    size_t taps = (size_t)(conv->s.kernel_height * conv->s.kernel_width);
    for (size_t k = from; k < to; k++) {
        size_t tap = taps - 1 - k / channels, o = k % channels;
        const float *row = conv->w + (o * taps + tap) * inputs + first;
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
    size_t step = (size_t)(s->stride_width * s->channels), outputs = (size_t)s->out_channels;
    struct trib_tile tile = {
        .b = conv->packed + first * conv->k,
        .bias = conv->bias != NULL ? conv->bias + first : NULL,
        .a_row = step,
        .a_step = 1,
        .a_segment = pitch,
        .b_step = columns,
        .b_segment = columns * conv->line,
        .c_row = outputs,
        .k = conv->line,
        .segments = (size_t)s->kernel_height,
        .columns = (int)columns,
        .relu = conv->activation == TRIB_ACTIVATION_RELU,
    };
    size_t width = (size_t)s->out_width;
    for (size_t w = 0; w < width; w += (size_t)tile.rows) {
        tile.rows = trib_tile_even(width - w, conv->set->rows);
        tile.a = image + w * step;
        tile.c = y + w * outputs + first;
        conv->set->tile(&tile);
    }
}

static void multiply_band(const struct conv *conv, size_t image, size_t from, size_t to, float *scratch)
{
    const struct trib_window *s = &conv->s;
    size_t outputs_row = (size_t)(s->out_width * s->out_channels);
    const float *x = conv->x + image * (size_t)(s->height * s->width * s->channels);
    float *y = conv->y + (image * (size_t)s->out_height + from) * outputs_row;
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
            multiply_row(conv, panel, x + r * down * pitch, pitch, y + r * outputs_row);
        }
    }
    if (conv->activation != TRIB_ACTIVATION_NONE && conv->activation != TRIB_ACTIVATION_RELU) {
        trib_blas_activate(conv->activation, y, y, (to - from) * outputs_row);
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

static struct conv backward_of(const struct trib_tile_set *set, const struct trib_kernel_call *call)
{
    struct trib_window s =
        trib_conv_window(call->attributes, &call->outputs[0].shape, &call->inputs[1].shape, &call->inputs[0].shape);
    struct trib_window back = {
        .batch = s.batch,
        .height = s.out_height,
        .width = s.out_width,
        .channels = s.out_channels,
        .out_height = s.height,
        .out_width = s.width,
        .out_channels = s.channels,
        .kernel_height = s.kernel_height,
        .kernel_width = s.kernel_width,
        .stride_height = 1,
        .stride_width = 1,
        .padding_height = s.kernel_height - 1 - s.padding_height,
        .padding_width = s.kernel_width - 1 - s.padding_width,
    };
    struct conv conv = conv_of(set, &back);
    conv.turned = true;
    return conv;
}

static void conv2d_grad_input(const struct trib_tile_set *set, const struct trib_kernel_call *call)
{
    struct conv conv = backward_of(set, call);
    conv.x = call->inputs[0].data;
    conv.w = call->inputs[1].data;
    conv.y = call->outputs[0].data;
    convolve(&conv, call);
}
TRIB_TILE_KERNELS(conv2d_grad_input)

void trib_tile_choose_conv2d_grad_input(enum trib_tile_kind kind, const struct trib_kernel_call *call, int threads,
                                        struct trib_kernel_choice *choice)
{
    /* Of fewer channels than half a vector, most of every vector would be idle. */
    const struct trib_shape *x = &call->outputs[0].shape;
    if (call->attributes->stride[0] != 1 || call->attributes->stride[1] != 1 ||
        x->dims[3] * 2 < trib_tile_set(kind)->lanes) {
        return;
    }
    struct conv conv = backward_of(trib_tile_set(kind), call);
    choice->run = conv2d_grad_input_kernels[kind];
    choice->workspace_bytes = workspace_bytes(&conv, threads);
}

#endif
