/* Every registered reader: reads back a tiny dataset that was written for it, plain and compressed; names a missing
 * file; and answers every truncation with an error, never with a crash or with more than was there. A reader without a
 * writer below fails. */
#include "../../unit/data/data_files.h"
#include "base/mem.h"
#include "fail_memory.h"
#include "test_main.h"

enum { EXAMPLES = 3, MAX_ELEMENTS = 3072 };

/* What a writer wrote. */
struct written {
    struct trib_dataset_spec spec;
    const char *files[2]; /* names in the folder */
    size_t example_n;
    float x[EXAMPLES][MAX_ELEMENTS];
    int32_t labels[EXAMPLES];
    size_t record_len; /* a file cut at multiples of it is a shorter dataset; 0 = never, 1 = anywhere */
};

static uint8_t value_at(size_t example, size_t i)
{
    return (uint8_t)(example * 59 + i * 3 + 1);
}

static void fill_expected(struct written *to, size_t example_n)
{
    to->example_n = example_n;
    for (size_t e = 0; e < EXAMPLES; e++) {
        to->labels[e] = (int32_t)(e * 2);
        for (size_t i = 0; i < example_n; i++) {
            to->x[e][i] = (float)value_at(e, i);
        }
    }
}

static void write_idx(struct written *to)
{
    static const uint8_t labels[EXAMPLES] = {0, 2, 4};
    struct trib_buf buf = {0};
    fill_expected(to, 6);
    data_idx_header(&buf, 0x08, 3, (uint32_t[]){EXAMPLES, 2, 3});
    for (size_t i = 0; i < EXAMPLES * 6; i++) {
        uint8_t byte = value_at(i / 6, i % 6);
        data_add(&buf, &byte, 1);
    }
    data_write("x", buf.data, buf.len);
    trib_buf_clear(&buf);
    data_write_idx_labels("y", labels, EXAMPLES);
    to->files[0] = "x";
    to->files[1] = "y";
}

static void write_npy(struct written *to)
{
    fill_expected(to, 5);
    float x[EXAMPLES * 5];
    for (size_t i = 0; i < EXAMPLES * 5; i++) {
        x[i] = to->x[i / 5][i % 5];
    }
    data_write_npy("x", "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }", x, sizeof x);
    data_write_npy("y", "{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }", to->labels, sizeof to->labels);
    to->files[0] = "x";
    to->files[1] = "y";
}

static void write_csv(struct written *to)
{
    struct trib_buf buf = {0};
    fill_expected(to, 4);
    data_add(&buf, "a,b,c,d,label\n", 14);
    for (size_t e = 0; e < EXAMPLES; e++) {
        for (size_t i = 0; i < 4; i++) {
            ck_assert_int_eq(trib_buf_printf(&buf, "%d.0,", value_at(e, i)), TRIB_OK);
        }
        ck_assert_int_eq(trib_buf_printf(&buf, "%d\n", to->labels[e]), TRIB_OK);
    }
    data_write("x", buf.data, buf.len);
    trib_buf_clear(&buf);
    to->files[0] = "x";
    to->record_len = 1;
}

static void write_cifar(struct written *to)
{
    enum { RECORD_LEN = 3073 };
    static uint8_t bytes[EXAMPLES * RECORD_LEN];
    fill_expected(to, 3072);
    for (size_t e = 0; e < EXAMPLES; e++) {
        bytes[e * RECORD_LEN] = (uint8_t)to->labels[e];
        for (size_t i = 0; i < 3072; i++) { /* pixel i / 3, channel i % 3 */
            bytes[e * RECORD_LEN + 1 + i % 3 * 1024 + i / 3] = value_at(e, i);
        }
    }
    data_write("x", bytes, sizeof bytes);
    to->files[0] = "x";
    to->record_len = RECORD_LEN;
}

static const struct {
    const char *format;
    void (*write)(struct written *to);
} writers[] = {
    {"idx", write_idx},
    {"npy", write_npy},
    {"csv", write_csv},
    {"cifar", write_cifar},
};

