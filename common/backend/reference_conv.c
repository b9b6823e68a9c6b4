/* Reference kernels: convolution and pooling with their gradients, straight from the definitions. Any thread. */
#include "reference.h"

#include "geometry.h"

#include <string.h>

static size_t at4(int64_t a, int64_t b, int64_t size_b, int64_t c, int64_t size_c, int64_t d, int64_t size_d)
{
    return (size_t)(((a * size_b + b) * size_c + c) * size_d + d);
}

/* What every convolution loop visits: output (image, oh, ow, o), tap (kh, kw), and the pixel (h, w) under the tap. */
struct tap {
    int64_t image, oh, ow, o, kh, kw, h, w;
};

static double conv_sum(const struct trib_window *s, const float *x, const float *w, const struct tap *at)
{
    double sum = 0;
    for (int64_t kh = 0; kh < s->kernel_height; kh++) {
        for (int64_t kw = 0; kw < s->kernel_width; kw++) {
            int64_t h = at->oh * s->stride_height - s->padding_height + kh;
            int64_t v = at->ow * s->stride_width - s->padding_width + kw;
            if (h < 0 || h >= s->height || v < 0 || v >= s->width) {
                continue;
            }
            const float *pixel = x + at4(at->image, h, s->height, v, s->width, 0, s->channels);
            const float *weight = w + at4(at->o, kh, s->kernel_height, kw, s->kernel_width, 0, s->channels);
            for (int64_t c = 0; c < s->channels; c++) {
                sum += (double)pixel[c] * weight[c];
            }
        }
    }
    return sum;
}

/* y[n,oh,ow,o] = activation(bias[o] + sum over kh,kw,i of x[n, oh s - p + kh, ow s - p + kw, i] w[o,kh,kw,i]) */
void trib_reference_conv2d(const struct trib_kernel_call *call)
{
    const float *x = call->inputs[0].data, *w = call->inputs[1].data;
    const float *bias = call->n_inputs > 2 ? call->inputs[2].data : NULL;
    float *y = call->outputs[0].data;
    struct trib_window s =
        trib_conv_window(call->attributes, &call->inputs[0].shape, &call->inputs[1].shape, &call->outputs[0].shape);
    for (int64_t image = 0; image < s.batch; image++) {
        for (int64_t oh = 0; oh < s.out_height; oh++) {
            for (int64_t ow = 0; ow < s.out_width; ow++) {
                for (int64_t o = 0; o < s.out_channels; o++) {
                    struct tap at = {.image = image, .oh = oh, .ow = ow, .o = o};
                    double sum = conv_sum(&s, x, w, &at) + (bias ? (double)bias[o] : 0);
                    *y++ = trib_reference_activate(call->attributes->activation, (float)sum);
                }
            }
        }
    }
}

static double conv_sum_input(const struct trib_window *s, const float *dy, const float *w, const struct tap *at,
                             int64_t c)
{
    double sum = 0;
    for (int64_t kh = 0; kh < s->kernel_height; kh++) {
        for (int64_t kw = 0; kw < s->kernel_width; kw++) {
            int64_t oh = at->h + s->padding_height - kh, ow = at->w + s->padding_width - kw;
            if (oh < 0 || ow < 0 || oh % s->stride_height != 0 || ow % s->stride_width != 0 ||
                oh / s->stride_height >= s->out_height || ow / s->stride_width >= s->out_width) {
                continue;
            }
            const float *gradient = dy + at4(at->image, oh / s->stride_height, s->out_height, ow / s->stride_width,
                                             s->out_width, 0, s->out_channels);
            for (int64_t o = 0; o < s->out_channels; o++) {
                sum += (double)gradient[o] * w[at4(o, kh, s->kernel_height, kw, s->kernel_width, c, s->channels)];
            }
        }
    }
    return sum;
}

