/* Every listed stage has a complete table, reads its arguments as their rows say, and stands in a row of
 * conform_rows.h, so that the other programs of this folder test it from the moment that it is listed. */
#include "conform_rows.h"

START_TEST(stage_is_complete)
{
    const struct trib_stage *const *list;
    ck_assert_uint_lt((size_t)_i, trib_stages(&list));
    const struct trib_stage *stage = list[_i];
    ck_assert_ptr_nonnull(stage->name);
    ck_assert_ptr_nonnull(stage->help);
    ck_assert(stage->width > 0 ? stage->pack && stage->unpack && !stage->encode : stage->encode && stage->open);
    ck_assert(stage->width > 0 || stage->kind == TRIB_STAGE_ENTROPY || stage->decode);
    ck_assert_uint_ne(stage->id, 0); /* 0 fills the unused places in a frame */
    ck_assert_ptr_eq(trib_stage_find(stage->name), stage);
    ck_assert_ptr_eq(trib_stage_by_id(stage->id), stage);
    char text[TRIB_CHAIN_TEXT];
    ck_assert_msg(stands_in_a_row(stage), "stage %s stands in no row, and none can be made for it", stage->name);
    ck_assert_msg(derive_text(stage, text), "no chain with %s can be made from its arguments' rows", stage->name);
}
END_TEST

/* ---- arguments ---- */

struct texts {
    char room[TRIB_STAGE_ARGS][64];
    const char *list[TRIB_STAGE_ARGS];
};

static void write_text(const struct trib_stage_arg *arg, double value, char text[64])
{
    if (arg->kind == TRIB_STAGE_ARG_WORD) {
        (void)snprintf(text, 64, "%s", arg->name);
    } else {
        (void)snprintf(text, 64, "%.17g", arg->kind == TRIB_STAGE_ARG_SHARE ? 1 : value);
    }
}

static struct texts *least_of_each(const struct trib_stage *stage, struct texts *texts)
{
    for (unsigned i = 0; i < stage->n_args; i++) {
        write_text(&stage->args[i], stage->args[i].least, texts->room[i]);
        texts->list[i] = texts->room[i];
    }
    return texts;
}

static enum trib_status parse(const struct trib_stage *stage, const struct texts *texts, size_t n,
                              struct trib_stage_use *use)
{
    struct trib_error error = {.message = ""};
    *use = (struct trib_stage_use){.stage = stage, .caps = stage->caps};
    enum trib_status status = trib_stage_parse_args(texts->list, n, use, &error);
    ck_assert(status == TRIB_OK || (status == TRIB_INVALID && error.message[0] != '\0'));
    return status;
}

START_TEST(rows_of_arguments_are_sound)
{
    const struct trib_stage *const *list;
    ck_assert_uint_lt((size_t)_i, trib_stages(&list));
    const struct trib_stage *stage = list[_i];
    char usage[TRIB_STAGE_USAGE];
    trib_stage_usage(stage, usage);
    ck_assert(trib_str_starts_with(usage, stage->name));
    ck_assert_uint_lt(strlen(usage), sizeof usage - 1);
    ck_assert_uint_le(stage->n_args, TRIB_STAGE_ARGS);
    for (unsigned i = 0; i < stage->n_args; i++) {
        const struct trib_stage_arg *arg = &stage->args[i];
        bool number = arg->kind == TRIB_STAGE_ARG_WHOLE || arg->kind == TRIB_STAGE_ARG_NUMBER;
        ck_assert(arg->name && arg->what && strstr(usage, arg->name));
        ck_assert(number ? arg->least < arg->most : arg->least == 0 && arg->most == 0);
        ck_assert(!number || !arg->optional || (arg->standard >= arg->least && arg->standard <= arg->most));
        ck_assert(arg->optional || (i == 0 || !stage->args[i - 1].optional));
        ck_assert(arg->kind == TRIB_STAGE_ARG_WORD || (arg->caps_on | arg->caps_off) == 0);
    }
}
END_TEST

START_TEST(arguments_are_read_within_their_bounds)
{
    const struct trib_stage *const *list;
    ck_assert_uint_lt((size_t)_i, trib_stages(&list));
    const struct trib_stage *stage = list[_i];
    struct trib_stage_use use;
    struct texts texts = {.list = {NULL}};
    size_t required = 0;
    while (required < stage->n_args && !stage->args[required].optional) {
        required++;
    }
    for (unsigned i = 0; i < stage->n_args; i++) {
        const struct trib_stage_arg *arg = &stage->args[i];
        bool number = arg->kind == TRIB_STAGE_ARG_WHOLE || arg->kind == TRIB_STAGE_ARG_NUMBER;
        ck_assert_int_eq(parse(stage, least_of_each(stage, &texts), i + 1, &use),
                         i + 1 < required ? TRIB_INVALID : TRIB_OK);
        (void)snprintf(texts.room[i], sizeof texts.room[i], "x");
        ck_assert_int_eq(parse(stage, &texts, stage->n_args, &use), TRIB_INVALID);
        write_text(arg, arg->most, texts.room[i]);
        ck_assert_int_eq(parse(stage, &texts, stage->n_args, &use), TRIB_OK);
        ck_assert(use.args[i] == (number ? arg->most : 1));
        write_text(arg, 2 * arg->most + 1, texts.room[i]);
        ck_assert_int_eq(parse(stage, &texts, stage->n_args, &use), number ? TRIB_INVALID : TRIB_OK);
        write_text(arg, arg->least / 2 - (arg->kind == TRIB_STAGE_ARG_WHOLE), texts.room[i]);
        ck_assert_int_eq(parse(stage, &texts, stage->n_args, &use), number ? TRIB_INVALID : TRIB_OK);
    }
    for (size_t n = 0; n <= stage->n_args; n++) { /* optional ones left out */
        ck_assert_int_eq(parse(stage, least_of_each(stage, &texts), n, &use), n < required ? TRIB_INVALID : TRIB_OK);
        for (size_t i = n; i < stage->n_args && n >= required; i++) {
            ck_assert(use.args[i] == stage->args[i].standard);
        }
    }
    const char *one_more[TRIB_STAGE_ARGS + 1] = {"1", "1", "1", "1", "1"};
    struct trib_error error;
    ck_assert_int_eq(trib_stage_parse_args(one_more, stage->n_args + 1, &use, &error), TRIB_INVALID);
    ck_assert_ptr_nonnull(strstr(error.message, "too many arguments; write "));
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
    tcase_add_loop_test(tests, rows_of_arguments_are_sound, 0, (int)trib_stages(&list));
    tcase_add_loop_test(tests, arguments_are_read_within_their_bounds, 0, (int)trib_stages(&list));
}

int main(void)
{
    return run_conform("codec tables", add);
}
