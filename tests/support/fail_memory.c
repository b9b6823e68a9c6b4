/* The functions that the linker puts in front of the real trib_malloc and its kin: they count, and fail when it is
 * their turn. Any thread. */
#include "fail_memory.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

/* `countdown` is negative when nothing is to fail. */
static struct {
    atomic_int_fast64_t counted, countdown, live;
    atomic_bool sticky;
    atomic_bool failing; /* a sticky failure has begun */
    _Atomic(bool (*)(void)) ask;
} memory = {.countdown = -1};

/* Count one allocation; true when it is to fail. */
static bool fails(void)
{
    bool (*ask)(void) = atomic_load_explicit(&memory.ask, memory_order_relaxed);
    if (ask) {
        return ask();
    }
    atomic_fetch_add_explicit(&memory.counted, 1, memory_order_relaxed);
    if (atomic_load_explicit(&memory.failing, memory_order_relaxed)) {
        return true;
    }
    if (atomic_load_explicit(&memory.countdown, memory_order_relaxed) < 0 ||
        atomic_fetch_sub_explicit(&memory.countdown, 1, memory_order_relaxed) != 0) {
        return false;
    }
    if (atomic_load_explicit(&memory.sticky, memory_order_relaxed)) {
        atomic_store_explicit(&memory.failing, true, memory_order_relaxed);
    }
    return true;
}

int64_t fail_memory_after(int64_t after, bool sticky)
{
    atomic_store(&memory.countdown, -1);
    atomic_store(&memory.failing, false);
    atomic_store(&memory.sticky, sticky);
    int64_t counted = atomic_exchange(&memory.counted, 0);
    if (after >= 0) {
        atomic_store(&memory.countdown, after);
    }
    return counted;
}

void fail_memory_ask(bool (*ask)(void))
{
    atomic_store(&memory.ask, ask);
}

int64_t fail_memory_live(void)
{
    return atomic_load(&memory.live);
}

void *__real_trib_malloc(size_t size);
void *__real_trib_calloc(size_t count, size_t size);
void *__real_trib_realloc_array(void *old, size_t count, size_t size);
void *__real_trib_malloc_aligned(size_t count, size_t size);
char *__real_trib_strdup(const char *text);
char *__real_trib_strndup(const char *text, size_t len);
void __real_trib_free(void *block);
void *__wrap_trib_malloc(size_t size);
void *__wrap_trib_calloc(size_t count, size_t size);
void *__wrap_trib_realloc_array(void *old, size_t count, size_t size);
void *__wrap_trib_malloc_aligned(size_t count, size_t size);
char *__wrap_trib_strdup(const char *text);
char *__wrap_trib_strndup(const char *text, size_t len);
char *__wrap_trib_asprintf(const char *format, ...) TRIB_PRINTF(1, 2);
void __wrap_trib_free(void *block);

static void *counted(void *block)
{
    atomic_fetch_add(&memory.live, block ? 1 : 0);
    return block;
}

void *__wrap_trib_malloc(size_t size)
{
    return fails() ? NULL : counted(__real_trib_malloc(size));
}

void *__wrap_trib_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__real_trib_calloc(count, size));
}

void *__wrap_trib_realloc_array(void *old, size_t count, size_t size)
{
    bool is_new = !old;
    void *block = fails() ? NULL : __real_trib_realloc_array(old, count, size);
    return is_new ? counted(block) : block;
}

void *__wrap_trib_malloc_aligned(size_t count, size_t size)
{
    return fails() ? NULL : counted(__real_trib_malloc_aligned(count, size));
}

char *__wrap_trib_strdup(const char *text)
{
    return fails() ? NULL : counted(__real_trib_strdup(text));
}

char *__wrap_trib_strndup(const char *text, size_t len)
{
    return fails() ? NULL : counted(__real_trib_strndup(text, len));
}

char *__wrap_trib_asprintf(const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    char *text = len < 0 || fails() ? NULL : counted(__real_trib_malloc((size_t)len + 1));
    if (text) {
        (void)vsnprintf(text, (size_t)len + 1, format, again);
    }
    va_end(again);
    va_end(arguments);
    return text;
}

void __wrap_trib_free(void *block)
{
    atomic_fetch_sub(&memory.live, block ? 1 : 0);
    __real_trib_free(block);
}
