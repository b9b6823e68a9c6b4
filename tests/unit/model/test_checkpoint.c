/* Checkpoints: round trips, the exact bytes, and files that are cut, damaged, foreign or hostile. */
#include "base/file.h"
#include "base/mem.h"
#include "model/checkpoint.h"
#include "fail_memory.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[128], temporary[160];
static struct trib_schema schema;

/* "w" [2, 3], "b" [2], "s" a scalar */
static void make_schema(struct trib_schema *made, const char *first, const struct trib_shape *shape, int n)
{
    struct trib_graph *graph = trib_graph_new();
    trib_value value;
    ck_assert_int_eq(trib_graph_variable(graph, TRIB_VALUE_PARAMETER, first, shape, TRIB_INIT_ZEROS, &value, NULL), 0);
    if (n > 1) {
        ck_assert_int_eq(
            trib_graph_variable(graph, TRIB_VALUE_STATE, "b", &TRIB_SHAPE(2), TRIB_INIT_ZEROS, &value, NULL), 0);
    }
    if (n > 2) {
        ck_assert_int_eq(
            trib_graph_variable(graph, TRIB_VALUE_PARAMETER, "s", &TRIB_SCALAR, TRIB_INIT_ZEROS, &value, NULL), 0);
    }
    ck_assert_int_eq(trib_schema_init(made, graph, NULL), TRIB_OK);
    trib_graph_free(graph);
}

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/trib-test-checkpoint-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/m.safetensors", dir);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    make_schema(&schema, "w", &TRIB_SHAPE(2, 3), 3);
}

static void tear_down(void)
{
    trib_schema_clear(&schema);
    unlink(path);
    unlink(temporary);
    ck_assert_int_eq(rmdir(dir), 0);
}

static const float model[9] = {1, -2.5f, 3e-38f, 3e38f, 0, -0.0f, 7, 8, 9};

static void write_model(void)
{
    struct trib_error error = {0};
    ck_assert_msg(trib_checkpoint_write(path, &schema, model, NULL, 0, &error) == TRIB_OK, "%s", error.message);
}

static struct trib_buf read_file(void)
{
    struct trib_buf content = {0};
    ck_assert_int_eq(trib_file_read(path, 1 << 20, &content, NULL), TRIB_OK);
    return content;
}

static void write_bytes(const void *bytes, size_t len)
{
    ck_assert_int_eq(trib_file_replace(path, bytes, len, NULL), TRIB_OK);
}

START_TEST(what_was_written_reads_back)
{
    const struct trib_checkpoint_entry entries[] = {{"round", "12"}, {"note", "say \"h\xc3\xa9\\o\"\n"}};
    ck_assert_int_eq(trib_checkpoint_write(path, &schema, model, entries, 2, NULL), TRIB_OK);
    float back[9];
    memset(back, 0xff, sizeof back);
    struct trib_error error = {0};
    ck_assert_msg(trib_checkpoint_read(path, &schema, back, &error) == TRIB_OK, "%s", error.message);
    ck_assert_mem_eq(back, model, sizeof back);
    ck_assert(!trib_file_exists(temporary));
}
END_TEST

START_TEST(the_file_is_as_the_format_says)
{
    const struct trib_checkpoint_entry entry = {"note", "a\"b\\c\n\x01"};
    ck_assert_int_eq(trib_checkpoint_write(path, &schema, model, &entry, 1, NULL), TRIB_OK);
    struct trib_buf file = read_file();
    uint64_t len = trib_load_u64(file.data);
    ck_assert_uint_eq(len % 8, 0);
    ck_assert_uint_eq(file.len, 8 + len + sizeof model);
    ck_assert_mem_eq(file.data + 8 + len, model, sizeof model);
    char hex[65], expected[1024];
    for (int i = 0; i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", schema.hash[i]);
    }
    snprintf(expected, sizeof expected,
             "{\"__metadata__\":{\"format\":\"tributary\",\"schema\":\"%s\",\"note\":\"a\\\"b\\\\c\\u000a\\u0001\"},"
             "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
             "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]},"
             "\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[32,36]}}",
             hex);
    size_t text_len = strlen(expected);
    ck_assert_uint_ge(len, text_len);
    ck_assert_uint_lt(len - text_len, 8);
    ck_assert_mem_eq(file.data + 8, expected, text_len);
    for (size_t i = text_len; i < len; i++) {
        ck_assert_int_eq(file.data[8 + i], ' ');
    }
    trib_buf_clear(&file);
}
END_TEST

