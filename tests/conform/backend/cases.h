/* The shapes on which every backend is compared with the reference: odd sizes, strides, paddings, batches of one,
 * sizes that are no multiple of any vector or tile. A family is a function that adds cases; `families` lists
 * them. */
#ifndef TRIB_CONFORM_CASES_H
#define TRIB_CONFORM_CASES_H

#include "backend/backend.h"

/* How an input is filled: plain numbers, or what the op demands of them. */
enum fill {
    FILL_NUMBERS,  /* uniform in [-1, 1) */
    FILL_POSITIVE, /* uniform in [0.5, 1.5) */
    FILL_LABELS,   /* some negative, others below the number of classes */
    FILL_INDEX,    /* max_pool2d's index output for numbers of the pooled shape */
    FILL_MEAN,     /* of the rows of input 1, as the op's forward side computes them */
    FILL_INVERSE_STD,
    FILL_SPARSE /* numbers, half of them zero: what a relu gave */
};

struct conform_case {
    enum trib_op op;
    struct trib_attributes attributes;
    int n_inputs;
    struct trib_shape shapes[TRIB_MAX_INPUTS];
    enum fill fills[TRIB_MAX_INPUTS];
};

enum { CASES_MAX = 1200 };
static struct conform_case cases[CASES_MAX];
static size_t cases_n;

static inline struct conform_case *add_case(enum trib_op op, const struct trib_attributes *attributes, int n_inputs)
{
    if (cases_n == CASES_MAX) {
        abort();
    }
    struct conform_case *made = &cases[cases_n++];
    *made = (struct conform_case){.op = op, .attributes = *attributes, .n_inputs = n_inputs};
    return made;
}

static inline void add_products(void)
{
    static const int64_t sizes[][3] = {{1, 1, 1},    {1, 10, 7},    {3, 5, 2},     {32, 10, 200},  {10, 32, 31},
                                       {17, 33, 65}, {64, 64, 64},  {10, 129, 77}, {200, 200, 32}, {32, 203, 784},
                                       {1, 512, 40}, {65, 7, 1030}, {130, 258, 9}, {31, 96, 300},  {256, 320, 20}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int64_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
        for (int t = 0; t < 4; t++) {
            struct trib_attributes attributes = {.transpose_a = (t & 1) != 0, .transpose_b = (t & 2) != 0};
            struct conform_case *made = add_case(TRIB_OP_MATMUL, &attributes, 2);
            made->shapes[0] = t & 1 ? TRIB_SHAPE(k, m) : TRIB_SHAPE(m, k);
            made->shapes[1] = t & 2 ? TRIB_SHAPE(n, k) : TRIB_SHAPE(k, n);
        }
        for (int activation = 0; activation < TRIB_ACTIVATION_COUNT; activation++) {
            struct trib_attributes attributes = {.activation = (enum trib_activation)activation};
            struct conform_case *made = add_case(TRIB_OP_LINEAR, &attributes, activation % 2 == 0 ? 3 : 2);
            made->shapes[0] = TRIB_SHAPE(m, k);
            made->shapes[1] = TRIB_SHAPE(n, k);
            made->shapes[2] = TRIB_SHAPE(n);
        }
    }
}

