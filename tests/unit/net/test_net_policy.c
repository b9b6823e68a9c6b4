/* The TLS policy beside an administrator's own: what openssl.cnf says of every connection still holds, and TLS below
 * 1.3 is off whatever it says. A program of its own: the policy is read once a process. */
#include "net_fixture.h"
#include "test_main.h"

#include <openssl/ssl.h>
#include <stdlib.h>

static const char config[] = "openssl_conf = tributary_test\n"
                             "[tributary_test]\nssl_conf = modules\n"
                             "[modules]\nsystem_default = administrator\n"
                             "[administrator]\n"
                             "Ciphersuites = TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256\n"
                             "MinProtocol = TLSv1.2\n";

static void set_up(void)
{
    char path[320];
    make_certs();
    FILE *out = test_certs_open(certs, "openssl.cnf", "", 0600);
    ck_assert_uint_eq(fwrite(config, 1, sizeof config - 1, out), sizeof config - 1);
    fclose(out);
    (void)test_certs_path(certs, "openssl.cnf", path, sizeof path);
    setenv("OPENSSL_CONF", path, 1);
}

START_TEST(the_administrators_settings_hold_and_ours_come_after)
{
    struct trib_error error = {.message = ""};
    struct trib_net_tls tls = tls_of("ca.crt", "server");
    ck_assert_msg(trib_net_tls_check(&tls, true, &error) == TRIB_OK, "%s", error.message);
    trib_net_init();
    struct trib_net_channel *channel = NULL;
    struct trib_net_limits limits;
    trib_net_limits_default(&limits);
    ck_assert_msg(trib_net_channel_new("localhost:1", NULL, &tls, &limits, &channel, &error) == TRIB_OK, "%s",
                  error.message);
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    ck_assert_ptr_nonnull(context);
    ck_assert(SSL_CTX_get_options(context) & SSL_OP_NO_TLSv1_2);
    ck_assert(!(SSL_CTX_get_options(context) & SSL_OP_NO_TLSv1_3));
    int suites = 0;
    STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(context);
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        suites += strcmp(SSL_CIPHER_get_version(sk_SSL_CIPHER_value(ciphers, i)), "TLSv1.3") == 0;
    }
    ck_assert_int_eq(suites, 2);
    SSL_CTX_free(context);
    trib_net_channel_free(channel);
    trib_net_shutdown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net_policy");
    TCase *tests = tcase_create("net_policy");
    tcase_add_unchecked_fixture(tests, set_up, remove_certs);
    tcase_add_test(tests, the_administrators_settings_hold_and_ours_come_after);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
