/* The client's link against a server that misbehaves: downloads that break and resume, uploads that are refused, a
 * server that vanishes. */
#include "link_fixture.h"

/* ---- download ---- */

START_TEST(a_blob_comes_whole)
{
    struct fixture f;
    setup(&f);
    ck_assert_int_eq(download(&f)->status, TRIB_OK);
    ck_assert_uint_eq(f.event->is.received, BLOB_LEN);
    check_model(&f);
    teardown(&f);
}
END_TEST

START_TEST(blobs_wait_in_order_until_they_are_taken)
{
    struct trib_model_spool *blobs[TRIB_TASK_DELTAS];
    struct fixture f;
    setup(&f);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(download(&f)->status, TRIB_OK);
    }
    ck_assert_uint_eq(trib_link_take(f.link, blobs), 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(trib_model_spool_source(blobs[i]).len, BLOB_LEN);
        trib_model_spool_free(blobs[i]);
    }
    ck_assert_int_eq(download(&f)->status, TRIB_OK);
    trib_link_cancel(f.link, true); /* a lost connection: they stay */
    ck_assert_int_eq(download(&f)->status, TRIB_OK);
    ck_assert_uint_eq(trib_link_take(f.link, blobs), 2);
    trib_model_spool_free(blobs[0]);
    trib_model_spool_free(blobs[1]);
    ck_assert_int_eq(download(&f)->status, TRIB_OK);
    trib_link_cancel(f.link, false); /* another task: they go */
    ck_assert_uint_eq(trib_link_take(f.link, blobs), 0);
    teardown(&f);
}
END_TEST

START_TEST(a_large_blob_goes_to_a_file_and_leaves_none)
{
    char dir[] = "/tmp/trib-link-XXXXXX";
    struct fixture f;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    setup_with(&f, BLOB_LEN, CHUNK_LEN, dir, 2 * BLOB_LEN); /* more than a quarter of the owner's memory */
    ck_assert_int_eq(download(&f)->status, TRIB_OK);
    struct trib_model_spool *model = take(f.link);
    ck_assert_ptr_nonnull(model);
    ck_assert_uint_eq(trib_model_spool_memory(model), 0);
    trib_model_spool_free(model);
    teardown(&f);
    ck_assert_int_eq(rmdir(dir), 0); /* empty */
}
END_TEST

START_TEST(a_blob_beyond_the_owners_memory_is_refused)
{
    struct fixture f;
    struct trib_error error = {.message = ""};
    setup_with(&f, BLOB_LEN, CHUNK_LEN, NULL, BLOB_LEN / 2);
    ck_assert_int_eq(trib_link_download(f.link, 5, f.fake.sha256, BLOB_LEN, TRIB_CHUNK_PAYLOAD, &error), TRIB_LIMIT);
    ck_assert_msg(strstr(error.message, "limits.max_memory"), "%s", error.message);
    teardown(&f);
}
END_TEST

START_TEST(a_corrupt_chunk_costs_only_itself)
{
    struct fixture f;
    setup(&f);
    f.fake.download = FAKE_CORRUPT;
    f.fake.fault_at = 3 * CHUNK_LEN;
    download(&f);
    ck_assert_int_eq(f.event->status, TRIB_CORRUPT);
    ck_assert_msg(strstr(f.event->reason, "checksum"), "%s", f.event->reason);
    ck_assert_uint_eq(f.event->is.received, 3 * CHUNK_LEN);
    ck_assert_ptr_null(take(f.link));
    finish_from(&f, 3 * CHUNK_LEN);
    teardown(&f);
}
END_TEST

START_TEST(a_stream_that_ends_early_resumes)
{
    static const enum fake_download modes[] = {FAKE_TRUNCATE, FAKE_BREAK};
    struct fixture f;
    setup(&f);
    f.fake.download = modes[_i];
    f.fake.fault_at = 4 * CHUNK_LEN;
    download(&f);
    ck_assert_int_eq(f.event->status, TRIB_UNAVAILABLE);
    ck_assert_uint_eq(f.event->is.received, 4 * CHUNK_LEN);
    if (modes[_i] == FAKE_TRUNCATE) {
        ck_assert_msg(strstr(f.event->reason, "byte 32768 of 100000"), "%s", f.event->reason);
    }
    finish_from(&f, 4 * CHUNK_LEN);
    teardown(&f);
}
END_TEST

