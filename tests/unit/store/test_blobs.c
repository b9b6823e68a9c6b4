/* Blobs: what is written is read back and checked, what a crash leaves goes, what is damaged is found and named, what
 * nobody needs is swept; and on a disk that fails or loses its power, a blob that was synced stays whole. */
#include "store/blobs.h"

#include "base/disk.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "crypto/hash.h"
#include "fail_disk.h"
#include "fail_memory.h"
#include "sim_disk.h"
#include "test_main.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct sim_disk *disk;
static const struct trib_disk *real;
static struct trib_blobs *blobs;
static struct trib_error error;

static void open_blobs(void)
{
    ck_assert_msg(trib_blobs_open("/state", &blobs, &error) == TRIB_OK, "%s", error.message);
}

static void use_disk(uint64_t seed)
{
    disk = sim_disk_new(seed);
    trib_disk_use(sim_disk_table(disk));
    open_blobs();
}

static void drop_disk(void)
{
    trib_blobs_close(blobs);
    blobs = NULL;
    trib_disk_use(real);
    sim_disk_free(disk);
    disk = NULL;
}

static void set_up(void)
{
    error = (struct trib_error){0};
    real = trib_disk_use(NULL);
    use_disk(1);
}

static void clean_up(void)
{
    drop_disk();
}

static void fill(uint8_t *bytes, size_t len, uint64_t seed)
{
    struct trib_rng rng = trib_rng_init(seed, "test_blobs", 0, 0);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)trib_rng_u32(&rng);
    }
}

static struct trib_blob_name put(const void *bytes, size_t len)
{
    struct trib_blob_name name = {0};
    ck_assert_msg(trib_blobs_put(blobs, bytes, len, &name, &error) == TRIB_OK, "%s", error.message);
    return name;
}

static void sync_blobs(void)
{
    ck_assert_msg(trib_blobs_sync(blobs, &error) == TRIB_OK, "%s", error.message);
}

static const char *path_of(const struct trib_blob_name *name)
{
    static char text[128];
    char *path = trib_blobs_path(blobs, name->sha256);
    ck_assert_ptr_nonnull(path);
    trib_str_copy(text, sizeof text, path);
    trib_free(path);
    return text;
}

static bool count_name(void *context, const char *name)
{
    (void)name;
    ++*(int *)context;
    return true;
}

static int unfinished(void)
{
    int n = 0;
    ck_assert_int_eq(trib_disk_list("/state/blobs/tmp", count_name, &n), 0);
    return n;
}

