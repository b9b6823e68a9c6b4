/* Uploads in flight: who may open one, where a broken one goes on, and that nothing is left behind. */
#include "../../../server/intake/uploads_private.h"

#include "base/crc.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "test_main.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LEN = 5000, PIECE = 1000 };

static char dir[64], spool[80];
static struct trib_uploads *table;
static uint8_t blob[LEN], digest[32];
static struct trib_error error;
/* what the table reported */
static pthread_mutex_t ended_mutex = PTHREAD_MUTEX_INITIALIZER;
static int n_whole, n_broken;
static uint32_t ended_client;
static char ended_reason[TRIB_ERROR_MESSAGE_LEN];

static void on_ended(void *context, struct trib_upload *upload, const struct trib_error *fault)
{
    ck_assert_ptr_eq(context, &table);
    pthread_mutex_lock(&ended_mutex);
    n_whole += !fault;
    n_broken += fault ? 1 : 0;
    ended_client = upload->client;
    snprintf(ended_reason, sizeof ended_reason, "%s", fault ? fault->message : "");
    pthread_mutex_unlock(&ended_mutex);
}

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/trib-test-uploads-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(spool, sizeof spool, "%s/uploads", dir);
    ck_assert_int_eq(trib_uploads_new(dir, on_ended, &table, &table, &error), TRIB_OK);
    trib_uploads_name_run(table, "run-1");
    for (int i = 0; i < LEN; i++) {
        blob[i] = (uint8_t)(i * 31 >> 3);
    }
    ck_assert_int_eq(trib_sha256(blob, LEN, digest), TRIB_OK);
    n_whole = n_broken = 0;
}

static int count_files(void)
{
    DIR *listing = opendir(spool);
    int n = 0;
    ck_assert_ptr_nonnull(listing);
    for (const struct dirent *entry; (entry = readdir(listing));) {
        n += entry->d_name[0] != '.';
    }
    closedir(listing);
    return n;
}

static bool keep_none(void *context, const char *name)
{
    (void)context;
    (void)name;
    return false;
}

static void clean_up(void)
{
    trib_uploads_free(table);
    ck_assert_int_eq(trib_uploads_new(dir, on_ended, &table, &table, &error), TRIB_OK);
    trib_uploads_name_run(table, "run-1");
    trib_uploads_sweep(table, keep_none, NULL);
    trib_uploads_free(table);
    ck_assert_int_eq(rmdir(spool), 0); /* empty */
    ck_assert_int_eq(rmdir(dir), 0);
}

static uint64_t grant(const char *node, uint32_t client, uint64_t round, uint64_t attempt)
{
    uint64_t offset = 77;
    ck_assert_msg(trib_uploads_grant(table, node, client, round, attempt, digest, LEN, &offset, &error) == TRIB_OK,
                  "%s", error.message);
    ck_assert_int_ge(count_files(), 1);
    return offset;
}

static struct trib_chunk chunk_at(uint64_t offset)
{
    size_t len = LEN - offset < PIECE ? (size_t)(LEN - offset) : PIECE;
    struct trib_chunk chunk = {.run = "run-1",
                               .round = 3,
                               .has_sha256 = true,
                               .blob_len = LEN,
                               .offset = offset,
                               .payload_len = len,
                               .last = offset + len == LEN};
    memcpy(chunk.sha256, digest, sizeof digest);
    chunk.crc32c = trib_crc32c(0, blob + offset, len);
    return chunk;
}

static struct trib_upload *open_at(const char *node, uint64_t offset)
{
    struct trib_chunk first = chunk_at(offset);
    struct trib_upload *upload = NULL;
    ck_assert_msg(trib_uploads_open(table, node, &first, &upload, &error) == TRIB_OK, "%s", error.message);
    return upload;
}

static enum trib_status send_chunk(struct trib_upload *upload, const struct trib_chunk *chunk, const uint8_t *payload,
                                   bool *complete)
{
    size_t half = chunk->payload_len / 2;
    TRIB_TRY(trib_upload_begin(upload, chunk, &error));
    TRIB_TRY(trib_upload_piece(upload, payload, half, &error));
    TRIB_TRY(trib_upload_piece(upload, payload + half, chunk->payload_len - half, &error));
    return trib_upload_end(upload, chunk, complete, &error);
}