START_TEST(a_partial_download_of_another_blob_goes)
{
    struct fixture f;
    struct trib_error error = {.message = ""};
    uint8_t other[32] = {1};
    setup(&f);
    f.fake.download = FAKE_BREAK;
    f.fake.fault_at = 4 * CHUNK_LEN;
    download(&f);
    f.fake.download = FAKE_WHOLE;
    ck_assert_int_eq(trib_link_download(f.link, 6, other, BLOB_LEN, TRIB_CHUNK_PAYLOAD, &error), TRIB_OK);
    ck_assert_int_eq(await(&f, TRIB_SESSION_DOWNLOADED)->status, TRIB_MISMATCH);
    ck_assert_int_eq(download(&f)->status, TRIB_OK);
    ck_assert_uint_eq(f.fake.last_offset, 0);
    check_model(&f);
    teardown(&f);
}
END_TEST

START_TEST(other_bytes_are_found_out_and_nothing_of_them_kept)
{
    struct fixture f;
    setup(&f);
    f.fake.download = FAKE_OTHER_BYTES;
    f.fake.fault_at = CHUNK_LEN;
    download(&f);
    ck_assert_int_eq(f.event->status, TRIB_CORRUPT);
    ck_assert_msg(strstr(f.event->reason, "SHA-256"), "%s", f.event->reason);
    ck_assert_uint_eq(f.event->is.received, 0);
    ck_assert_ptr_null(take(f.link));
    finish_from(&f, 0);
    teardown(&f);
}
END_TEST

START_TEST(breaches_end_the_download)
{
    static const struct {
        enum fake_download mode;
        enum trib_status status;
    } cases[] = {{FAKE_SKIP, TRIB_PROTOCOL},
                 {FAKE_TOO_LONG, TRIB_PROTOCOL},
                 {FAKE_GARBAGE, TRIB_PROTOCOL},
                 {FAKE_NOT_FOUND, TRIB_NOT_FOUND}};
    struct fixture f;
    setup(&f);
    f.fake.download = cases[_i].mode;
    f.fake.fault_at = 2 * CHUNK_LEN;
    download(&f);
    ck_assert_msg(f.event->status == cases[_i].status, "%s: %s", trib_status_name(f.event->status), f.event->reason);
    ck_assert_ptr_null(take(f.link));
    teardown(&f);
}
END_TEST

START_TEST(a_cancelled_download_is_kept_or_dropped_as_told)
{
    struct fixture f;
    setup(&f);
    f.fake.download = FAKE_BREAK;
    f.fake.fault_at = 4 * CHUNK_LEN;
    download(&f);
    trib_link_cancel(f.link, true);
    finish_from(&f, 4 * CHUNK_LEN);
    f.fake.download = FAKE_BREAK;
    download(&f);
    trib_link_cancel(f.link, false);
    f.fake.download = FAKE_WHOLE;
    ck_assert_int_eq(download(&f)->status, TRIB_OK);
    ck_assert_uint_eq(f.fake.last_offset, 0);
    trib_link_cancel(f.link, false); /* also what is complete */
    ck_assert_ptr_null(take(f.link));
    teardown(&f);
}
END_TEST

START_TEST(a_vanished_server_is_resumed_when_it_is_back)
{
    struct fixture f;
    setup(&f);
    int port = trib_net_server_port(f.fake.server);
    f.fake.download = FAKE_BREAK;
    f.fake.fault_at = 5 * CHUNK_LEN;
    download(&f);
    fake_stop(&f.fake);
    struct trib_error error = {.message = ""};
    uint8_t sha256[32];
    memcpy(sha256, f.fake.sha256, sizeof sha256);
    ck_assert_int_eq(trib_link_download(f.link, 6, sha256, BLOB_LEN, TRIB_CHUNK_PAYLOAD, &error), TRIB_OK);
    struct trib_session_event *event = await(&f, TRIB_SESSION_DOWNLOADED);
    ck_assert_int_eq(event->status, TRIB_UNAVAILABLE);
    ck_assert_uint_eq(event->is.received, 5 * CHUNK_LEN);
    fake_start(&f.fake, port, BLOB_LEN, CHUNK_LEN);
    finish_from(&f, 5 * CHUNK_LEN);
    teardown(&f);
}
END_TEST

