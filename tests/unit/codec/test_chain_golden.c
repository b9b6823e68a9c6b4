/* Chains of past releases, committed in tests/data/chains, must decode to the same floats for ever: NAME.frame, and in
 * NAME.values what it decodes to. And the present encoder still writes those bytes, whichever compiler made it and
 * whatever the processor's vectors: this program runs with gcc's clones, without them, and as clang builds it.
 *
 * `test_chain_golden --write DIR` makes the files of chains that have none yet; a changed encoder adds a row under a
 * new name and marks the old one. */
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"

#include "test_frames.h"
#include "test_main.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { N = 700, SEED = 77 };

static const struct golden {
    const char *file, *codec;
    bool old; /* decodes only: the encoder, or an outside library's, writes something else today */
} goldens[] = {
    {"v1_bf16", "bf16", false},
    {"v1_sign", "rotate|sign", false},
    {"v1_lloyd1", "rotate|lloyd:1,unbiased", false},
    {"v1_lloyd3", "lloyd:3|range", false},
    {"v1_q8", "q8", false},
    {"v1_q8_golomb", "topk:5%|q8:64|golomb", false},
    {"v1_q4", "q4:32|range", false},
    {"v1_qsgd", "qsgd:15,100", false},
    {"v1_grid", "rotate|grid:10,1", false},
    {"v1_uniform", "uniform:5", false},
    {"v1_uniform_range", "rotate|uniform:2|range", false},
    {"v1_uniform_unbiased", "rotate|uniform:0.7,unbiased|range", false},
    {"v1_uniform_plain", "uniform:1.5|range", false},
    {"v1_trellis", "rotate|trellis:2|range", false},
    {"v1_trellis_plain", "trellis:1|range", false},
    {"v1_trellis_unbiased", "rotate|trellis:0.7,unbiased|range", false},
    {"v1_topk", "topk:1/50|f16", false},
    {"v1_topk_range", "topk:10%|q8|range", false},
    {"v1_randk", "randk:20%|bf16", false},
    {"v1_ternary", "ternary:1/40|golomb", false},
    {"v1_ternary_range", "ternary:10%|range", false},
    {"v1_f32_range", "f32|range", false},
    {"v1_f16_zstd", "f16|zstd", true},
    {"v1_q4_zstd", "q4|zstd:9", true},
};
enum { GOLDENS = sizeof goldens / sizeof goldens[0] };

static const uint8_t schema[TRIB_FRAME_HASH_LEN] = {1, 2, 3};

/* Heavy tails, without any function of libm. */
static void make_values(float values[N])
{
    struct trib_rng rng = trib_rng_init(1, "golden", 0, 0);
    for (int i = 0; i < N; i++) {
        float a = trib_rng_uniform(&rng) - 0.5F, b = trib_rng_uniform(&rng);
        values[i] = a * b * b * (i < N / 2 ? 1.0F : 0.25F);
    }
}

static enum trib_status encode(const struct golden *golden, struct trib_blob **frame, struct trib_error *error)
{
    float values[N];
    make_values(values);
    return encode_frame(TRIB_FRAME_UPDATE, golden->codec, SEED, schema, values, N, frame, error);
}

/* DIR/NAME.SUFFIX; the caller frees it. */
static char *path_of(const char *dir, const char *name, const char *suffix)
{
    return trib_asprintf("%s/%s.%s", dir, name, suffix);
}

static struct trib_blob *load(const char *name, const char *suffix)
{
    const char *data = getenv("TRIB_TEST_DATA");
    ck_assert_msg(data, "TRIB_TEST_DATA is not set; it names tests/data");
    char *dir = trib_path_join(data, "chains"), *path = path_of(dir, name, suffix);
    struct trib_buf content = {0};
    struct trib_error error;
    ck_assert_msg(trib_file_read(path, 1 << 20, &content, &error) == TRIB_OK, "%s", error.message);
    struct trib_blob *blob = trib_blob_copy(content.data, content.len);
    trib_buf_clear(&content);
    trib_free(path);
    trib_free(dir);
    return blob;
}

START_TEST(decodes)
{
    struct trib_blob *frame = load(goldens[_i].file, "frame"), *values = load(goldens[_i].file, "values");
    struct trib_frame_source source = trib_frame_source_memory(frame);
    struct trib_frame_expect expect = {.kind = TRIB_FRAME_UPDATE, .schema = schema, .n_elements = N};
    struct trib_error error;
    float decoded[N];
    ck_assert_msg(trib_frame_decode(&source, &expect, decoded, N, &error) == TRIB_OK, "%s", error.message);
    ck_assert_uint_eq(trib_blob_len(values), sizeof decoded);
    ck_assert_mem_eq(decoded, trib_blob_data(values), sizeof decoded);
    trib_blob_unref(frame);
    trib_blob_unref(values);
}
END_TEST

START_TEST(encodes_the_same)
{
    if (goldens[_i].old) {
        return;
    }
    struct trib_blob *golden = load(goldens[_i].file, "frame"), *frame = NULL;
    struct trib_error error;
    ck_assert_msg(encode(&goldens[_i], &frame, &error) == TRIB_OK, "%s", error.message);
    ck_assert_uint_eq(trib_blob_len(frame), trib_blob_len(golden));
    ck_assert_mem_eq(trib_blob_data(frame), trib_blob_data(golden), trib_blob_len(golden));
    trib_blob_unref(frame);
    trib_blob_unref(golden);
}
END_TEST

static enum trib_status write_one(const char *dir, const struct golden *golden, struct trib_error *error)
{
    struct trib_blob *frame = NULL;
    float decoded[N];
    char *path = path_of(dir, golden->file, "frame"), *values = path_of(dir, golden->file, "values");
    enum trib_status status = path && values ? TRIB_OK : trib_fail_no_memory(error);
    if (status == TRIB_OK && access(path, F_OK) != 0) {
        status = encode(golden, &frame, error);
        if (status == TRIB_OK) {
            struct trib_frame_source source = trib_frame_source_memory(frame);
            status = trib_frame_decode(&source, NULL, decoded, N, error);
        }
        if (status == TRIB_OK) {
            status = trib_file_replace(path, trib_blob_data(frame), trib_blob_len(frame), error);
        }
        if (status == TRIB_OK) {
            status = trib_file_replace(values, decoded, sizeof decoded, error);
        }
    }
    trib_blob_unref(frame);
    trib_free(path);
    trib_free(values);
    return status;
}

int main(int argc, char **argv)
{
    for (int i = 0; argc == 3 && strcmp(argv[1], "--write") == 0 && i < GOLDENS; i++) {
        struct trib_error error = {0};
        if (write_one(argv[2], &goldens[i], &error) != TRIB_OK) {
            fprintf(stderr, "%s: %s\n", goldens[i].file, error.message);
            return EXIT_FAILURE;
        }
    }
    if (argc == 3) {
        return EXIT_SUCCESS;
    }
    Suite *suite = suite_create("golden chains");
    TCase *tests = tcase_create("v1");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, decodes, 0, GOLDENS);
    tcase_add_loop_test(tests, encodes_the_same, 0, GOLDENS);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
