/* IDX datasets, compressed files, keys, normalisation and batches. */
#include "data_files.h"
#include "test_main.h"

#include <math.h>

static const uint8_t labels4[] = {3, 0, 1, 3};

static struct trib_dataset_spec two_files(uint32_t n)
{
    return (struct trib_dataset_spec){
        .format = "idx",
        .path = data_write_idx_images("x", n),
        .labels = data_write_idx_labels("y", labels4, 4),
    };
}

START_TEST(reads_two_files)
{
    struct trib_dataset_spec spec = two_files(4);
    struct trib_dataset dataset = data_open(&spec);
    ck_assert_uint_eq(dataset.n, 4);
    ck_assert(trib_shape_equal(&dataset.example, &TRIB_SHAPE(2, 3, 1)));
    ck_assert_uint_eq(dataset.example_n, 6);
    ck_assert(dataset.is_u8);
    ck_assert_int_eq(dataset.classes, 4);
    ck_assert_ptr_null(dataset.targets);
    ck_assert_ptr_null(dataset.keys);
    for (int i = 0; i < 24; i++) {
        ck_assert_int_eq(((uint8_t *)dataset.data)[i], i);
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(dataset.labels[i], labels4[i]);
    }
    trib_dataset_clear(&dataset);
    ck_assert_ptr_null(dataset.data);
}
END_TEST

static void repack(const char *from, const char *to, void (*pack)(const void *, size_t, struct trib_buf *))
{
    struct trib_buf raw = {0};
    struct trib_buf packed = {0};
    ck_assert_int_eq(trib_dataset_load_file(data_path(from), 1 << 20, &raw, NULL), TRIB_OK);
    pack(raw.data, raw.len, &packed);
    data_write(to, packed.data, packed.len);
    ck_assert_int_eq(unlink(data_path(from)), 0);
    trib_buf_clear(&raw);
    trib_buf_clear(&packed);
}

START_TEST(reads_folder_plain_and_compressed)
{
    static const uint8_t labels2[] = {1, 2};
    data_write_idx_images("train-images-idx3-ubyte", 4);
    data_write_idx_labels("train-labels-idx1-ubyte", labels4, 4);
    data_write_idx_images("t10k-images.idx3-ubyte", 2);
    data_write_idx_labels("t10k-labels-idx1-ubyte", labels2, 2);
    repack("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", data_gzip);
    repack("t10k-labels-idx1-ubyte", "t10k-labels-idx1-ubyte.zst", data_zstd);
    struct trib_dataset_spec spec = {.format = "idx", .path = data_dir, .classes = 10};
    struct trib_dataset train = data_open(&spec);
    spec.split = "test";
    struct trib_dataset test = data_open(&spec);
    ck_assert_uint_eq(train.n, 4);
    ck_assert_int_eq(train.classes, 10);
    ck_assert_int_eq(((uint8_t *)train.data)[23], 23);
    ck_assert_uint_eq(test.n, 2);
    ck_assert_int_eq(test.labels[1], 2);
    trib_dataset_clear(&train);
    trib_dataset_clear(&test);
    spec.split = "tset";
    data_open_fails(&spec, TRIB_CONFIG,
                    "dataset split \"tset\": unknown; did you mean \"test\"? There are: train, test");
}
END_TEST

START_TEST(reads_other_types)
{
    static const float values[] = {0.5f, -2.0f, 1e-3f, 7.0f};
    static const uint8_t shorts[] = {0, 5, 1, 2};
    struct trib_buf x = {0};
    struct trib_buf y = {0};
    data_idx_header(&x, 0x0d, 2, (uint32_t[]){2, 2});
    for (int i = 0; i < 4; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], 4);
        uint8_t bytes[4] = {(uint8_t)(bits >> 24), (uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
        data_add(&x, bytes, 4);
    }
    data_idx_header(&y, 0x0b, 1, (uint32_t[]){2});
    data_add(&y, shorts, sizeof shorts);
    struct trib_dataset_spec spec = {
        .format = "idx", .path = data_write("x", x.data, x.len), .labels = data_write("y", y.data, y.len)};
    struct trib_dataset dataset = data_open(&spec);
    ck_assert(!dataset.is_u8);
    ck_assert(trib_shape_equal(&dataset.example, &TRIB_SHAPE(2)));
    ck_assert_mem_eq(dataset.data, values, sizeof values);
    ck_assert_int_eq(dataset.labels[0], 5);
    ck_assert_int_eq(dataset.labels[1], 258);
    ck_assert_int_eq(dataset.classes, 259);
    trib_dataset_clear(&dataset);
    memcpy(x.data + 12 + 8, "\x7f\xc0\x00\x00", 4);
    spec.path = data_write("x", x.data, x.len);
    data_open_fails(&spec, TRIB_NOT_FINITE,
                    "$/x: element 0 of example 1 is nan, which is no finite 32-bit float; clean the data");
    trib_buf_clear(&x);
    trib_buf_clear(&y);
}
END_TEST