/* From `offset` to `end`; returns whether it is complete. */
static bool send_range(struct trib_upload *upload, uint64_t offset, uint64_t end)
{
    bool complete = false;
    for (; offset < end; offset += PIECE) {
        struct trib_chunk chunk = chunk_at(offset);
        ck_assert(!complete);
        ck_assert_msg(send_chunk(upload, &chunk, blob + offset, &complete) == TRIB_OK, "%s", error.message);
    }
    return complete;
}

static void expect_open(const char *node, const struct trib_chunk *first, enum trib_status status, const char *words)
{
    struct trib_upload *upload = NULL;
    ck_assert_int_eq(trib_uploads_open(table, node, first, &upload, &error), status);
    ck_assert_ptr_null(upload);
    ck_assert_msg(strstr(error.message, words), "%s", error.message);
}

START_TEST(a_granted_upload_arrives)
{
    ck_assert_uint_eq(grant("node-a", 4, 3, 0), 0);
    struct trib_upload *upload = open_at("node-a", 0);
    ck_assert(send_range(upload, 0, LEN));
    ck_assert_uint_eq(trib_upload_received(upload), LEN);
    trib_upload_close(upload, NULL);
    ck_assert(n_whole == 1 && n_broken == 0 && ended_client == 4);
    struct trib_upload *taken = trib_uploads_take_complete(table, 4);
    ck_assert_ptr_nonnull(taken);
    ck_assert_ptr_null(trib_uploads_take(table, 4));
    struct trib_frame_source source = trib_upload_source(taken);
    uint8_t back[LEN];
    ck_assert_uint_eq(source.len, LEN);
    ck_assert_int_eq(source.read(source.context, 0, back, LEN, &error), TRIB_OK);
    ck_assert_mem_eq(back, blob, LEN);
    ck_assert_int_eq(source.read(source.context, LEN - 10, back, 11, &error), TRIB_CORRUPT);
    trib_upload_unref(taken);
}
END_TEST

START_TEST(what_was_not_granted_is_refused)
{
    struct trib_chunk first = chunk_at(0);
    expect_open("node-a", &first, TRIB_NOT_FOUND, "no upload was granted to node node-a");
    (void)grant("node-a", 0, 3, 0);
    expect_open("node-b", &first, TRIB_NOT_FOUND, "no upload was granted to node node-b");
    memcpy(first.run, "run-0", 6);
    expect_open("node-a", &first, TRIB_MISMATCH, "upload for run \"run-0\" round 3; granted was run \"run-1\" round 3");
    first = chunk_at(0);
    first.round = 2;
    expect_open("node-a", &first, TRIB_MISMATCH, "round 2; granted was run \"run-1\" round 3");
    first = chunk_at(0);
    struct trib_upload *upload = open_at("node-a", 0);
    expect_open("node-a", &first, TRIB_EXISTS, "another call is sending this upload");
    trib_upload_close(upload, NULL);
    upload = open_at("node-a", 0); /* the call is over: another may try */
    trib_upload_close(upload, NULL);
}
END_TEST

START_TEST(a_broken_upload_goes_on_where_it_was)
{
    struct trib_error broken = {.status = TRIB_UNAVAILABLE, .origin = "test", .message = "the connection broke"};
    (void)grant("node-a", 0, 3, 1);
    struct trib_upload *upload = open_at("node-a", 0);
    ck_assert(!send_range(upload, 0, 2000));
    trib_upload_close(upload, &broken);
    ck_assert_int_eq(n_broken, 0); /* nobody's fault */
    ck_assert_uint_eq(grant("node-a", 0, 3, 1), 2000);
    upload = open_at("node-a", 2000);
    ck_assert(send_range(upload, 2000, LEN));
    trib_upload_close(upload, NULL);
    ck_assert_int_eq(n_whole, 1);
}
END_TEST

