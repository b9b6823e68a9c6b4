/* Every listed stage has a complete table and stands in a row of conform_rows.h, so that the other programs of this
 * folder test it from the moment that it is listed. */
#include "conform_rows.h"

START_TEST(stage_is_complete)
{
    const struct trib_stage *const *list;
    ck_assert_uint_lt((size_t)_i, trib_stages(&list));
    const struct trib_stage *stage = list[_i];
    ck_assert_ptr_nonnull(stage->name);
    ck_assert_ptr_nonnull(stage->help);
    ck_assert_msg(trib_str_starts_with(stage->usage, stage->name), "%s: usage \"%s\"", stage->name, stage->usage);
    ck_assert(stage->width > 0 ? stage->pack && stage->unpack && !stage->encode : stage->encode && stage->open);
    ck_assert(stage->width > 0 || stage->kind == TRIB_STAGE_ENTROPY || stage->decode);
    ck_assert(stage->parse || !strchr(stage->usage, ':'));
    ck_assert_uint_ne(stage->id, 0); /* 0 fills the unused places in a frame */
    ck_assert_ptr_eq(trib_stage_find(stage->name), stage);
    ck_assert_ptr_eq(trib_stage_by_id(stage->id), stage);
    bool used = false;
    for (size_t r = 0; r < ROWS; r++) {
        struct trib_chain chain = chain_of(rows[r].text);
        for (unsigned i = 0; i < chain.n; i++) {
            used = used || chain.uses[i].stage == stage;
        }
    }
    ck_assert_msg(used, "stage %s stands in no row: add a chain with it", stage->name);
}
END_TEST

START_TEST(unknown_names_and_ids)
{
    ck_assert_ptr_null(trib_stage_find("f64"));
    ck_assert_ptr_null(trib_stage_find(""));
    ck_assert_ptr_null(trib_stage_find(NULL));
    ck_assert_ptr_null(trib_stage_by_id(0));
    ck_assert_ptr_null(trib_stage_by_id(255));
    const struct trib_stage *const *list;
    size_t n = trib_stages(&list), ids = 0;
    for (unsigned id = 0; id <= UINT8_MAX; id++) {
        ids += trib_stage_by_id((uint8_t)id) ? 1 : 0;
    }
    ck_assert_uint_eq(ids, n);
}
END_TEST

static void add(TCase *tests)
{
    const struct trib_stage *const *list;
    tcase_add_test(tests, unknown_names_and_ids);
    tcase_add_loop_test(tests, stage_is_complete, 0, (int)trib_stages(&list));
}

int main(void)
{
    return run_conform("codec tables", add);
}
