/* The weight gradient of a convolution on tiles, NHWC.
 *
 * dw[o, kh, run] = sum over output pixels of dy[pixel, o] * x[window line kh of the pixel][run], run = 0 .. KW I. The
 * sum over the pixels of a row of outputs walks dy by O and x by stride * I. Two ways round, whichever fills vectors
 * better: "wide" broadcasts dy and reads runs of x as vectors; "tall" broadcasts x, reads dy as vectors and leaves the
 * transpose of dw. Bands of images are summed into a fixed number of partial results, which are added in order. */
#include "blas.h"
#include "geometry.h"
#include "parallel.h"
#include "tile.h"

#if TRIB_HAS_TILES

#include <string.h>

/* x and dy of a band stay in the first-level cache while every tile passes over them. */
enum { BAND_BYTES = 48 * 1024, MAX_PARTIALS = 8, MAX_WEIGHT_BYTES = 768 * 1024 };

struct grad {
    const struct trib_tile_set *set;
    struct trib_window s;
    size_t line, k, n;   /* KW I, KH KW I, O KH KW I */
    size_t band, bands;  /* output rows of a band; bands of an image */
    size_t parts;        /* runs of bands, each with its partial sum */
    size_t padded_width; /* pixels of a padded line */
    size_t padded_n;     /* floats of a padded band; 0 when images are read where they lie */
    bool tall;
    const float *x, *dy;
    float *dw;
    float *partials, *scratch;
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t round_up(size_t n, int multiple)
{
    return (n + (size_t)multiple - 1) / (size_t)multiple * (size_t)multiple;
}

static struct grad grad_of(const struct trib_tile_set *set, const struct trib_kernel_call *call)
{
    struct grad g = {.set = set,
                     .s = trib_conv_window(call->attributes, &call->inputs[1].shape, &call->outputs[0].shape,
                                           &call->inputs[0].shape)};
    const struct trib_window *s = &g.s;
    size_t out_width = (size_t)s->out_width, out_height = (size_t)s->out_height, outputs = (size_t)s->out_channels;
    g.line = (size_t)(s->kernel_width * s->channels);
    g.k = g.line * (size_t)s->kernel_height;
    g.n = g.k * outputs;
    g.padded_width = (out_width - 1) * (size_t)s->stride_width + (size_t)s->kernel_width;
    size_t row_floats = g.padded_width * (size_t)(s->channels * s->stride_height) + out_width * outputs;
    g.band = smaller(BAND_BYTES / (row_floats * sizeof(float) + 1) + 1, out_height);
    g.bands = (out_height + g.band - 1) / g.band;
    g.band = (out_height + g.bands - 1) / g.bands;
    g.bands = (out_height + g.band - 1) / g.band;
    size_t units = g.bands * (size_t)s->batch, band_multiplies = g.band * out_width * g.n;
    size_t parts = trib_parts(units, TRIB_PART_MULTIPLIES / (band_multiplies + 1) + 1);
    g.parts = smaller(parts, MAX_PARTIALS);
    g.tall = round_up(outputs, set->lanes) * g.line < round_up(g.line, set->lanes) * outputs;
    if (s->padding_height > 0 || s->padding_width > 0) {
        size_t rows = (g.band - 1) * (size_t)s->stride_height + (size_t)s->kernel_height;
        g.padded_n = (rows * g.padded_width * (size_t)s->channels + 15) / 16 * 16;
    }
    return g;
}

/* ---- one band ---- */

/* rows x columns of the partial sum for window line kh. */
static void multiply_line(const struct grad *g, struct trib_tile *tile, size_t rows, size_t columns, const float *left,
                          const float *right, float *sum)
{
    for (size_t c = 0; c < columns; c += (size_t)tile->columns) {
        tile->columns = (int)smaller(columns - c, (size_t)g->set->columns);
        tile->b = right + c;
        for (size_t r = 0; r < rows; r += (size_t)tile->rows) {
            tile->rows = trib_tile_even(rows - r, g->set->rows);
            tile->a = left + r;
            tile->c = sum + r * tile->c_row + c;
            g->set->tile(tile);
        }
    }
}

static void add_band(const struct grad *g, const float *x, size_t pitch, const float *dy, size_t rows, float *sum,
                     bool first)
{
    const struct trib_window *s = &g->s;
    size_t outputs = (size_t)s->out_channels, step = (size_t)(s->stride_width * s->channels);
    size_t down = (size_t)s->stride_height * pitch, across = (size_t)s->out_width * outputs;
    struct trib_tile tile = {
        .a_row = 1,
        .a_step = g->tall ? step : outputs,
        .a_segment = g->tall ? down : across,
        .b_step = g->tall ? outputs : step,
        .b_segment = g->tall ? across : down,
        .c_row = g->tall ? outputs : g->k,
        .k = (size_t)s->out_width,
        .segments = rows,
        .accumulate = !first,
    };
    for (size_t kh = 0; kh < (size_t)s->kernel_height; kh++) {
        const float *line = x + kh * pitch;
        if (g->tall) {
            multiply_line(g, &tile, g->line, outputs, line, dy, sum + kh * g->line * outputs);
        } else {
            multiply_line(g, &tile, outputs, g->line, dy, line, sum + kh * g->line);
        }
    }
}

static void sum_part(void *context, size_t part, int worker)
{
    const struct grad *g = context;
    const struct trib_window *s = &g->s;
    size_t units = g->bands * (size_t)s->batch, start = trib_part_start(units, g->parts, part, 1);
    size_t image_n = (size_t)(s->height * s->width * s->channels), height = (size_t)s->out_height;
    float *sum = g->partials + part * g->n, *scratch = g->scratch + (size_t)worker * g->padded_n;
    for (size_t unit = start; unit < trib_part_start(units, g->parts, part + 1, 1); unit++) {
        size_t image = unit / g->bands, from = unit % g->bands * g->band, rows = smaller(g->band, height - from);
        const float *x = g->x + image * image_n;
        size_t pitch = (size_t)(s->width * s->channels);
        if (g->padded_n > 0) {
            pitch = g->padded_width * (size_t)s->channels;
            trib_tile_pad(s, x, (int64_t)from, (rows - 1) * (size_t)s->stride_height + (size_t)s->kernel_height,
                          g->padded_width, scratch);
            x = scratch;
        } else {
            x += from * (size_t)s->stride_height * pitch;
        }
        const float *dy = g->dy + (image * height + from) * (size_t)(s->out_width * s->out_channels);
        add_band(g, x, pitch, dy, rows, sum, unit == start);
    }
}

/* ---- the sum of the partial sums ---- */

static void finish_part(void *context, size_t part, int worker)
{
    (void)worker;
    const struct grad *g = context;
    size_t outputs = (size_t)g->s.out_channels, parts = trib_parts(g->n, TRIB_PART_BYTES / sizeof(float));
    size_t from = trib_part_start(g->n, parts, part, outputs), to = trib_part_start(g->n, parts, part + 1, outputs);
    float *sum = g->partials;
    for (size_t p = 1; p < g->parts; p++) {
        trib_blas_add(sum + from, g->partials + p * g->n + from, to - from);
    }
    if (!g->tall) {
        memcpy(g->dw + from, sum + from, (to - from) * sizeof(float));
        return;
    }
    for (size_t at = from; at < to; at++) {
        g->dw[at % outputs * g->k + at / outputs] = sum[at];
    }
}

static void conv2d_grad_weight(const struct trib_tile_set *set, const struct trib_kernel_call *call)
{
    struct grad g = grad_of(set, call);
    g.dy = call->inputs[0].data;
    g.x = call->inputs[1].data;
    g.dw = call->outputs[0].data;
    g.partials = call->workspace;
    g.scratch = g.partials + g.parts * g.n;
    trib_thread_pool_run(call->pool, g.parts, sum_part, &g);
    trib_thread_pool_run(call->pool, trib_parts(g.n, TRIB_PART_BYTES / sizeof(float)), finish_part, &g);
}
TRIB_TILE_KERNELS(conv2d_grad_weight)

void trib_tile_choose_conv2d_grad_weight(enum trib_tile_kind kind, const struct trib_kernel_call *call, int threads,
                                         struct trib_kernel_choice *choice)
{
    struct grad g = grad_of(trib_tile_set(kind), call);
    /* Every band adds to all of dw; once that no longer stays in the second-level cache, longer sums win. */
    if (g.n * sizeof(float) > MAX_WEIGHT_BYTES) {
        return;
    }
    choice->run = conv2d_grad_weight_kernels[kind];
    choice->workspace_bytes = (g.parts * g.n + (size_t)threads * g.padded_n) * sizeof(float);
}

#endif
