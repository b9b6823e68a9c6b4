/* Chains as texts and as the numbers of a frame: what makes one, and what the refusal of everything else says. */
#include "codec/chain.h"

#include "test_main.h"

#include <string.h>

static struct trib_error error;
static struct trib_chain chain;

static void refuse(const char *text, enum trib_status status, const char *words)
{
    error.message[0] = '\0';
    memset(&chain, 0x5a, sizeof chain);
    struct trib_chain before = chain;
    ck_assert_msg(trib_chain_parse(text, &chain, &error) == status, "%s: %s", text, error.message);
    ck_assert_msg(strstr(error.message, words), "%s: %s", text, error.message);
    ck_assert_mem_eq(&chain, &before, sizeof chain);
}

START_TEST(a_text_that_is_no_chain_says_why)
{
    refuse("f33", TRIB_UNSUPPORTED, "codec \"f33\" is not known, did you mean \"f32\"?");
    refuse("wavelets", TRIB_UNSUPPORTED, "codec \"wavelets\" is not known; known are f32, f16");
    refuse("", TRIB_UNSUPPORTED, "codec \"\" is not known");
    refuse("f16|", TRIB_UNSUPPORTED, "codec \"\" is not known");
    refuse("f32|f16", TRIB_INVALID, "f32 and f16 are both a quantiser");
    refuse("f16|topk:1%", TRIB_INVALID, "topk (sparsifier) cannot follow f16 (quantiser)");
    refuse("topk:1%|rotate|f16", TRIB_INVALID, "rotate (transform) cannot follow topk");
    refuse("rotate", TRIB_INVALID, "no quantiser");
    refuse("topk:1%|range", TRIB_INVALID, "no quantiser");
    refuse("rotate|topk:1%|f16", TRIB_INVALID, "topk picks single large values, which rotate spreads over all");
    refuse("f16:1", TRIB_INVALID, "f16: too many arguments; write f16");
    refuse("q8:1,2,3,4,5,6,7,8,9", TRIB_INVALID, "q8: too many arguments; write q8[:GROUP]");
    refuse("f16|f16|f16|f16|f16|f16|f16|f16|f16", TRIB_INVALID, "at most 8 stages");
    refuse("lloyd", TRIB_INVALID, "lloyd: needs a number of bits; write lloyd:BITS[,unbiased]");
    refuse("lloyd:2,biased", TRIB_INVALID, "\"biased\" is not known");
    refuse("topk|f16", TRIB_INVALID, "topk: ");
    refuse("grid:4", TRIB_INVALID, "grid: needs two arguments");
    refuse("rotate|ternary:1%", TRIB_INVALID, "ternary: ");
    refuse("topk:1%|ternary:1%", TRIB_INVALID, "ternary: ");
}
END_TEST

START_TEST(a_text_of_any_length_is_bounded)
{
    char text[4 * TRIB_CHAIN_TEXT];
    memset(text, 'f', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    refuse(text, TRIB_INVALID, "at most 127 letters");
    memset(text, ' ', sizeof text - 1); /* blanks do not count */
    memcpy(text + sizeof text - 4, "f32", 3);
    ck_assert_int_eq(trib_chain_parse(text, &chain, &error), TRIB_OK);
    ck_assert_str_eq(chain.text, "f32");
}
END_TEST

START_TEST(numbers_that_make_no_chain_are_corrupt)
{
    static const struct {
        uint8_t ids[TRIB_CHAIN_STAGES + 1];
        size_t n;
        enum trib_status status;
        const char *words;
    } wrong[] = {
        {{0}, 0, TRIB_CORRUPT, "0 codec stages; 1 to 8 are possible"},
        {{1, 1, 1, 1, 1, 1, 1, 1, 1}, 9, TRIB_CORRUPT, "9 codec stages"},
        {{99}, 1, TRIB_UNSUPPORTED, "codec stage number 99 is not known"},
        {{0}, 1, TRIB_UNSUPPORTED, "codec stage number 0 is not known"},
        {{1, 2}, 2, TRIB_CORRUPT, "are both a quantiser"},
        {{16, 1}, 2, TRIB_CORRUPT, "f32 (quantiser) cannot follow range"},
        {{2, 13}, 2, TRIB_CORRUPT, "topk (sparsifier) cannot follow f16"},
        {{5}, 1, TRIB_CORRUPT, "no quantiser"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        error.message[0] = '\0';
        enum trib_status status = trib_chain_from_ids(wrong[i].ids, wrong[i].n, &chain, &error);
        ck_assert_msg(status == wrong[i].status, "%zu: %s", i, error.message);
        ck_assert_msg(strstr(error.message, wrong[i].words), "%zu: %s", i, error.message);
    }
}
END_TEST

START_TEST(chains_compare_by_their_stages)
{
    struct trib_chain two, again;
    static char range[] = "range", uniform[] = "uniform", f16[] = "f16";
    char *all[] = {f16, range, uniform};
    ck_assert_int_eq(trib_chain_parse("uniform:2|range", &chain, &error), TRIB_OK);
    ck_assert_int_eq(trib_chain_parse("uniform:3", &two, &error), TRIB_OK);
    ck_assert_int_eq(trib_chain_parse("uniform:4|range", &again, &error), TRIB_OK);
    ck_assert(!trib_chain_same_stages(&chain, &two));
    ck_assert(trib_chain_same_stages(&chain, &again));
    ck_assert_int_eq(trib_chain_parse("uniform:4|zstd", &again, &error), TRIB_OK);
    ck_assert(!trib_chain_same_stages(&chain, &again));
    ck_assert_ptr_null(trib_chain_lacks(&chain, all, 3));
    ck_assert_str_eq(trib_chain_lacks(&chain, all, 2), "uniform");
    ck_assert_str_eq(trib_chain_lacks(&chain, NULL, 0), "uniform");
    ck_assert_str_eq(trib_chain_lacks(&again, all, 3), "zstd");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chain");
    TCase *tests = tcase_create("chain");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_text_that_is_no_chain_says_why);
    tcase_add_test(tests, a_text_of_any_length_is_bounded);
    tcase_add_test(tests, numbers_that_make_no_chain_are_corrupt);
    tcase_add_test(tests, chains_compare_by_their_stages);
    suite_add_tcase(suite, tests);
    return trib_test_run(suite);
}