/* dx[n,h,w,i] = sum over (oh, kh) with oh s - p + kh = h, likewise in width, and over o of dy[n,oh,ow,o] w[o,kh,kw,i]
 */
void trib_reference_conv2d_grad_input(const struct trib_kernel_call *call)
{
    const float *dy = call->inputs[0].data, *w = call->inputs[1].data;
    float *dx = call->outputs[0].data;
    struct trib_window s =
        trib_conv_window(call->attributes, &call->outputs[0].shape, &call->inputs[1].shape, &call->inputs[0].shape);
    for (int64_t image = 0; image < s.batch; image++) {
        for (int64_t h = 0; h < s.height; h++) {
            for (int64_t v = 0; v < s.width; v++) {
                for (int64_t c = 0; c < s.channels; c++) {
                    struct tap at = {.image = image, .h = h, .w = v};
                    *dx++ = (float)conv_sum_input(&s, dy, w, &at, c);
                }
            }
        }
    }
}

static double conv_sum_weight(const struct trib_window *s, const float *dy, const float *x, const struct tap *at,
                              int64_t c)
{
    double sum = 0;
    for (int64_t image = 0; image < s->batch; image++) {
        for (int64_t oh = 0; oh < s->out_height; oh++) {
            for (int64_t ow = 0; ow < s->out_width; ow++) {
                int64_t h = oh * s->stride_height - s->padding_height + at->kh;
                int64_t v = ow * s->stride_width - s->padding_width + at->kw;
                if (h >= 0 && h < s->height && v >= 0 && v < s->width) {
                    sum += (double)dy[at4(image, oh, s->out_height, ow, s->out_width, at->o, s->out_channels)] *
                           x[at4(image, h, s->height, v, s->width, c, s->channels)];
                }
            }
        }
    }
    return sum;
}

/* dw[o,kh,kw,i] = sum over n,oh,ow of dy[n,oh,ow,o] x[n, oh s - p + kh, ow s - p + kw, i] */
void trib_reference_conv2d_grad_weight(const struct trib_kernel_call *call)
{
    const float *dy = call->inputs[0].data, *x = call->inputs[1].data;
    float *dw = call->outputs[0].data;
    struct trib_window s =
        trib_conv_window(call->attributes, &call->inputs[1].shape, &call->outputs[0].shape, &call->inputs[0].shape);
    for (int64_t o = 0; o < s.out_channels; o++) {
        for (int64_t kh = 0; kh < s.kernel_height; kh++) {
            for (int64_t kw = 0; kw < s.kernel_width; kw++) {
                for (int64_t c = 0; c < s.channels; c++) {
                    struct tap at = {.o = o, .kh = kh, .kw = kw};
                    *dw++ = (float)conv_sum_weight(&s, dy, x, &at, c);
                }
            }
        }
    }
}

/* The window of one pooled output, cut to the image. */
struct span {
    int64_t from_h, to_h, from_w, to_w;
};

static struct span pool_span(const struct trib_window *s, int64_t oh, int64_t ow)
{
    struct span span;
    trib_window_span(oh, s->stride_height, s->padding_height, s->kernel_height, s->height, &span.from_h, &span.to_h);
    trib_window_span(ow, s->stride_width, s->padding_width, s->kernel_width, s->width, &span.from_w, &span.to_w);
    return span;
}

static int32_t max_index(const struct trib_window *s, const float *image, const struct span *span, int64_t c)
{
    int64_t best = -1;
    for (int64_t h = span->from_h; h < span->to_h; h++) {
        for (int64_t w = span->from_w; w < span->to_w; w++) {
            int64_t at = (h * s->width + w) * s->channels + c;
            if (best < 0 || image[at] > image[best]) {
                best = at;
            }
        }
    }
    return (int32_t)best;
}

