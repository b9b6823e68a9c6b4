/* A link, its queue and a fake server, in this process. */
#ifndef TRIB_TEST_LINK_FIXTURE_H
#define TRIB_TEST_LINK_FIXTURE_H

#include "fake_server.h"

#include "base/clock.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOB_LEN = 100000, CHUNK_LEN = 8192, DEADLINE_MS = 20000 };

struct fixture {
    struct fake_server fake;
    struct trib_mailbox events;
    struct trib_link *link;
    struct trib_session_event *event; /* the last that was awaited */
    char address[64];
};

static inline void open_link(struct fixture *f, const char *state_dir, int64_t max_bytes)
{
    struct trib_error error = {.message = ""};
    snprintf(f->address, sizeof f->address, "127.0.0.1:%d", trib_net_server_port(f->fake.server));
    struct trib_link_config config = {
        .address = f->address, .events = &f->events, .place = {.dir = state_dir, .limits = {.max_bytes = max_bytes}}};
    trib_net_limits_default(&config.net);
    config.net.threads = 1;
    ck_assert_msg(trib_link_new(&config, &f->link, &error) == TRIB_OK, "%s", error.message);
}

static inline void setup_with(struct fixture *f, size_t blob_len, size_t chunk_len, const char *state_dir,
                              int64_t max_bytes)
{
    memset(f, 0, sizeof *f);
    trib_net_init();
    fake_start(&f->fake, 0, blob_len, chunk_len);
    ck_assert_int_eq(trib_mailbox_init(&f->events, true, NULL), TRIB_OK);
    open_link(f, state_dir, max_bytes);
}

static inline void setup(struct fixture *f)
{
    setup_with(f, BLOB_LEN, CHUNK_LEN, NULL, 0);
}

static inline void teardown(struct fixture *f)
{
    trib_session_event_free(f->event);
    trib_link_free(f->link);
    fake_stop(&f->fake);
    trib_session_events_clear(&f->events);
    trib_net_shutdown();
}

/* The next event, within the deadline; it must be of this kind. */
static inline struct trib_session_event *await(struct fixture *f, enum trib_session_event_kind kind)
{
    int64_t until = trib_clock_ms() + DEADLINE_MS;
    trib_session_event_free(f->event);
    while (!(f->event = trib_session_event_pop(&f->events))) {
        struct pollfd fd = {.fd = trib_mailbox_fd(&f->events), .events = POLLIN};
        int64_t left = until - trib_clock_ms();
        ck_assert_msg(left > 0, "no event came");
        (void)poll(&fd, 1, (int)left);
    }
    ck_assert_msg(f->event->kind == kind, "event %d, not %d: %s", f->event->kind, kind, f->event->reason);
    return f->event;
}

static inline struct trib_session_event *download(struct fixture *f)
{
    struct trib_error error = {.message = ""};
    enum trib_status status =
        trib_link_download(f->link, 5, f->fake.sha256, trib_blob_len(f->fake.blob), TRIB_CHUNK_PAYLOAD, &error);
    ck_assert_msg(status == TRIB_OK, "%s", error.message);
    struct trib_session_event *event = await(f, TRIB_SESSION_DOWNLOADED);
    ck_assert_uint_eq(event->job, 5);
    return event;
}

/* The blob that was downloaded, NULL when none was. */
static inline struct trib_model_spool *take(struct trib_link *link)
{
    struct trib_model_spool *blobs[TRIB_TASK_DELTAS];
    size_t n = trib_link_take(link, blobs);
    ck_assert_uint_le(n, 1);
    return n == 1 ? blobs[0] : NULL;
}

/* What was downloaded is the blob. */
static inline void check_model(struct fixture *f)
{
    struct trib_model_spool *model = take(f->link);
    ck_assert_ptr_nonnull(model);
    const struct trib_frame_source source = trib_model_spool_source(model);
    size_t len = trib_blob_len(f->fake.blob);
    uint8_t *bytes = trib_malloc(len);
    ck_assert_uint_eq(source.len, len);
    ck_assert_int_eq(source.read(source.context, 0, bytes, len, NULL), TRIB_OK);
    ck_assert_mem_eq(bytes, trib_blob_data(f->fake.blob), len);
    trib_free(bytes);
    trib_model_spool_free(model);
    ck_assert_ptr_null(take(f->link));
}

static inline void finish_from(struct fixture *f, uint64_t offset)
{
    f->fake.download = FAKE_WHOLE;
    ck_assert_int_eq(download(f)->status, TRIB_OK);
    ck_assert_uint_eq(f->fake.last_offset, offset);
    check_model(f);
}

#endif
