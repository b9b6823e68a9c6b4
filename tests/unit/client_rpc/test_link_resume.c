/* Downloads that go on in another process of the client: new links on the same folder, a server that breaks them off at
 * any byte. */
#include "link_fixture.h"

#include "base/rng.h"
#include "base/str.h"

#include <dirent.h>
#include <sys/stat.h>

/* Large enough for a file; chunks of the usual length. */
enum { LARGE = 9 * TRIB_CHUNK_PAYLOAD + 12345, BREAKS = 12 };

struct place {
    char dir[40], file[160];
};

static void make_place(struct place *place)
{
    snprintf(place->dir, sizeof place->dir, "/tmp/trib-resume-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(place->dir));
}

static void name_file(struct place *place, const uint8_t sha256[32])
{
    char hex[65];
    trib_hex_encode(sha256, 32, hex);
    snprintf(place->file, sizeof place->file, "%s/download-%s", place->dir, hex);
}

static void setup_large(struct fixture *f, struct place *place)
{
    make_place(place);
    setup_with(f, LARGE, TRIB_CHUNK_PAYLOAD, place->dir, 0);
    name_file(place, f->fake.sha256);
}

/* The client dies and is started again. */
static void restart(struct fixture *f, const struct place *place)
{
    trib_link_free(f->link);
    open_link(f, place->dir, 0);
}

static int64_t len_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (int64_t)info.st_size : -1;
}

static int files_in(const char *dir)
{
    int n = 0;
    DIR *list = opendir(dir);
    ck_assert_ptr_nonnull(list);
    for (const struct dirent *entry; (entry = readdir(list));) {
        n += entry->d_name[0] != '.';
    }
    closedir(list);
    return n;
}

static void end(struct fixture *f, const struct place *place)
{
    teardown(f);
    ck_assert_int_eq(rmdir(place->dir), 0);
}