/* ---- upload ---- */

static struct trib_session_event *upload(struct fixture *f, struct trib_blob *frame, uint64_t offset,
                                         uint32_t chunk_bytes)
{
    uint8_t sha256[32];
    struct trib_error error = {.message = ""};
    ck_assert_int_eq(trib_sha256(trib_blob_data(frame), trib_blob_len(frame), sha256), TRIB_OK);
    const struct trib_link_upload what = {
        .run = "run-1", .round = 3, .frame = frame, .sha256 = sha256, .offset = offset, .chunk_bytes = chunk_bytes};
    ck_assert_msg(trib_link_upload(f->link, 9, &what, &error) == TRIB_OK, "%s", error.message);
    struct trib_session_event *event = await(f, TRIB_SESSION_UPLOADED);
    ck_assert_uint_eq(event->job, 9);
    return event;
}

START_TEST(an_update_arrives_from_its_offset_on)
{
    static const struct {
        size_t len;
        uint64_t offset;
        uint32_t chunk;
    } cases[] = {{BLOB_LEN, 0, CHUNK_LEN},
                 {BLOB_LEN, 3 * CHUNK_LEN, CHUNK_LEN},
                 {BLOB_LEN, BLOB_LEN, CHUNK_LEN},            /* only the end is missing */
                 {(size_t)20 << 20, 0, TRIB_CHUNK_PAYLOAD}}; /* more than the queue takes at a time */
    struct fixture f;
    setup_with(&f, cases[_i].len, CHUNK_LEN, NULL, 0);
    upload(&f, f.fake.blob, cases[_i].offset, cases[_i].chunk);
    ck_assert_msg(f.event->status == TRIB_OK, "%s", f.event->reason);
    ck_assert(f.event->is.receipt.accepted);
    ck_assert_uint_eq(f.event->is.receipt.received, cases[_i].len);
    pthread_mutex_lock(&f.fake.lock);
    ck_assert(f.fake.ended);
    ck_assert_str_eq(f.fake.first.run, "run-1");
    ck_assert_uint_eq(f.fake.first.round, 3);
    ck_assert_uint_eq(f.fake.first.offset, cases[_i].offset);
    ck_assert_uint_eq(f.fake.first.blob_len, cases[_i].len);
    ck_assert_mem_eq(f.fake.first.sha256, f.fake.sha256, 32);
    ck_assert_uint_eq(f.fake.uploaded.len, cases[_i].len - cases[_i].offset);
    if (f.fake.uploaded.len > 0) {
        ck_assert_mem_eq(f.fake.uploaded.data, trib_blob_data(f.fake.blob) + cases[_i].offset, f.fake.uploaded.len);
    }
    pthread_mutex_unlock(&f.fake.lock);
    teardown(&f);
}
END_TEST

START_TEST(a_refusal_is_told_with_its_reason)
{
    struct fixture f;
    setup(&f);
    f.fake.upload = FAKE_REFUSE;
    upload(&f, f.fake.blob, 0, CHUNK_LEN);
    ck_assert_int_eq(f.event->status, TRIB_OK);
    ck_assert(!f.event->is.receipt.accepted);
    ck_assert_int_eq(f.event->is.receipt.status, TRIB_MISMATCH);
    ck_assert_str_eq(f.event->reason, "another schema");
    f.fake.upload = FAKE_DENY_AT_ONCE;
    upload(&f, f.fake.blob, 0, CHUNK_LEN);
    ck_assert_int_eq(f.event->status, TRIB_DENIED);
    ck_assert_str_eq(f.event->reason, "no upload was granted");
    f.fake.upload = FAKE_NO_RECEIPT;
    trib_buf_clear(&f.fake.uploaded);
    upload(&f, f.fake.blob, 0, CHUNK_LEN);
    ck_assert_int_eq(f.event->status, TRIB_PROTOCOL);
    ck_assert_msg(strstr(f.event->reason, "without a receipt"), "%s", f.event->reason);
    teardown(&f);
}
END_TEST

