/* A round engine under test whose process ends, and what the next one is told of it. */
#ifndef TEST_ROUND_SNAPSHOT_FIXTURE_H
#define TEST_ROUND_SNAPSHOT_FIXTURE_H

#include "round_fixture.h"
#include "round_keeper.h"

enum { MOST_MEMBERS = 8 };

/* All that an engine remembers. */
struct remembered {
    struct trib_round_snapshot run;
    uint8_t selector_state[KEEPER_STATE_LEN];
    struct trib_member_snapshot members[MOST_MEMBERS];
    size_t n;
};

static struct trib_round_options options;
static struct remembered kept;

static inline void begin(const struct trib_round_options *of)
{
    options = *of;
    options.outlives = true;
    start(&options);
}

/* From COMMITTING, after_commit tells of the members, too, what whoever writes it down makes of them. */
static inline void recall(bool after_commit)
{
    memset(&kept, 0, sizeof kept);
    trib_round_recall(machine, after_commit, &kept.run);
    ck_assert_uint_le(kept.run.selector_state_len, sizeof kept.selector_state);
    if (kept.run.selector_state_len > 0) {
        memcpy(kept.selector_state, kept.run.selector_state, kept.run.selector_state_len);
    }
    kept.run.selector_state = kept.selector_state;
    for (uint32_t i = 0; i < MOST_MEMBERS; i++) {
        struct trib_member_snapshot *member = &kept.members[kept.n];
        if (!trib_round_recall_member(machine, i, member)) {
            continue;
        }
        if (after_commit && member->state == TRIB_MEMBER_FOLDED) {
            member->state = TRIB_MEMBER_NONE;
            member->folded++;
        }
        kept.n++;
    }
}

static inline enum trib_status try_restore(struct trib_error *error)
{
    int64_t now = now_ms;
    start(&options);
    now_ms = now;
    return trib_round_restore(machine, &kept.run, kept.members, kept.n, error);
}

static inline void restore(void)
{
    struct trib_error error;
    ck_assert_msg(try_restore(&error) == TRIB_OK, "%s", error.message);
}

static inline void resume(void)
{
    STEP(.kind = TRIB_EVENT_RESUME);
    ck_assert_ptr_null(ignored);
}

/* The process dies and the next one goes on. */
static inline void restart(void)
{
    recall(false);
    restore();
    resume();
}

static inline struct trib_member_snapshot *snapshot_of(uint32_t client)
{
    for (size_t i = 0; i < kept.n; i++) {
        if (kept.members[i].client == client) {
            return &kept.members[i];
        }
    }
    ck_abort_msg("client %" PRIu32 " is not remembered", client);
    return NULL;
}

static inline uint64_t attempt_of(uint32_t client)
{
    uint64_t attempt = 0;
    (void)trib_round_task_of(machine, client, &attempt);
    return attempt;
}

/* Two clients with tasks of round 1. */
static inline void two_at_work(void)
{
    struct trib_round_options of = usual();
    begin(&of);
    join_all(2);
    EXPECT("begin task:0 task:1");
}

/* Of a round as it happens: one member that trains, one that was let through, one that has delivered, one that was
 * skipped. */
static inline void a_round_in_the_middle(void)
{
    struct trib_round_options of = usual();
    of.min_clients = of.clients_per_round = of.uploads_in_flight = 4;
    of.gate = (struct trib_gate){.rule = TRIB_GATE_CONSTANT, .value = 0.5};
    begin(&of);
    join_all(4);
    now_ms += 250;
    offer_of(1, 0.75, 100);
    offer_of(2, 0.625, 90);
    fold(2);
    offer_of(3, 0.25, 80);
}

#endif