START_TEST(another_attempt_or_blob_begins_anew)
{
    struct trib_error broken = {.status = TRIB_CANCELLED, .origin = "test", .message = "cancelled"};
    (void)grant("node-a", 0, 3, 0);
    struct trib_upload *upload = open_at("node-a", 0);
    ck_assert(!send_range(upload, 0, 3000));
    trib_upload_close(upload, &broken);
    ck_assert_uint_eq(grant("node-a", 0, 3, 1), 0);
    upload = open_at("node-a", 0);
    ck_assert(!send_range(upload, 0, 1000));
    trib_upload_close(upload, &broken);
    digest[0] ^= 1;
    ck_assert_uint_eq(grant("node-a", 0, 3, 1), 0);
    digest[0] ^= 1;
}
END_TEST

/* Granting anew while a call still has it, as one on a dead connection does: the new one goes on where that was, even
 * in the middle of a chunk, and that call is told at its next. */
START_TEST(a_call_that_hangs_is_replaced)
{
    bool complete;
    (void)grant("node-a", 0, 3, 0);
    struct trib_upload *old = open_at("node-a", 0);
    ck_assert(!send_range(old, 0, 2000));
    struct trib_chunk chunk = chunk_at(2000);
    ck_assert_int_eq(trib_upload_begin(old, &chunk, &error), TRIB_OK);
    ck_assert_int_eq(trib_upload_piece(old, blob + 2000, 100, &error), TRIB_OK);
    ck_assert_uint_eq(grant("node-a", 0, 3, 0), 2100);
    struct trib_upload *upload = open_at("node-a", 2100);
    ck_assert(!send_range(upload, 2100, 2100 + PIECE));
    ck_assert_int_eq(trib_upload_piece(old, blob + 2100, chunk.payload_len - 100, &error), TRIB_OK);
    ck_assert_int_eq(trib_upload_end(old, &chunk, &complete, &error), TRIB_OK);
    ck_assert_int_eq(trib_upload_begin(old, &chunk, &error), TRIB_CANCELLED);
    ck_assert_str_eq(error.message, "the round went on without this upload");
    trib_upload_close(old, &error);
    ck_assert(send_range(upload, 2100 + PIECE, LEN));
    trib_upload_close(upload, NULL);
    ck_assert(n_whole == 1 && n_broken == 0);
}
END_TEST

/* Each take-over has the server hash again what is there: the ninth in a row sends all of it again. */
START_TEST(a_client_that_takes_over_again_and_again_starts_over)
{
    enum { TAKE_OVERS = 8 };
    struct trib_upload *calls[TAKE_OVERS + 1];
    ck_assert_uint_eq(grant("node-a", 0, 3, 1), 0);
    calls[0] = open_at("node-a", 0);
    ck_assert(!send_range(calls[0], 0, 1000));
    for (int i = 1; i <= TAKE_OVERS; i++) { /* the call before has not ended */
        ck_assert_uint_eq(grant("node-a", 0, 3, 1), 1000);
        calls[i] = open_at("node-a", 1000);
    }
    ck_assert_uint_eq(grant("node-a", 0, 3, 1), 0);
    for (int i = 0; i <= TAKE_OVERS; i++) {
        trib_upload_close(calls[i], NULL);
    }
    struct trib_upload *upload = open_at("node-a", 0);
    ck_assert(send_range(upload, 0, LEN));
    trib_upload_close(upload, NULL);
    ck_assert_int_eq(n_whole, 1);
}
END_TEST

START_TEST(a_discarded_upload_is_cancelled)
{
    bool complete;
    (void)grant("node-a", 0, 3, 0);
    struct trib_upload *upload = open_at("node-a", 0);
    ck_assert(!send_range(upload, 0, 1000));
    trib_uploads_discard(table, 0);
    trib_uploads_discard(table, 0);
    struct trib_chunk chunk = chunk_at(1000);
    ck_assert_int_eq(send_chunk(upload, &chunk, blob + 1000, &complete), TRIB_CANCELLED);
    struct trib_error protocol = {.status = TRIB_PROTOCOL, .origin = "test", .message = "later"};
    trib_upload_close(upload, &protocol); /* nobody waits for it: not reported */
    ck_assert(n_whole == 0 && n_broken == 0);
    expect_open("node-a", &chunk, TRIB_NOT_FOUND, "no upload was granted");
    ck_assert_int_eq(count_files(), 0);
}
END_TEST

