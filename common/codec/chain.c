/* A chain is made from its text or from its stages' ids, where the stages go together. */
#include "codec/chain.h"

#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {[TRIB_STAGE_TRANSFORM] = "transform",
                                         [TRIB_STAGE_SPARSIFY] = "sparsifier",
                                         [TRIB_STAGE_QUANTIZE] = "quantiser",
                                         [TRIB_STAGE_ENTROPY] = "entropy coder"};

/* ---- which stages make a chain ---- */

static enum trib_status check_order(const struct trib_chain *chain, enum trib_status refusal, struct trib_error *error)
{
    bool quantized = false;
    for (unsigned i = 0; i < chain->n; i++) {
        const struct trib_stage *stage = chain->uses[i].stage;
        quantized = quantized || stage->kind == TRIB_STAGE_QUANTIZE;
        if (i == 0) {
            continue;
        }
        const struct trib_stage *before = chain->uses[i - 1].stage;
        if (stage->kind == before->kind) {
            return trib_fail(error, refusal, "%s and %s are both a %s; a chain has at most one", before->name,
                             stage->name, kind_names[stage->kind]);
        }
        if (stage->kind < before->kind) {
            return trib_fail(error, refusal,
                             "%s (%s) cannot follow %s (%s): the order is transform, sparsifier, quantiser, entropy "
                             "coder",
                             stage->name, kind_names[stage->kind], before->name, kind_names[before->kind]);
        }
    }
    if (!quantized) {
        return trib_fail(error, refusal,
                         "no quantiser; end with one, \"f16\" say, or with a quantiser and an entropy coder");
    }
    return TRIB_OK;
}

static enum trib_status check_use(struct trib_stage_use *use, struct trib_error *error)
{
    enum trib_status status = !use->stage->check ? TRIB_OK : use->stage->check(use, error);
    return status == TRIB_OK ? TRIB_OK : trib_error_prefix(error, status, "%s", use->stage->name);
}

/* What follows from the stages as a whole. `parsed`: they have their arguments. */
static enum trib_status settle(struct trib_chain *chain, bool parsed, struct trib_error *error)
{
    const unsigned of_all = TRIB_CODEC_UNBIASED | TRIB_CODEC_ADDITIVE | TRIB_CODEC_FIXED_LENGTH | TRIB_CODEC_LOSSLESS;
    const enum trib_status refusal = parsed ? TRIB_INVALID : TRIB_CORRUPT;
    TRIB_TRY(check_order(chain, refusal, error));
    bool entropy = chain->uses[chain->n - 1].stage->kind == TRIB_STAGE_ENTROPY, rotated = false, sparsified = false;
    chain->caps = of_all;
    for (unsigned i = 0; i < chain->n; i++) {
        struct trib_stage_use *use = &chain->uses[i];
        if (rotated && use->stage->kind == TRIB_STAGE_SPARSIFY && use->stage->survey) {
            return trib_fail(error, refusal, "%s picks single large values, which %s spreads over all: leave one out",
                             use->stage->name, chain->uses[0].stage->name);
        }
        use->entropy_follows = entropy;
        use->sparsified = sparsified;
        use->rotated = rotated;
        if (parsed) {
            TRIB_TRY(check_use(use, error));
        }
        sparsified = sparsified || use->stage->kind == TRIB_STAGE_SPARSIFY;
        rotated = rotated || (use->caps & TRIB_CODEC_ISOMETRIC) != 0;
        chain->caps &= use->caps | ~of_all;
        chain->caps |= use->caps & TRIB_CODEC_FEEDBACK;
    }
    return TRIB_OK;
}

/* ---- text ---- */

static enum trib_status unknown_stage(const char *name, struct trib_error *error)
{
    const struct trib_stage *const *list;
    size_t n = trib_stages(&list);
    const char *names[UINT8_MAX];
    char known[256] = "";
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        names[i] = list[i]->name;
        int len = snprintf(known + at, sizeof known - at, "%s%s", i == 0 ? "" : ", ", list[i]->name);
        at += len > 0 && (size_t)len < sizeof known - at ? (size_t)len : 0;
    }
    const char *nearest = trib_str_nearest(name, names, n);
    return trib_fail(error, TRIB_UNSUPPORTED, "codec \"%.40s\" is not known%s%s%s; known are %s", name,
                     nearest ? ", did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "", known);
}

static enum trib_status parse_args(char *text, struct trib_stage_use *use, struct trib_error *error)
{
    const char *texts[TRIB_STAGE_ARGS + 1];
    size_t n = 0;
    while (text && n < sizeof texts / sizeof texts[0]) {
        char *comma = strchr(text, ',');
        texts[n++] = text;
        if (comma) {
            *comma++ = '\0';
        }
        text = comma;
    }
    return trib_stage_parse_args(texts, n, use, error);
}

