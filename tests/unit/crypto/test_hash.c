/* SHA-256 against the vectors of FIPS 180-4. */
#include "base/mem.h"
#include "base/str.h"
#include "crypto/hash.h"
#include "fail_memory.h"
#include "test_main.h"

#include <string.h>

static const char abc_hex[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char empty_hex[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static void expect_hex(const uint8_t digest[TRIB_SHA256_LEN], const char *expected)
{
    char hex[2 * TRIB_SHA256_LEN + 1];
    trib_hex_encode(digest, TRIB_SHA256_LEN, hex);
    ck_assert_str_eq(hex, expected);
}

START_TEST(known_messages_give_their_digests)
{
    static const struct {
        const char *text, *hex;
    } known[] = {
        {"", empty_hex},
        {"abc", abc_hex},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint8_t digest[TRIB_SHA256_LEN];
        ck_assert_int_eq(trib_sha256(known[i].text, strlen(known[i].text), digest), TRIB_OK);
        expect_hex(digest, known[i].hex);
    }
}
END_TEST

START_TEST(a_million_bytes_in_uneven_pieces)
{
    static char bytes[1000000];
    memset(bytes, 'a', sizeof bytes);
    struct trib_sha256 *hash = trib_sha256_new();
    ck_assert_ptr_nonnull(hash);
    size_t piece = 1;
    for (size_t at = 0; at < sizeof bytes;) {
        size_t len = sizeof bytes - at < piece ? sizeof bytes - at : piece;
        ck_assert_int_eq(trib_sha256_add(hash, bytes + at, len), TRIB_OK);
        at += len;
        piece = piece * 3 % 1021 + 1;
    }
    uint8_t digest[TRIB_SHA256_LEN];
    ck_assert_int_eq(trib_sha256_finish(hash, digest), TRIB_OK);
    expect_hex(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    trib_sha256_free(hash);
}
END_TEST

START_TEST(a_finished_hash_starts_anew)
{
    struct trib_sha256 *hash = trib_sha256_new();
    uint8_t digest[TRIB_SHA256_LEN];
    ck_assert_int_eq(trib_sha256_finish(hash, digest), TRIB_OK);
    expect_hex(digest, empty_hex);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(trib_sha256_add(hash, "abc", 3), TRIB_OK);
        ck_assert_int_eq(trib_sha256_add(hash, NULL, 0), TRIB_OK);
        ck_assert_int_eq(trib_sha256_finish(hash, digest), TRIB_OK);
        expect_hex(digest, abc_hex);
    }
    trib_sha256_free(hash);
    trib_sha256_free(NULL);
}
END_TEST

START_TEST(short_memory_is_reported)
{
    uint8_t digest[TRIB_SHA256_LEN];
    (void)fail_memory_after(0, true);
    struct trib_sha256 *hash = trib_sha256_new();
    enum trib_status status = trib_sha256("abc", 3, digest);
    (void)fail_memory_after(-1, false);
    ck_assert_ptr_null(hash);
    ck_assert_int_eq(status, TRIB_NO_MEMORY);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hash");
    TCase *tcase = tcase_create("hash");
    tcase_add_test(tcase, known_messages_give_their_digests);
    tcase_add_test(tcase, a_million_bytes_in_uneven_pieces);
    tcase_add_test(tcase, a_finished_hash_starts_anew);
    tcase_add_test(tcase, short_memory_is_reported);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
