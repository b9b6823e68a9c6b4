/* EF21's memory as any bytes: refused with a reason, or a state that a round can be folded into and that is written and
 * read again as it is. */
#include "strategy/strategy.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N = 40, SAVED_LEN = 16 + 4 * N };

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void play_round(const struct trib_strategy *strategy, void *state)
{
    static const struct trib_strategy_options options = {.server_learning_rate = 1};
    const struct trib_update_info info = {.examples = 3, .weight = 3, .counted = 3, .first = true};
    struct trib_error error = {.message = ""};
    float direction[N], update[N];
    double step;
    uint8_t saved[SAVED_LEN], again[SAVED_LEN];
    for (size_t i = 0; i < N; i++) {
        update[i] = (float)i;
    }
    require(strategy->begin(state, &options, N, 100, 1000, &error) == TRIB_OK);
    require(strategy->fold_begin(state, &info, &error) == TRIB_OK);
    strategy->fold(state, &info, 0, update, N);
    if (strategy->finish(state, direction, &step, &error) != TRIB_OK) {
        require(error.message[0] != '\0');
        return;
    }
    require(strategy->saved_len(state) == SAVED_LEN);
    strategy->save(state, saved);
    strategy->save(state, again);
    require(memcmp(saved, again, sizeof saved) == 0);
    strategy->commit(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct trib_strategy *strategy = trib_strategy_find("ef21");
    struct trib_error error = {.message = ""};
    void *state = calloc(1, strategy->state_size);
    require(state);
    if (strategy->load(state, N, data, size, &error) == TRIB_OK) {
        play_round(strategy, state);
    } else {
        require(error.message[0] != '\0');
    }
    strategy->clear(state);
    free(state);
    return 0;
}
