/* Shapes, their texts and bounds. */
#include "tensor/tensor.h"

#include "test_main.h"

#include <string.h>

START_TEST(formats_shapes)
{
    char text[96];
    ck_assert_str_eq(trib_shape_format(&TRIB_SCALAR, text, sizeof text), "[]");
    ck_assert_str_eq(trib_shape_format(&TRIB_SHAPE(7), text, sizeof text), "[7]");
    ck_assert_str_eq(trib_shape_format(&TRIB_SHAPE(TRIB_DIM_BATCH, 28, 28, 1), text, sizeof text),
                     "[batch, 28, 28, 1]");
    /* -1 is the batch only where a batch may stand. */
    ck_assert_str_eq(trib_shape_format(&TRIB_SHAPE(2, -1), text, sizeof text), "[2, -1]");
}
END_TEST

START_TEST(format_is_always_terminated)
{
    struct trib_shape shape = TRIB_SHAPE(INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN);
    for (size_t size = 1; size < 100; size++) {
        char text[100];
        memset(text, 'x', sizeof text);
        ck_assert_uint_lt(strlen(trib_shape_format(&shape, text, size)), size);
    }
    struct trib_shape broken = {.rank = 1000, .dims = {1, 2, 3, 4}};
    char text[96];
    ck_assert_str_eq(trib_shape_format(&broken, text, sizeof text), "[1, 2, 3, 4]");
    broken.rank = -5;
    ck_assert_str_eq(trib_shape_format(&broken, text, sizeof text), "[]");
}
END_TEST

START_TEST(counts_elements)
{
    size_t n = 99;
    ck_assert_int_eq(trib_shape_elements(&TRIB_SCALAR, &n, NULL), TRIB_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(trib_shape_elements(&TRIB_SHAPE(3, 4, 5), &n, NULL), TRIB_OK);
    ck_assert_uint_eq(n, 60);
    ck_assert_int_eq(trib_shape_elements(&TRIB_SHAPE(3, 0), &n, NULL), TRIB_OK);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(trib_shape_elements(&TRIB_SHAPE(INT64_C(1) << 40), &n, NULL), TRIB_OK);
    ck_assert_uint_eq(n, (size_t)1 << 40);
    ck_assert_uint_eq(trib_shape_size(&TRIB_SHAPE(3, 4)), 12);
    ck_assert_uint_eq(trib_shape_size(&TRIB_SHAPE(TRIB_DIM_BATCH, 4)), 0);
}
END_TEST

START_TEST(refuses_impossible_shapes)
{
    static const struct {
        struct trib_shape shape;
        enum trib_status status;
    } cases[] = {
        {{.rank = 2, .dims = {TRIB_DIM_BATCH, 4}}, TRIB_INVALID},
        {{.rank = 2, .dims = {4, -7}}, TRIB_INVALID},
        {{.rank = 1, .dims = {INT64_MIN}}, TRIB_INVALID},
        {{.rank = 5}, TRIB_INVALID},
        {{.rank = -1}, TRIB_INVALID},
        {{.rank = 1, .dims = {(INT64_C(1) << 40) + 1}}, TRIB_LIMIT},
        {{.rank = 2, .dims = {INT64_MAX, INT64_MAX}}, TRIB_LIMIT},
        {{.rank = 4, .dims = {65536, 65536, 65536, 65536}}, TRIB_LIMIT},
        {{.rank = 3, .dims = {0, INT64_MAX, INT64_MAX}}, TRIB_LIMIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = 99;
        struct trib_error error = {0};
        ck_assert_int_eq(trib_shape_elements(&cases[i].shape, &n, &error), cases[i].status);
        ck_assert_uint_eq(n, 99);
        ck_assert_int_eq(error.status, cases[i].status);
    }
    struct trib_error error = {0};
    size_t n;
    ck_assert_int_eq(trib_shape_elements(&TRIB_SHAPE(2, -7), &n, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "shape [2, -7]: dimension 1 is negative or not known");
}
END_TEST

START_TEST(binds_and_compares)
{
    struct trib_shape symbolic = TRIB_SHAPE(TRIB_DIM_BATCH, 10), known = TRIB_SHAPE(32, 10);
    struct trib_shape bound = trib_shape_bind(&symbolic, 32);
    ck_assert(trib_shape_equal(&bound, &known));
    ck_assert(!trib_shape_equal(&symbolic, &known));
    bound = trib_shape_bind(&known, 5);
    ck_assert(trib_shape_equal(&bound, &known));
    bound = trib_shape_bind(&TRIB_SCALAR, 5);
    ck_assert(trib_shape_equal(&bound, &TRIB_SCALAR));
    /* What lies beyond the rank does not count. */
    struct trib_shape a = {.rank = 1, .dims = {3, 1}}, b = {.rank = 1, .dims = {3, 2}};
    ck_assert(trib_shape_equal(&a, &b));
    ck_assert(!trib_shape_equal(&TRIB_SHAPE(3), &TRIB_SHAPE(3, 1)));
}
END_TEST

START_TEST(knows_element_types)
{
    ck_assert_uint_eq(trib_dtype_size(TRIB_F32), 4);
    ck_assert_uint_eq(trib_dtype_size(TRIB_I32), 4);
    ck_assert_str_eq(trib_dtype_name(TRIB_F32), "f32");
    ck_assert_str_eq(trib_dtype_name(TRIB_I32), "i32");
    ck_assert_str_eq(trib_dtype_name((enum trib_dtype)77), "unknown");
    ck_assert_uint_eq(trib_dtype_size((enum trib_dtype)77), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor");
    TCase *tests = tcase_create("tensor");
    tcase_add_test(tests, formats_shapes);
    tcase_add_test(tests, format_is_always_terminated);
    tcase_add_test(tests, counts_elements);
    tcase_add_test(tests, refuses_impossible_shapes);
    tcase_add_test(tests, binds_and_compares);
    tcase_add_test(tests, knows_element_types);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
