/* Simulated downloads and uploads: when they end, how many bytes they are, and what a cancelled one has moved. The
 * engine and the rest of the simulator are the test's own. */
#include "../../../server/sim/sim_private.h"
#include "test_main.h"

#include "base/mem.h"

#include <string.h>

enum {
    RATE = 1000000, /* bytes a second: a byte a microsecond */
    LATENCY_US = 700,
    NOW_US = 5000,
    CHUNK = TRIB_CHUNK_LEAST,
    LEN = 3 * CHUNK + 100
};

/* ---- the engine ---- */

static struct {
    uint64_t up, down; /* bytes of the wire, so far */
    struct trib_blob *published;
    uint64_t received; /* of an upload */
    int open, closed_well, closed_broken, refused;
} engine;

void trib_hub_count(struct trib_hub *unused, uint64_t up, uint64_t down)
{
    (void)unused;
    engine.up += up;
    engine.down += down;
}

struct trib_blob *trib_hub_blob(struct trib_hub *unused, const uint8_t sha256[32])
{
    (void)unused;
    return sha256[0] == 1 ? trib_blob_ref(engine.published) : NULL;
}

enum trib_status trib_hub_upload_open(struct trib_hub *unused, const char *node, const struct trib_chunk *first,
                                      struct trib_upload **upload, struct trib_error *error)
{
    (void)unused;
    if (strcmp(node, "boat-7") != 0 || !first->has_sha256 || first->round != 3 || strcmp(first->run, "run") != 0) {
        return trib_fail(error, TRIB_NOT_FOUND, "nothing was granted to this node");
    }
    engine.open++;
    engine.received = first->offset;
    *upload = (struct trib_upload *)(void *)&engine;
    return TRIB_OK;
}

enum trib_status trib_upload_begin(struct trib_upload *upload, const struct trib_chunk *chunk, struct trib_error *error)
{
    (void)upload;
    (void)error;
    ck_assert_uint_eq(chunk->offset, engine.received);
    return TRIB_OK;
}

enum trib_status trib_upload_piece(struct trib_upload *upload, const uint8_t *piece, size_t len,
                                   struct trib_error *error)
{
    (void)upload;
    (void)error;
    for (size_t i = 0; i < len; i++) {
        if (piece[i] != (uint8_t)(engine.received + i)) {
            ck_abort_msg("byte %zu of the upload is wrong", (size_t)engine.received + i);
        }
    }
    engine.received += len;
    return TRIB_OK;
}

enum trib_status trib_upload_end(struct trib_upload *upload, const struct trib_chunk *chunk, bool *complete,
                                 struct trib_error *error)
{
    (void)upload;
    (void)error;
    *complete = chunk->last;
    return TRIB_OK;
}

void trib_upload_close(struct trib_upload *upload, const struct trib_error *fault)
{
    (void)upload;
    engine.closed_well += !fault;
    engine.closed_broken += fault ? 1 : 0;
}

void trib_hub_upload_refused(struct trib_hub *unused, const char *node, const struct trib_error *fault)
{
    (void)unused;
    (void)node;
    (void)fault;
    engine.refused++;
}

/* ---- the rest of the simulator ---- */

static struct {
    struct sim_event event;
    int64_t time_us;
} due[8];
static size_t n_due;

void sim_schedule(struct sim *sim, int64_t time_us, const struct sim_event *event)
{
    (void)sim;
    ck_assert_uint_lt(n_due, sizeof due / sizeof due[0]);
    due[n_due].time_us = time_us;
    due[n_due++].event = *event;
}

int64_t sim_us(double seconds)
{
    return (int64_t)(seconds * 1e6);
}

/* ---- one client ---- */

static struct sim sim;
static struct sim_actor actor;
static struct trib_client_task task = {.run = "run", .round = 3};
static struct trib_client_update update;
static const uint8_t published[32] = {1}, unknown[32] = {2};

