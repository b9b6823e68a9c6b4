/* Tables of text: header detection, quoting, columns, labels by number and name, keys, targets, and what can be wrong.
 */
#include "data_files.h"
#include "test_main.h"

static struct trib_dataset_spec table(const char *text)
{
    return (struct trib_dataset_spec){.format = "csv", .path = data_write_text("t.csv", text)};
}

static void check(const struct trib_dataset_spec *spec, size_t n, size_t features, const float *x,
                  const int32_t *labels, int32_t classes)
{
    struct trib_dataset dataset = data_open(spec);
    ck_assert_uint_eq(dataset.n, n);
    ck_assert_uint_eq(dataset.example_n, features);
    ck_assert(trib_shape_equal(&dataset.example, &TRIB_SHAPE((int64_t)features)));
    ck_assert_mem_eq(dataset.data, x, n * features * sizeof *x);
    ck_assert_mem_eq(dataset.labels, labels, n * sizeof *labels);
    ck_assert_int_eq(dataset.classes, classes);
    trib_dataset_clear(&dataset);
}

static const float x22[] = {1, 2.5f, -3, 4e2f};
static const int32_t y01[] = {0, 1};

START_TEST(tells_headers_from_examples)
{
    static const char *const tables[] = {
        "1,2.5,0\n-3,4e2,1\n",
        "a,b,label\n1,2.5,0\n-3,4e2,1\n",
        "0,1,label\n1,2.5,0\n-3,4e2,1\n",     /* columns named by numbers: only the label tells */
        "\xef\xbb\xbf\x31,2.5,0\r\n-3,4e2,1", /* a byte order mark, then 1 */
        "\n  \na , \"b\",c\r\n\r\n 1 ,\t2.5,\"0\"\r\n-3,+4e2,1.0\r\n\r\n",
        "1,2.5,cat\n-3,400.0,dog\n",
        "a,b,c\n1,2.5,cat\n-3,400.0,dog\n",
    };
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        struct trib_dataset_spec spec = table(tables[i]);
        check(&spec, 2, 2, x22, y01, 2);
    }
}
END_TEST

START_TEST(finds_columns)
{
    struct trib_dataset_spec spec = table("y,a,b\n0,1,2.5\n1,-3,400\n");
    spec.label_column = "y";
    check(&spec, 2, 2, x22, y01, 2);
    spec.label_column = "0";
    check(&spec, 2, 2, x22, y01, 2);
    spec = table("1,0,zed,2.5\n-3,1,amy,400\n");
    spec.label_column = "1";
    spec.key_column = "2";
    spec.classes = 10;
    check(&spec, 2, 2, x22, y01, 10);
    struct trib_dataset dataset = data_open(&spec);
    ck_assert_int_eq(dataset.n_keys, 2);
    ck_assert_int_eq(dataset.keys[0], 1);
    ck_assert_int_eq(dataset.keys[1], 0);
    trib_dataset_clear(&dataset);
    /* By name there is a header, even when the rest looks like numbers. */
    spec = table("1,2,y\n1,2.5,0\n-3,400,1\n");
    spec.label_column = "y";
    check(&spec, 2, 2, x22, y01, 2);
}
END_TEST

START_TEST(reads_quoted_cells)
{
    static const int32_t want[] = {2, 0, 1};
    static const float x[] = {1, 2, 3};
    struct trib_dataset_spec spec = table("x,y\n1,\"say \"\"b\"\"\"\n2,\"a, then\nb\"\n\"3\" , b \n");
    check(&spec, 3, 1, x, want, 3); /* in byte order: a, then b  <  b  <  say "b" */
}
END_TEST

START_TEST(reads_targets)
{
    struct trib_dataset_spec spec = table("a,t,b\n1,0.25,2\n3,-4,5\n");
    spec.label_column = "t";
    data_open_fails(&spec, TRIB_MISMATCH,
                    "$/t.csv:2: cell 2 of 3 (column \"t\"): \"0.25\" is no class, which is a whole number; set "
                    "regression for targets that are not classes");
    spec.regression = true;
    struct trib_dataset dataset = data_open(&spec);
    ck_assert_ptr_null(dataset.labels);
    ck_assert_float_eq(dataset.targets[0], 0.25f);
    ck_assert_float_eq(dataset.targets[1], -4);
    ck_assert_float_eq(((float *)dataset.data)[3], 5);
    trib_dataset_clear(&dataset);
    spec = table("a,t,b\n1,x,2\n3,-4,5\n");
    spec.label_column = "1";
    spec.regression = true;
    data_open_fails(&spec, TRIB_CORRUPT, "$/t.csv:2: cell 2 of 3 (column \"t\"): \"x\" is not a finite number");
}
END_TEST

