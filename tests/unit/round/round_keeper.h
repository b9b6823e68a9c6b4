/* A keeper holds what a store would of a round engine, by the rules of whoever writes it down: the run's row when the
 * round, its attempt or what it is about has changed; a member's row when its part has. An offer is not kept until the
 * gate has let it through, and an upload only where there was room for it. */
#ifndef TEST_ROUND_KEEPER_H
#define TEST_ROUND_KEEPER_H

#include "round/round.h"

#include <string.h>

enum { KEEPER_CLIENTS = 12, KEEPER_STATE_LEN = 64 };

/* The name of the first field that is not the same, bit by bit; NULL when all are. */
static inline const char *member_difference(const struct trib_member_snapshot *a, const struct trib_member_snapshot *b)
{
#define TRIB_MEMBER_FIELD(type, field)                                                                                 \
    if (memcmp(&a->field, &b->field, sizeof a->field) != 0) {                                                          \
        return #field;                                                                                                 \
    }
#include "round/member_fields.def"
    if (a->client != b->client) {
        return "client";
    }
    return NULL;
}

/* One state of the disk. */
struct kept_state {
    struct trib_round_snapshot run; /* its selector_state is the array below */
    uint8_t selector_state[KEEPER_STATE_LEN];
    bool has[KEEPER_CLIENTS];
    struct trib_member_snapshot rows[KEEPER_CLIENTS];
};

/* The whole upload of this task is in a file; round 0: none is. */
struct kept_upload {
    uint64_t round, attempt;
};

static inline bool has_delivered(enum trib_member_state state)
{
    return state == TRIB_MEMBER_UPLOADED || state == TRIB_MEMBER_FOLDING || state == TRIB_MEMBER_FOLDED;
}

static inline bool is_upload_kept(const struct kept_upload *upload, const struct trib_member_snapshot *snapshot)
{
    return upload->round != 0 && upload->round == snapshot->task_round && upload->attempt == snapshot->task_attempt;
}

static inline enum trib_member_state state_to_keep(const struct kept_upload *upload,
                                                   const struct trib_member_snapshot *snapshot)
{
    if (has_delivered(snapshot->state)) {
        return is_upload_kept(upload, snapshot) ? TRIB_MEMBER_UPLOADED : TRIB_MEMBER_TASKED;
    }
    return snapshot->state == TRIB_MEMBER_OFFERED ? TRIB_MEMBER_TASKED : snapshot->state;
}

static inline void keep_member(struct kept_state *kept, const struct trib_round *round,
                               const struct kept_upload *upload, uint32_t client)
{
    struct trib_member_snapshot snapshot;
    if (!trib_round_recall_member(round, client, &snapshot)) {
        return;
    }
    struct trib_member_snapshot *row = &kept->rows[client];
    snapshot.state = state_to_keep(upload, &snapshot);
    if (!kept->has[client] || row->state != snapshot.state || row->task_round != snapshot.task_round ||
        row->task_attempt != snapshot.task_attempt) {
        *row = snapshot;
        kept->has[client] = true;
    }
}

static inline void keep_run(struct kept_state *kept, const struct trib_round *round, bool after_commit)
{
    struct trib_round_snapshot run;
    trib_round_recall(round, after_commit, &run);
    if (kept->run.number != run.number || kept->run.attempt != run.attempt || kept->run.open != run.open ||
        kept->run.decided != run.decided) {
        kept->run = run;
        if (run.selector_state_len > 0) {
            memcpy(kept->selector_state, run.selector_state, run.selector_state_len);
        }
    }
}

/* Updates that are folded now belong to the version that is being made durable. */
static inline void keep_commit(struct kept_state *kept, const struct trib_round *round)
{
    for (uint32_t i = 0; i < KEEPER_CLIENTS; i++) {
        struct trib_member_snapshot snapshot;
        if (trib_round_recall_member(round, i, &snapshot) && snapshot.state == TRIB_MEMBER_FOLDED) {
            snapshot.folded++;
            snapshot.state = TRIB_MEMBER_NONE;
            kept->rows[i] = snapshot;
            kept->has[i] = true;
        }
    }
    keep_run(kept, round, true);
}

/* Into an engine made with the same options; uploads that are in no file are asked for again, and files that no row
 * refers to are gone. */
static inline enum trib_status take_kept(const struct kept_state *kept, struct kept_upload *uploads,
                                         struct trib_round *round, struct trib_error *error)
{
    struct trib_round_snapshot run = kept->run;
    struct trib_member_snapshot list[KEEPER_CLIENTS];
    size_t n = 0;
    for (uint32_t i = 0; i < KEEPER_CLIENTS; i++) {
        bool whole =
            kept->has[i] && kept->rows[i].state == TRIB_MEMBER_UPLOADED && is_upload_kept(&uploads[i], &kept->rows[i]);
        if (kept->has[i]) {
            list[n] = kept->rows[i];
            list[n].state = list[n].state == TRIB_MEMBER_UPLOADED && !whole ? TRIB_MEMBER_TASKED : list[n].state;
            n++;
        }
        if (!whole) {
            uploads[i] = (struct kept_upload){0};
        }
    }
    run.selector_state = kept->selector_state;
    return trib_round_restore(round, &run, list, n, error);
}

#endif