START_TEST(says_what_is_missing)
{
    struct trib_dataset_spec spec = {.format = "idx", .path = data_dir};
    data_open_fails(&spec, TRIB_NOT_FOUND,
                    "$: holds no train-images-idx3-ubyte, nor one with .gz or .zst; name the folder of the four "
                    "MNIST-style files, or one file each as path and labels");
    data_write_idx_images("t10k-images-idx3-ubyte", 4);
    spec.split = "test";
    data_open_fails(&spec, TRIB_NOT_FOUND,
                    "$: holds no t10k-labels-idx1-ubyte, nor one with .gz or .zst; name the folder of the four "
                    "MNIST-style files, or one file each as path and labels");
    spec = two_files(4);
    spec.labels = NULL;
    data_open_fails(&spec, TRIB_CONFIG,
                    "dataset labels: missing; with format idx name the file of labels, or as path the folder that "
                    "holds both");
    spec.labels = data_path("none");
    data_open_fails(&spec, TRIB_NOT_FOUND, "$/none: no such file; check the dataset's path");
    spec.labels = data_dir;
    data_open_fails(&spec, TRIB_INVALID, "$: is a folder where a file is wanted");
    spec.path = NULL;
    data_open_fails(&spec, TRIB_CONFIG, "dataset path: missing; name the file or folder to read");
}
END_TEST

START_TEST(says_what_is_wrong_with_the_settings)
{
    struct trib_dataset_spec spec = two_files(4);
    spec.format = "idc";
    data_open_fails(&spec, TRIB_CONFIG,
                    "dataset format \"idc\": unknown; did you mean \"idx\"? There are: idx, cifar, csv, npy, "
                    "synthetic");
    spec.format = NULL;
    data_open_fails(&spec, TRIB_CONFIG, "dataset format: missing; there are: idx, cifar, csv, npy, synthetic");
    spec.format = "idx";
    spec.regression = true;
    data_open_fails(&spec, TRIB_CONFIG, "dataset regression: of no use with format idx; use csv or npy");
    spec.regression = false;
    spec.label_column = "5";
    data_open_fails(&spec, TRIB_CONFIG, "dataset label_column: of no use with format idx; it belongs to csv");
    spec.label_column = NULL;
    spec.classes = -1;
    data_open_fails(&spec, TRIB_CONFIG,
                    "dataset classes: -1 is outside 0..1048576; 0 means as many as the largest label asks for");
    spec.classes = 0;
    spec.max_bytes = NAN;
    data_open_fails(&spec, TRIB_CONFIG, "dataset max_bytes: nan is not a size; 0 means 4 GiB");
}
END_TEST