static void fails(const char *text, enum trib_status status, const char *message)
{
    struct trib_dataset_spec spec = table(text);
    data_open_fails(&spec, status, message);
}

START_TEST(says_which_cell_is_wrong)
{
    fails("1,2,0\n3,abc,1\n", TRIB_CORRUPT, "$/t.csv:2: cell 2 of 3: \"abc\" is not a finite number");
    fails("age,height,y\n1,2,0\n\n3,,1\n", TRIB_CORRUPT,
          "$/t.csv:4: cell 2 of 3 (column \"height\"): \"\" is no number: the cell is empty");
    fails("1,2,0\nnan,2,0\n", TRIB_CORRUPT, "$/t.csv:2: cell 1 of 3: \"nan\" is not a finite number");
    fails("1,2,0\n1e39,2,0\n", TRIB_CORRUPT, "$/t.csv:2: cell 1 of 3: \"1e39\" is not a finite number");
    fails("1,2,0\n0x10,2,0\n", TRIB_CORRUPT, "$/t.csv:2: cell 1 of 3: \"0x10\" is not a finite number");
    fails("1,x,0\n1,2,0\n", TRIB_CORRUPT, "$/t.csv:1: cell 2 of 3: \"x\" is not a finite number");
    fails("1,2,0\n1,2\n", TRIB_CORRUPT, "$/t.csv:2: 2 columns, but line 1 has 3");
    fails("1,2,0\n1,2,1,1\n", TRIB_CORRUPT, "$/t.csv:2: 4 columns, but line 1 has 3");
    fails("1,2,0\n1,2,\n", TRIB_CORRUPT, "$/t.csv:2: cell 3 of 3: \"\" is no label: the cell is empty");
    fails("1,2,0\n1,\x01\x1b[31mand very long text that goes on and on and on and on and on,1\n", TRIB_CORRUPT,
          "$/t.csv:2: cell 2 of 3: \"??[31mand very long text that goes on and on and on and on...\" is not a finite "
          "number");
}
END_TEST

START_TEST(says_which_label_is_wrong)
{
    fails("1,2,0\n1,2,cat\n", TRIB_CORRUPT,
          "$/t.csv:2: cell 3 of 3: \"cat\" is not a number, but line 1 has a number as label; use all numbers or all "
          "names");
    fails("1,2,dog\n1,2,cat\n1,2,3\n", TRIB_CORRUPT,
          "$/t.csv:3: cell 3 of 3: \"3\" is a number, but line 1 has a name as label; use all numbers or all names");
    fails("1,2,0\n1,2,-1\n", TRIB_MISMATCH, "$/t.csv:2: label -1 of example 1 is outside 0..1048575");
    struct trib_dataset_spec spec = table("1,2,0\n1,2,11\n");
    spec.classes = 10;
    data_open_fails(&spec, TRIB_MISMATCH, "$/t.csv:2: label 11 of example 1 is outside 0..9");
    spec = table("1,2,9\n1,2,10\n"); /* as many classes as that: the last one is one less */
    spec.classes = 10;
    data_open_fails(&spec, TRIB_MISMATCH, "$/t.csv:2: label 10 of example 1 is outside 0..9");
    spec = table("1,2,cat\n1,2,dog\n");
    spec.classes = 3;
    data_open_fails(
        &spec, TRIB_MISMATCH,
        "$/t.csv: labels are names, 2 different ones, but classes is 3; names are numbered in sorted order, "
        "so every file must hold them all: write the class numbers 0..2 instead");
    spec.classes = 2;
    struct trib_dataset dataset = data_open(&spec);
    trib_dataset_clear(&dataset);
}
END_TEST

