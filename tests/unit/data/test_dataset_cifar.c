/* CIFAR-10's binary version: folders, single files, planes to pixels, and what can be wrong. */
#include "data_files.h"
#include "test_main.h"

enum { RECORD_LEN = 3073, IMAGE_LEN = 3072 };

/* One record whose bytes tell image, channel and pixel apart. */
static void make_record(uint8_t label, uint8_t image, uint8_t *record)
{
    record[0] = label;
    for (size_t i = 0; i < IMAGE_LEN; i++) {
        record[1 + i] = (uint8_t)(image * 31 + i / 1024 * 85 + i % 1024 * 3);
    }
}

static const char *write_batch(const char *name, uint8_t first_label, uint8_t n)
{
    uint8_t *bytes = malloc((size_t)n * RECORD_LEN);
    for (uint8_t i = 0; i < n; i++) {
        make_record((uint8_t)((first_label + i) % 10), (uint8_t)(first_label + i), bytes + (size_t)i * RECORD_LEN);
    }
    const char *path = data_write(name, bytes, (size_t)n * RECORD_LEN);
    free(bytes);
    return path;
}

static void check_image(const struct trib_dataset *dataset, size_t at, uint8_t image)
{
    uint8_t record[RECORD_LEN];
    make_record(0, image, record);
    const uint8_t *pixels = (const uint8_t *)dataset->data + at * IMAGE_LEN;
    for (size_t p = 0; p < 1024; p++) {
        for (size_t c = 0; c < 3; c++) {
            ck_assert_int_eq(pixels[3 * p + c], record[1 + c * 1024 + p]);
        }
    }
}

START_TEST(reads_one_file)
{
    struct trib_dataset_spec spec = {.format = "cifar", .path = write_batch("some.bin", 3, 2)};
    struct trib_dataset dataset = data_open(&spec);
    ck_assert_uint_eq(dataset.n, 2);
    ck_assert(trib_shape_equal(&dataset.example, &TRIB_SHAPE(32, 32, 3)));
    ck_assert_uint_eq(dataset.example_n, IMAGE_LEN);
    ck_assert(dataset.is_u8);
    ck_assert_int_eq(dataset.classes, 10); /* whatever labels a part of the data happens to have */
    ck_assert_int_eq(dataset.labels[0], 3);
    ck_assert_int_eq(dataset.labels[1], 4);
    check_image(&dataset, 0, 3);
    check_image(&dataset, 1, 4);
    trib_dataset_clear(&dataset);
}
END_TEST

START_TEST(reads_folder)
{
    struct trib_buf raw = {0};
    struct trib_buf packed = {0};
    for (uint8_t i = 1; i <= 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "data_batch_%d.bin", i);
        write_batch(name, i, 2);
    }
    write_batch("test_batch.bin", 7, 3);
    ck_assert_int_eq(trib_dataset_load_file(data_path("data_batch_2.bin"), 1 << 20, &raw, NULL), TRIB_OK);
    data_zstd(raw.data, raw.len, &packed);
    data_write("data_batch_2.bin.zst", packed.data, packed.len);
    ck_assert_int_eq(unlink(data_path("data_batch_2.bin")), 0);
    struct trib_dataset_spec spec = {.format = "cifar", .path = data_dir};
    struct trib_dataset dataset = data_open(&spec);
    ck_assert_uint_eq(dataset.n, 10);
    for (size_t i = 0; i < 10; i++) {
        uint8_t image = (uint8_t)(1 + i / 2 + i % 2);
        ck_assert_int_eq(dataset.labels[i], image);
        check_image(&dataset, i, image);
    }
    trib_dataset_clear(&dataset);
    spec.split = "test";
    dataset = data_open(&spec);
    ck_assert_uint_eq(dataset.n, 3);
    ck_assert_int_eq(dataset.labels[2], 9);
    trib_dataset_clear(&dataset);
    trib_buf_clear(&raw);
    trib_buf_clear(&packed);
}
END_TEST

START_TEST(says_what_is_missing)
{
    struct trib_dataset_spec spec = {.format = "cifar", .path = data_dir};
    data_open_fails(&spec, TRIB_NOT_FOUND,
                    "$: holds no data_batch_1.bin, nor one with .gz or .zst; name the folder of CIFAR-10's binary "
                    "version, or a single file");
    write_batch("data_batch_1.bin", 0, 1);
    data_write_text("data_batch_2", "pickle");
    data_open_fails(&spec, TRIB_NOT_FOUND,
                    "$: holds no data_batch_2.bin, nor one with .gz or .zst; it holds CIFAR-10's Python version: "
                    "download the binary version");
    spec.path = data_path("none.bin");
    data_open_fails(&spec, TRIB_NOT_FOUND, "$/none.bin: no such file; check the dataset's path");
    spec.path = data_dir;
    spec.labels = "y";
    data_open_fails(&spec, TRIB_CONFIG, "dataset labels: of no use with format cifar; its files hold the labels");
}
END_TEST

START_TEST(says_what_is_wrong)
{
    uint8_t record[2 * RECORD_LEN];
    make_record(1, 1, record);
    make_record(11, 2, record + RECORD_LEN);
    struct trib_dataset_spec spec = {.format = "cifar", .path = data_write("x.bin", record, sizeof record)};
    data_open_fails(&spec, TRIB_MISMATCH, "$/x.bin: label 11 of example 1 is outside 0..9");
    spec.path = data_write("x.bin", record, sizeof record - 1);
    data_open_fails(&spec, TRIB_CORRUPT,
                    "$/x.bin: truncated, or not CIFAR-10's binary version: 6145 bytes are not a multiple of 3073, the "
                    "length of an example; copy or download it again");
    spec.path = data_write("x.bin", record, 0);
    data_open_fails(&spec, TRIB_CORRUPT,
                    "$/x.bin: truncated, or not CIFAR-10's binary version: 0 bytes are not a multiple of 3073, the "
                    "length of an example; copy or download it again");
    spec.path = data_write("x.bin", record, sizeof record);
    spec.max_bytes = 5000;
    data_open_fails(&spec, TRIB_LIMIT, "$/x.bin: holds more than 5.0 kB; raise max_bytes if that is meant");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dataset_cifar");
    TCase *files = tcase_create("files");
    tcase_set_timeout(files, 120);
    tcase_add_checked_fixture(files, data_files_setup, data_files_teardown);
    tcase_add_test(files, reads_one_file);
    tcase_add_test(files, reads_folder);
    tcase_add_test(files, says_what_is_missing);
    tcase_add_test(files, says_what_is_wrong);
    suite_add_tcase(suite, files);
    return trib_test_run(suite);
}