START_TEST(says_what_is_wrong_with_the_files)
{
    struct trib_dataset_spec spec = two_files(4);
    struct trib_buf buf = {0};
    spec.classes = 3;
    data_open_fails(&spec, TRIB_MISMATCH, "$/y: label 3 of example 0 is outside 0..2");
    spec = two_files(5);
    data_open_fails(&spec, TRIB_MISMATCH,
                    "$/y: holds 4 labels, but there are 5 examples; take the two files of one set");
    spec.labels = spec.path;
    data_open_fails(&spec, TRIB_MISMATCH, "$/x: shape [5, 2, 3]; labels want one number an example, shape [5]");
    spec.path = data_write_text("x", "P5 28 28");
    data_open_fails(&spec, TRIB_CORRUPT, "$/x: not an IDX file: it starts with 50 35 20 32 instead of 00 00 TYPE RANK");
    spec.path = data_write("x", "\0\0\x07\1aaaa", 8);
    data_open_fails(&spec, TRIB_CORRUPT, "$/x: IDX element type 07 is unknown; there are 08, 09, 0b, 0c, 0d, 0e");
    spec.path = data_write("x", "\0\0\x08\5aaaa", 8);
    data_open_fails(&spec, TRIB_UNSUPPORTED, "$/x: IDX array of 5 dimensions; 1 to 4 can be read");
    spec.path = data_write("x", "\0\0\x08\2\0\0\0\1\0\0\0", 11);
    data_open_fails(&spec, TRIB_CORRUPT, "$/x: truncated: its IDX header takes 12 bytes, the file holds 11");
    data_idx_header(&buf, 0x08, 3, (uint32_t[]){60000, 28, 28});
    data_add(&buf, "12345", 5);
    spec.path = data_write("x", buf.data, buf.len);
    data_open_fails(&spec, TRIB_CORRUPT,
                    "$/x: truncated: header promises 60000 x 28 x 28 bytes, file holds 5 bytes of data; copy or "
                    "download it again");
    buf.len = 0;
    data_idx_header(&buf, 0x0e, 4, (uint32_t[]){0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff});
    spec.path = data_write("x", buf.data, buf.len);
    data_open_fails(&spec, TRIB_CORRUPT,
                    "$/x: truncated: header promises 4294967295 x 4294967295 x 4294967295 x 4294967295 float64 "
                    "elements, file holds 0 bytes of data; copy or download it again");
    buf.len = 0;
    data_idx_header(&buf, 0x08, 2, (uint32_t[]){1, 2});
    data_add(&buf, "123", 3);
    spec.path = data_write("x", buf.data, buf.len);
    data_open_fails(&spec, TRIB_CORRUPT, "$/x: too long: header promises 1 x 2 bytes, file holds 3 bytes of data");
    buf.len = 0;
    data_idx_header(&buf, 0x08, 3, (uint32_t[]){0, 28, 28});
    spec.path = data_write("x", buf.data, buf.len);
    data_open_fails(&spec, TRIB_CORRUPT, "$/x: shape [0, 28, 28] holds nothing");
    trib_buf_clear(&buf);
}
END_TEST

START_TEST(refuses_what_is_too_large)
{
    struct trib_dataset_spec spec = two_files(4);
    struct trib_buf zeros = {0};
    struct trib_buf packed = {0};
    spec.max_bytes = 39;
    data_open_fails(&spec, TRIB_LIMIT, "$/x: holds more than 39 B; raise max_bytes if that is meant");
    spec.max_bytes = 40;
    struct trib_dataset dataset = data_open(&spec);
    trib_dataset_clear(&dataset);
    /* 16 MB of zeros are a few kilobytes of either format. */
    ck_assert_int_eq(trib_buf_reserve(&zeros, 16000000), TRIB_OK);
    memset(zeros.data, 0, 16000000);
    spec.max_bytes = 1e6;
    data_gzip(zeros.data, 16000000, &packed);
    ck_assert_uint_lt(packed.len, 100000);
    spec.path = data_write("x", packed.data, packed.len);
    data_open_fails(&spec, TRIB_LIMIT, "$/x: unpacks to more than 1.0 MB; raise max_bytes if that is meant");
    packed.len = 0;
    data_zstd(zeros.data, 16000000, &packed);
    spec.path = data_write("x", packed.data, packed.len);
    data_open_fails(&spec, TRIB_LIMIT, "$/x: unpacks to more than 1.0 MB; raise max_bytes if that is meant");
    trib_buf_clear(&packed);
    trib_buf_clear(&zeros);
}
END_TEST