START_TEST(a_wrong_hash_is_the_peers_fault)
{
    bool complete = false;
    (void)grant("node-a", 9, 3, 0);
    struct trib_upload *upload = open_at("node-a", 0);
    ck_assert(!send_range(upload, 0, 4000));
    uint8_t other[PIECE];
    struct trib_chunk chunk = chunk_at(4000);
    memcpy(other, blob + 4000, PIECE);
    other[5] ^= 1;
    chunk.crc32c = trib_crc32c(0, other, PIECE);
    ck_assert_int_eq(send_chunk(upload, &chunk, other, &complete), TRIB_CORRUPT);
    ck_assert(!complete);
    trib_upload_close(upload, &error);
    ck_assert(n_whole == 0 && n_broken == 1 && ended_client == 9);
    ck_assert_str_eq(ended_reason, "the blob's SHA-256 is not the one that was announced");
    ck_assert_ptr_null(trib_uploads_take_complete(table, 9)); /* discards it */
    ck_assert_ptr_null(trib_uploads_take(table, 9));
}
END_TEST

START_TEST(a_complete_upload_takes_nothing_more)
{
    bool complete;
    (void)grant("node-a", 0, 3, 0);
    struct trib_upload *upload = open_at("node-a", 0);
    ck_assert(send_range(upload, 0, LEN));
    struct trib_chunk chunk = chunk_at(0);
    ck_assert_int_eq(send_chunk(upload, &chunk, blob, &complete), TRIB_PROTOCOL);
    trib_upload_close(upload, NULL);
}
END_TEST

/* The process dies and another takes its place. */
static void restart(void)
{
    trib_uploads_free(table);
    ck_assert_int_eq(trib_uploads_new(dir, on_ended, &table, &table, &error), TRIB_OK);
    trib_uploads_name_run(table, "run-1");
}

static void spoil(uint64_t at)
{
    char name[TRIB_UPLOAD_NAME_LEN], path[256];
    trib_upload_name("node-a", digest, name);
    snprintf(path, sizeof path, "%s/%s", spool, name);
    FILE *file = fopen(path, "r+");
    ck_assert(file && fseek(file, (long)at, SEEK_SET) == 0 && fputc(blob[at] ^ 1, file) != EOF && fclose(file) == 0);
}

START_TEST(an_upload_goes_on_after_a_restart)
{
    struct trib_error broken = {.status = TRIB_UNAVAILABLE, .origin = "test", .message = "the server died"};
    (void)grant("node-a", 0, 3, 0);
    struct trib_upload *upload = open_at("node-a", 0);
    ck_assert(!send_range(upload, 0, 3000));
    trib_upload_close(upload, &broken);
    restart();
    ck_assert_uint_eq(grant("node-a", 7, 3, 0), 3000);
    upload = open_at("node-a", 3000);
    ck_assert(send_range(upload, 3000, LEN));
    trib_upload_close(upload, NULL);
    ck_assert(n_whole == 1 && n_broken == 0 && ended_client == 7);
}
END_TEST

/* What power loss has spoilt is found at the end, is not held against the client, and all of it is asked for again. */
START_TEST(a_spoilt_part_is_asked_for_again)
{
    bool complete = false;
    struct trib_error broken = {.status = TRIB_UNAVAILABLE, .origin = "test", .message = "the server died"};
    (void)grant("node-a", 0, 3, 0);
    struct trib_upload *upload = open_at("node-a", 0);
    ck_assert(!send_range(upload, 0, 4000));
    trib_upload_close(upload, &broken);
    spoil(1234);
    restart();
    ck_assert_uint_eq(grant("node-a", 0, 3, 0), 4000);
    upload = open_at("node-a", 4000);
    struct trib_chunk chunk = chunk_at(4000);
    ck_assert_int_eq(send_chunk(upload, &chunk, blob + 4000, &complete), TRIB_UNAVAILABLE);
    ck_assert_msg(strstr(error.message, "was damaged; send all of it"), "%s", error.message);
    trib_upload_close(upload, &error);
    ck_assert(n_whole == 0 && n_broken == 0);
    ck_assert_uint_eq(grant("node-a", 0, 3, 0), 0);
    upload = open_at("node-a", 0);
    ck_assert(send_range(upload, 0, LEN));
    trib_upload_close(upload, NULL);
    ck_assert(n_whole == 1 && n_broken == 0);
}
END_TEST