START_TEST(says_which_column_is_missing)
{
    struct trib_dataset_spec spec = table("age,height,label\n1,2,0\n");
    spec.label_column = "lable";
    data_open_fails(&spec, TRIB_CONFIG,
                    "$/t.csv:1: label_column: the first line names no column \"lable\"; did you mean \"label\"?");
    spec.label_column = "class";
    data_open_fails(&spec, TRIB_CONFIG,
                    "$/t.csv:1: label_column: the first line names no column \"class\"; name one of the first line or "
                    "count from 0");
    spec.label_column = "3";
    data_open_fails(&spec, TRIB_CONFIG, "$/t.csv: label_column 3: there are 3 columns, numbered 0 to 2");
    spec.label_column = "age";
    spec.key_column = "0";
    data_open_fails(&spec, TRIB_CONFIG, "$/t.csv: column 0 cannot be both the label and the key");
    spec.keys = "k.txt";
    data_open_fails(&spec, TRIB_CONFIG,
                    "dataset keys and key_column: give one of them, a file of keys or a column of the table");
}
END_TEST

START_TEST(says_what_is_wrong_with_the_file)
{
    struct trib_dataset_spec spec = table("");
    data_open_fails(&spec, TRIB_CORRUPT, "$/t.csv: empty: holds no examples");
    fails("\n \n", TRIB_CORRUPT, "$/t.csv: empty: holds no examples");
    fails("a,b,c\n", TRIB_CORRUPT, "$/t.csv:1: a header and no examples");
    fails("1;2;0\n", TRIB_CORRUPT,
          "$/t.csv:1: 1 columns leave no feature beside the label; columns are separated by commas");
    fails("1,2,0\n1,\"2,0\n1,2,0\n", TRIB_CORRUPT, "$/t.csv:2: cell 2: the quote that opens here is never closed");
    fails("1,2,0\n1,\"2\"x,0\n", TRIB_CORRUPT,
          "$/t.csv:2: cell 2: text after the closing quote; a quote within a quoted cell is written twice");
    spec.path = data_write("t.csv", "1,2\n3,\0004\n", 10);
    data_open_fails(&spec, TRIB_CORRUPT, "$/t.csv:2: holds a NUL byte: not a text file; is the format csv?");
    spec.path = data_path("none.csv");
    data_open_fails(&spec, TRIB_NOT_FOUND, "$/none.csv: no such file; check the dataset's path");
    spec.path = data_dir;
    data_open_fails(&spec, TRIB_INVALID, "$: is a folder where a file is wanted");
    spec.labels = "y";
    data_open_fails(&spec, TRIB_CONFIG,
                    "dataset labels: of no use with format csv; name the label's column as label_column");
    spec = table("1,2,0\n1,2,0\n1,2,0\n");
    spec.max_bytes = 20;
    data_open_fails(&spec, TRIB_LIMIT,
                    "$/t.csv: needs 24 B of memory, above the limit of 20 B; raise max_bytes or "
                    "split it");
    spec.max_bytes = 10;
    data_open_fails(&spec, TRIB_LIMIT, "$/t.csv: holds more than 10 B; raise max_bytes if that is meant");
}
END_TEST

START_TEST(reads_many_rows)
{
    struct trib_buf buf = {0};
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(trib_buf_printf(&buf, "%d,%d.5,%d\n", i, -i, i % 7), TRIB_OK);
    }
    struct trib_dataset_spec spec = table(trib_buf_text(&buf));
    struct trib_dataset dataset = data_open(&spec);
    ck_assert_uint_eq(dataset.n, 1000);
    ck_assert_int_eq(dataset.classes, 7);
    for (int i = 0; i < 1000; i++) {
        ck_assert_float_eq(((float *)dataset.data)[2 * i], (float)i);
        ck_assert_float_eq(((float *)dataset.data)[2 * i + 1], i == 0 ? -0.0f + 0.5f : (float)-i - 0.5f);
        ck_assert_int_eq(dataset.labels[i], i % 7);
    }
    trib_dataset_clear(&dataset);
    trib_buf_clear(&buf);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dataset_csv");
    TCase *files = tcase_create("files");
    tcase_set_timeout(files, 120);
    tcase_add_checked_fixture(files, data_files_setup, data_files_teardown);
    tcase_add_test(files, tells_headers_from_examples);
    tcase_add_test(files, finds_columns);
    tcase_add_test(files, reads_quoted_cells);
    tcase_add_test(files, reads_targets);
    tcase_add_test(files, says_which_cell_is_wrong);
    tcase_add_test(files, says_which_label_is_wrong);
    tcase_add_test(files, says_which_column_is_missing);
    tcase_add_test(files, says_what_is_wrong_with_the_file);
    tcase_add_test(files, reads_many_rows);
    suite_add_tcase(suite, files);
    return trib_test_run(suite);
}
