/* Certificates and hashes while OpenSSL's own memory runs out, allocation by allocation: an error that is said, and
 * nothing worse. A program of its own: OpenSSL's allocator can be set only before its first use. */
#include "net_fixture.h"
#include "test_main.h"

#include <openssl/crypto.h>
#include <stdlib.h>

enum { MOST = 100000 };

/* Each of the first hundred, then fewer and fewer: one scenario makes thousands. */
static int next_after(int n)
{
    return n + 1 + n / 100;
}

static long countdown = -1; /* allocations before the one that fails; negative: none fails */
static bool fired;

static bool may_allocate(void)
{
    if (countdown < 0) {
        return true;
    }
    if (countdown-- > 0) {
        return true;
    }
    fired = true;
    return false;
}

static void *ssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return may_allocate() ? malloc(size) : NULL;
}

static void *ssl_realloc(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return may_allocate() ? realloc(old, size) : NULL;
}

static void ssl_free(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    free(block);
}

static enum trib_status check_server(struct trib_error *error)
{
    struct trib_net_tls tls = tls_of("ca.crt", "server");
    return trib_net_tls_check(&tls, true, error);
}

static enum trib_status check_client(struct trib_error *error)
{
    struct trib_net_tls tls = tls_of("both.crt", "boat-7");
    return trib_net_tls_check(&tls, false, error);
}

static enum trib_status read_identity(struct trib_error *error)
{
    char identity[64];
    TRIB_TRY(trib_net_identity_of(in_certs("boat-7.crt"), identity, sizeof identity, error));
    return strcmp(identity, "boat-7") == 0 ? TRIB_OK : trib_fail(error, TRIB_DENIED, "another name: %s", identity);
}

static enum trib_status (*const scenarios[])(struct trib_error *error) = {check_server, check_client, read_identity};

START_TEST(openssls_memory_may_run_out_anywhere)
{
    struct trib_error error = {.message = ""};
    int n = 0, failed = 0;
    ck_assert_msg(scenarios[_i](&error) == TRIB_OK, "%s", error.message);
    for (; n < MOST; n = next_after(n)) {
        error.message[0] = '\0';
        fired = false;
        countdown = n;
        enum trib_status status = scenarios[_i](&error);
        countdown = -1;
        failed += status != TRIB_OK;
        ck_assert_msg(status == TRIB_OK || (fired && error.message[0] != '\0'), "allocation %d: %s", n, error.message);
        if (!fired) {
            break;
        }
    }
    printf("%d allocations at most, %d failures\n", n, failed);
    ck_assert(n < MOST && failed > 0);
    ck_assert_msg(scenarios[_i](&error) == TRIB_OK, "%s", error.message);
}
END_TEST

START_TEST(no_certificate_becomes_good_for_want_of_memory)
{
    static const char *const nodes[] = {"foreign", "expired", "early", "sayer"};
    struct trib_net_tls tls = tls_of("ca.crt", nodes[_i]);
    struct trib_error error = {.message = ""};
    int n = 0;
    do {
        fired = false;
        countdown = n;
        n = next_after(n);
        enum trib_status status = trib_net_tls_check(&tls, false, &error);
        countdown = -1;
        ck_assert_msg(status != TRIB_OK, "%s passes when an allocation before %d fails", nodes[_i], n);
    } while (fired && n < MOST);
    ck_assert_int_lt(n, MOST);
}
END_TEST

int main(void)
{
    if (CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free) != 1) {
        puts("OpenSSL has allocated already");
        return 1;
    }
    Suite *suite = suite_create("net_memory");
    TCase *tests = tcase_create("net_memory");
    tcase_add_unchecked_fixture(tests, make_certs, remove_certs);
    tcase_add_loop_test(tests, openssls_memory_may_run_out_anywhere, 0, (int)(sizeof scenarios / sizeof scenarios[0]));
    tcase_add_loop_test(tests, no_certificate_becomes_good_for_want_of_memory, 0, 4);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
