/* Checks shared by the shape rules of forward and gradient operators. */
#ifndef TRIB_GRAPH_OP_SHAPE_H
#define TRIB_GRAPH_OP_SHAPE_H

#include "graph_private.h"

/* Inputs wanted: the first n are f32. */
TRIB_MUST_CHECK enum trib_status trib_infer_want_f32(const struct trib_shape_call *call, int n,
                                                     struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_infer_want_rank(const struct trib_shape_call *call, int input, int rank,
                                                      const char *layout, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_infer_want_shape(const struct trib_shape_call *call, int input, const char *what,
                                                       const struct trib_shape *shape, struct trib_error *error);
/* Labels wanted: int32 [rows] */
TRIB_MUST_CHECK enum trib_status trib_infer_want_labels(const struct trib_shape_call *call, int input, int64_t rows,
                                                        struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_infer_conv2d_shape(const struct trib_shape *x, const struct trib_shape *w,
                                                         const struct trib_attributes *attributes, struct trib_shape *y,
                                                         struct trib_error *error);
/* A pool's shape; may_be_whole: a kernel of 0x0 stands for the whole image. */
TRIB_MUST_CHECK enum trib_status trib_infer_pool2d_shape(const struct trib_shape *x,
                                                         const struct trib_attributes *attributes, bool may_be_whole,
                                                         struct trib_shape *y, struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_infer_groups(const struct trib_shape *x, int32_t groups,
                                                   struct trib_error *error);
/* A shape is trailing when small's dimensions are the last ones of large; true for a scalar. */
bool trib_shape_is_trailing(const struct trib_shape *small, const struct trib_shape *large);

#endif
