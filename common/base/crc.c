/* CRC-32C: polynomial 0x1edc6f41, reflected 0x82f63b78. Any thread; the choice of kernel is made once.
 * TRIB_CRC_PORTABLE leaves the tables only, for their test. */
#include "base/crc.h"
#include "base/buf.h"

#include <pthread.h>
#include <string.h>

#if defined(__x86_64__) && !defined(TRIB_CRC_PORTABLE)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32) && !defined(TRIB_CRC_PORTABLE)
#include <arm_acle.h>
#endif

typedef uint32_t crc_kernel(uint32_t state, const uint8_t *at, size_t len);

static uint32_t tables[8][256]; /* tables[k][b]: byte b followed by k zero bytes */
static crc_kernel *kernel;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
        }
        tables[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t crc = tables[k - 1][byte];
            tables[k][byte] = (crc >> 8) ^ tables[0][crc & 0xff];
        }
    }
}

/* Slicing by 8: Kounavis and Berry (2005). */
static uint32_t crc_by_tables(uint32_t state, const uint8_t *at, size_t len)
{
    for (; len >= 8; len -= 8, at += 8) {
        uint32_t low = state ^ trib_load_u32(at);
        uint32_t high = trib_load_u32(at + 4);
        state = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^ tables[5][(low >> 16) & 0xff] ^
                tables[4][low >> 24] ^ tables[3][high & 0xff] ^ tables[2][(high >> 8) & 0xff] ^
                tables[1][(high >> 16) & 0xff] ^ tables[0][high >> 24];
    }
    for (; len > 0; len--, at++) {
        state = (state >> 8) ^ tables[0][(state ^ *at) & 0xff];
    }
    return state;
}

#if defined(__x86_64__) && !defined(TRIB_CRC_PORTABLE)
/* The instruction answers after three cycles but starts anew in each: three stripes side by side keep it busy. A state
 * moves past the stripes behind it by the effect of their length in zero bytes, which is linear in its bits. */
enum { STRIPE_LEN = 4096 };
static uint32_t past_stripe[4][256]; /* what byte k of a state becomes after STRIPE_LEN zero bytes */

static void fill_past_stripe(void)
{
    static const uint8_t zeros[STRIPE_LEN];
    uint32_t of_bit[32];
    for (int bit = 0; bit < 32; bit++) {
        of_bit[bit] = crc_by_tables((uint32_t)1 << bit, zeros, STRIPE_LEN);
    }
    for (int k = 0; k < 4; k++) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            for (int bit = 0; bit < 8; bit++) {
                past_stripe[k][byte] ^= (byte >> bit & 1) != 0 ? of_bit[8 * k + bit] : 0;
            }
        }
    }
}

static uint32_t move_past_stripe(uint32_t state)
{
    return past_stripe[0][state & 0xff] ^ past_stripe[1][(state >> 8) & 0xff] ^ past_stripe[2][(state >> 16) & 0xff] ^
           past_stripe[3][state >> 24];
}

static uint64_t word_at(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

__attribute__((target("sse4.2"))) static uint32_t crc_by_sse42(uint32_t state, const uint8_t *at, size_t len)
{
    for (; len >= 3 * STRIPE_LEN; len -= 3 * STRIPE_LEN, at += 3 * STRIPE_LEN) {
        uint64_t first = state, second = 0, third = 0;
        for (size_t i = 0; i < STRIPE_LEN; i += 8) {
            first = _mm_crc32_u64(first, word_at(at + i));
            second = _mm_crc32_u64(second, word_at(at + STRIPE_LEN + i));
            third = _mm_crc32_u64(third, word_at(at + 2 * STRIPE_LEN + i));
        }
        state = move_past_stripe((uint32_t)first) ^ (uint32_t)second;
        state = move_past_stripe(state) ^ (uint32_t)third;
    }
    uint64_t wide = state;
    for (; len >= 8; len -= 8, at += 8) {
        wide = _mm_crc32_u64(wide, word_at(at));
    }
    state = (uint32_t)wide;
    for (; len > 0; len--, at++) {
        state = _mm_crc32_u8(state, *at);
    }
    return state;
}
#elif defined(__ARM_FEATURE_CRC32) && !defined(TRIB_CRC_PORTABLE)
static uint32_t crc_by_arm(uint32_t state, const uint8_t *at, size_t len)
{
    for (; len >= 8; len -= 8, at += 8) {
        state = __crc32cd(state, trib_load_u64(at));
    }
    for (; len > 0; len--, at++) {
        state = __crc32cb(state, *at);
    }
    return state;
}
#endif

static void choose_kernel(void)
{
    fill_tables();
    kernel = crc_by_tables;
#if defined(__x86_64__) && !defined(TRIB_CRC_PORTABLE)
    if (__builtin_cpu_supports("sse4.2")) {
        fill_past_stripe();
        kernel = crc_by_sse42;
    }
#elif defined(__ARM_FEATURE_CRC32) && !defined(TRIB_CRC_PORTABLE)
    kernel = crc_by_arm;
#endif
}

uint32_t trib_crc32c(uint32_t crc, const void *bytes, size_t len)
{
    pthread_once(&once, choose_kernel);
    return ~kernel(~crc, bytes, len);
}