static void put(const char *path, const void *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

/* ---- breaks ---- */

START_TEST(breaks_and_deaths_cost_a_chunk_each_at_most)
{
    struct fixture f;
    struct place place;
    setup_large(&f, &place);
    struct trib_rng rng = trib_rng_init((uint64_t)_i, "breaks", 0, 0);
    uint64_t sent = 0, at = 0;
    int broken = 0;
    f.fake.download = FAKE_BREAK;
    while (at < LARGE && broken < BREAKS) {
        uint64_t step = trib_rng_below(&rng, 3) * TRIB_CHUNK_PAYLOAD;
        f.fake.fault_at = at + step; /* chunks begin where the download did */
        bool whole = f.fake.fault_at >= LARGE;
        ck_assert_int_eq(download(&f)->status, whole ? TRIB_OK : TRIB_UNAVAILABLE);
        ck_assert_uint_eq(f.fake.last_offset, at); /* nothing twice */
        sent += (whole ? LARGE : at + step) - f.fake.last_offset;
        at = f.event->is.received;
        broken++;
        if (whole) {
            break;
        }
        if (trib_rng_below(&rng, 2) == 1) {
            restart(&f, &place);
        }
    }
    if (at < LARGE) {
        ck_assert_int_eq(len_of(place.file), (int64_t)at);
        f.fake.download = FAKE_WHOLE;
        ck_assert_int_eq(download(&f)->status, TRIB_OK);
        sent += LARGE - f.fake.last_offset;
    }
    ck_assert_uint_le(sent, LARGE + (uint64_t)broken * TRIB_CHUNK_PAYLOAD);
    check_model(&f);
    ck_assert_int_eq(files_in(place.dir), 0);
    end(&f, &place);
}
END_TEST

/* Killed in the middle of a chunk: what was written of it counts. */
START_TEST(any_length_is_gone_on_from)
{
    static const size_t lens[] = {0, 1, 4095, TRIB_CHUNK_PAYLOAD - 1, TRIB_CHUNK_PAYLOAD + 1, LARGE - 1};
    struct fixture f;
    struct place place;
    setup_large(&f, &place);
    put(place.file, trib_blob_data(f.fake.blob), lens[_i]);
    ck_assert_int_eq(download(&f)->status, TRIB_OK);
    ck_assert_uint_eq(f.fake.last_offset, lens[_i]);
    ck_assert_uint_eq(f.event->is.received, LARGE);
    check_model(&f);
    end(&f, &place);
}
END_TEST

START_TEST(what_is_there_whole_is_not_asked_for)
{
    struct fixture f;
    struct place place;
    setup_large(&f, &place);
    f.fake.last_offset = 77;
    ck_assert_int_eq(download(&f)->status, TRIB_OK);
    ck_assert_uint_eq(f.fake.last_offset, 0);
    restart(&f, &place); /* before it was taken */
    ck_assert_int_eq(len_of(place.file), LARGE);
    f.fake.last_offset = 77;
    f.fake.download = FAKE_NOT_FOUND;
    ck_assert_int_eq(download(&f)->status, TRIB_OK);
    ck_assert_uint_eq(f.fake.last_offset, 77);
    ck_assert_uint_eq(f.event->is.received, LARGE);
    check_model(&f);
    end(&f, &place);
}
END_TEST

/* A note that was being put behind it, say. */
START_TEST(what_is_too_long_is_cut)
{
    struct fixture f;
    struct place place;
    setup_large(&f, &place);
    uint8_t *bytes = trib_calloc(LARGE + 80, 1);
    memcpy(bytes, trib_blob_data(f.fake.blob), LARGE);
    put(place.file, bytes, LARGE + 80);
    trib_free(bytes);
    f.fake.download = FAKE_NOT_FOUND;
    ck_assert_int_eq(download(&f)->status, TRIB_OK);
    check_model(&f);
    end(&f, &place);
}
END_TEST

/* ---- damage ---- */

START_TEST(wrong_bytes_are_found_out_and_it_begins_anew)
{
    static const size_t lens[] = {1, TRIB_CHUNK_PAYLOAD, LARGE};
    struct fixture f;
    struct place place;
    setup_large(&f, &place);
    uint8_t *bytes = trib_malloc(LARGE);
    memcpy(bytes, trib_blob_data(f.fake.blob), LARGE);
    bytes[lens[_i] / 2] ^= 1;
    put(place.file, bytes, lens[_i]);
    trib_free(bytes);
    if (lens[_i] < LARGE) { /* nothing tells before the end */
        ck_assert_int_eq(download(&f)->status, TRIB_CORRUPT);
        ck_assert_uint_eq(f.event->is.received, 0);
        ck_assert_uint_eq(f.fake.last_offset, lens[_i]);
        ck_assert_int_eq(len_of(place.file), -1);
    }
    f.fake.last_offset = 77;
    ck_assert_int_eq(download(&f)->status, TRIB_OK);
    ck_assert_uint_eq(f.fake.last_offset, 0);
    check_model(&f);
    end(&f, &place);
}
END_TEST

START_TEST(one_partial_download_is_kept)
{
    char other[160], third[160];
    struct fixture f;
    struct place place;
    setup_large(&f, &place);
    snprintf(other, sizeof other, "%s/download-%064d", place.dir, 1);
    snprintf(third, sizeof third, "%s/download-%064d", place.dir, 2);
    put(place.file, trib_blob_data(f.fake.blob), 100);
    put(other, "12345", 5);
    put(third, "1234567", 7);
    restart(&f, &place);
    ck_assert_int_eq(files_in(place.dir), 1);
    ck_assert_int_eq(len_of(place.file), 100); /* the longest */
    put(other, "12345", 5);
    f.fake.download = FAKE_BREAK;
    f.fake.fault_at = 100;
    ck_assert_int_eq(download(&f)->status, TRIB_UNAVAILABLE);
    ck_assert_int_eq(files_in(place.dir), 1); /* the one that is asked for */
    ck_assert_int_eq(len_of(place.file), 100);
    trib_link_cancel(f.link, false); /* the task has ended */
    ck_assert_int_eq(files_in(place.dir), 0);
    put(other, "12345", 5);
    ck_assert_ptr_null(take(f.link)); /* a task that needs no download */
    ck_assert_int_eq(files_in(place.dir), 0);
    end(&f, &place);
}
END_TEST

START_TEST(small_blobs_stay_in_memory)
{
    struct fixture f;
    struct place place;
    make_place(&place);
    setup_with(&f, BLOB_LEN, CHUNK_LEN, place.dir, 0);
    ck_assert_int_eq(download(&f)->status, TRIB_OK);
    ck_assert_int_eq(files_in(place.dir), 0);
    check_model(&f);
    end(&f, &place);
}
END_TEST

START_TEST(the_owners_disk_limit_holds)
{
    struct fixture f;
    struct place place;
    struct trib_error error = {.message = ""};
    struct trib_disk_budget *budget;
    setup_large(&f, &place);
    trib_link_free(f.link);
    ck_assert_int_eq(trib_disk_budget_new(LARGE + 1000, &budget, NULL), TRIB_OK);
    struct trib_link_config config = {
        .address = f.address, .events = &f.events, .place = {.dir = place.dir, .budget = budget}};
    trib_net_limits_default(&config.net);
    config.net.threads = 1;
    ck_assert_int_eq(trib_link_new(&config, &f.link, &error), TRIB_OK);
    trib_disk_budget_note(budget, TRIB_DISK_UPDATE, 5000);
    ck_assert_int_eq(trib_link_download(f.link, 5, f.fake.sha256, LARGE, TRIB_CHUNK_PAYLOAD, &error), TRIB_LIMIT);
    ck_assert_msg(strstr(error.message, "limits.disk"), "%s", error.message);
    ck_assert_int_eq(files_in(place.dir), 0);
    trib_disk_budget_note(budget, TRIB_DISK_UPDATE, 0);
    for (int i = 0; i < 3; i++) { /* what was downloaded is given back each time */
        ck_assert_int_eq(download(&f)->status, TRIB_OK);
        check_model(&f);
    }
    end(&f, &place);
    trib_disk_budget_free(budget);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("link_resume");
    TCase *tests = tcase_create("link_resume");
    tcase_add_loop_test(tests, breaks_and_deaths_cost_a_chunk_each_at_most, 0, 8);
    tcase_add_loop_test(tests, any_length_is_gone_on_from, 0, 6);
    tcase_add_test(tests, what_is_there_whole_is_not_asked_for);
    tcase_add_test(tests, what_is_too_long_is_cut);
    tcase_add_loop_test(tests, wrong_bytes_are_found_out_and_it_begins_anew, 0, 3);
    tcase_add_test(tests, one_partial_download_is_kept);
    tcase_add_test(tests, small_blobs_stay_in_memory);
    tcase_add_test(tests, the_owners_disk_limit_holds);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
