/* Frames of every kind of chain while memory is short, and a spooled file whose table changes between two reads. */
#include "codec/frame.h"

#include "base/buf.h"
#include "base/mem.h"

#include "fail_memory.h"
#include "test_frames.h"
#include "test_main.h"

#include <string.h>

enum { N = TRIB_CODEC_BLOCK + 10 };

static const uint8_t schema[TRIB_FRAME_HASH_LEN] = {5};

static const char *const chains[] = {
    "f32",
    "bf16",
    "sign",
    "q8",
    "rotate|lloyd:2",
    "grid:8,8",
    "qsgd:4|zstd",
    "rotate|uniform:2|range",
    "rotate|uniform:2,unbiased|range",
    "uniform:3|zstd:1",
    "rotate|trellis:2|range",
    "topk:1%|q8|range",
    "topk:1%|f16|zstd",
    "randk:1%|q4",
    "ternary:1%|golomb",
};
enum { CHAINS = sizeof chains / sizeof chains[0] };

/* One try of everything that allocates; the frame of a sound try is left in *frame. */
static enum trib_status try_all(const char *codec, const float *vector, float *back, struct trib_blob **frame,
                                struct trib_error *error)
{
    TRIB_TRY(encode_frame(TRIB_FRAME_UPDATE, codec, 3, schema, vector, N, frame, error));
    const struct trib_frame_source source = trib_frame_source_memory(*frame);
    return trib_frame_decode(&source, NULL, back, N, error);
}

START_TEST(short_memory_is_said_and_nothing_leaks)
{
    float *vector = normal_values(N, 1), *back = trib_malloc_aligned(N, sizeof *back);
    ck_assert_ptr_nonnull(back);
    for (int64_t nth = 0;; nth++) {
        struct trib_blob *frame = NULL;
        struct trib_error error = {.message = ""};
        (void)fail_memory_after(nth, false);
        enum trib_status status = try_all(chains[_i], vector, back, &frame, &error);
        bool reached = fail_memory_after(-1, false) > nth;
        trib_blob_unref(frame);
        ck_assert_msg(status == TRIB_OK || (reached && status == TRIB_NO_MEMORY), "%s, allocation %d: %s", chains[_i],
                      (int)nth, error.message);
        if (!reached) {
            ck_assert_int_gt(nth, 2);
            break;
        }
    }
    trib_free(vector);
    trib_free(back);
}
END_TEST

/* ---- a table that changes ---- */

struct changing {
    const uint8_t *bytes;
    size_t len;
    int tables;     /* reads of the table so far */
    uint32_t first; /* the first block's length from the second read on */
};

static enum trib_status changing_read(void *context, uint64_t offset, void *to, size_t len, struct trib_error *error)
{
    struct changing *changing = context;
    if (offset > changing->len || len > changing->len - offset) {
        return trib_fail(error, TRIB_IO, "a read beyond the end");
    }
    memcpy(to, changing->bytes + offset, len);
    if (offset == TRIB_FRAME_FIXED_LEN && len >= sizeof(uint32_t) && changing->tables++ > 0) {
        trib_store_u32(to, changing->first);
    }
    return TRIB_OK;
}

static enum trib_status walk_changing(const struct trib_blob *frame, uint32_t first, struct trib_error *error)
{
    struct changing changing = {.bytes = trib_blob_data(frame), .len = trib_blob_len(frame), .first = first};
    const struct trib_frame_source source = {.read = changing_read, .context = &changing, .len = changing.len};
    return trib_frame_walk(&source, NULL, NULL, NULL, NULL, NULL, error);
}

/* A chain of bytes of any length, so that only the sums tell. */
START_TEST(no_length_of_a_table_is_believed_twice)
{
    float *vector = normal_values(N, 2);
    struct trib_blob *frame = NULL;
    struct trib_error error = {.message = ""};
    ck_assert_int_eq(encode_frame(TRIB_FRAME_UPDATE, "uniform:2|range", 3, schema, vector, N, &frame, &error), TRIB_OK);
    uint32_t first = trib_load_u32(trib_blob_data(frame) + TRIB_FRAME_FIXED_LEN);
    size_t all = trib_blob_len(frame);
    ck_assert_msg(walk_changing(frame, first, &error) == TRIB_OK, "%s", error.message);
    const uint32_t wrong[] = {0, 1, first - 1, first + 1, (uint32_t)all, (uint32_t)all + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_msg(walk_changing(frame, wrong[i], &error) == TRIB_CORRUPT, "%u instead of %u: %s", wrong[i], first,
                      error.message);
    }
    trib_blob_unref(frame);
    trib_free(vector);
}
END_TEST

/* What a frame may hold is the caller's to say: its kind and size without its schema, or its fault to nobody. */
START_TEST(expectations_may_be_partial)
{
    float *vector = normal_values(N, 3);
    struct trib_blob *frame = NULL;
    struct trib_error error;
    ck_assert_int_eq(encode_frame(TRIB_FRAME_UPDATE, "f32", 3, schema, vector, N, &frame, &error), TRIB_OK);
    const struct trib_frame_source source = trib_frame_source_memory(frame);
    const struct trib_frame_expect size = {.kind = TRIB_FRAME_UPDATE, .n_elements = N},
                                   other = {.kind = TRIB_FRAME_UPDATE, .n_elements = N + 1};
    ck_assert_int_eq(trib_frame_walk(&source, &size, NULL, NULL, NULL, NULL, NULL), TRIB_OK);
    ck_assert_int_eq(trib_frame_walk(&source, &other, NULL, NULL, NULL, NULL, NULL), TRIB_MISMATCH);
    uint8_t bytes[64];
    ck_assert_int_eq(source.read(source.context, trib_blob_len(frame) + 1, bytes, 1, &error), TRIB_CORRUPT);
    ck_assert_int_eq(source.read(source.context, trib_blob_len(frame) - 1, bytes, 2, &error), TRIB_CORRUPT);
    ck_assert_int_eq(source.read(source.context, 0, bytes, sizeof bytes, &error), TRIB_OK);
    ck_assert_mem_eq(bytes, trib_blob_data(frame), sizeof bytes);
    trib_blob_unref(frame);
    trib_free(vector);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frame_faults");
    TCase *tests = tcase_create("frame_faults");
    tcase_add_loop_test(tests, short_memory_is_said_and_nothing_leaks, 0, CHAINS);
    tcase_add_test(tests, no_length_of_a_table_is_believed_twice);
    tcase_add_test(tests, expectations_may_be_partial);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