START_TEST(reads_large_shares_of_compressed_data)
{
    enum { LEN = 3000000 };
    struct trib_buf raw = {0};
    struct trib_buf packed = {0};
    struct trib_buf content = {0};
    for (uint32_t i = 0; i < LEN / 4; i++) {
        uint32_t mixed = i * 2654435761u;
        data_add(&raw, &mixed, 4);
    }
    data_gzip(raw.data, 1000000, &packed); /* two members and padding */
    data_gzip(raw.data + 1000000, LEN - 1000000, &packed);
    data_add(&packed, "\0\0\0\0", 4);
    ck_assert_int_eq(trib_dataset_load_file(data_write("a.gz", packed.data, packed.len), LEN, &content, NULL), TRIB_OK);
    ck_assert_uint_eq(content.len, LEN);
    ck_assert_mem_eq(content.data, raw.data, LEN);
    trib_buf_clear(&content);
    packed.len = 0;
    data_zstd(raw.data, 1000000, &packed); /* two frames */
    data_zstd(raw.data + 1000000, LEN - 1000000, &packed);
    const char *path = data_write("a.zst", packed.data, packed.len);
    ck_assert_int_eq(trib_dataset_load_file(path, LEN, &content, NULL), TRIB_OK);
    ck_assert_uint_eq(content.len, LEN);
    ck_assert_mem_eq(content.data, raw.data, LEN);
    trib_buf_clear(&content);
    ck_assert_int_eq(trib_dataset_load_file(path, LEN - 1, &content, NULL), TRIB_LIMIT);
    ck_assert_ptr_null(content.data);
    trib_buf_clear(&raw);
    trib_buf_clear(&packed);
}
END_TEST

START_TEST(says_where_compressed_data_is_damaged)
{
    struct trib_dataset_spec spec = two_files(4);
    struct trib_buf packed = {0};
    data_gzip("\0\0\x08\1aaaaaaaaaaaaa", 17, &packed);
    spec.path = data_write("x.gz", packed.data, packed.len - 4);
    data_open_fails(
        &spec, TRIB_CORRUPT,
        "$/x.gz: truncated: the gzip data ends early, after 17 bytes of content; copy or download it again");
    packed.data[packed.len - 8] ^= 1; /* the checksum */
    spec.path = data_write("x.gz", packed.data, packed.len);
    data_open_fails(&spec, TRIB_CORRUPT,
                    "$/x.gz: damaged gzip data at byte 22: incorrect data check; copy or download it again");
    packed.data[packed.len - 8] ^= 1;
    data_add(&packed, "junk", 4);
    spec.path = data_write("x.gz", packed.data, packed.len);
    data_open_fails(&spec, TRIB_CORRUPT,
                    "$/x.gz: damaged gzip data at byte 28: incorrect header check; copy or download it again");
    packed.len = 0;
    data_zstd("\0\0\x08\1aaaaaaaaaaaaa", 17, &packed);
    spec.path = data_write("x.zst", packed.data, packed.len - 1);
    data_open_fails(
        &spec, TRIB_CORRUPT,
        "$/x.zst: truncated: the zstd data ends early, after 0 bytes of content; copy or download it again");
    trib_buf_clear(&packed);
}
END_TEST

START_TEST(numbers_keys)
{
    static const uint8_t shorts[] = {1, 0, 0, 9, 1, 0, 0xff, 0xff};
    static const int32_t want[] = {2, 1, 2, 0};
    static const int32_t want_text[] = {1, 0, 1, 2};
    struct trib_dataset_spec spec = two_files(4);
    struct trib_buf buf = {0};
    data_idx_header(&buf, 0x0b, 1, (uint32_t[]){4});
    data_add(&buf, shorts, sizeof shorts);
    spec.keys = data_write("k", buf.data, buf.len);
    struct trib_dataset dataset = data_open(&spec);
    ck_assert_int_eq(dataset.n_keys, 3);
    ck_assert_mem_eq(dataset.keys, want, sizeof want);
    trib_dataset_clear(&dataset);
    spec.keys = data_write_text("k", "bo\r\nann\nbo\nzoe");
    dataset = data_open(&spec);
    ck_assert_int_eq(dataset.n_keys, 3);
    ck_assert_mem_eq(dataset.keys, want_text, sizeof want_text);
    trib_dataset_clear(&dataset);
    spec.keys = data_write_text("k", "bo\nann\nbo\n");
    data_open_fails(&spec, TRIB_MISMATCH, "$/k: holds 3 lines, but there are 4 examples; write one key a line");
    spec.keys = data_write_text("k", "bo\n\nbo\nzoe\n");
    data_open_fails(&spec, TRIB_CORRUPT, "$/k:2: empty line; write one key for each example");
    buf.len = 0;
    data_idx_header(&buf, 0x08, 1, (uint32_t[]){3});
    data_add(&buf, shorts, 3);
    spec.keys = data_write("k", buf.data, buf.len);
    data_open_fails(&spec, TRIB_MISMATCH, "$/k: holds 3 keys, but there are 4 examples; take the two files of one set");
    trib_buf_clear(&buf);
}
END_TEST