START_TEST(an_upload_that_is_not_read_waits_and_can_be_cancelled)
{
    struct fixture f;
    struct trib_error error = {.message = ""};
    setup_with(&f, (size_t)20 << 20, CHUNK_LEN, NULL, 0);
    f.fake.upload = FAKE_NEVER_READ;
    const struct trib_link_upload what = {
        .run = "run-1", .round = 3, .frame = f.fake.blob, .sha256 = f.fake.sha256, .chunk_bytes = TRIB_CHUNK_PAYLOAD};
    ck_assert_msg(trib_link_upload(f.link, 9, &what, &error) == TRIB_OK, "%s", error.message);
    trib_link_cancel(f.link, true);
    ck_assert_int_eq(await(&f, TRIB_SESSION_UPLOADED)->status, TRIB_CANCELLED);
    teardown(&f);
}
END_TEST

/* ---- session ---- */

static void connect_session(struct fixture *f, uint64_t job)
{
    struct trib_error error = {.message = ""};
    ck_assert_msg(trib_link_connect(f->link, job, &error) == TRIB_OK, "%s", error.message);
    ck_assert_uint_eq(await(f, TRIB_SESSION_CONNECTED)->job, job);
}

static void send_text(struct fixture *f)
{
    char reason[] = "a test";
    Tributary__V1__Goodbye goodbye = TRIBUTARY__V1__GOODBYE__INIT;
    goodbye.reason = reason;
    Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
    message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_GOODBYE;
    message.goodbye = &goodbye;
    struct trib_buf bytes = {0};
    ck_assert_int_eq(trib_message_pack(&message.base, &bytes), TRIB_OK);
    ck_assert_int_eq(trib_link_send(f->link, bytes.data, bytes.len, NULL), TRIB_OK);
    trib_buf_clear(&bytes);
}

START_TEST(messages_go_both_ways_one_at_a_time)
{
    struct fixture f;
    setup(&f);
    connect_session(&f, 1);
    send_text(&f);
    send_text(&f);
    for (int i = 0; i < 2; i++) {
        const struct trib_session_event *event = await(&f, TRIB_SESSION_MESSAGE);
        ck_assert_uint_eq(event->job, 1);
        ck_assert_int_eq(event->is.message->kind_case, TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME);
        ck_assert_uint_eq(event->is.message->outcome->round, 77);
        ck_assert_ptr_null(trib_session_event_pop(&f.events)); /* the second is not read before it is asked for */
        ck_assert_int_eq(trib_link_read(f.link, 1, NULL), TRIB_OK);
    }
    trib_link_disconnect(f.link);
    ck_assert_int_eq(await(&f, TRIB_SESSION_DISCONNECTED)->status, TRIB_CANCELLED);
    ck_assert_int_eq(trib_link_send(f.link, "x", 1, NULL), TRIB_OK); /* to nobody: no failure */
    teardown(&f);
}
END_TEST

static size_t heard_len(struct fixture *f)
{
    pthread_mutex_lock(&f->fake.lock);
    size_t len = f->fake.heard.len;
    pthread_mutex_unlock(&f->fake.lock);
    return len;
}

/* The signs of a model of millions of values, and the longest sketch that a client sends, beside other messages. */
START_TEST(an_offer_with_a_long_sketch_arrives)
{
    static const size_t lengths[] = {210000, TRIB_SKETCH_MAX_BYTES};
    struct fixture f;
    setup(&f);
    connect_session(&f, 1);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t *sketch = trib_calloc(lengths[i], 1);
        Tributary__V1__Offer offer = TRIBUTARY__V1__OFFER__INIT;
        offer.sketch = trib_message_lend_bytes(sketch, lengths[i]);
        Tributary__V1__ClientMessage message = TRIBUTARY__V1__CLIENT_MESSAGE__INIT;
        message.kind_case = TRIBUTARY__V1__CLIENT_MESSAGE__KIND_OFFER;
        message.offer = &offer;
        struct trib_buf bytes = {0};
        ck_assert_int_eq(trib_message_pack(&message.base, &bytes), TRIB_OK);
        ck_assert_int_eq(trib_link_send(f.link, bytes.data, bytes.len, NULL), TRIB_OK);
        trib_buf_clear(&bytes);
        trib_free(sketch);
        const struct trib_session_event *event = await(&f, TRIB_SESSION_MESSAGE);
        ck_assert_int_eq(event->is.message->kind_case, TRIBUTARY__V1__SERVER_MESSAGE__KIND_OUTCOME);
        ck_assert_int_eq(trib_link_read(f.link, 1, NULL), TRIB_OK);
        ck_assert_uint_gt(heard_len(&f), lengths[i]);
    }
    teardown(&f);
}
END_TEST

