/* Parts by client number. */
#include "journal/parts.h"

#include "base/mem.h"
#include "fail_memory.h"
#include "test_main.h"

START_TEST(they_are_made_once_and_keep_their_place)
{
    struct trib_parts parts = {0};
    ck_assert_ptr_null(trib_parts_of(&parts, 0));
    struct trib_part *seventh = trib_parts_make(&parts, 7);
    ck_assert_ptr_nonnull(seventh);
    seventh->lies = 3;
    seventh->sketch = trib_malloc(4);
    struct trib_part *far = trib_parts_make(&parts, 5000);
    ck_assert_ptr_nonnull(far);
    ck_assert_ptr_eq(trib_parts_of(&parts, 7), seventh);
    ck_assert_ptr_eq(trib_parts_make(&parts, 7), seventh);
    ck_assert_uint_eq(trib_parts_of(&parts, 7)->lies, 3);
    ck_assert_uint_eq(far->lies, 0);
    ck_assert_ptr_null(trib_parts_of(&parts, 8));
    ck_assert_ptr_null(trib_parts_of(&parts, UINT32_MAX));
    trib_part_forget_sketch(seventh);
    ck_assert_ptr_null(seventh->sketch);
    trib_part_forget_sketch(NULL);
    trib_parts_clear(&parts);
    ck_assert_ptr_null(trib_parts_of(&parts, 7));
}
END_TEST

START_TEST(short_memory_leaves_them_as_they_were)
{
    struct trib_parts parts = {0};
    struct trib_part *first = trib_parts_make(&parts, 0);
    for (int64_t nth = 0; nth < 2; nth++) {
        (void)fail_memory_after(nth, false);
        struct trib_part *made = trib_parts_make(&parts, 1000 + (uint32_t)nth);
        (void)fail_memory_after(-1, false);
        ck_assert_ptr_null(made);
        ck_assert_ptr_eq(trib_parts_of(&parts, 0), first);
    }
    trib_parts_clear(&parts);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parts");
    TCase *tcase = tcase_create("parts");
    tcase_add_test(tcase, they_are_made_once_and_keep_their_place);
    tcase_add_test(tcase, short_memory_leaves_them_as_they_were);
    suite_add_tcase(suite, tcase);
    return trib_test_run(suite);
}