START_TEST(a_blob_is_named_by_its_hash)
{
    struct trib_blob_name name = put("abc", 3);
    char back[3];
    ck_assert_str_eq(path_of(&name), "/state/blobs/ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ck_assert_uint_eq(name.len, 3);
    ck_assert_int_eq(trib_blobs_read(blobs, &name, back, &error), TRIB_OK);
    ck_assert_mem_eq(back, "abc", 3);
    ck_assert_int_eq(trib_blobs_verify(blobs, &name, &error), TRIB_OK);
    struct trib_blob_name empty = put("", 0);
    ck_assert_uint_eq(empty.len, 0);
    ck_assert_int_eq(trib_blobs_read(blobs, &empty, NULL, &error), TRIB_OK);
    ck_assert_int_eq(unfinished(), 0);
}
END_TEST

/* Pieces small and large, mixed, with room asked for that is too little, enough, or too much. */
START_TEST(pieces_of_any_size_are_hashed_in_order)
{
    enum { MOST = 9 << 20 };
    uint8_t *bytes = trib_malloc(MOST), *back = trib_malloc(MOST);
    ck_assert(bytes && back);
    fill(bytes, MOST, 1);
    for (uint64_t seed = 0; seed < 24; seed++) {
        struct trib_rng rng = trib_rng_init(seed, "test_blobs", 1, 0);
        struct trib_blob_writer *writer = NULL;
        uint64_t len = 0, room = trib_rng_below(&rng, 2) ? trib_rng_below(&rng, MOST) : 0;
        ck_assert_int_eq(trib_blob_writer_begin(blobs, room, &writer, &error), TRIB_OK);
        for (int i = 0; i < 12; i++) {
            size_t most = trib_rng_below(&rng, 3) ? 3 * TRIB_BLOB_LARGE : 1000;
            size_t n = trib_rng_below(&rng, most);
            n = len + n > MOST ? MOST - len : n;
            uint8_t small[1000];
            const uint8_t *piece = bytes + len;
            if (n < sizeof small) { /* may go at once */
                memcpy(small, piece, n);
                piece = small;
            }
            ck_assert_int_eq(trib_blob_writer_add(writer, piece, n, &error), TRIB_OK);
            memset(small, 0, sizeof small);
            len += n;
        }
        struct trib_blob_name name;
        uint8_t digest[TRIB_SHA256_LEN];
        if (seed % 6 == 5) {
            trib_blob_writer_abort(writer);
            continue;
        }
        ck_assert_int_eq(trib_blob_writer_end(writer, &name, &error), TRIB_OK);
        ck_assert_int_eq(trib_sha256(bytes, len, digest), TRIB_OK);
        ck_assert_msg(name.len == len && memcmp(digest, name.sha256, sizeof digest) == 0, "seed %" PRIu64, seed);
        ck_assert_msg(trib_blobs_read(blobs, &name, back, &error) == TRIB_OK, "%s", error.message);
        ck_assert(memcmp(back, bytes, len) == 0);
    }
    ck_assert_int_eq(unfinished(), 0);
    trib_free(bytes);
    trib_free(back);
}
END_TEST

START_TEST(one_that_is_there_is_as_good)
{
    struct trib_blob_name first = put("abc", 3);
    sync_blobs();
    uint64_t syncs = sim_disk_counts(disk).syncs;
    struct trib_blob_name second = put("abc", 3);
    ck_assert_mem_eq(&first, &second, sizeof first);
    ck_assert_uint_eq(sim_disk_counts(disk).syncs, syncs); /* nothing was written that had to be */
    ck_assert_int_eq(unfinished(), 0);
    ck_assert_int_eq(trib_disk_truncate(trib_disk_open(path_of(&first), O_WRONLY, 0), 2), 0);
    ck_assert_int_eq(trib_blobs_verify(blobs, &first, &error), TRIB_CORRUPT);
    second = put("abc", 3); /* one that is not whole is not */
    ck_assert_int_eq(trib_blobs_verify(blobs, &first, &error), TRIB_OK);
}
END_TEST

START_TEST(what_a_crash_left_unfinished_goes)
{
    struct trib_blob_writer *writer;
    struct trib_blob_name name = put("abc", 3);
    ck_assert_int_eq(trib_blob_writer_begin(blobs, 100, &writer, &error), TRIB_OK);
    ck_assert_int_eq(trib_blob_writer_add(writer, "half", 4, &error), TRIB_OK);
    ck_assert_int_eq(unfinished(), 1);
    sim_disk_kill(disk);
    trib_blob_writer_abort(writer);
    trib_blobs_close(blobs);
    sim_disk_start(disk);
    open_blobs();
    ck_assert_int_eq(unfinished(), 0);
    ck_assert_int_eq(trib_blobs_verify(blobs, &name, &error), TRIB_OK);
}
END_TEST

START_TEST(damage_is_found_and_named)
{
    enum { LEN = 3 << 20 };
    uint8_t *bytes = trib_malloc(LEN), *back = trib_malloc(LEN);
    ck_assert(bytes && back);
    fill(bytes, LEN, 2);
    struct trib_blob_name name = put(bytes, LEN), other = name;
    static const uint64_t places[] = {0, 1 << 20, LEN - 1};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct trib_blob_name damaged = put(bytes + i, LEN - i);
        uint64_t at = places[i] < damaged.len ? places[i] : damaged.len - 1;
        ck_assert(sim_disk_corrupt(disk, path_of(&damaged), at));
        ck_assert_int_eq(trib_blobs_verify(blobs, &damaged, &error), TRIB_CORRUPT);
        ck_assert_int_eq(trib_blobs_read(blobs, &damaged, back, &error), TRIB_CORRUPT);
        ck_assert(strstr(error.message, path_of(&damaged)) &&
                  strstr(error.message, "its bytes have changed: their SHA"));
    }
    printf("%s\n", error.message);
    other.len++;
    ck_assert_int_eq(trib_blobs_read(blobs, &other, back, &error), TRIB_CORRUPT);
    ck_assert_ptr_nonnull(strstr(error.message, "has 3145728 bytes, and should have 3145729"));
    trib_blobs_remove(blobs, name.sha256);
    trib_blobs_remove(blobs, name.sha256); /* gone already */
    ck_assert_int_eq(trib_blobs_read(blobs, &name, back, &error), TRIB_CORRUPT);
    ck_assert(strstr(error.message, path_of(&name)) && strstr(error.message, "is missing"));
    trib_free(bytes);
    trib_free(back);
}
END_TEST