START_TEST(metadata_that_cannot_be_written_is_refused)
{
    const struct trib_checkpoint_entry taken = {"schema", "x"}, twice[] = {{"a", "1"}, {"a", "2"}},
                                       broken = {"a", "\xff"};
    struct trib_error error = {0};
    ck_assert_int_eq(trib_checkpoint_write(path, &schema, model, &taken, 1, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "the checkpoint's metadata already has a key \"schema\"");
    ck_assert_int_eq(trib_checkpoint_write(path, &schema, model, twice, 2, &error), TRIB_INVALID);
    ck_assert_int_eq(trib_checkpoint_write(path, &schema, model, &broken, 1, &error), TRIB_INVALID);
    ck_assert_str_eq(error.message, "a name or metadata entry of the checkpoint is not UTF-8");
    ck_assert(!trib_file_exists(path));
}
END_TEST

/* The order of the keys, white space and escapes are another writer's choice. */
START_TEST(files_of_other_writers_are_read)
{
    static const char header[] =
        " {\n \"s\" : { \"data_offsets\" : [ 0 , 4 ] , \"shape\" : [ ] , \"dtype\" : \"F32\" } ,\t"
        "\"\\u0077\":{\"shape\":[2,3],\"dtype\":\"F\\u0033\\u0032\",\"data_offsets\":[12,36]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]},"
        "\"__metadata__\":{\"k\\ud83d\\ude00\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"} }\r\n";
    uint8_t file[512];
    size_t len = sizeof header - 1;
    trib_store_u64(file, len);
    memcpy(file + 8, header, len);
    memcpy(file + 8 + len, (const float[]){9, 7, 8, 1, 2, 3, 4, 5, 6}, 36);
    write_bytes(file, 8 + len + 36);
    float back[9];
    struct trib_error error = {0};
    ck_assert_msg(trib_checkpoint_read(path, &schema, back, &error) == TRIB_OK, "%s", error.message);
    const float expected[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    ck_assert_mem_eq(back, expected, sizeof back);
}
END_TEST

START_TEST(a_file_cut_anywhere_is_corrupt)
{
    write_model();
    struct trib_buf file = read_file();
    for (size_t len = 0; len < file.len; len++) {
        write_bytes(file.data, len);
        float back[9] = {0};
        struct trib_error error = {0};
        ck_assert_msg(trib_checkpoint_read(path, &schema, back, &error) == TRIB_CORRUPT, "cut to %zu", len);
        ck_assert_ptr_eq(strstr(error.message, path), error.message);
        ck_assert(back[0] == 0.0f);
        bool within_header = len >= 8 && len < 8 + trib_load_u64(file.data);
        ck_assert_int_eq(!strstr(error.message, ": truncated: the header has "), !within_header);
    }
    file.data[file.len - 1] ^= 1;
    ck_assert_int_eq(trib_buf_add(&file, "x", 1), TRIB_OK);
    write_bytes(file.data, file.len);
    float back[9];
    ck_assert_int_eq(trib_checkpoint_read(path, &schema, back, NULL), TRIB_CORRUPT);
    trib_buf_clear(&file);
}
END_TEST

