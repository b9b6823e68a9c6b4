/* What the server is told of the machine: at the start, with the next progress, and once a minute at most otherwise. */
#include "harness.h"

static const struct trib_device on_battery = {.on_battery = true, .battery_percent = 60};

static void look(struct harness *h, struct trib_device device)
{
    struct trib_session_event *event = event_of(TRIB_SESSION_DEVICE, 0, TRIB_OK, "");
    event->is.device = device;
    give(h, event);
}

static void told(const Tributary__V1__Device *device, struct trib_device expected)
{
    ck_assert_ptr_nonnull(device);
    ck_assert(device->metered == expected.metered && device->on_battery == expected.on_battery);
    ck_assert_uint_eq(device->battery_percent, expected.battery_percent);
}

START_TEST(hello_tells_of_the_device)
{
    struct harness h;
    setup(&h);
    tick(&h);
    look(&h, (struct trib_device){.metered = true, .on_battery = true, .battery_percent = 80});
    connected(&h);
    ck_assert_sent(&h, HELLO);
    told(h.sent->hello->device, (struct trib_device){.metered = true, .on_battery = true, .battery_percent = 80});
    welcome_to(&h, RUN, 1);
    ck_assert_int_eq(trib_session_wake_ms(h.session), INT64_MAX); /* nothing left to tell */
    disconnected(&h);
    look(&h, on_battery);
    ck_assert_did(&h, "");
    wake(&h);
    connected(&h);
    told(h.sent->hello->device, on_battery);
    teardown(&h);
}
END_TEST

START_TEST(the_first_hello_tells_what_was_known_at_the_start)
{
    struct harness h;
    const struct trib_session_config config = {.node = "boat-7", .software = "test 1", .device = on_battery};
    setup(&h);
    trib_session_free(h.session);
    h.session = trib_session_new(&config, h.now);
    tick(&h);
    connected(&h);
    ck_assert_sent(&h, HELLO);
    told(h.sent->hello->device, on_battery);
    teardown(&h);
}
END_TEST

START_TEST(idle_clients_tell_what_has_changed)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    h.now += 3600000;
    look(&h, (struct trib_device){0}); /* as in the Hello */
    ck_assert_int_eq(trib_session_wake_ms(h.session), INT64_MAX);
    look(&h, on_battery);
    ck_assert_did(&h, "");
    wake(&h);
    ck_assert_did(&h, "S");
    ck_assert_sent(&h, PROGRESS);
    ck_assert_uint_eq(h.sent->progress->round, 0);
    ck_assert_str_eq(h.sent->progress->phase, "idle");
    told(h.sent->progress->device, on_battery);
    ck_assert_state(&h, TRIB_STATE_IDLE);
    ck_assert_int_eq(trib_session_wake_ms(h.session), INT64_MAX);
    teardown(&h);
}
END_TEST

START_TEST(a_flapping_device_is_told_of_once_a_minute)
{
    struct harness h;
    int sent = 0;
    start(&h, TRIB_STATE_IDLE);
    for (int second = 0; second < 600; second++) {
        h.now += 1000;
        look(&h, second % 2 == 0 ? on_battery : (struct trib_device){0});
        tick(&h);
        sent += h.sent ? 1 : 0;
    }
    ck_assert_int_ge(sent, 8);
    ck_assert_int_le(sent, 10);
    look(&h, on_battery); /* and back before it was told */
    look(&h, (struct trib_device){0});
    wake(&h);
    sent = h.sent ? 1 : 0;
    h.now += 120000;
    tick(&h);
    ck_assert_int_le(sent + (h.sent ? 1 : 0), 1);
    teardown(&h);
}
END_TEST

START_TEST(busy_clients_tell_it_with_their_progress)
{
    struct harness h;
    start(&h, TRIB_STATE_TRAINING);
    h.now += 120000; /* long after the Hello, and with a progress just sent */
    tick(&h);
    ck_assert_sent(&h, PROGRESS);
    look(&h, on_battery);
    int64_t first = h.now;
    while (!h.sent) {
        wake(&h);
    }
    ck_assert_int_le(h.now - first, 10000);
    ck_assert_sent(&h, PROGRESS);
    ck_assert_uint_eq(h.sent->progress->round, 1);
    ck_assert_str_eq(h.sent->progress->phase, "train");
    told(h.sent->progress->device, on_battery);
    wake(&h);
    ck_assert_sent(&h, PROGRESS); /* once is enough */
    ck_assert_ptr_null(h.sent->progress->device);
    teardown(&h);
}
END_TEST

START_TEST(clients_that_wait_tell_it_too)
{
    struct harness h;
    start(&h, (enum trib_session_state)_i);
    h.now += 120000;
    tick(&h);
    look(&h, on_battery);
    while (!h.sent) {
        wake(&h);
    }
    ck_assert_sent(&h, PROGRESS);
    told(h.sent->progress->device, on_battery);
    ck_assert_state(&h, (enum trib_session_state)_i);
    teardown(&h);
}
END_TEST

START_TEST(a_step_of_the_battery_is_not_told)
{
    struct harness h;
    start(&h, TRIB_STATE_IDLE);
    h.now += 120000;
    look(&h, on_battery);
    wake(&h);
    ck_assert_sent(&h, PROGRESS);
    h.now += 120000;
    look(&h, (struct trib_device){.on_battery = true, .battery_percent = 58});
    ck_assert_int_eq(trib_session_wake_ms(h.session), INT64_MAX);
    look(&h, (struct trib_device){.on_battery = true, .battery_percent = 55});
    wake(&h);
    ck_assert_sent(&h, PROGRESS);
    ck_assert_uint_eq(h.sent->progress->device->battery_percent, 55);
    teardown(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_device");
    TCase *tests = tcase_create("session_device");
    tcase_add_test(tests, hello_tells_of_the_device);
    tcase_add_test(tests, the_first_hello_tells_what_was_known_at_the_start);
    tcase_add_test(tests, idle_clients_tell_what_has_changed);
    tcase_add_test(tests, a_flapping_device_is_told_of_once_a_minute);
    tcase_add_test(tests, busy_clients_tell_it_with_their_progress);
    tcase_add_loop_test(tests, clients_that_wait_tell_it_too, TRIB_STATE_OFFERED, TRIB_STATE_UPLOADING);
    tcase_add_loop_test(tests, clients_that_wait_tell_it_too, TRIB_STATE_WAITING_OUTCOME, TRIB_STATE_DONE);
    tcase_add_test(tests, a_step_of_the_battery_is_not_told);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