static bool keep_even(void *context, const uint8_t sha256[32])
{
    ++*(int *)context;
    return sha256[31] % 2 == 0;
}

START_TEST(what_nobody_needs_is_swept)
{
    struct trib_blob_name names[40];
    int seen = 0, fd = trib_disk_open("/state/blobs/tmp/left", O_CREAT | O_WRONLY, 0600);
    for (int i = 0; i < 40; i++) {
        names[i] = put(&i, sizeof i);
    }
    static const char *const others[] = {
        "/state/blobs/readme", "/state/blobs/ba/notes",
        "/state/blobs/ba/7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"};
    trib_disk_mkdir("/state/blobs/ba", 0700);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(trib_disk_close(trib_disk_open(others[i], O_CREAT | O_WRONLY, 0600)), 0);
    }
    trib_blobs_sweep(blobs, keep_even, &seen);
    ck_assert_int_ge(seen, 40);
    for (int i = 0; i < 40; i++) {
        enum trib_status status = trib_blobs_verify(blobs, &names[i], &error);
        ck_assert_int_eq(status, names[i].sha256[31] % 2 == 0 ? TRIB_OK : TRIB_CORRUPT);
    }
    for (size_t i = 0; i < 3; i++) { /* not ours */
        struct trib_disk_info info;
        ck_assert_msg(trib_disk_path_info(others[i], &info) == 0, "%s", others[i]);
    }
    ck_assert_int_eq(unfinished(), 1);
    trib_disk_close(fd);
}
END_TEST

START_TEST(a_full_disk_is_found_before_the_work)
{
    struct trib_blob_writer *writer = NULL;
    struct trib_blob_name name = put("abc", 3);
    sim_disk_capacity(disk, sim_disk_counts(disk).held + 5000);
    ck_assert_int_eq(trib_blob_writer_begin(blobs, 6000, &writer, &error), TRIB_NO_SPACE);
    ck_assert_ptr_null(writer);
    ck_assert_ptr_nonnull(strstr(error.message, "no room for 6000 bytes"));
    ck_assert_int_eq(unfinished(), 0);
    uint8_t bytes[6000];
    fill(bytes, sizeof bytes, 3);
    ck_assert_int_eq(trib_blob_writer_begin(blobs, 0, &writer, &error), TRIB_OK);
    ck_assert_int_eq(trib_blob_writer_add(writer, bytes, sizeof bytes, &error), TRIB_NO_SPACE);
    trib_blob_writer_abort(writer);
    ck_assert_int_eq(unfinished(), 0);
    name = put(bytes, 4000);
    ck_assert_int_eq(trib_blobs_verify(blobs, &name, &error), TRIB_OK);
}
END_TEST

