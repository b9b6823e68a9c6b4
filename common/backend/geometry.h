/* The geometry of a call is how kernels read it: tensor pointers, row form, and the window of convolutions and pools.
 * Private to this block; pure arithmetic, any thread. */
#ifndef TRIB_BACKEND_GEOMETRY_H
#define TRIB_BACKEND_GEOMETRY_H

#include "backend/backend.h"

static inline size_t trib_tensor_n(const struct trib_tensor *tensor)
{
    return trib_shape_size(&tensor->shape);
}

/* The last dimension, C of "row form"; 1 for a scalar. */
static inline size_t trib_tensor_columns(const struct trib_tensor *tensor)
{
    return tensor->shape.rank == 0 ? 1 : (size_t)tensor->shape.dims[tensor->shape.rank - 1];
}

static inline size_t trib_tensor_rows(const struct trib_tensor *tensor)
{
    size_t columns = trib_tensor_columns(tensor);
    return columns == 0 ? 0 : trib_tensor_n(tensor) / columns;
}

/* A window sliding over the [height, width] of an NHWC image with zero padding. */
struct trib_window {
    int64_t batch, height, width, channels; /* of the wide side: a forward op's x */
    int64_t out_height, out_width, out_channels;
    int64_t kernel_height, kernel_width;
    int64_t stride_height, stride_width;
    int64_t padding_height, padding_width;
};

/* x and y are the wide and the narrow side. A zero kernel means the whole image, a zero stride the default. */
static inline struct trib_window trib_window_of(const struct trib_attributes *attributes, const struct trib_shape *x,
                                                const struct trib_shape *y, int64_t kernel_height, int64_t kernel_width)
{
    struct trib_window window = {
        .batch = x->dims[0],
        .height = x->dims[1],
        .width = x->dims[2],
        .channels = x->dims[3],
        .out_height = y->dims[1],
        .out_width = y->dims[2],
        .out_channels = y->dims[3],
        .kernel_height = kernel_height,
        .kernel_width = kernel_width,
        .stride_height = attributes->stride[0] > 0 ? attributes->stride[0] : 1,
        .stride_width = attributes->stride[1] > 0 ? attributes->stride[1] : 1,
        .padding_height = attributes->padding[0],
        .padding_width = attributes->padding[1],
    };
    return window;
}

/* conv2d and its gradients: w is [out, height, width, in]. */
static inline struct trib_window trib_conv_window(const struct trib_attributes *attributes, const struct trib_shape *x,
                                                  const struct trib_shape *w, const struct trib_shape *y)
{
    return trib_window_of(attributes, x, y, w->dims[1], w->dims[2]);
}

static inline struct trib_window trib_pool_window(const struct trib_attributes *attributes, const struct trib_shape *x,
                                                  const struct trib_shape *y)
{
    bool global = attributes->kernel[0] == 0 && attributes->kernel[1] == 0;
    return trib_window_of(attributes, x, y, global ? x->dims[1] : attributes->kernel[0],
                          global ? x->dims[2] : attributes->kernel[1]);
}

/* The part of a window that lies inside the image: rows [*from, *to) for output row `out`. */
static inline void trib_window_span(int64_t out, int64_t stride, int64_t padding, int64_t kernel, int64_t size,
                                    int64_t *from, int64_t *to)
{
    int64_t start = out * stride - padding;
    *from = start < 0 ? 0 : start;
    *to = start + kernel > size ? size : start + kernel;
}

#endif