/* ---- normalisation and batches, against the formula written out ---- */
static float formula(const struct trib_dataset *dataset, size_t at)
{
    bool identity = dataset->n_norm == 0;
    size_t c = identity ? 0 : at % (size_t)dataset->n_norm;
    float mean = identity ? 0 : dataset->mean[c];
    float inverse = identity ? (dataset->is_u8 ? 1.0f / 255.0f : 1.0f) : dataset->inverse_std[c];
    float value = dataset->is_u8 ? (float)((uint8_t *)dataset->data)[at] : ((float *)dataset->data)[at];
    return (value - mean) * inverse;
}

static void check_batch(const struct trib_dataset *dataset)
{
    static const uint32_t indices[] = {2, 0, 2};
    float *x = malloc(3 * dataset->example_n * sizeof *x);
    int32_t y[3];
    trib_dataset_batch(dataset, indices, 3, x, y);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(y[i], dataset->labels[indices[i]]);
        for (size_t j = 0; j < dataset->example_n; j++) {
            float want = formula(dataset, indices[i] * dataset->example_n + j);
            ck_assert_msg(fabsf(x[i * dataset->example_n + j] - want) <= 1e-6f * fabsf(want), "example %zu element %zu",
                          i, j);
        }
    }
    free(x);
}

/* Images [height, width, channels], bytes or floats, that are not multiples of any vector's length. */
static struct trib_dataset images(int64_t height, int64_t width, int64_t channels, bool is_u8)
{
    struct trib_dataset dataset = {
        .n = 3, .example = TRIB_SHAPE(height, width, channels), .is_u8 = is_u8, .classes = 3};
    dataset.example_n = (size_t)(height * width * channels);
    dataset.data = calloc(dataset.n * dataset.example_n, 4);
    dataset.labels = calloc(dataset.n, sizeof *dataset.labels);
    for (size_t i = 0; i < dataset.n * dataset.example_n; i++) {
        uint8_t byte = (uint8_t)(i * 37 + i / 256);
        if (is_u8) {
            ((uint8_t *)dataset.data)[i] = byte;
        } else {
            ((float *)dataset.data)[i] = (float)byte / 16 - 3;
        }
    }
    dataset.labels[0] = 1;
    dataset.labels[2] = 2;
    return dataset;
}

static void free_images(struct trib_dataset *dataset)
{
    free(dataset->data);
    free(dataset->labels);
}

START_TEST(makes_batches_under_every_rule)
{
    static const char *const rules[] = {"unit", "none", "auto", "10/5"};
    for (int64_t channels = 1; channels <= 5; channels++) {
        for (int is_u8 = 0; is_u8 < 2; is_u8++) {
            struct trib_dataset dataset = images(11, 13, channels, is_u8);
            check_batch(&dataset);
            for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
                ck_assert_int_eq(trib_dataset_normalise(&dataset, rules[r], NULL), TRIB_OK);
                check_batch(&dataset);
            }
            free_images(&dataset);
        }
    }
}
END_TEST

START_TEST(takes_units_of_the_file)
{
    struct trib_dataset dataset = images(4, 5, 3, true);
    static const uint32_t index = 1;
    float x[60];
    int32_t y;
    ck_assert_int_eq(trib_dataset_normalise(&dataset, "none", NULL), TRIB_OK);
    trib_dataset_batch(&dataset, &index, 1, x, &y);
    ck_assert_float_eq(x[1], (float)((uint8_t *)dataset.data)[61]);
    ck_assert_int_eq(trib_dataset_normalise(&dataset, "125.5,100,3/2,4,8", NULL), TRIB_OK);
    trib_dataset_batch(&dataset, &index, 1, x, &y);
    ck_assert_float_eq(x[0], ((float)((uint8_t *)dataset.data)[60] - 125.5f) / 2);
    ck_assert_float_eq(x[4], ((float)((uint8_t *)dataset.data)[64] - 100) / 4);
    ck_assert_float_eq(x[8], ((float)((uint8_t *)dataset.data)[68] - 3) / 8);
    free_images(&dataset);
}
END_TEST

