/* Frames of past releases, committed in tests/data/frames, must decode to the same values for ever.
 *
 * `test_frame_golden --write DIR` makes the files of the present format; an old file is never written again, a changed
 * format adds one. */
#include "codec/frame.h"

#include "base/file.h"
#include "base/mem.h"

#include "test_frames.h"
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const float values[] = {0.0F,       -0.0F,    1.0F,      -1.0F,       0.5F,     0.1F,      -0.3333333F,
                               2.0F,       0x1p-14F, 0x1p-24F,  -0x1.8p-20F, 65504.0F, -65504.0F, 1024.5F,
                               3.1415927F, 1e-3F,    -123.456F, 0x1p-30F,    1e-10F};
/* Worked out by hand from the format, not by this code: sign, 5 bits of exponent with bias 15, 10 bits of fraction. */
static const uint16_t halves[] = {0x0000, 0x8000, 0x3c00, 0xbc00, 0x3800, 0x2e66, 0xb555, 0x4000, 0x0400, 0x0001,
                                  0x8018, 0x7bff, 0xfbff, 0x6400, 0x4248, 0x1419, 0xd7b7, 0x0000, 0x0000};
enum { N = sizeof values / sizeof values[0] };
_Static_assert(sizeof halves / sizeof halves[0] == N, "one half a value");

static const struct golden {
    const char *file, *codec;
    enum trib_frame_kind kind;
    uint64_t seed;
} goldens[] = {
    {"v1_update_f32.frame", "f32", TRIB_FRAME_UPDATE, 0x1122334455667788},
    {"v1_update_f16.frame", "f16", TRIB_FRAME_UPDATE, 0x1122334455667788},
    {"v1_model_f32.frame", "f32", TRIB_FRAME_MODEL, 0},
};
enum { GOLDENS = sizeof goldens / sizeof goldens[0] };

static void make_schema(uint8_t schema[TRIB_FRAME_HASH_LEN])
{
    for (int i = 0; i < TRIB_FRAME_HASH_LEN; i++) {
        schema[i] = (uint8_t)(7 * i + 1);
    }
}

static enum trib_status encode(const struct golden *golden, struct trib_blob **frame, struct trib_error *error)
{
    uint8_t schema[TRIB_FRAME_HASH_LEN];
    make_schema(schema);
    return encode_frame(golden->kind, golden->codec, golden->seed, schema, values, N, frame, error);
}

static struct trib_blob *load(const char *file)
{
    const char *data = getenv("TRIB_TEST_DATA");
    ck_assert_msg(data, "TRIB_TEST_DATA is not set; it names tests/data");
    char *frames = trib_path_join(data, "frames");
    char *path = trib_path_join(frames, file);
    struct trib_buf content = {0};
    struct trib_error error;
    ck_assert_msg(trib_file_read(path, 1 << 20, &content, &error) == TRIB_OK, "%s", error.message);
    struct trib_blob *blob = trib_blob_copy(content.data, content.len);
    trib_buf_clear(&content);
    trib_free(path);
    trib_free(frames);
    return blob;
}

static float half_value(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double magnitude = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return (float)(half & 0x8000 ? -magnitude : magnitude);
}

START_TEST(decodes)
{
    const struct golden *golden = &goldens[_i];
    struct trib_blob *frame = load(golden->file);
    struct trib_frame_source source = trib_frame_source_memory(frame);
    struct trib_frame_header header;
    struct trib_error error = {0};
    float decoded[N];
    uint8_t schema[TRIB_FRAME_HASH_LEN];
    make_schema(schema);
    struct trib_frame_expect expect = {.kind = golden->kind, .schema = schema, .n_elements = N};
    ck_assert_msg(trib_frame_decode(&source, &expect, decoded, N, &error) == TRIB_OK, "%s", error.message);
    ck_assert_int_eq(trib_frame_parse_header(&source, &header, &error), TRIB_OK);
    ck_assert_uint_eq(header.seed, golden->seed);
    ck_assert_str_eq(header.chain.text, golden->codec);
    for (int i = 0; i < N; i++) {
        float expected = strcmp(golden->codec, "f16") == 0 ? half_value(halves[i]) : values[i];
        ck_assert_mem_eq(&decoded[i], &expected, sizeof expected);
    }
    if (strcmp(golden->codec, "f32") == 0) { /* used in place */
        ck_assert_uint_eq((uintptr_t)(trib_blob_data(frame) + header.payload_offset) % 64, 0);
        ck_assert_mem_eq(trib_blob_data(frame) + header.payload_offset, values, sizeof values);
    }
    trib_blob_unref(frame);
}
END_TEST

/* The present format still writes what it wrote. */
START_TEST(encodes_the_same)
{
    struct trib_blob *golden = load(goldens[_i].file), *frame = NULL;
    struct trib_error error;
    ck_assert_int_eq(encode(&goldens[_i], &frame, &error), TRIB_OK);
    ck_assert_uint_eq(trib_blob_len(frame), trib_blob_len(golden));
    ck_assert_mem_eq(trib_blob_data(frame), trib_blob_data(golden), trib_blob_len(golden));
    trib_blob_unref(frame);
    trib_blob_unref(golden);
}
END_TEST

static int write_all(const char *dir)
{
    for (int i = 0; i < GOLDENS; i++) {
        struct trib_blob *frame = NULL;
        struct trib_error error = {0};
        char *path = trib_path_join(dir, goldens[i].file);
        enum trib_status status = path ? encode(&goldens[i], &frame, &error) : TRIB_NO_MEMORY;
        if (status == TRIB_OK) {
            status = trib_file_replace(path, trib_blob_data(frame), trib_blob_len(frame), &error);
        }
        trib_blob_unref(frame);
        trib_free(path);
        if (status != TRIB_OK) {
            fprintf(stderr, "%s: %s\n", goldens[i].file, error.message);
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        return write_all(argv[2]);
    }
    Suite *suite = suite_create("golden frames");
    TCase *tests = tcase_create("v1");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, decodes, 0, GOLDENS);
    tcase_add_loop_test(tests, encodes_the_same, 0, GOLDENS);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