void trib_reference_max_pool2d(const struct trib_kernel_call *call)
{
    const float *x = call->inputs[0].data;
    float *y = call->outputs[0].data;
    int32_t *index = call->outputs[1].data;
    struct trib_window s = trib_pool_window(call->attributes, &call->inputs[0].shape, &call->outputs[0].shape);
    size_t to = 0;
    for (int64_t n = 0; n < s.batch; n++) {
        const float *image = x + n * s.height * s.width * s.channels;
        for (int64_t oh = 0; oh < s.out_height; oh++) {
            for (int64_t ow = 0; ow < s.out_width; ow++) {
                struct span span = pool_span(&s, oh, ow);
                for (int64_t c = 0; c < s.channels; c++, to++) {
                    int32_t best = max_index(&s, image, &span, c);
                    if (y) {
                        y[to] = best < 0 ? 0 : image[best];
                    }
                    if (index) {
                        index[to] = best;
                    }
                }
            }
        }
    }
}

void trib_reference_max_pool2d_grad(const struct trib_kernel_call *call)
{
    const float *dy = call->inputs[0].data;
    const int32_t *index = call->inputs[1].data;
    float *dx = call->outputs[0].data;
    size_t batch = (size_t)call->outputs[0].shape.dims[0];
    size_t image_n = batch == 0 ? 0 : trib_tensor_n(&call->outputs[0]) / batch;
    size_t pooled_n = batch == 0 ? 0 : trib_tensor_n(&call->inputs[0]) / batch;
    memset(dx, 0, batch * image_n * sizeof *dx);
    for (size_t n = 0; n < batch; n++) {
        for (size_t i = 0; i < pooled_n; i++) {
            int32_t to = index[n * pooled_n + i];
            if (to >= 0) {
                dx[n * image_n + (size_t)to] += dy[n * pooled_n + i];
            }
        }
    }
}

void trib_reference_avg_pool2d(const struct trib_kernel_call *call)
{
    const float *x = call->inputs[0].data;
    float *y = call->outputs[0].data;
    struct trib_window s = trib_pool_window(call->attributes, &call->inputs[0].shape, &call->outputs[0].shape);
    for (int64_t n = 0; n < s.batch; n++) {
        for (int64_t oh = 0; oh < s.out_height; oh++) {
            for (int64_t ow = 0; ow < s.out_width; ow++) {
                struct span span = pool_span(&s, oh, ow);
                int64_t count = (span.to_h - span.from_h) * (span.to_w - span.from_w);
                for (int64_t c = 0; c < s.channels; c++) {
                    double sum = 0;
                    for (int64_t h = span.from_h; h < span.to_h; h++) {
                        for (int64_t w = span.from_w; w < span.to_w; w++) {
                            sum += (double)x[at4(n, h, s.height, w, s.width, c, s.channels)];
                        }
                    }
                    *y++ = count > 0 ? (float)(sum / (double)count) : 0;
                }
            }
        }
    }
}

void trib_reference_avg_pool2d_grad(const struct trib_kernel_call *call)
{
    const float *dy = call->inputs[0].data;
    float *dx = call->outputs[0].data;
    struct trib_window s = trib_pool_window(call->attributes, &call->outputs[0].shape, &call->inputs[0].shape);
    memset(dx, 0, trib_tensor_n(&call->outputs[0]) * sizeof *dx);
    for (int64_t n = 0; n < s.batch; n++) {
        for (int64_t oh = 0; oh < s.out_height; oh++) {
            for (int64_t ow = 0; ow < s.out_width; ow++) {
                struct span span = pool_span(&s, oh, ow);
                float count = (float)((span.to_h - span.from_h) * (span.to_w - span.from_w));
                for (int64_t c = 0; c < s.channels; c++, dy++) {
                    for (int64_t h = span.from_h; h < span.to_h; h++) {
                        for (int64_t w = span.from_w; w < span.to_w; w++) {
                            dx[at4(n, h, s.height, w, s.width, c, s.channels)] += *dy / count;
                        }
                    }
                }
            }
        }
    }
}