START_TEST(a_flipped_bit_never_crashes)
{
    write_model();
    struct trib_buf file = read_file();
    size_t head = 8 + (size_t)trib_load_u64(file.data), refused = 0;
    for (size_t bit = 0; bit < 8 * head; bit++) {
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        write_bytes(file.data, file.len);
        float back[9];
        struct trib_error error = {0};
        enum trib_status status = trib_checkpoint_read(path, &schema, back, &error);
        ck_assert_msg(status == TRIB_OK || status == TRIB_CORRUPT || status == TRIB_MISMATCH, "bit %zu: %s", bit,
                      error.message);
        refused += status == TRIB_OK ? 0 : 1;
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    /* flips within the metadata's text are all that can pass */
    ck_assert_uint_gt(refused, 8 * (head - 140));
    trib_buf_clear(&file);
}
END_TEST

START_TEST(another_models_file_is_a_mismatch_that_names_the_tensor)
{
    write_model();
    struct trib_schema other;
    float back[9];
    struct trib_error error = {0};
    char expected[512];
    make_schema(&other, "w", &TRIB_SHAPE(3, 2), 3);
    ck_assert_int_eq(trib_checkpoint_read(path, &other, back, &error), TRIB_MISMATCH);
    snprintf(expected, sizeof expected, "%s: tensor \"w\" is [2, 3] in the file and [3, 2] in the model", path);
    ck_assert_str_eq(error.message, expected);
    trib_schema_clear(&other);
    make_schema(&other, "v", &TRIB_SHAPE(2, 3), 3);
    ck_assert_int_eq(trib_checkpoint_read(path, &other, back, &error), TRIB_MISMATCH);
    snprintf(expected, sizeof expected,
             "%s: the model's tensor \"v\" [2, 3] is not in the file: it is of another model", path);
    ck_assert_str_eq(error.message, expected);
    trib_schema_clear(&other);
    make_schema(&other, "w", &TRIB_SHAPE(2, 3), 2);
    ck_assert_int_eq(trib_checkpoint_read(path, &other, back, &error), TRIB_MISMATCH);
    snprintf(
        expected, sizeof expected,
        "%s: the file has a tensor \"s\" that the model lacks (3 tensors, the model has 2): it is of another model",
        path);
    ck_assert_str_eq(error.message, expected);
    trib_schema_clear(&other);
}
END_TEST

START_TEST(what_is_no_file_is_said)
{
    float back[9];
    struct trib_error error = {0};
    ck_assert_int_eq(trib_checkpoint_read(path, &schema, back, &error), TRIB_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.message, path));
    ck_assert_int_eq(trib_checkpoint_read(dir, &schema, back, &error), TRIB_INVALID);
    ck_assert_int_eq(mkfifo(path, 0600), 0); /* read as an empty file, without waiting for a writer */
    ck_assert_int_eq(trib_checkpoint_read(path, &schema, back, &error), TRIB_CORRUPT);
}
END_TEST