static void write_for(const struct trib_dataset_reader *reader, struct written *to)
{
    *to = (struct written){0};
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
        if (strcmp(writers[i].format, reader->name) == 0) {
            writers[i].write(to);
            to->spec.format = reader->name;
            to->spec.path = data_path(to->files[0]);
            to->spec.labels = to->files[1] ? data_path(to->files[1]) : NULL;
            return;
        }
    }
    ck_abort_msg("reader %s has no writer in this test", reader->name);
}

static void check_same(const struct written *want)
{
    static float x[EXAMPLES * MAX_ELEMENTS];
    int32_t y[EXAMPLES];
    struct trib_dataset dataset = data_open(&want->spec);
    ck_assert_uint_eq(dataset.n, EXAMPLES);
    ck_assert_uint_eq(dataset.example_n, want->example_n);
    ck_assert_uint_eq(trib_shape_size(&dataset.example), want->example_n);
    ck_assert_int_ge(dataset.classes, 5);
    ck_assert_int_eq(trib_dataset_normalise(&dataset, "none", NULL), TRIB_OK);
    trib_dataset_batch(&dataset, (uint32_t[]){2, 1, 0}, EXAMPLES, x, y);
    for (size_t e = 0; e < EXAMPLES; e++) {
        ck_assert_int_eq(y[EXAMPLES - 1 - e], want->labels[e]);
        ck_assert_mem_eq(x + (EXAMPLES - 1 - e) * want->example_n, want->x[e], want->example_n * sizeof(float));
    }
    trib_dataset_clear(&dataset);
}

static struct written written;

static const struct trib_dataset_reader *reader_at(int i)
{
    const struct trib_dataset_reader *const *readers;
    ck_assert_int_lt(i, (int)trib_dataset_readers(&readers));
    return readers[i];
}

START_TEST(describes_itself)
{
    const struct trib_dataset_reader *reader = reader_at(_i);
    ck_assert_ptr_nonnull(reader->name);
    ck_assert_ptr_nonnull(reader->help);
    for (int i = 0; i < _i; i++) {
        ck_assert_str_ne(reader->name, reader_at(i)->name);
    }
}
END_TEST

START_TEST(reads_back)
{
    write_for(reader_at(_i), &written);
    check_same(&written);
}
END_TEST

START_TEST(reads_back_compressed)
{
    for (int method = 0; method < 2; method++) {
        write_for(reader_at(_i), &written);
        for (int f = 0; f < 2 && written.files[f]; f++) {
            struct trib_buf raw = {0};
            struct trib_buf packed = {0};
            ck_assert_int_eq(trib_dataset_load_file(data_path(written.files[f]), 1 << 20, &raw, NULL), TRIB_OK);
            (method == 0 ? data_gzip : data_zstd)(raw.data, raw.len, &packed);
            data_write(written.files[f], packed.data, packed.len);
            trib_buf_clear(&raw);
            trib_buf_clear(&packed);
        }
        check_same(&written);
    }
}
END_TEST

START_TEST(names_what_is_missing)
{
    write_for(reader_at(_i), &written);
    for (int f = 0; f < 2 && written.files[f]; f++) {
        char message[64];
        ck_assert_int_eq(rename(data_path(written.files[f]), data_path("away")), 0);
        snprintf(message, sizeof message, "$/%s: no such file; check the dataset's path", written.files[f]);
        data_open_fails(&written.spec, TRIB_NOT_FOUND, message);
        ck_assert_int_eq(rename(data_path("away"), data_path(written.files[f])), 0);
    }
}
END_TEST