static void start(void)
{
    memset(&engine, 0, sizeof engine);
    memset(&sim, 0, sizeof sim);
    n_due = 0;
    sim.now_us = NOW_US;
    actor = (struct sim_actor){.sim = &sim,
                               .number = 4,
                               .life = 2,
                               .node = "boat-7",
                               .upload = RATE,
                               .download = 2 * RATE,
                               .latency_us = LATENCY_US};
    engine.published = trib_blob_new(LEN);
    update.frame = trib_blob_new(LEN);
    ck_assert(engine.published && update.frame);
    for (size_t i = 0; i < LEN; i++) {
        trib_blob_fill(update.frame)[i] = (uint8_t)i;
    }
}

static void stop(void)
{
    sim_transfer_cancel(&actor, false);
    while (n_due > 0) {
        trib_free(due[--n_due].event.reason);
    }
    trib_blob_unref(engine.published);
    trib_blob_unref(update.frame);
}

static void begin_download(const uint8_t sha256[32], uint64_t offset, uint64_t len)
{
    sim_download(&actor, &(struct trib_session_action){.job = 9, .sha256 = sha256, .offset = offset, .len = len});
}

static void begin_upload(uint64_t offset)
{
    sim_upload(&actor, &(struct trib_session_action){
                           .job = 8, .task = &task, .update = &update, .offset = offset, .chunk_bytes = CHUNK});
}

/* What the first n chunks of the upload are on the wire, or those of a blob in chunks of `chunk`. */
static uint64_t wire_len(uint64_t offset, size_t n, uint64_t chunk_len, bool upload)
{
    uint64_t sum = 0, at = offset;
    for (size_t i = 0; i < n && at < LEN; i++) {
        uint8_t head[TRIB_CHUNK_HEAD_MAX];
        struct trib_chunk chunk = {.offset = at, .crc32c = UINT32_MAX};
        chunk.payload_len = (size_t)(LEN - at < chunk_len ? LEN - at : chunk_len);
        chunk.last = at + chunk.payload_len == LEN;
        if (i == 0) {
            chunk.has_sha256 = true;
            chunk.blob_len = LEN;
            chunk.round = upload ? 3 : 0;
            memcpy(chunk.run, upload ? "run" : "", upload ? 4 : 1);
        }
        sum += trib_chunk_head(&chunk, head) + chunk.payload_len;
        at += chunk.payload_len;
    }
    return sum;
}

static const struct sim_event *expect_due(size_t at, enum sim_event_kind kind, int64_t time_us)
{
    ck_assert_uint_lt(at, n_due);
    const struct sim_event *event = &due[at].event;
    ck_assert_int_eq(event->kind, kind);
    ck_assert_int_eq(due[at].time_us, time_us);
    ck_assert_uint_eq(event->actor, 4);
    ck_assert_uint_eq(event->life, 2);
    ck_assert_uint_eq(event->job, actor.transfer.kind == SIM_DOWNLOAD || kind == SIM_EVENT_DOWNLOADED ? 9 : 8);
    return event;
}

START_TEST(a_download_takes_two_ways_and_its_bytes)
{
    uint64_t bytes = wire_len(0, SIZE_MAX, TRIB_CHUNK_PAYLOAD, false);
    int64_t end_us = NOW_US + 2 * LATENCY_US + (int64_t)bytes / 2;
    begin_download(published, 0, LEN);
    ck_assert_uint_eq(n_due, 1);
    const struct sim_event *moved = expect_due(0, SIM_EVENT_MOVED, end_us);
    ck_assert_uint_eq(engine.down, 0);
    sim.now_us = end_us;
    sim_transfer_moved(&actor, moved);
    ck_assert_uint_eq(engine.down, bytes);
    ck_assert_uint_eq(sim.total.bytes_down, bytes);
    ck_assert_uint_eq(engine.up + sim.total.bytes_up, 0);
    const struct sim_event *told = expect_due(1, SIM_EVENT_DOWNLOADED, end_us);
    ck_assert_int_eq(told->status, TRIB_OK);
    ck_assert_uint_eq(told->received, LEN);
    sim_transfer_moved(&actor, moved); /* it is over: nothing moves twice */
    ck_assert_uint_eq(n_due, 2);
    ck_assert_uint_eq(engine.down, bytes);
}
END_TEST