START_TEST(a_whole_upload_is_recovered)
{
    struct trib_error broken = {.status = TRIB_UNAVAILABLE, .origin = "test", .message = "the server died"};
    struct trib_upload *upload = NULL;
    ck_assert_int_eq(trib_uploads_recover(table, "node-a", 3, digest, LEN, &upload, &error), TRIB_NOT_FOUND);
    ck_assert_int_eq(count_files(), 0);
    (void)grant("node-a", 0, 3, 0);
    upload = open_at("node-a", 0);
    ck_assert(!send_range(upload, 0, 4000));
    trib_upload_close(upload, &broken);
    restart();
    struct trib_upload *recovered = NULL;
    ck_assert_int_eq(trib_uploads_recover(table, "node-a", 3, digest, LEN, &recovered, &error), TRIB_NOT_FOUND);
    ck_assert_uint_eq(grant("node-a", 0, 3, 0), 4000);
    upload = open_at("node-a", 4000);
    ck_assert(send_range(upload, 4000, LEN));
    trib_upload_close(upload, NULL);
    restart();
    ck_assert_int_eq(trib_uploads_recover(table, "node-a", 3, digest, LEN, &recovered, &error), TRIB_OK);
    trib_uploads_put(table, recovered, 3, 0);
    recovered = trib_uploads_take_complete(table, 3);
    ck_assert_ptr_nonnull(recovered);
    struct trib_frame_source source = trib_upload_source(recovered);
    uint8_t back[LEN];
    ck_assert_int_eq(source.read(source.context, 0, back, LEN, &error), TRIB_OK);
    ck_assert_mem_eq(back, blob, LEN);
    trib_upload_unref(recovered);
    spoil(17);
    ck_assert_int_eq(trib_uploads_recover(table, "node-a", 3, digest, LEN, &recovered, &error), TRIB_CORRUPT);
    ck_assert_int_eq(count_files(), 0);
}
END_TEST

START_TEST(many_uploads_at_once_are_kept_apart)
{
    enum { NODES = 20 };
    struct trib_upload *uploads[NODES];
    for (uint32_t i = 0; i < NODES; i++) {
        char node[16];
        snprintf(node, sizeof node, "node-%u", i);
        (void)grant(node, i, 3, 0);
        uploads[i] = open_at(node, 0);
    }
    for (uint64_t offset = 0; offset < LEN; offset += PIECE) {
        for (int i = 0; i < NODES; i++) {
            ck_assert(send_range(uploads[i], offset, offset + PIECE) == (offset + PIECE == LEN));
        }
    }
    for (uint32_t i = 0; i < NODES; i++) {
        trib_uploads_discard(table, i); /* also those that are still open */
    }
    for (int i = 0; i < NODES; i++) {
        trib_upload_close(uploads[i], NULL);
    }
    ck_assert_int_eq(n_whole, NODES);
}
END_TEST

START_TEST(a_spool_that_cannot_be_made_is_named)
{
    uint64_t offset;
    ck_assert_int_eq(rmdir(spool), 0);
    ck_assert_int_eq(trib_uploads_grant(table, "node-a", 0, 3, 0, digest, LEN, &offset, &error), TRIB_NOT_FOUND);
    ck_assert_msg(strstr(error.message, spool), "%s", error.message);
    struct trib_chunk first = chunk_at(0);
    expect_open("node-a", &first, TRIB_NOT_FOUND, "no upload was granted");
    trib_uploads_free(table);
    ck_assert_int_eq(trib_uploads_new(dir, on_ended, &table, &table, &error), TRIB_OK);
    trib_uploads_name_run(table, "run-1");
}
END_TEST