/* batch, height, width, in, out, kernel height, width, stride height, width, padding height, width */
static const int64_t convolutions[][11] = {
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0},     {1, 5, 5, 1, 3, 3, 3, 1, 1, 1, 1},     {2, 7, 6, 3, 5, 3, 2, 1, 1, 1, 0},
    {3, 9, 9, 4, 8, 5, 5, 1, 1, 2, 2},     {2, 28, 28, 1, 32, 5, 5, 1, 1, 2, 2},  {2, 14, 14, 32, 64, 5, 5, 1, 1, 2, 2},
    {1, 14, 13, 32, 64, 3, 3, 1, 1, 1, 1}, {3, 8, 8, 16, 16, 3, 3, 2, 2, 1, 1},   {2, 11, 9, 7, 17, 3, 3, 2, 3, 1, 2},
    {5, 6, 6, 33, 20, 1, 1, 1, 1, 0, 0},   {2, 6, 7, 12, 48, 1, 1, 2, 2, 0, 0},   {17, 4, 4, 8, 40, 3, 3, 1, 1, 1, 1},
    {1, 32, 32, 3, 32, 3, 3, 1, 1, 1, 1},  {2, 16, 16, 64, 64, 3, 3, 1, 1, 1, 1}, {2, 5, 5, 130, 70, 3, 3, 1, 1, 0, 0},
    {1, 4, 4, 3, 2, 4, 4, 4, 4, 0, 0},     {2, 3, 3, 2, 96, 3, 3, 1, 1, 2, 2},    {19, 3, 4, 5, 6, 2, 2, 2, 1, 1, 1},
    {1, 40, 3, 16, 31, 7, 1, 1, 1, 3, 0},  {4, 10, 10, 20, 80, 3, 3, 1, 2, 1, 1}, {2, 13, 12, 16, 24, 5, 4, 2, 3, 2, 1},
    {2, 9, 9, 32, 16, 3, 3, 2, 2, 0, 0},   {1, 8, 8, 16, 8, 2, 2, 3, 3, 0, 0},    {2, 12, 12, 32, 64, 3, 3, 2, 2, 1, 1},
    {3, 10, 11, 20, 12, 7, 7, 2, 2, 3, 3}, {2, 7, 7, 48, 32, 1, 1, 2, 2, 0, 0},   {2, 9, 10, 16, 8, 4, 5, 3, 2, 3, 4},
    {1, 12, 12, 16, 8, 3, 3, 9, 9, 2, 2},  {2, 4, 4, 160, 144, 3, 3, 1, 1, 1, 1}, {1, 60, 33, 24, 40, 3, 3, 1, 1, 1, 1},
};

static inline void add_convolution(const int64_t *s, size_t i, enum trib_op op)
{
    struct trib_attributes attributes = {.stride = {(int32_t)s[7], (int32_t)s[8]},
                                         .padding = {(int32_t)s[9], (int32_t)s[10]}};
    struct trib_shape x = TRIB_SHAPE(s[0], s[1], s[2], s[3]), w = TRIB_SHAPE(s[4], s[5], s[6], s[3]);
    struct trib_shape y =
        TRIB_SHAPE(s[0], (s[1] + 2 * s[9] - s[5]) / s[7] + 1, (s[2] + 2 * s[10] - s[6]) / s[8] + 1, s[4]);
    if (op != TRIB_OP_CONV2D) {
        attributes.shape = op == TRIB_OP_CONV2D_GRAD_INPUT ? x : w;
        struct conform_case *made = add_case(op, &attributes, 2);
        made->shapes[0] = y;
        made->shapes[1] = op == TRIB_OP_CONV2D_GRAD_INPUT ? w : x;
        made->fills[0] = FILL_SPARSE;
        return;
    }
    for (int variant = 0; variant < 3; variant++) {
        attributes.activation =
            variant == 2 ? (enum trib_activation)(1 + i % (TRIB_ACTIVATION_COUNT - 1)) : TRIB_ACTIVATION_NONE;
        struct conform_case *made = add_case(TRIB_OP_CONV2D, &attributes, variant == 0 ? 2 : 3);
        made->shapes[0] = x;
        made->shapes[1] = w;
        made->shapes[2] = TRIB_SHAPE(s[4]);
    }
}

static inline void add_convolutions_of(enum trib_op op)
{
    for (size_t i = 0; i < sizeof convolutions / sizeof convolutions[0]; i++) {
        add_convolution(convolutions[i], i, op);
    }
}

static inline void add_convolutions(void)
{
    add_convolutions_of(TRIB_OP_CONV2D);
}

static inline void add_input_gradients(void)
{
    add_convolutions_of(TRIB_OP_CONV2D_GRAD_INPUT);
}

static inline void add_weight_gradients(void)
{
    add_convolutions_of(TRIB_OP_CONV2D_GRAD_WEIGHT);
}

