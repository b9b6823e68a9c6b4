/* Allocation with checked sizes. Any thread. */
#include "base/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CACHE_LINE = 64 };

bool trib_size_mul(size_t a, size_t b, size_t *result)
{
    size_t product = 0;
    if (__builtin_mul_overflow(a, b, &product)) {
        return false;
    }
    *result = product;
    return true;
}

bool trib_size_add(size_t a, size_t b, size_t *result)
{
    size_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *result = sum;
    return true;
}

/* Above PTRDIFF_MAX pointer differences break, and sanitizers stop the program instead of returning NULL. */
static bool size_is_sane(size_t size)
{
    return size <= (size_t)PTRDIFF_MAX;
}

void *trib_malloc(size_t size)
{
    if (!size_is_sane(size)) {
        return NULL;
    }
    return malloc(size > 0 ? size : 1);
}

void *trib_calloc(size_t count, size_t size)
{
    size_t total = 0;
    if (!trib_size_mul(count, size, &total) || !size_is_sane(total)) {
        return NULL;
    }
    return calloc(1, total > 0 ? total : 1);
}

void *trib_realloc_array(void *old, size_t count, size_t size)
{
    size_t total = 0;
    if (!trib_size_mul(count, size, &total) || !size_is_sane(total)) {
        return NULL;
    }
    return realloc(old, total > 0 ? total : 1);
}

void *trib_malloc_aligned(size_t count, size_t size)
{
    size_t total = 0;
    if (!trib_size_mul(count, size, &total) || !trib_size_add(total, CACHE_LINE - 1, &total)) {
        return NULL;
    }
    total -= total % CACHE_LINE;
    if (!size_is_sane(total)) {
        return NULL;
    }
    return aligned_alloc(CACHE_LINE, total > 0 ? total : CACHE_LINE);
}

char *trib_strndup(const char *text, size_t len)
{
    size_t kept = strnlen(text, len);
    char *copy = trib_malloc(kept + 1);
    if (copy) {
        memcpy(copy, text, kept);
        copy[kept] = '\0';
    }
    return copy;
}

char *trib_strdup(const char *text)
{
    return trib_strndup(text, strlen(text));
}

char *trib_asprintf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (len < 0) {
        return NULL;
    }
    size_t size = (size_t)len + 1;
    char *text = trib_malloc(size);
    if (text) {
        va_start(arguments, format);
        vsnprintf(text, size, format, arguments);
        va_end(arguments);
    }
    return text;
}

void trib_mem_discard(void *block, size_t len)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)block + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)block + len) & ~(page - 1);
    if (end > first) {
        /* a refusal costs memory, nothing else */
        (void)madvise((uint8_t *)block + (first - (uintptr_t)block), end - first, MADV_DONTNEED);
    }
}

void trib_free(void *block)
{
    free(block);
}

void trib_mem_tune_daemon(void)
{
#ifdef __GLIBC__
    /* By default a block of 128 KiB or more is mapped and unmapped each time, so that every chunk of a model pays
     * for 256 page faults. 32 MiB is the most that glibc takes as a threshold. */
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    /* Each arena keeps its own free memory; many threads would otherwise keep many chunks' worth. */
    mallopt(M_ARENA_MAX, 4);
#endif
}

void trib_mem_trim(void)
{
    malloc_trim(0);
}