START_TEST(a_download_goes_on_where_it_was)
{
    begin_download(published, LEN - 50, LEN);
    (void)expect_due(0, SIM_EVENT_MOVED,
                     NOW_US + 2 * LATENCY_US + (int64_t)wire_len(LEN - 50, 1, TRIB_CHUNK_PAYLOAD, false) / 2);
}
END_TEST

START_TEST(what_is_not_published_is_told_after_two_ways)
{
    const struct sim_event *told;
    begin_download(unknown, 0, LEN);
    told = expect_due(0, SIM_EVENT_DOWNLOADED, NOW_US + 2 * LATENCY_US);
    ck_assert_int_eq(told->status, TRIB_NOT_FOUND);
    ck_assert_str_eq(told->reason, "this blob is not, or no longer, published");
    begin_download(published, 0, LEN - 1);
    ck_assert_int_eq(expect_due(1, SIM_EVENT_DOWNLOADED, NOW_US + 2 * LATENCY_US)->status, TRIB_NOT_FOUND);
    begin_download(published, LEN, LEN);
    told = expect_due(2, SIM_EVENT_DOWNLOADED, NOW_US + 2 * LATENCY_US);
    ck_assert_int_eq(told->status, TRIB_NOT_FOUND);
    ck_assert_uint_eq(told->received, LEN);
    ck_assert_uint_eq(n_due, 3);
}
END_TEST

START_TEST(an_upload_takes_one_way_and_its_bytes)
{
    uint64_t bytes = wire_len(0, SIZE_MAX, CHUNK, true);
    int64_t end_us = NOW_US + LATENCY_US + (int64_t)bytes;
    begin_upload(0);
    const struct sim_event *moved = expect_due(0, SIM_EVENT_MOVED, end_us);
    ck_assert_uint_eq(engine.up, 0);
    sim.now_us = end_us;
    sim_transfer_moved(&actor, moved);
    ck_assert_uint_eq(engine.received, LEN);
    ck_assert_uint_eq(engine.up, bytes);
    ck_assert_uint_eq(sim.total.bytes_up, bytes);
    ck_assert_uint_eq(engine.down + sim.total.bytes_down, 0);
    ck_assert_int_eq(engine.closed_well, 1);
    ck_assert(sim.touched);
    const struct sim_event *told = expect_due(1, SIM_EVENT_UPLOADED, end_us + LATENCY_US); /* the receipt's way */
    ck_assert_int_eq(told->status, TRIB_OK);
    ck_assert_uint_eq(told->received, LEN);
}
END_TEST

START_TEST(a_refused_upload_is_told)
{
    task.round = 4;
    begin_upload(0);
    task.round = 3;
    sim.now_us = due[0].time_us;
    sim_transfer_moved(&actor, &due[0].event);
    ck_assert_int_eq(engine.refused, 1);
    ck_assert_int_eq(engine.open, 0);
    ck_assert_int_eq(expect_due(1, SIM_EVENT_UPLOADED, sim.now_us + LATENCY_US)->status, TRIB_NOT_FOUND);
}
END_TEST