/* Transport threads send while the engine's thread grants and discards: under the thread sanitizer. */
struct sender {
    pthread_t thread;
    char node[16];
    int whole, cancelled;
};

static void *send_always(void *context)
{
    struct sender *sender = context;
    for (int i = 0; i < 400; i++) {
        struct trib_chunk first = chunk_at(0);
        struct trib_upload *upload = NULL;
        struct trib_error fault;
        bool complete = false;
        if (trib_uploads_open(table, sender->node, &first, &upload, &fault) != TRIB_OK) {
            continue;
        }
        uint64_t at = trib_upload_received(upload);
        enum trib_status status = TRIB_OK;
        while (status == TRIB_OK && !complete && at < LEN) {
            struct trib_chunk chunk = chunk_at(at);
            status = trib_upload_begin(upload, &chunk, &fault);
            status = status == TRIB_OK ? trib_upload_piece(upload, blob + at, chunk.payload_len, &fault) : status;
            status = status == TRIB_OK ? trib_upload_end(upload, &chunk, &complete, &fault) : status;
            at += chunk.payload_len;
        }
        sender->whole += complete;
        sender->cancelled += status == TRIB_CANCELLED;
        trib_upload_close(upload, status == TRIB_OK ? NULL : &fault);
    }
    return NULL;
}

START_TEST(threads_do_not_disturb_each_other)
{
    struct sender senders[3] = {{.node = "node-0"}, {.node = "node-1"}, {.node = "node-2"}};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pthread_create(&senders[i].thread, NULL, send_always, &senders[i]), 0);
    }
    for (int i = 0; i < 600; i++) {
        uint32_t client = (uint32_t)i % 3;
        uint64_t offset;
        if (trib_uploads_grant(table, senders[client].node, client, 3, (uint64_t)i / 30, digest, LEN, &offset, NULL) !=
            TRIB_OK) {
            ck_abort_msg("no grant");
        }
        if (i % 5 == 4) {
            struct trib_upload *taken = trib_uploads_take_complete(table, client);
            trib_upload_unref(taken);
        } else if (i % 7 == 6) {
            trib_uploads_discard(table, client);
        }
    }
    int whole = 0;
    for (int i = 0; i < 3; i++) {
        pthread_join(senders[i].thread, NULL);
        whole += senders[i].whole;
    }
    ck_assert_int_eq(n_whole, whole);
    ck_assert_int_eq(n_broken, 0);
    printf("threads: %d uploads whole\n", whole);
}
END_TEST

int main(void)
{
    struct trib_log_options quiet = {.level = TRIB_LOG_ERROR};
    (void)!trib_log_open(&quiet, NULL);
    Suite *suite = suite_create("uploads");
    TCase *tcase = tcase_create("uploads");
    tcase_add_checked_fixture(tcase, set_up, clean_up);
    tcase_add_test(tcase, a_granted_upload_arrives);
    tcase_add_test(tcase, what_was_not_granted_is_refused);
    tcase_add_test(tcase, a_broken_upload_goes_on_where_it_was);
    tcase_add_test(tcase, another_attempt_or_blob_begins_anew);
    tcase_add_test(tcase, a_call_that_hangs_is_replaced);
    tcase_add_test(tcase, a_client_that_takes_over_again_and_again_starts_over);
    tcase_add_test(tcase, a_discarded_upload_is_cancelled);
    tcase_add_test(tcase, a_wrong_hash_is_the_peers_fault);
    tcase_add_test(tcase, a_complete_upload_takes_nothing_more);
    tcase_add_test(tcase, an_upload_goes_on_after_a_restart);
    tcase_add_test(tcase, a_spoilt_part_is_asked_for_again);
    tcase_add_test(tcase, a_whole_upload_is_recovered);
    tcase_add_test(tcase, many_uploads_at_once_are_kept_apart);
    tcase_add_test(tcase, a_spool_that_cannot_be_made_is_named);
    tcase_add_test(tcase, threads_do_not_disturb_each_other);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
