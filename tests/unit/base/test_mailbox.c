/* A mailbox keeps order, wakes its reader, and tells of letters through its descriptor. */
#include "base/mailbox.h"
#include "base/clock.h"

#include <check.h>
#include <poll.h>
#include <stdlib.h>

enum { WRITERS = 4, LETTERS = 2000 };

struct message {
    struct trib_letter letter; /* first */
    int writer, number;
};

static struct trib_mailbox mailbox;

static void *write_letters(void *context)
{
    struct message *messages = context;
    for (int i = 0; i < LETTERS; i++) {
        trib_mailbox_post(&mailbox, &messages[i].letter);
    }
    return NULL;
}

static void start_writers(struct message messages[WRITERS][LETTERS], pthread_t threads[WRITERS])
{
    for (int w = 0; w < WRITERS; w++) {
        for (int i = 0; i < LETTERS; i++) {
            messages[w][i] = (struct message){.writer = w, .number = i};
        }
        ck_assert_int_eq(pthread_create(&threads[w], NULL, write_letters, messages[w]), 0);
    }
}

static void check_order(const struct trib_letter *letter, int next[WRITERS])
{
    const struct message *message = (const void *)letter;
    ck_assert_int_eq(message->number, next[message->writer]++);
}

START_TEST(many_writers_one_reader)
{
    static struct message messages[WRITERS][LETTERS];
    pthread_t threads[WRITERS];
    int next[WRITERS] = {0}, n = 0;
    ck_assert_int_eq(trib_mailbox_init(&mailbox, false, NULL), TRIB_OK);
    start_writers(messages, threads);
    while (n < WRITERS * LETTERS) {
        struct trib_letter *letter = n % 2 ? trib_mailbox_wait(&mailbox) : trib_mailbox_take(&mailbox, INT64_MAX);
        ck_assert(letter);
        for (struct trib_letter *following; letter; letter = following) {
            following = letter->next;
            check_order(letter, next);
            n++;
        }
    }
    for (int w = 0; w < WRITERS; w++) {
        pthread_join(threads[w], NULL);
        ck_assert_int_eq(next[w], LETTERS);
    }
    ck_assert(!trib_mailbox_pop(&mailbox));
    ck_assert_int_eq(trib_mailbox_fd(&mailbox), -1);
    trib_mailbox_clear(&mailbox);
}
END_TEST

static bool is_readable(void)
{
    struct pollfd poller = {.fd = trib_mailbox_fd(&mailbox), .events = POLLIN};
    return poll(&poller, 1, 0) == 1;
}

START_TEST(the_descriptor_is_readable_while_letters_wait)
{
    struct trib_letter one, two;
    ck_assert_int_eq(trib_mailbox_init(&mailbox, true, NULL), TRIB_OK);
    ck_assert(!is_readable());
    trib_mailbox_post(&mailbox, &one);
    trib_mailbox_post(&mailbox, &two);
    ck_assert(is_readable());
    ck_assert_ptr_eq(trib_mailbox_pop(&mailbox), &one);
    ck_assert(is_readable());
    ck_assert_ptr_eq(trib_mailbox_pop(&mailbox), &two);
    ck_assert(!is_readable());
    trib_mailbox_post(&mailbox, &one);
    ck_assert_ptr_eq(trib_mailbox_take(&mailbox, 0), &one);
    ck_assert(!is_readable());
    trib_mailbox_clear(&mailbox);
}
END_TEST

START_TEST(waiting_ends)
{
    struct trib_letter one;
    ck_assert_int_eq(trib_mailbox_init(&mailbox, false, NULL), TRIB_OK);
    int64_t began_ms = trib_clock_ms();
    ck_assert(!trib_mailbox_take(&mailbox, began_ms + 5));
    ck_assert_int_ge(trib_clock_ms(), began_ms + 5);
    trib_mailbox_post(&mailbox, &one);
    trib_mailbox_close(&mailbox);
    ck_assert_ptr_eq(trib_mailbox_wait(&mailbox), &one); /* what is there is read first */
    ck_assert(!trib_mailbox_wait(&mailbox));
    ck_assert(!trib_mailbox_take(&mailbox, INT64_MAX));
    trib_mailbox_clear(&mailbox);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mailbox");
    TCase *tc = tcase_create("mailbox");
    tcase_add_test(tc, many_writers_one_reader);
    tcase_add_test(tc, the_descriptor_is_readable_while_letters_wait);
    tcase_add_test(tc, waiting_ends);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