START_TEST(a_server_that_says_nonsense_is_left)
{
    struct fixture f;
    setup(&f);
    connect_session(&f, 1);
    send_text(&f);
    await(&f, TRIB_SESSION_MESSAGE); /* the session stands */
    ck_assert_int_eq(trib_link_read(f.link, 1, NULL), TRIB_OK);
    pthread_mutex_lock(&f.fake.lock);
    struct trib_net_call *call = trib_net_call_ref(f.fake.session);
    pthread_mutex_unlock(&f.fake.lock);
    ck_assert_int_eq(trib_net_call_send(call, "\xff\xff", 2, NULL, 0, 0), TRIB_OK);
    trib_net_call_unref(call);
    ck_assert_int_eq(await(&f, TRIB_SESSION_DISCONNECTED)->status, TRIB_PROTOCOL);
    teardown(&f);
}
END_TEST

START_TEST(a_server_that_stops_is_noticed_and_found_again)
{
    struct fixture f;
    setup(&f);
    int port = trib_net_server_port(f.fake.server);
    connect_session(&f, 1);
    send_text(&f);
    await(&f, TRIB_SESSION_MESSAGE);
    ck_assert_int_eq(trib_link_read(f.link, 1, NULL), TRIB_OK);
    fake_stop(&f.fake);
    struct trib_session_event *event = await(&f, TRIB_SESSION_DISCONNECTED);
    ck_assert_uint_eq(event->job, 1);
    ck_assert_int_ne(event->status, TRIB_OK);
    connect_session(&f, 2);
    event = await(&f, TRIB_SESSION_DISCONNECTED);
    ck_assert_uint_eq(event->job, 2);
    ck_assert_int_eq(event->status, TRIB_UNAVAILABLE);
    ck_assert_msg(strstr(event->reason, "refused"), "%s", event->reason);
    fake_start(&f.fake, port, BLOB_LEN, CHUNK_LEN);
    connect_session(&f, 3);
    send_text(&f);
    ck_assert_uint_eq(await(&f, TRIB_SESSION_MESSAGE)->job, 3);
    teardown(&f);
}
END_TEST

START_TEST(what_was_said_last_arrives)
{
    struct fixture f;
    setup(&f);
    connect_session(&f, 1);
    send_text(&f);
    trib_link_finish(f.link, DEADLINE_MS);
    pthread_mutex_lock(&f.fake.lock);
    ck_assert_uint_gt(f.fake.heard.len, 0);
    pthread_mutex_unlock(&f.fake.lock);
    teardown(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("link");
    TCase *tests = tcase_create("link");
    tcase_add_test(tests, a_blob_comes_whole);
    tcase_add_test(tests, blobs_wait_in_order_until_they_are_taken);
    tcase_add_test(tests, a_large_blob_goes_to_a_file_and_leaves_none);
    tcase_add_test(tests, a_blob_beyond_the_owners_memory_is_refused);
    tcase_add_test(tests, a_corrupt_chunk_costs_only_itself);
    tcase_add_loop_test(tests, a_stream_that_ends_early_resumes, 0, 2);
    tcase_add_test(tests, a_partial_download_of_another_blob_goes);
    tcase_add_test(tests, other_bytes_are_found_out_and_nothing_of_them_kept);
    tcase_add_loop_test(tests, breaches_end_the_download, 0, 4);
    tcase_add_test(tests, a_cancelled_download_is_kept_or_dropped_as_told);
    tcase_add_test(tests, a_vanished_server_is_resumed_when_it_is_back);
    tcase_add_loop_test(tests, an_update_arrives_from_its_offset_on, 0, 4);
    tcase_add_test(tests, a_refusal_is_told_with_its_reason);
    tcase_add_test(tests, an_upload_that_is_not_read_waits_and_can_be_cancelled);
    tcase_add_test(tests, messages_go_both_ways_one_at_a_time);
    tcase_add_test(tests, an_offer_with_a_long_sketch_arrives);
    tcase_add_test(tests, a_server_that_says_nonsense_is_left);
    tcase_add_test(tests, a_server_that_stops_is_noticed_and_found_again);
    tcase_add_test(tests, what_was_said_last_arrives);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