/* Open with file `name` cut to every length. */
static void cut_everywhere(const char *name, size_t record_len)
{
    struct trib_buf raw = {0};
    const char *path = data_path(name);
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(trib_buf_reserve(&raw, 1 << 20), TRIB_OK);
    raw.len = fread(raw.data, 1, 1 << 20, file);
    ck_assert_int_eq(fclose(file), 0);
    for (size_t len = raw.len; len-- > 0;) {
        struct trib_dataset dataset;
        struct trib_error error = {0};
        ck_assert_int_eq(truncate(path, (off_t)len), 0);
        if (trib_dataset_open(&written.spec, &dataset, &error) == TRIB_OK) {
            ck_assert_msg(record_len > 0 && len % record_len == 0, "%s cut to %zu bytes is taken for whole", name, len);
            ck_assert_uint_le(dataset.n, EXAMPLES);
            trib_dataset_clear(&dataset);
        } else {
            ck_assert_msg(strstr(error.message, path), "the file is not named: %s", error.message);
        }
    }
    data_write(name, raw.data, raw.len);
    trib_buf_clear(&raw);
}

START_TEST(survives_every_truncation)
{
    write_for(reader_at(_i), &written);
    for (int f = 0; f < 2 && written.files[f]; f++) {
        cut_everywhere(written.files[f], written.record_len);
    }
}
END_TEST

START_TEST(notices_every_truncation_when_compressed)
{
    for (int method = 0; method < 2; method++) {
        struct trib_buf raw = {0};
        struct trib_buf packed = {0};
        write_for(reader_at(_i), &written);
        ck_assert_int_eq(trib_dataset_load_file(written.spec.path, 1 << 20, &raw, NULL), TRIB_OK);
        (method == 0 ? data_gzip : data_zstd)(raw.data, raw.len, &packed);
        data_write(written.files[0], packed.data, packed.len);
        cut_everywhere(written.files[0], 0);
        trib_buf_clear(&raw);
        trib_buf_clear(&packed);
    }
}
END_TEST

/* Fail the first, second, third ... allocation until the dataset opens: each time a clean error, and nothing leaks
 * (which the sanitized build sees). */
START_TEST(survives_failing_allocations)
{
    struct trib_buf raw = {0};
    struct trib_buf packed = {0};
    write_for(reader_at(_i), &written);
    ck_assert_int_eq(trib_dataset_load_file(written.spec.path, 1 << 20, &raw, NULL), TRIB_OK);
    data_gzip(raw.data, raw.len, &packed);
    data_write(written.files[0], packed.data, packed.len);
    written.spec.keys = data_write_text("keys", "b\na\nb\n");
    bool opened = false;
    int64_t failed = 0;
    for (; !opened; failed++) {
        struct trib_dataset dataset;
        struct trib_error error = {0};
        fail_memory_after(failed, false);
        enum trib_status status = trib_dataset_open(&written.spec, &dataset, &error);
        fail_memory_after(-1, false);
        opened = status == TRIB_OK;
        ck_assert_msg(opened || status == TRIB_NO_MEMORY, "allocation %lld: %s", (long long)failed, error.message);
        if (opened) {
            trib_dataset_clear(&dataset);
        }
        ck_assert_int_lt(failed, 1000);
    }
    ck_assert_int_gt(failed, 5);
    trib_buf_clear(&raw);
    trib_buf_clear(&packed);
}
END_TEST

int main(void)
{
    const struct trib_dataset_reader *const *readers;
    int n = (int)trib_dataset_readers(&readers);
    int n_files = 0; /* the list has the readers that need no file last */
    while (n_files < n && !readers[n_files]->needs_no_file) {
        n_files++;
    }
    Suite *suite = suite_create("dataset readers");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, data_files_setup, data_files_teardown);
    tcase_add_loop_test(all, describes_itself, 0, n);
    tcase_add_loop_test(all, reads_back, 0, n_files);
    tcase_add_loop_test(all, reads_back_compressed, 0, n_files);
    tcase_add_loop_test(all, names_what_is_missing, 0, n_files);
    tcase_add_loop_test(all, survives_every_truncation, 0, n_files);
    tcase_add_loop_test(all, notices_every_truncation_when_compressed, 0, n_files);
    tcase_add_loop_test(all, survives_failing_allocations, 0, n_files);
    suite_add_tcase(suite, all);
    return trib_test_run(suite);
}