#define T(name, shape, offsets) "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
static const struct header {
    const char *text;
    uint64_t data_len;
    enum trib_status status;
    const char *message;
} headers[] = {
    {"{}", 0, TRIB_OK, NULL},
    {"{\"__metadata__\":{}}  ", 0, TRIB_OK, NULL},
    {"{" T("a", "[1]", "[0,4]") "}", 4, TRIB_OK, NULL},
    {"{" T("a", "[0]", "[4,4]") "," T("b", "[1]", "[0,4]") "}", 4, TRIB_OK, NULL},
    {"", 0, TRIB_CORRUPT, "header byte 0: expected '{'"},
    {"[]", 0, TRIB_CORRUPT, "header byte 0: expected '{'"},
    {"{}}", 0, TRIB_CORRUPT, "header byte 2: something follows the closing bracket"},
    {"{,}", 0, TRIB_CORRUPT, "header byte 1: expected '\"'"},
    {"{" T("a", "[1]", "[0,4]") ",}", 4, TRIB_CORRUPT, NULL},
    {"{" T("a", "[1]", "[0,4]") "," T("a", "[1]", "[4,8]") "}", 8, TRIB_CORRUPT, "tensor \"a\" comes twice"},
    {"{" T("a", "[1]", "[0,4]") "," T("b", "[2]", "[0,8]") "}", 8, TRIB_CORRUPT,
     "tensor \"b\" begins at byte 0 of the data, overlapping the one before it, which ends at 4"},
    {"{" T("a", "[1]", "[0,4]") "," T("b", "[1]", "[8,12]") "}", 12, TRIB_CORRUPT,
     "tensor \"b\" begins at byte 8 of the data, leaving a gap after the one before it, which ends at 4"},
    {"{" T("a", "[1]", "[0,4]") "}", 8, TRIB_CORRUPT, "the header describes 4 bytes of data, and the file has 8"},
    {"{" T("a", "[1]", "[0,4]") "}", 2, TRIB_CORRUPT, "tensor \"a\": bytes 0 to 4 do not lie within the data's 2"},
    {"{" T("a", "[1]", "[4,0]") "}", 4, TRIB_CORRUPT, NULL},
    {"{" T("a", "[2]", "[0,4]") "}", 4, TRIB_CORRUPT, "tensor \"a\": shape [2] takes 8 bytes, but has 4"},
    {"{" T("a", "[4294967296,4294967296]", "[0,4]") "}", 4, TRIB_CORRUPT, NULL},
    {"{" T("a", "[9223372036854775808]", "[0,4]") "}", 4, TRIB_CORRUPT, NULL},
    {"{" T("a", "[18446744073709551616]", "[0,4]") "}", 4, TRIB_CORRUPT, NULL},
    {"{" T("a", "[-1]", "[0,4]") "}", 4, TRIB_CORRUPT, NULL},
    {"{" T("a", "[01]", "[0,4]") "}", 4, TRIB_CORRUPT, NULL},
    {"{" T("a", "[1.0]", "[0,4]") "}", 4, TRIB_CORRUPT, NULL},
    {"{" T("a", "[1]", "[0,4,8]") "}", 4, TRIB_CORRUPT, NULL},
    {"{" T("a", "[1,1,1,1,1]", "[0,4]") "}", 4, TRIB_MISMATCH, "tensor \"a\" has more than 4 dimensions"},
    {"{\"a\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]}}", 2, TRIB_MISMATCH,
     "tensor \"a\" is of type BF16, and a model's are F32"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, TRIB_CORRUPT,
     "tensor \"a\" lacks its dtype, shape or data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 4, TRIB_CORRUPT, "tensor \"a\": repeated key \"dtype\""},
    {"{\"a\":{\"stride\":1}}", 4, TRIB_CORRUPT, "tensor \"a\": unknown key \"stride\""},
    {"{\"__metadata__\":{\"a\":1}}", 0, TRIB_CORRUPT, NULL},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, TRIB_CORRUPT, "__metadata__ comes twice"},
    {"{\"__metadata__\":{\"a\":\"\\u0000\"}}", 0, TRIB_CORRUPT, NULL},
    {"{\"__metadata__\":{\"a\":\"\\ud800\"}}", 0, TRIB_CORRUPT, NULL},
    {"{\"__metadata__\":{\"a\":\"\\udc00\"}}", 0, TRIB_CORRUPT, NULL},
    {"{\"__metadata__\":{\"a\":\"\\x\"}}", 0, TRIB_CORRUPT, NULL},
    {"{\"__metadata__\":{\"a\":\"\\u12g4\"}}", 0, TRIB_CORRUPT, NULL},
    {"{\"__metadata__\":{\"a\":\"\n\"}}", 0, TRIB_CORRUPT, NULL},
    {"{\"__metadata__\":{\"a\":\"\xc0\x80\"}}", 0, TRIB_CORRUPT, NULL},
    {"{\"__metadata__\":{\"a\":\"\xed\xa0\x80\"}}", 0, TRIB_CORRUPT, NULL},
    {"{\"__metadata__\":{\"a\":\"\xf4\x90\x80\x80\"}}", 0, TRIB_CORRUPT, NULL},
    {"{\"__metadata__\":{\"a\":\"\xe2\x82", 0, TRIB_CORRUPT, NULL},
    {"{\"0123456789012345678901234567890123456789012345678901234567890123\":{}}", 0, TRIB_MISMATCH, NULL},
};

START_TEST(headers_are_read_strictly)
{
    const struct header *header = &headers[_i];
    size_t len = strlen(header->text);
    /* an exact copy on the heap, so that a sanitizer sees a read past the end */
    uint8_t *bytes = malloc(len + (len == 0));
    memcpy(bytes, header->text, len);
    struct trib_checkpoint_tensor *tensors = NULL;
    size_t n = 0;
    struct trib_error error = {0};
    ck_assert_msg(trib_checkpoint_parse(bytes, len, header->data_len, &tensors, &n, &error) == header->status, "%s: %s",
                  header->text, error.message);
    if (header->message) {
        ck_assert_str_eq(error.message, header->message);
    }
    free(bytes);
    trib_free(tensors);
}
END_TEST

START_TEST(oversized_headers_are_refused)
{
    uint8_t prefix[16] = {0};
    trib_store_u64(prefix, UINT64_MAX);
    write_bytes(prefix, sizeof prefix);
    float back[9];
    ck_assert_int_eq(trib_checkpoint_read(path, &schema, back, NULL), TRIB_CORRUPT);
    struct trib_checkpoint_tensor *tensors;
    size_t n;
    ck_assert_int_eq(trib_checkpoint_parse(prefix, ((size_t)16 << 20) + 1, 0, &tensors, &n, NULL), TRIB_CORRUPT);
}
END_TEST