static inline void add_pools(void)
{
    /* batch, height, width, channels, kernel height, width, stride, padding */
    static const int64_t sizes[][8] = {
        {1, 2, 2, 1, 2, 2, 2, 0}, {2, 28, 28, 32, 2, 2, 2, 0}, {3, 7, 5, 6, 2, 2, 2, 0},   {2, 9, 9, 17, 3, 3, 2, 1},
        {1, 6, 8, 5, 3, 2, 1, 1}, {4, 5, 5, 33, 5, 5, 5, 0},   {20, 4, 6, 16, 2, 2, 2, 0}, {2, 11, 7, 64, 2, 2, 1, 0},
        {1, 3, 3, 4, 1, 1, 1, 0}, {2, 14, 14, 64, 2, 2, 2, 0}, {2, 7, 7, 20, 2, 2, 3, 0},  {3, 6, 5, 40, 0, 0, 0, 0}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const int64_t *s = sizes[i];
        struct trib_shape x = TRIB_SHAPE(s[0], s[1], s[2], s[3]), y = TRIB_SHAPE(s[0], 1, 1, s[3]);
        struct trib_attributes attributes = {.kernel = {(int32_t)s[4], (int32_t)s[5]},
                                             .stride = {(int32_t)s[6], (int32_t)s[6]},
                                             .padding = {(int32_t)s[7], (int32_t)s[7]}};
        bool whole = s[4] == 0;
        if (!whole) {
            y.dims[1] = (s[1] + 2 * s[7] - s[4]) / s[6] + 1;
            y.dims[2] = (s[2] + 2 * s[7] - s[5]) / s[6] + 1;
            add_case(TRIB_OP_MAX_POOL2D, &attributes, 1)->shapes[0] = x;
            struct conform_case *sparse = add_case(TRIB_OP_MAX_POOL2D, &attributes, 1);
            sparse->shapes[0] = x;
            sparse->fills[0] = FILL_SPARSE;
        }
        add_case(TRIB_OP_AVG_POOL2D, &attributes, 1)->shapes[0] = x;
        attributes.shape = x;
        add_case(TRIB_OP_AVG_POOL2D_GRAD, &attributes, 1)->shapes[0] = y;
        if (!whole) {
            struct conform_case *grad = add_case(TRIB_OP_MAX_POOL2D_GRAD, &attributes, 2);
            grad->shapes[0] = grad->shapes[1] = y;
            grad->fills[1] = FILL_INDEX;
        }
    }
}

static inline void add_elementwise(void)
{
    static const enum trib_op unary[] = {TRIB_OP_RELU,  TRIB_OP_TANH,    TRIB_OP_SIGMOID, TRIB_OP_GELU,
                                         TRIB_OP_SCALE, TRIB_OP_DROPOUT, TRIB_OP_RESHAPE};
    static const enum trib_op gradients[] = {TRIB_OP_RELU_GRAD, TRIB_OP_TANH_GRAD, TRIB_OP_SIGMOID_GRAD,
                                             TRIB_OP_GELU_GRAD};
    const struct trib_shape shapes[] = {TRIB_SCALAR,         TRIB_SHAPE(1),           TRIB_SHAPE(2, 3, 5, 7),
                                        TRIB_SHAPE(33, 200), TRIB_SHAPE(3, 9, 9, 64), TRIB_SHAPE(7, 20011)};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        for (size_t i = 0; i < sizeof unary / sizeof unary[0]; i++) {
            struct trib_attributes attributes = {.factor = -0.75f, .rate = 0.1f * (float)s, .stream = 3};
            attributes.shape = TRIB_SHAPE((int64_t)trib_shape_size(&shapes[s]));
            add_case(unary[i], &attributes, 1)->shapes[0] = shapes[s];
        }
        for (size_t i = 0; i < sizeof gradients / sizeof gradients[0]; i++) {
            struct conform_case *made = add_case(gradients[i], &(struct trib_attributes){0}, 2);
            made->shapes[0] = made->shapes[1] = shapes[s];
            made->fills[1] = i == 0 ? FILL_SPARSE : FILL_NUMBERS;
        }
        for (int trailing = 0; trailing <= shapes[s].rank; trailing++) {
            struct trib_shape small = {.rank = trailing};
            for (int d = 0; d < trailing; d++) {
                small.dims[d] = shapes[s].dims[shapes[s].rank - trailing + d];
            }
            struct conform_case *add = add_case(TRIB_OP_ADD, &(struct trib_attributes){0}, 2);
            struct conform_case *mul = add_case(TRIB_OP_MUL, &(struct trib_attributes){0}, 2);
            add->shapes[0] = mul->shapes[0] = shapes[s];
            add->shapes[1] = mul->shapes[1] = small;
            add_case(TRIB_OP_REDUCE_TO, &(struct trib_attributes){.shape = small}, 1)->shapes[0] = shapes[s];
        }
    }
}

