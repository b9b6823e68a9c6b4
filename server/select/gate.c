/* The gate decides which offered updates are worth uploading. Pure. */
#include "select/gate.h"

#include <math.h>
#include <stdlib.h>

bool trib_gate_waits(const struct trib_gate *gate)
{
    return gate->rule == TRIB_GATE_SHARE || gate->rule == TRIB_GATE_BYTES;
}

/* A budget of nothing is one of a byte, so that one that was not touched can be told from one that is used up. */
static uint64_t budget(const struct trib_gate *gate)
{
    return gate->bytes > 0 ? gate->bytes : 1;
}

struct trib_gate_cut trib_gate_cut(const struct trib_gate *gate, uint64_t round)
{
    struct trib_gate_cut cut = {.threshold = NAN, .bytes_left = UINT64_MAX};
    if (gate->rule == TRIB_GATE_CONSTANT) {
        cut.threshold = gate->value;
    } else if (gate->rule == TRIB_GATE_DECAY) {
        cut.threshold = gate->value / sqrt(round > 0 ? (double)round : 1);
    } else if (gate->rule == TRIB_GATE_BYTES) {
        cut.bytes_left = budget(gate);
    }
    return cut;
}

bool trib_gate_admit(const struct trib_gate *gate, struct trib_gate_cut *cut, double relevance, uint64_t bytes)
{
    if (relevance < cut->threshold) {
        return false;
    }
    if (gate->rule == TRIB_GATE_BYTES) {
        bool untouched = cut->bytes_left == budget(gate);
        if (!isnan(relevance) && !untouched && bytes > cut->bytes_left) {
            return false;
        }
        cut->bytes_left -= bytes < cut->bytes_left ? bytes : cut->bytes_left;
    }
    return true;
}

/* Nothing to compare with first, then the most relevant first. */
static int compare_offers(const void *a, const void *b)
{
    const struct trib_gate_offer *x = a, *y = b;
    if (isnan(x->relevance) != isnan(y->relevance)) {
        return isnan(x->relevance) ? -1 : 1;
    }
    if (!isnan(x->relevance) && x->relevance != y->relevance) {
        return x->relevance > y->relevance ? -1 : 1;
    }
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return (x->client > y->client) - (x->client < y->client);
}

/* How many of n a share is: the nearest number, at least one. */
static size_t count_share(double share, size_t n)
{
    double wanted = share > 0 ? fmin(share, 1) * (double)n : 0;
    return wanted < 1 ? 1 : (size_t)(wanted + 0.5);
}

void trib_gate_decide(const struct trib_gate *gate, uint64_t round, struct trib_gate_offer *offers, size_t n,
                      struct trib_gate_cut *cut)
{
    qsort(offers, n, sizeof *offers, compare_offers);
    *cut = trib_gate_cut(gate, round);
    size_t most = gate->rule == TRIB_GATE_SHARE ? count_share(gate->share, n) : n;
    double last = INFINITY; /* relevance of the last one admitted; when only unknown ones were, none suffices */
    bool closed = false;
    for (size_t i = 0; i < n; i++) {
        bool known = !isnan(offers[i].relevance), wanted = !known || (!closed && i < most);
        offers[i].upload = wanted && trib_gate_admit(gate, cut, offers[i].relevance, offers[i].bytes);
        closed = closed || !offers[i].upload;
        last = known && offers[i].upload ? offers[i].relevance : last;
    }
    closed = closed || (gate->rule == TRIB_GATE_SHARE && n > 0 && !(gate->share >= 1));
    if (trib_gate_waits(gate) && closed) {
        cut->threshold = last;
    }
}