static enum trib_status parse_stage(char *text, struct trib_stage_use *use, struct trib_error *error)
{
    char *colon = strchr(text, ':');
    if (colon) {
        *colon++ = '\0';
    }
    const struct trib_stage *stage = trib_stage_find(text);
    if (!stage) {
        return unknown_stage(text, error);
    }
    *use = (struct trib_stage_use){.stage = stage, .caps = stage->caps};
    enum trib_status status = parse_args(colon, use, error);
    return status == TRIB_OK ? TRIB_OK : trib_error_prefix(error, status, "%s", stage->name);
}

/* Without spaces. */
static enum trib_status copy_text(const char *text, char to[TRIB_CHAIN_TEXT], struct trib_error *error)
{
    size_t len = 0;
    for (; *text != '\0'; text++) {
        if (isspace((unsigned char)*text)) {
            continue;
        }
        if (len + 1 == TRIB_CHAIN_TEXT) {
            return trib_fail(error, TRIB_INVALID, "a chain of codecs takes at most %d letters", TRIB_CHAIN_TEXT - 1);
        }
        to[len++] = *text;
    }
    to[len] = '\0';
    return TRIB_OK;
}

enum trib_status trib_chain_parse(const char *text, struct trib_chain *chain, struct trib_error *error)
{
    struct trib_chain made = {0};
    char parts[TRIB_CHAIN_TEXT];
    TRIB_TRY(copy_text(text, made.text, error));
    memcpy(parts, made.text, sizeof parts);
    for (char *part = parts; part;) {
        char *bar = strchr(part, '|');
        if (bar) {
            *bar++ = '\0';
        }
        if (made.n == TRIB_CHAIN_STAGES) {
            return trib_fail(error, TRIB_INVALID, "a chain has at most %d stages", TRIB_CHAIN_STAGES);
        }
        TRIB_TRY(parse_stage(part, &made.uses[made.n], error));
        made.n++;
        part = bar;
    }
    TRIB_TRY(settle(&made, true, error));
    *chain = made;
    return TRIB_OK;
}

void trib_chain_names(const struct trib_chain *chain, char text[TRIB_CHAIN_TEXT])
{
    size_t at = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < chain->n; i++) {
        int len = snprintf(text + at, TRIB_CHAIN_TEXT - at, "%s%s", i == 0 ? "" : "|", chain->uses[i].stage->name);
        at += len > 0 && (size_t)len < TRIB_CHAIN_TEXT - at ? (size_t)len : 0;
    }
}

/* ---- ids ---- */

enum trib_status trib_chain_from_ids(const uint8_t *ids, size_t n, struct trib_chain *chain, struct trib_error *error)
{
    struct trib_chain made = {0};
    if (n == 0 || n > TRIB_CHAIN_STAGES) {
        return trib_fail(error, TRIB_CORRUPT, "%zu codec stages; 1 to %d are possible", n, TRIB_CHAIN_STAGES);
    }
    for (size_t i = 0; i < n; i++) {
        const struct trib_stage *stage = trib_stage_by_id(ids[i]);
        if (!stage) {
            return trib_fail(error, TRIB_UNSUPPORTED, "codec stage number %d is not known to this version", ids[i]);
        }
        made.uses[made.n++] = (struct trib_stage_use){.stage = stage, .caps = stage->caps};
    }
    TRIB_TRY(settle(&made, false, error));
    trib_chain_names(&made, made.text);
    *chain = made;
    return TRIB_OK;
}

bool trib_chain_same_stages(const struct trib_chain *a, const struct trib_chain *b)
{
    bool same = a->n == b->n;
    for (unsigned i = 0; same && i < a->n; i++) {
        same = a->uses[i].stage == b->uses[i].stage;
    }
    return same;
}

const char *trib_chain_lacks(const struct trib_chain *chain, char *const *names, size_t n)
{
    const char *lacking = NULL;
    for (unsigned i = 0; i < chain->n && !lacking; i++) {
        lacking = chain->uses[i].stage->name;
        for (size_t j = 0; j < n && lacking; j++) {
            lacking = strcmp(lacking, names[j]) == 0 ? NULL : lacking;
        }
    }
    return lacking;
}

const struct trib_stage *trib_chain_plain(const struct trib_chain *chain)
{
    const struct trib_stage *stage = chain->uses[0].stage;
    return chain->n == 1 && stage->width > 0 ? stage : NULL;
}
