/* NumPy files: versions, types, shapes, and what can be wrong. */
#include "data_files.h"
#include "test_main.h"

static const uint8_t bytes6[] = {0, 1, 2, 3, 4, 5};
static const float floats6[] = {0.5f, -1, 2, 3.25f, 4, 5};
static const int64_t labels2[] = {1, 4};
static const float targets2[] = {0.25f, -7};

static const char *write_labels(void)
{
    return data_write_npy("y.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }", labels2,
                          sizeof labels2);
}

static struct trib_dataset_spec spec_of(const char *dict, const void *bytes, size_t len)
{
    return (struct trib_dataset_spec){
        .format = "npy", .path = data_write_npy("x.npy", dict, bytes, len), .labels = write_labels()};
}

START_TEST(reads_bytes)
{
    struct trib_dataset_spec spec =
        spec_of("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }", bytes6, sizeof bytes6);
    struct trib_dataset dataset = data_open(&spec);
    ck_assert_uint_eq(dataset.n, 2);
    ck_assert(trib_shape_equal(&dataset.example, &TRIB_SHAPE(3)));
    ck_assert(dataset.is_u8);
    ck_assert_mem_eq(dataset.data, bytes6, sizeof bytes6);
    ck_assert_int_eq(dataset.labels[1], 4);
    ck_assert_int_eq(dataset.classes, 5);
    trib_dataset_clear(&dataset);
}
END_TEST

START_TEST(reads_floats_and_images)
{
    double doubles[6];
    int32_t integers[6];
    for (int i = 0; i < 6; i++) {
        doubles[i] = (double)floats6[i];
        integers[i] = i - 3;
    }
    struct trib_dataset_spec spec =
        spec_of("{'shape': (2, 1, 3), 'fortran_order': False, 'descr': '<f4'}", floats6, sizeof floats6);
    struct trib_dataset dataset = data_open(&spec);
    ck_assert(trib_shape_equal(&dataset.example, &TRIB_SHAPE(1, 3, 1)));
    ck_assert(!dataset.is_u8);
    ck_assert_mem_eq(dataset.data, floats6, sizeof floats6);
    trib_dataset_clear(&dataset);
    spec = spec_of("{\"descr\":\"<f8\",\"fortran_order\":False,\"shape\":(2,1,1,3)}", doubles, sizeof doubles);
    dataset = data_open(&spec);
    ck_assert(trib_shape_equal(&dataset.example, &TRIB_SHAPE(1, 1, 3)));
    ck_assert_mem_eq(dataset.data, floats6, sizeof floats6);
    trib_dataset_clear(&dataset);
    spec = spec_of("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }", integers, sizeof integers);
    dataset = data_open(&spec);
    ck_assert_float_eq(((float *)dataset.data)[0], -3);
    trib_dataset_clear(&dataset);
}
END_TEST

START_TEST(reads_version_2_and_vectors)
{
    struct trib_buf buf = {0};
    data_npy(&buf, 2, "{'descr': '|u1', 'fortran_order': True, 'shape': (2,), }", bytes6, 2);
    struct trib_dataset_spec spec = {
        .format = "npy", .path = data_write("x.npy", buf.data, buf.len), .labels = write_labels()};
    struct trib_dataset dataset = data_open(&spec); /* one dimension is in both orders */
    ck_assert_uint_eq(dataset.n, 2);
    ck_assert_uint_eq(dataset.example_n, 1);
    trib_dataset_clear(&dataset);
    trib_buf_clear(&buf);
}
END_TEST

START_TEST(reads_targets)
{
    struct trib_dataset_spec spec =
        spec_of("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", floats6, sizeof floats6);
    spec.labels = data_write_npy("t.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }", targets2,
                                 sizeof targets2);
    data_open_fails(&spec, TRIB_UNSUPPORTED,
                    "$/t.npy: labels are float32; write whole numbers, or set regression for targets that are not "
                    "classes");
    spec.regression = true;
    struct trib_dataset dataset = data_open(&spec);
    ck_assert_ptr_null(dataset.labels);
    ck_assert_int_eq(dataset.classes, 0);
    float x[3];
    float y[1];
    trib_dataset_batch(&dataset, (uint32_t[]){1}, 1, x, y);
    ck_assert_float_eq(x[0], 3.25f);
    ck_assert_float_eq(y[0], -7);
    trib_dataset_clear(&dataset);
}
END_TEST

