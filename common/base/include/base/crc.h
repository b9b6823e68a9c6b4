/* CRC-32C (Castagnoli, as in iSCSI and ext4), with the SSE4.2/ARMv8 instruction where there is one. Any thread. */
#ifndef TRIB_BASE_CRC_H
#define TRIB_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Start with crc = 0; feed pieces in order. trib_crc32c(0, "123456789", 9) is 0xe3069283. */
uint32_t trib_crc32c(uint32_t crc, const void *bytes, size_t len);

#endif