static enum trib_status collect(void *context, const void *bytes, size_t len, struct trib_error *error)
{
    (void)error;
    return trib_buf_add(context, bytes, len);
}

static enum trib_status refuse(void *context, const void *bytes, size_t len, struct trib_error *error)
{
    int *left = context;
    (void)bytes;
    (void)len;
    return (*left)-- > 0 ? TRIB_OK : trib_fail(error, TRIB_NO_SPACE, "full");
}

START_TEST(a_sink_gets_the_bytes_of_the_file)
{
    const struct trib_checkpoint_entry entry = {"round", "7"}, bad = {"schema", "x"};
    struct trib_buf emitted = {0};
    uint64_t len = 0;
    ck_assert_int_eq(trib_checkpoint_write(path, &schema, model, &entry, 1, NULL), TRIB_OK);
    ck_assert_int_eq(trib_checkpoint_emit(&schema, model, &entry, 1, collect, &emitted, NULL), TRIB_OK);
    ck_assert_int_eq(trib_checkpoint_len(&schema, &entry, 1, &len, NULL), TRIB_OK);
    struct trib_buf file = read_file();
    ck_assert_uint_eq(file.len, emitted.len);
    ck_assert_uint_eq(file.len, len);
    ck_assert_mem_eq(file.data, emitted.data, file.len);
    trib_buf_clear(&file);
    trib_buf_clear(&emitted);
    for (int pieces = 0; pieces < 2; pieces++) {
        int left = pieces;
        ck_assert_int_eq(trib_checkpoint_emit(&schema, model, &entry, 1, refuse, &left, NULL), TRIB_NO_SPACE);
    }
    ck_assert_int_eq(trib_checkpoint_emit(&schema, model, &bad, 1, collect, &emitted, NULL), TRIB_INVALID);
    ck_assert_int_eq(trib_checkpoint_len(&schema, &bad, 1, &len, NULL), TRIB_INVALID);
    ck_assert_uint_eq(emitted.len, 0);
}
END_TEST

START_TEST(every_failed_allocation_is_reported_and_the_old_file_stays)
{
    write_model();
    struct trib_buf before = read_file();
    const float other[9] = {0};
    for (int step = 0; step < 2; step++) {
        for (int after = 0;; after++) {
            ck_assert_int_lt(after, 1000);
            float back[9];
            (void)fail_memory_after(after, false);
            enum trib_status status = step == 0 ? trib_checkpoint_read(path, &schema, back, NULL)
                                                : trib_checkpoint_write(path, &schema, other, NULL, 0, NULL);
            (void)fail_memory_after(-1, false);
            if (status == TRIB_OK) {
                ck_assert_int_gt(after, 0);
                break;
            }
            ck_assert_int_eq(status, TRIB_NO_MEMORY);
            struct trib_buf now = read_file();
            ck_assert_uint_eq(now.len, before.len);
            ck_assert_mem_eq(now.data, before.data, now.len);
            trib_buf_clear(&now);
        }
    }
    trib_buf_clear(&before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *tcase = tcase_create("checkpoint");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, what_was_written_reads_back);
    tcase_add_test(tcase, the_file_is_as_the_format_says);
    tcase_add_test(tcase, metadata_that_cannot_be_written_is_refused);
    tcase_add_test(tcase, files_of_other_writers_are_read);
    tcase_add_test(tcase, a_file_cut_anywhere_is_corrupt);
    tcase_add_test(tcase, a_flipped_bit_never_crashes);
    tcase_add_test(tcase, another_models_file_is_a_mismatch_that_names_the_tensor);
    tcase_add_test(tcase, what_is_no_file_is_said);
    tcase_add_loop_test(tcase, headers_are_read_strictly, 0, (int)(sizeof headers / sizeof headers[0]));
    tcase_add_test(tcase, oversized_headers_are_refused);
    tcase_add_test(tcase, a_sink_gets_the_bytes_of_the_file);
    tcase_add_test(tcase, every_failed_allocation_is_reported_and_the_old_file_stays);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