START_TEST(auto_gives_mean_0_and_deviation_1)
{
    struct trib_dataset dataset = images(16, 16, 3, true);
    double sum[3] = {0};
    double squares[3] = {0};
    float *x = malloc(dataset.n * dataset.example_n * sizeof *x);
    int32_t y[3];
    ck_assert_int_eq(trib_dataset_normalise(&dataset, "auto", NULL), TRIB_OK);
    ck_assert_int_eq(dataset.n_norm, 3);
    trib_dataset_batch(&dataset, (uint32_t[]){0, 1, 2}, 3, x, y);
    for (size_t i = 0; i < dataset.n * dataset.example_n; i++) {
        sum[i % 3] += (double)x[i];
        squares[i % 3] += (double)x[i] * (double)x[i];
    }
    for (int c = 0; c < 3; c++) {
        ck_assert_double_eq_tol(sum[c] / 768, 0, 1e-5);
        ck_assert_double_eq_tol(squares[c] / 768, 1, 1e-5);
    }
    memset(dataset.data, 7, dataset.n * dataset.example_n); /* constant: no division by 0 */
    ck_assert_int_eq(trib_dataset_normalise(&dataset, "auto", NULL), TRIB_OK);
    trib_dataset_batch(&dataset, (uint32_t[]){0}, 1, x, y);
    ck_assert_float_eq(x[0], 0);
    free(x);
    free_images(&dataset);
}
END_TEST

static void rule_fails(const char *rule, const char *message)
{
    struct trib_dataset dataset = images(2, 2, 3, true);
    struct trib_dataset before = dataset;
    struct trib_error error = {0};
    ck_assert_int_eq(trib_dataset_normalise(&dataset, rule, &error), TRIB_CONFIG);
    ck_assert_str_eq(error.message, message);
    ck_assert_mem_eq(&dataset, &before, sizeof dataset);
    free_images(&dataset);
}

START_TEST(says_what_is_wrong_with_a_rule)
{
    rule_fails("units", "normalise \"units\": unknown; did you mean \"unit\"? There are: unit, none, auto, "
                        "MEAN,.../DEVIATION,...");
    rule_fails("1,2/3", "normalise 1,2/3: 2 means and 1 deviations; the examples want 1 of each, or one for each of 3 "
                        "channels");
    rule_fails("5/0", "normalise 5/0: \"0\" is not a deviation above 0; write MEAN,.../DEVIATION,...");
    rule_fails("a/2", "normalise a/2: \"a\" is not a finite number; write MEAN,.../DEVIATION,...");
    rule_fails("/2", "normalise /2: \"\" is not a finite number; write MEAN,.../DEVIATION,...");
    rule_fails("1,2,3,4,5/1", "normalise 1,2,3,4,5/1: at most 4 means and deviations");
    rule_fails("0.1307/0.3081", "normalise 0.1307/0.3081: the examples are bytes, 0..255, and these numbers are for "
                                "0..1; multiply them by 255");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dataset_idx");
    TCase *files = tcase_create("files");
    tcase_set_timeout(files, 120);
    tcase_add_checked_fixture(files, data_files_setup, data_files_teardown);
    tcase_add_test(files, reads_two_files);
    tcase_add_test(files, reads_folder_plain_and_compressed);
    tcase_add_test(files, reads_other_types);
    tcase_add_test(files, says_what_is_missing);
    tcase_add_test(files, says_what_is_wrong_with_the_settings);
    tcase_add_test(files, says_what_is_wrong_with_the_files);
    tcase_add_test(files, refuses_what_is_too_large);
    tcase_add_test(files, reads_large_shares_of_compressed_data);
    tcase_add_test(files, says_where_compressed_data_is_damaged);
    tcase_add_test(files, numbers_keys);
    suite_add_tcase(suite, files);
    TCase *batches = tcase_create("batches");
    tcase_set_timeout(batches, 120);
    tcase_add_test(batches, makes_batches_under_every_rule);
    tcase_add_test(batches, takes_units_of_the_file);
    tcase_add_test(batches, auto_gives_mean_0_and_deviation_1);
    tcase_add_test(batches, says_what_is_wrong_with_a_rule);
    suite_add_tcase(suite, batches);
    return trib_test_run(suite);
}