/* Each call on the disk fails once: an error is told, nothing is left unfinished, and the next try succeeds. */
START_TEST(a_failing_disk_is_told)
{
    struct fail_disk *failing = fail_disk_new(sim_disk_table(disk));
    ck_assert_ptr_nonnull(failing);
    trib_disk_use(fail_disk_table(failing));
    for (int64_t after = 0;; after++) {
        struct trib_blob_name name = {0};
        ck_assert_int_lt(after, 100);
        fail_disk_after(failing, after, EIO, false);
        enum trib_status status = trib_blobs_put(blobs, &after, sizeof after, &name, &error);
        if (status == TRIB_OK) {
            status = trib_blobs_sync(blobs, &error);
        }
        int64_t failures = fail_disk_failures(failing);
        fail_disk_after(failing, -1, 0, false);
        if (failures == 0) {
            ck_assert_int_eq(status, TRIB_OK);
            ck_assert_int_gt(after, 6);
            break;
        }
        ck_assert_msg(status == TRIB_IO || status == TRIB_OK, "call %d: %s", (int)after, trib_status_name(status));
        ck_assert_int_le(unfinished(), status == TRIB_OK);
        name = put(&after, sizeof after);
        sync_blobs();
        ck_assert_int_eq(trib_blobs_verify(blobs, &name, &error), TRIB_OK);
    }
    trib_disk_use(sim_disk_table(disk));
    fail_disk_free(failing);
}
END_TEST

START_TEST(memory_that_is_short_is_told)
{
    for (int after = 0;; after++) {
        struct trib_blob_name name;
        ck_assert_int_lt(after, 100);
        (void)fail_memory_after(after, false);
        enum trib_status status = trib_blobs_put(blobs, "abc", 3, &name, &error);
        if (status == TRIB_OK) {
            status = trib_blobs_sync(blobs, &error);
        }
        if (status == TRIB_OK) {
            status = trib_blobs_verify(blobs, &name, &error);
        }
        (void)fail_memory_after(-1, false);
        if (status == TRIB_OK) {
            break;
        }
        ck_assert_int_eq(status, TRIB_NO_MEMORY);
        ck_assert_int_eq(unfinished(), 0);
    }
}
END_TEST

/* The power goes at any operation: blobs that were synced are whole, and none that has its name is anything else. */
START_TEST(a_synced_blob_outlives_the_power)
{
    drop_disk();
    for (uint64_t seed = 1; seed <= 500; seed++) {
        struct trib_rng rng = trib_rng_init(seed, "test_blobs", 2, 0);
        struct trib_blob_name synced[30];
        size_t n = 0, n_synced = 0;
        use_disk(seed);
        sim_disk_stop_after(disk, trib_rng_below(&rng, 300));
        while (n < 30) {
            uint8_t bytes[3000];
            size_t len = trib_rng_below(&rng, sizeof bytes);
            fill(bytes, len, seed * 100 + n);
            if (trib_blobs_put(blobs, bytes, len, &synced[n], NULL) != TRIB_OK) {
                break;
            }
            n++;
            if (trib_rng_below(&rng, 3) == 0) {
                if (trib_blobs_sync(blobs, NULL) != TRIB_OK) {
                    break;
                }
                n_synced = n;
            }
        }
        sim_disk_crash(disk);
        trib_blobs_close(blobs);
        sim_disk_start(disk);
        open_blobs();
        for (size_t i = 0; i < n; i++) {
            enum trib_status status = trib_blobs_verify(blobs, &synced[i], &error);
            bool is_missing = status == TRIB_CORRUPT && strstr(error.message, "is missing");
            ck_assert_msg(status == TRIB_OK || (is_missing && i >= n_synced), "seed %" PRIu64 ", blob %zu of %zu: %s",
                          seed, i, n_synced, error.message);
        }
        drop_disk();
    }
    use_disk(1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blobs");
    TCase *tcase = tcase_create("blobs");
    tcase_add_checked_fixture(tcase, set_up, clean_up);
    tcase_add_test(tcase, a_blob_is_named_by_its_hash);
    tcase_add_test(tcase, pieces_of_any_size_are_hashed_in_order);
    tcase_add_test(tcase, one_that_is_there_is_as_good);
    tcase_add_test(tcase, what_a_crash_left_unfinished_goes);
    tcase_add_test(tcase, damage_is_found_and_named);
    tcase_add_test(tcase, what_nobody_needs_is_swept);
    tcase_add_test(tcase, a_full_disk_is_found_before_the_work);
    tcase_add_test(tcase, a_failing_disk_is_told);
    tcase_add_test(tcase, memory_that_is_short_is_told);
    tcase_add_test(tcase, a_synced_blob_outlives_the_power);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
