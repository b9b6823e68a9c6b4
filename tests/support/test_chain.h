/* One block through a chain, for the tests of single stages. */
#ifndef TRIB_TEST_CHAIN_H
#define TRIB_TEST_CHAIN_H

#include "codec/chain.h"

#include "base/rng.h"

#include <check.h>
#include <stdlib.h>

struct test_coded {
    struct trib_chain chain;
    uint8_t *bytes; /* in a block of their exact length, so that a sanitizer sees what reads beyond */
    size_t len;
};

static inline void test_coded_clear(struct test_coded *coded)
{
    free(coded->bytes);
    *coded = (struct test_coded){0};
}

/* As a stage's arguments are read: the chain, or why not. */
static inline enum trib_status test_chain_parse(const char *text, struct trib_error *error)
{
    struct trib_chain chain;
    *error = (struct trib_error){0};
    return trib_chain_parse(text, &chain, error);
}

/* One for all calls: allocating it would take most of a test's time. */
static inline struct trib_chain_work *test_chain_work(void)
{
    static struct trib_chain_work *work;
    if (!work) {
        work = trib_chain_work_new();
    }
    ck_assert_ptr_nonnull(work);
    return work;
}

/* Whatever happens, test_coded_clear follows. */
static inline enum trib_status test_encode(const char *text, uint64_t seed, const float *values, size_t n,
                                           struct test_coded *coded)
{
    struct trib_error error = {0};
    *coded = (struct test_coded){0};
    ck_assert_msg(trib_chain_parse(text, &coded->chain, &error) == TRIB_OK, "%s: %s", text, error.message);
    uint8_t *room = malloc(trib_chain_bound(n));
    ck_assert_ptr_nonnull(room);
    enum trib_status status = trib_chain_encode_block(&coded->chain, NULL, test_chain_work(), seed, 3, values, n, room,
                                                      trib_chain_bound(n), &coded->len);
    coded->bytes = status == TRIB_OK ? realloc(room, coded->len) : room;
    ck_assert_ptr_nonnull(coded->bytes);
    return status;
}

static inline enum trib_status test_decode(const struct test_coded *coded, uint64_t seed, float *back, size_t n)
{
    return trib_chain_decode_block(&coded->chain, test_chain_work(), seed, 3, coded->bytes, coded->len, back, n);
}

/* There and back; the length on the wire. */
static inline size_t test_there_and_back(const char *text, uint64_t seed, const float *values, float *back, size_t n)
{
    struct test_coded coded;
    ck_assert_int_eq(test_encode(text, seed, values, n, &coded), TRIB_OK);
    ck_assert_int_eq(test_decode(&coded, seed, back, n), TRIB_OK);
    size_t len = coded.len;
    test_coded_clear(&coded);
    return len;
}

static inline void test_gaussian(uint64_t seed, float *values, size_t n)
{
    struct trib_rng rng = trib_rng_init(seed, "gaussian", 0, 0);
    for (size_t i = 0; i < n; i++) {
        values[i] = (float)trib_rng_normal(&rng);
    }
}

static inline double test_squares(const float *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)values[i] * (double)values[i];
    }
    return sum;
}

/* The squared error by the squared norm. */
static inline double test_nmse(const float *values, const float *back, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double off = (double)back[i] - (double)values[i];
        sum += off * off;
    }
    return sum / test_squares(values, n);
}

#endif
