/* Loading a node's own examples: whole, a part of a partition, with labels and with targets; what is missing or makes
 * no part; and short memory at every place. Files are CSV, in a folder of the test's own. */
#include "client/client_data.h"

#include "base/file.h"
#include "base/mem.h"
#include "fail_memory.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char dir[64], table[96];
static struct trib_error error;

static void set_up(void)
{
    static const char rows[] = "a,b,label\n1,2,0\n3,4,1\n5,6,0\n7,8,1\n9,10,0\n11,12,1\n";
    snprintf(dir, sizeof dir, "/tmp/trib-test-client-data-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(table, sizeof table, "%s/table.csv", dir);
    ck_assert_int_eq(trib_file_replace(table, rows, strlen(rows), &error), TRIB_OK);
}

static void tear_down(void)
{
    unlink(table);
    ck_assert_int_eq(rmdir(dir), 0);
}

/* Settings of the table and more lines of the map `data`. */
static struct trib_client_settings settings_of(const char *path, const char *more)
{
    struct trib_client_settings settings;
    char text[1024];
    snprintf(text, sizeof text,
             "server: {address: localhost:7443}\ntls: {ca: a, certificate: b, key: c}\n"
             "data: {format: csv, path: %s, normalise: none%s}\n",
             path, more);
    ck_assert_msg(trib_client_settings_parse("client.yaml", text, strlen(text), NULL, 0, &settings, &error) == TRIB_OK,
                  "%s", error.message);
    return settings;
}

static enum trib_status load(const char *more, struct trib_client_data *data)
{
    struct trib_client_settings settings = settings_of(table, more);
    error.message[0] = '\0';
    enum trib_status status = trib_client_data_load(&settings, data, &error);
    trib_client_settings_clear(&settings);
    return status;
}

START_TEST(a_file_is_loaded_whole)
{
    struct trib_client_data data;
    ck_assert_msg(load(", label_column: label", &data) == TRIB_OK, "%s", error.message);
    ck_assert_uint_eq(data.n, 6);
    ck_assert_uint_eq(data.indices[5], 5);
    ck_assert_ptr_nonnull(data.dataset.labels);
    trib_client_data_clear(&data);
}
END_TEST

START_TEST(a_part_is_cut_out_with_its_labels_or_targets)
{
    static const char *const kinds[] = {", label_column: label", ", label_column: label, regression: true"};
    for (int kind = 0; kind < 2; kind++) {
        size_t n = 0;
        double sum = 0;
        for (int client = 0; client < 3; client++) {
            char more[160];
            struct trib_client_data data;
            snprintf(more, sizeof more, "%s, partition: iid, clients: 3, client: %d", kinds[kind], client);
            ck_assert_msg(load(more, &data) == TRIB_OK, "%s", error.message);
            ck_assert(!data.dataset.labels != (kind == 0));
            ck_assert(!data.dataset.targets != (kind == 1));
            const float *values = data.dataset.data;
            for (size_t i = 0; i < data.n * data.dataset.example_n; i++) {
                sum += (double)values[i];
            }
            n += data.n;
            trib_client_data_clear(&data);
        }
        ck_assert_uint_eq(n, 6);          /* every example has one owner */
        ck_assert_double_eq(sum, 6 * 13); /* 1 + 2 + ... + 12 */
    }
}
END_TEST

START_TEST(what_makes_no_part_is_refused)
{
    struct trib_client_data data;
    ck_assert_int_ne(load(", label_column: label, partition: iid, clients: 50, client: 49", &data), TRIB_OK);
    ck_assert_ptr_nonnull(strstr(error.message, "data.partition"));
    ck_assert_int_ne(load(", label_column: nothing", &data), TRIB_OK);
    ck_assert_ptr_nonnull(strstr(error.message, "nothing"));
}
END_TEST

START_TEST(files_are_looked_for_first)
{
    struct trib_client_settings settings = settings_of(table, ", label_column: label");
    ck_assert_msg(trib_client_data_probe(&settings, &error) == TRIB_OK, "%s", error.message);
    trib_client_settings_clear(&settings);
    settings = settings_of("/nowhere/at/all.csv", ", label_column: label");
    ck_assert_int_eq(trib_client_data_probe(&settings, &error), TRIB_NOT_FOUND);
    ck_assert_int_eq(error.status, TRIB_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.message, "/nowhere/at/all.csv: No such file"));
    ck_assert_int_eq(trib_client_data_probe(&settings, NULL), TRIB_NOT_FOUND);
    trib_client_settings_clear(&settings);
    char inside[128];
    snprintf(inside, sizeof inside, "%s/inside", table); /* a file is no folder */
    settings = settings_of(inside, ", label_column: label");
    ck_assert_int_eq(trib_client_data_probe(&settings, &error), TRIB_IO);
    trib_client_settings_clear(&settings);
}
END_TEST

START_TEST(short_memory_is_said)
{
    static const char *const kinds[] = {", label_column: label", ", label_column: label, regression: true"};
    char more[160];
    snprintf(more, sizeof more, "%s, partition: iid, clients: 2, client: 1", kinds[_i]);
    struct trib_client_settings settings = settings_of(table, more);
    for (int64_t after = 0;; after++) {
        struct trib_client_data data;
        (void)fail_memory_after(after, false);
        enum trib_status status = trib_client_data_load(&settings, &data, &error);
        bool failed = fail_memory_after(-1, false) > after;
        if (status == TRIB_OK) {
            trib_client_data_clear(&data);
        }
        ck_assert_msg(status == TRIB_OK || (failed && status == TRIB_NO_MEMORY), "allocation %d: %s", (int)after,
                      error.message);
        if (!failed) {
            ck_assert_int_gt(after, 5);
            break;
        }
    }
    trib_client_settings_clear(&settings);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_data");
    TCase *tests = tcase_create("client_data");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_file_is_loaded_whole);
    tcase_add_test(tests, a_part_is_cut_out_with_its_labels_or_targets);
    tcase_add_test(tests, what_makes_no_part_is_refused);
    tcase_add_test(tests, files_are_looked_for_first);
    tcase_add_loop_test(tests, short_memory_is_said, 0, 2);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