static inline void add_norms(void)
{
    const struct trib_shape shapes[] = {TRIB_SHAPE(2, 6),         TRIB_SHAPE(33, 20),        TRIB_SHAPE(3, 5, 4, 8),
                                        TRIB_SHAPE(2, 7, 7, 64),  TRIB_SHAPE(1, 3, 12),      TRIB_SHAPE(9, 12, 11, 34),
                                        TRIB_SHAPE(20, 9, 9, 16), TRIB_SHAPE(4, 16, 16, 128)};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        struct trib_shape x = shapes[s], c = TRIB_SHAPE(x.dims[x.rank - 1]);
        struct trib_attributes attributes = {.epsilon = 1e-3f, .momentum = 0.3f, .groups = 2};
        for (int training = 0; training < 2; training++) {
            attributes.training = training != 0;
            struct conform_case *made = add_case(TRIB_OP_BATCH_NORM, &attributes, 5);
            made->shapes[0] = x;
            made->shapes[1] = made->shapes[2] = made->shapes[3] = made->shapes[4] = c;
            made->fills[4] = FILL_POSITIVE;
        }
        for (int group = 0; group < 2; group++) {
            struct conform_case *made =
                add_case(group ? TRIB_OP_GROUP_NORM_GRAD : TRIB_OP_BATCH_NORM_GRAD, &attributes, 5);
            made->shapes[0] = made->shapes[1] = x;
            made->shapes[2] = c;
            made->shapes[3] = made->shapes[4] = group ? TRIB_SHAPE(x.dims[0], 2) : c;
            made->fills[3] = FILL_MEAN;
            made->fills[4] = FILL_INVERSE_STD;
        }
        struct conform_case *made = add_case(TRIB_OP_GROUP_NORM, &attributes, 3);
        made->shapes[0] = x;
        made->shapes[1] = made->shapes[2] = c;
    }
}

static inline void add_losses(void)
{
    static const int64_t sizes[][2] = {{1, 1}, {1, 10}, {32, 10}, {7, 3}, {64, 1000}, {5, 33}, {900, 62}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct trib_shape logits = TRIB_SHAPE(sizes[s][0], sizes[s][1]), labels = TRIB_SHAPE(sizes[s][0]);
        struct conform_case *made = add_case(TRIB_OP_SOFTMAX_CROSS_ENTROPY, &(struct trib_attributes){0}, 2);
        made->shapes[0] = logits;
        made->shapes[1] = labels;
        made->fills[1] = FILL_LABELS;
        made = add_case(TRIB_OP_SOFTMAX_CROSS_ENTROPY_GRAD, &(struct trib_attributes){0}, 3);
        made->shapes[1] = logits;
        made->shapes[2] = labels;
        made->fills[1] = FILL_POSITIVE;
        made->fills[2] = FILL_LABELS;
        made = add_case(TRIB_OP_MSE, &(struct trib_attributes){0}, 2);
        made->shapes[0] = made->shapes[1] = logits;
        made = add_case(TRIB_OP_MSE_GRAD, &(struct trib_attributes){0}, 3);
        made->shapes[1] = made->shapes[2] = logits;
    }
}

/* Every family, with the program that runs it. */
static const struct family {
    const char *program;
    void (*add)(void);
} families[] = {
    {"conform_product_kernels", add_products},
    {"conform_conv_kernels", add_convolutions},
    {"conform_conv_input_kernels", add_input_gradients},
    {"conform_conv_weight_kernels", add_weight_gradients},
    {"conform_pool_kernels", add_pools},
    {"conform_elementwise_kernels", add_elementwise},
    {"conform_norm_kernels", add_norms},
    {"conform_backend", add_losses},
};
enum { FAMILIES = sizeof families / sizeof families[0] };

#endif