/* Whole chunks count, those whose last byte has arrived; times are given from the first byte on. */
static void cancel_upload(uint64_t passed_us, size_t chunks)
{
    stop();
    start();
    begin_upload(0);
    sim.now_us = NOW_US + LATENCY_US + (int64_t)passed_us;
    sim_transfer_cancel(&actor, true);
    ck_assert_uint_eq(engine.up, wire_len(0, chunks, CHUNK, true));
    ck_assert_uint_eq(sim.total.bytes_up, engine.up);
    ck_assert_uint_eq(engine.received, chunks * CHUNK);
    ck_assert_int_eq(engine.open, chunks > 0);
    ck_assert_int_eq(engine.closed_broken, chunks > 0);
    ck_assert_int_eq(engine.closed_well + engine.refused, 0);
    const struct sim_event *told = expect_due(1, SIM_EVENT_UPLOADED, sim.now_us);
    ck_assert_int_eq(told->status, TRIB_CANCELLED);
    ck_assert_uint_eq(told->received, chunks * CHUNK);
    ck_assert_int_eq(actor.transfer.kind, SIM_NO_TRANSFER);
}

START_TEST(a_cancelled_upload_has_moved_whole_chunks)
{
    cancel_upload(0, 0);
    cancel_upload(wire_len(0, 1, CHUNK, true) - 1, 0);
    cancel_upload(wire_len(0, 1, CHUNK, true), 1);
    cancel_upload(wire_len(0, 2, CHUNK, true) - 1, 1);
    cancel_upload(wire_len(0, 2, CHUNK, true), 2);
    cancel_upload(wire_len(0, 3, CHUNK, true) + 1, 3);
}
END_TEST

START_TEST(a_cancelled_download_has_moved_whole_chunks)
{
    uint64_t bytes = wire_len(0, SIZE_MAX, TRIB_CHUNK_PAYLOAD, false);
    begin_download(published, 0, LEN);
    sim.now_us = NOW_US + 2 * LATENCY_US + (int64_t)bytes / 2 - 1;
    sim_transfer_cancel(&actor, true);
    ck_assert_uint_eq(engine.down, 0);
    const struct sim_event *told = expect_due(1, SIM_EVENT_DOWNLOADED, sim.now_us);
    ck_assert_int_eq(told->status, TRIB_CANCELLED);
    ck_assert_uint_eq(told->received, 0);
    sim.now_us = NOW_US;
    begin_download(published, 0, LEN);
    sim.now_us += 2 * LATENCY_US + (int64_t)(bytes + 1) / 2;
    sim_transfer_cancel(&actor, false); /* and nobody is told */
    ck_assert_uint_eq(engine.down, bytes);
    ck_assert_uint_eq(sim.total.bytes_down, bytes);
    ck_assert_uint_eq(n_due, 3);
    sim_transfer_cancel(&actor, true); /* there is none */
    ck_assert_uint_eq(n_due, 3);
}
END_TEST

/* Cancelled while the request is on its way: nothing has moved. */
START_TEST(before_the_first_byte_nothing_has_moved)
{
    begin_download(published, 0, LEN);
    sim_transfer_cancel(&actor, true);
    ck_assert_uint_eq(engine.down, 0);
    begin_upload(CHUNK);
    sim_transfer_cancel(&actor, true);
    ck_assert_uint_eq(engine.up, 0);
    ck_assert_int_eq(engine.open + engine.refused, 0);
    ck_assert_uint_eq(expect_due(3, SIM_EVENT_UPLOADED, NOW_US)->received, CHUNK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim_transfer");
    TCase *tests = tcase_create("sim_transfer");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, start, stop);
    tcase_add_test(tests, a_download_takes_two_ways_and_its_bytes);
    tcase_add_test(tests, a_download_goes_on_where_it_was);
    tcase_add_test(tests, what_is_not_published_is_told_after_two_ways);
    tcase_add_test(tests, an_upload_takes_one_way_and_its_bytes);
    tcase_add_test(tests, a_refused_upload_is_told);
    tcase_add_test(tests, a_cancelled_upload_has_moved_whole_chunks);
    tcase_add_test(tests, a_cancelled_download_has_moved_whole_chunks);
    tcase_add_test(tests, before_the_first_byte_nothing_has_moved);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
