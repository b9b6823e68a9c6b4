/* Allocation: every size checked for overflow, every failure reported, never an abort.
 *
 * All blocks allocate through these functions, so that tests can put failing ones in front of them. Any thread. */
#ifndef TRIB_BASE_MEM_H
#define TRIB_BASE_MEM_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Return NULL when memory is short or the size overflows; size 0 gives a unique, freeable pointer. */
void *trib_malloc(size_t size) __attribute__((malloc));
void *trib_calloc(size_t count, size_t size) __attribute__((malloc));
void *trib_realloc_array(void *old, size_t count, size_t size); /* on failure `old` is untouched */
/* Aligned to 64 bytes (a cache line, an AVX-512 register); freed with trib_free as well. */
void *trib_malloc_aligned(size_t count, size_t size) __attribute__((malloc));
char *trib_strdup(const char *text) __attribute__((malloc));
char *trib_strndup(const char *text, size_t len) __attribute__((malloc));
char *trib_asprintf(const char *format, ...) TRIB_PRINTF(1, 2);
void trib_free(void *block); /* NULL is allowed */

/* Give the whole pages inside a block back to the kernel now; the block stays allocated, its content is undefined. For
 * large arrays that are consumed from front to back while another one grows. */
void trib_mem_discard(void *block, size_t len);

/* a*b and a+b in size_t; false on overflow, and then *result is unchanged. */
TRIB_MUST_CHECK bool trib_size_mul(size_t a, size_t b, size_t *result);
TRIB_MUST_CHECK bool trib_size_add(size_t a, size_t b, size_t *result);

/* Keep freed blocks of up to 32 MiB for reuse, so that buffers of a model's chunk size do not page-fault each time, and
 * bound the number of malloc's arenas; called once by each daemon's main, before threads start. */
void trib_mem_tune_daemon(void);

/* Give back to the system what is freed but kept. It takes a while: for when much was freed at once. */
void trib_mem_trim(void);

#define trib_fail_no_memory(error) trib_fail((error), TRIB_NO_MEMORY, "out of memory")

#endif
