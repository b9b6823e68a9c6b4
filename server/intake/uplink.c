/* The uplink's rules are made from the settings here, and asked. */
#include "intake/uplink.h"

#include "base/str.h"
#include "codec/feedback.h"
#include "codec/frame.h"

#include <string.h>

/* ---- from the settings ---- */

static enum trib_status choose_feedback(struct trib_uplink *uplink, const struct trib_uplink_options *options,
                                        const struct trib_strategy *strategy, struct trib_error *error)
{
    bool differences = (strategy->caps & TRIB_STRATEGY_DIFFERENCES) != 0;
    bool biased = uplink->automatic || (uplink->chain.caps & TRIB_CODEC_FEEDBACK);
    const char *wanted = options->feedback;
    if (strcmp(wanted, "auto") == 0) {
        wanted = differences ? "ef21" : biased ? "ef" : "none";
    }
    struct trib_feedback known;
    if (trib_feedback_read(wanted, options->momentum, &known, error) != TRIB_OK) {
        return trib_error_prefix(error, TRIB_CONFIG, "codec.feedback");
    }
    uplink->feedback = trib_feedback_name(known.kind);
    uplink->momentum = known.momentum;
    return TRIB_OK;
}

static enum trib_status check_warmup(const struct trib_uplink *uplink, struct trib_error *error)
{
    struct trib_chain first;
    if (uplink->warmup_rounds == 0) {
        return TRIB_OK;
    }
    if (uplink->automatic || trib_chain_at_round(&uplink->chain, 1, uplink->warmup_rounds, &first, error) != TRIB_OK ||
        strcmp(first.text, uplink->chain.text) == 0) {
        return trib_fail(error, TRIB_CONFIG,
                         "codec.warmup_rounds: codec.up \"%s\" has no share of values to begin with more of; topk and "
                         "ternary have",
                         trib_uplink_text(uplink));
    }
    return TRIB_OK;
}

enum trib_status trib_uplink_init(struct trib_uplink *uplink, const struct trib_uplink_options *options,
                                  const struct trib_strategy *strategy, struct trib_error *error)
{
    struct trib_uplink made = {.automatic = strcmp(options->up, "auto") == 0,
                               .target = {.bits = options->target_bits, .seconds = (double)options->target_ms / 1000},
                               .warmup_rounds = options->warmup_rounds};
    if (!made.automatic && trib_chain_parse(options->up, &made.chain, error) != TRIB_OK) {
        return trib_error_prefix(error, TRIB_CONFIG, "codec.up");
    }
    TRIB_TRY(choose_feedback(&made, options, strategy, error));
    TRIB_TRY(check_warmup(&made, error));
    *uplink = made;
    return TRIB_OK;
}

/* ---- what is asked for ---- */

const char *trib_uplink_text(const struct trib_uplink *uplink)
{
    return uplink->automatic ? "auto" : uplink->chain.text;
}

void trib_uplink_codec(const struct trib_uplink *uplink, uint64_t round, char text[TRIB_CHAIN_TEXT])
{
    struct trib_chain chain;
    struct trib_error error;
    if (uplink->automatic) {
        trib_choice_format(&uplink->target, text);
    } else if (uplink->warmup_rounds > 0 &&
               trib_chain_at_round(&uplink->chain, round, uplink->warmup_rounds, &chain, &error) == TRIB_OK) {
        (void)trib_str_copy(text, TRIB_CHAIN_TEXT, chain.text);
    } else {
        (void)trib_str_copy(text, TRIB_CHAIN_TEXT, uplink->chain.text);
    }
}

const char *trib_uplink_lacks(const struct trib_uplink *uplink, char *const *names, size_t n)
{
    static const char *const choosable[] = TRIB_CHOICE_STAGES;
    const char *lacking = trib_chain_lacks(&uplink->chain, names, n); /* no stages of its own when automatic */
    for (size_t i = 0; uplink->automatic && !lacking && i < sizeof choosable / sizeof choosable[0]; i++) {
        const struct trib_chain one = {.n = 1, .uses = {{.stage = trib_stage_find(choosable[i])}}};
        lacking = trib_chain_lacks(&one, names, n);
    }
    return lacking;
}

/* ---- what is taken ---- */

const struct trib_chain *trib_uplink_chain(const struct trib_uplink *uplink)
{
    return uplink->automatic ? NULL : &uplink->chain;
}

uint64_t trib_uplink_most_bytes(const struct trib_uplink *uplink, size_t n)
{
    size_t payload_offset;
    uint64_t slack = (n / TRIB_CODEC_BLOCK + 1) * trib_chain_bound(0);
    uint64_t raw = trib_frame_raw_len(n, &payload_offset) + slack;
    double chosen = (double)n * uplink->target.bits / 8 * 1.02 + (double)slack;
    return uplink->automatic && chosen < (double)raw ? (uint64_t)chosen : raw;
}