START_TEST(says_what_is_wrong_with_the_header)
{
    struct trib_dataset_spec spec = spec_of("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", floats6, 24);
    data_open_fails(&spec, TRIB_UNSUPPORTED,
                    "$/x.npy: elements of type \">f4\"; |u1, <f4, <f8, <i4 and <i8 can be read: convert with astype, "
                    "such as x.astype('<f4')");
    spec = spec_of("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", floats6, 24);
    data_open_fails(&spec, TRIB_UNSUPPORTED,
                    "$/x.npy: in Fortran order; save numpy.ascontiguousarray(x), which is in C order");
    spec = spec_of("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 2, 3), }", floats6, 24);
    data_open_fails(&spec, TRIB_UNSUPPORTED, "$/x.npy: array of 5 dimensions; up to 4 can be read");
    spec = spec_of("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", floats6, 4);
    data_open_fails(
        &spec, TRIB_MISMATCH,
        "$/x.npy: a single number; examples want 1 to 4 dimensions, the first being the number of examples");
    static const char *const broken[] = {
        "",
        "{",
        "{'descr': '<f4'}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 3), }",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2, 3), }",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 'x'}",
        "{'descr: <f4}"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        spec = spec_of(broken[i], floats6, 24);
        data_open_fails(&spec, TRIB_CORRUPT,
                        "$/x.npy: the .npy header is no dict of descr (one plain type), fortran_order and shape; "
                        "structured arrays cannot be read");
    }
}
END_TEST

START_TEST(says_what_is_wrong_with_the_file)
{
    struct trib_buf buf = {0};
    struct trib_dataset_spec spec = spec_of("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", floats6, 20);
    data_open_fails(&spec, TRIB_CORRUPT,
                    "$/x.npy: truncated: header promises [2, 3] of <f4, file holds 20 bytes of data; copy or download "
                    "it again");
    spec = spec_of("{'descr': '<f8', 'fortran_order': False, 'shape': (4000000000, 4000000000), }", floats6, 20);
    data_open_fails(&spec, TRIB_CORRUPT,
                    "$/x.npy: truncated: header promises [4000000000, 4000000000] of <f8, file holds 20 bytes of data; "
                    "copy or download it again");
    spec = spec_of("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }", floats6, 24);
    data_open_fails(&spec, TRIB_CORRUPT,
                    "$/x.npy: too long: header promises [1, 3] of <f4, file holds 24 bytes of data");
    data_open_fails(&(struct trib_dataset_spec){.format = "npy", .path = write_labels()}, TRIB_CONFIG,
                    "dataset labels: missing; with format npy name the .npy file of labels");
    spec = spec_of("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }", floats6, 24);
    data_open_fails(&spec, TRIB_MISMATCH,
                    "$/y.npy: holds 2 labels, but there are 3 examples; take the two files of one set");
    spec.path = data_write_text("x.npy", "1,2,3\n");
    data_open_fails(&spec, TRIB_CORRUPT,
                    "$/x.npy: not a .npy file: it does not start with 93 'NUMPY'; write it with numpy.save");
    spec.path = data_write("x.npy", "\x93NUMPY\x01", 7);
    data_open_fails(&spec, TRIB_CORRUPT, "$/x.npy: truncated: 7 bytes are too few for a .npy header");
    spec.path = data_write("x.npy", "\x93NUMPY\x04\x00\xff\x00\x00\x00", 12);
    data_open_fails(&spec, TRIB_UNSUPPORTED, "$/x.npy: .npy version 4.0; 1.0 to 3.0 can be read");
    spec.path = data_write("x.npy", "\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14);
    data_open_fails(&spec, TRIB_CORRUPT,
                    "$/x.npy: truncated: header promises 4294967295 bytes of description, file holds 2; copy or "
                    "download it again");
    trib_buf_clear(&buf);
}
END_TEST

START_TEST(says_which_label_is_out_of_range)
{
    static const int64_t negative[] = {0, -3};
    struct trib_dataset_spec spec = spec_of("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }", bytes6, 6);
    spec.classes = 4;
    data_open_fails(&spec, TRIB_MISMATCH, "$/y.npy: label 4 of example 1 is outside 0..3");
    spec.classes = 0;
    spec.labels = data_write_npy("y.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }", negative, 16);
    data_open_fails(&spec, TRIB_MISMATCH, "$/y.npy: label -3 of example 1 is outside 0..1048575");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dataset_npy");
    TCase *files = tcase_create("files");
    tcase_set_timeout(files, 120);
    tcase_add_checked_fixture(files, data_files_setup, data_files_teardown);
    tcase_add_test(files, reads_bytes);
    tcase_add_test(files, reads_floats_and_images);
    tcase_add_test(files, reads_version_2_and_vectors);
    tcase_add_test(files, reads_targets);
    tcase_add_test(files, says_what_is_wrong_with_the_header);
    tcase_add_test(files, says_what_is_wrong_with_the_file);
    tcase_add_test(files, says_which_label_is_out_of_range);
    suite_add_tcase(suite, files);
    return trib_test_run(suite);
}
