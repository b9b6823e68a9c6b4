/* What the oracle knows, shared by its files. */
#ifndef FAULT_SIM_ORACLE_H
#define FAULT_SIM_ORACLE_H

#include "peek.h"
#include "world.h"

enum { MOST_FRAMES = 4000, MOST_PENDING = 16, MOST_TOLD = 256 };

/* An update that a peer has made, or says that it has. */
struct frame {
    uint32_t who;
    uint64_t round, examples; /* of its offer */
    uint8_t sha256[32];
    bool offered, complete; /* the server has all of it, or had it in an earlier life */
    bool sound;             /* and it is one that the server may fold */
    uint64_t version;       /* that it is a part of; 0 = none */
    float values[MOST_VALUES];
    bool coded; /* by an honest client, whose error feedback is this, once it is folded: */
    float next_state[MOST_VALUES];
};
struct version {
    uint64_t round;
    uint8_t sha256[32];
    float values[MOST_VALUES], residual[MOST_VALUES];
    float mean[MOST_VALUES]; /* EF21's, and the weight of those that ever contributed */
    uint64_t known_weight;
};
/* A version that has come, and of what it is made is not yet known. */
struct commit {
    struct peeked model;
    uint64_t round;          /* 0: not known */
    uint32_t folded, cohort; /* 0: not known */
};
struct told {
    uint32_t who;
    uint64_t round;
    bool folded;
};
struct sent_task {
    uint32_t who;
    uint64_t round, version, folded_round;
    uint8_t sha256[32];
};

struct oracle {
    struct frame *frames;
    size_t n_frames;
    struct version versions[MOST_ROUNDS + 1];
    size_t n_versions;
    size_t n; /* values of the model */
    uint8_t schema[32];
    struct trib_chain up, down;
    bool sends_deltas;
    uint64_t last_round, carried;
    char run[TRIB_RUN_ID_LEN + 1];
    uint64_t tasked[MOST_PEERS][MOST_ROUNDS + 1]; /* 1 + the version of the round's task; 0 = it got none */
    uint64_t folded_round[MOST_PEERS];            /* the last one of which an update is in the model */
    uint64_t weight[MOST_PEERS];                  /* EF21: of its first update */
    float shadow[MOST_PEERS][MOST_VALUES];        /* what a client's error feedback has to carry */
    /* of this turn */
    struct commit pending[MOST_PENDING];
    struct told told[MOST_TOLD];
    struct sent_task tasks[MOST_TOLD];
    size_t n_pending, n_told, n_tasks;
};

/* An update of this peer, made for that round, is in the model. */
bool oracle_is_folded(const struct oracle *oracle, uint32_t who, uint64_t round);

/* search.c: of which frames is this version made? Marks them. False: of none that the rules allow. */
bool search_parts(struct world *world, const struct commit *commit);

#endif
