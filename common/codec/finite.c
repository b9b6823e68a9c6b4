/* Floats are examined as integers: an exponent of all ones is nan or infinity. */
#include "finite.h"

#include "base/clones.h"

#include <stdint.h>
#include <string.h>

/* An exponent of all ones is nan or infinity. On the bits, so that no arithmetic mode of the processor matters; without
 * an early exit, so that the loop vectorises. */
TRIB_CLONES bool trib_all_finite(const float *values, size_t n)
{
    const uint32_t exponent = UINT32_C(0x7f800000);
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bad |= (bits & exponent) == exponent;
    }
    return bad == 0;
}
