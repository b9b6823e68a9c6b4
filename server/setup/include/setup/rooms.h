/* The rooms of a run are built from its settings, and filled with what its last process has left. They are a record of
 * handles: a run executes its machine's actions with them. One thread, before the run's first event. */
#ifndef TRIB_SETUP_ROOMS_H
#define TRIB_SETUP_ROOMS_H

#include "intake/uploads.h"
#include "journal/journal.h"
#include "settings/settings.h"

struct trib_clock_source {
    void *context;
    int64_t (*now_ms)(void *context);
    int64_t (*wall_ms)(void *context);
    bool simulated; /* time and run follow from the seed */
};

struct trib_rooms {
    const struct trib_server_settings *settings; /* borrowed */
    struct trib_clock_source clock;
    char software[64];
    char id[TRIB_RUN_ID_LEN + 1];

    /* fixed */
    struct trib_graph *graph;
    struct trib_schema schema;
    struct trib_buf graph_bytes; /* serialised, as clients get it */
    uint8_t graph_sha256[TRIB_SHA256_LEN];
    struct trib_filters filters;
    struct trib_uplink uplink;
    struct trib_sealer sealer;
    const struct trib_strategy *strategy;
    const struct trib_backend *backend;
    struct trib_thread_pool *pool;
    struct trib_dataset test_set;
    bool has_test_set;
    struct trib_evaluator *evaluator;

    struct trib_round *round;
    struct trib_roster *roster;
    struct trib_release *release;
    struct trib_uploads *uploads;
    struct trib_aggregate *aggregate;
    struct trib_relevance *relevance;
    struct trib_journal *journal; /* NULL: nothing is kept on disk */
    struct trib_parts parts;
    struct trib_proximal proximal;
    uint64_t kept_bytes; /* of uploads that are kept until their round is committed */

    bool complete; /* the state directory holds a run that is over */
    bool resumed;  /* ... or one that goes on, with so many members and whole uploads */
    uint64_t resumed_members, resumed_uploads;
};

struct trib_setup {
    const struct trib_server_settings *settings; /* borrowed */
    const char *software;
    struct trib_clock_source clock;
    trib_upload_ended *ended; /* told by transport threads */
    void *context;            /* of ended */
    bool new_run;             /* begin anew, whatever the state directory holds */
};
/* trib_rooms_init builds everything that a run needs: model, graph, test set, folders; or takes up the run that the
 * state directory holds, where it was left. Messages name what is wrong. With settings->state_dir NULL nothing is
 * written to disk. TRIB_CORRUPT: the state directory is damaged; TRIB_MISMATCH: it is of another run than these
 * settings mean. */
TRIB_MUST_CHECK enum trib_status trib_rooms_init(struct trib_rooms *rooms, const struct trib_setup *setup,
                                                 struct trib_error *error);
void trib_rooms_clear(struct trib_rooms *rooms); /* {0} is fine */
/* trib_rooms_check says what a start would find wrong with the model, the test set and the arithmetic; touches nothing
 * on disk. */
TRIB_MUST_CHECK enum trib_status trib_rooms_check(const struct trib_server_settings *settings,
                                                  struct trib_error *error);
/* trib_rooms_explain puts the settings' model in words: the training graph before and after each pass, and its
 * execution plan. */
TRIB_MUST_CHECK enum trib_status trib_rooms_explain(const struct trib_server_settings *settings, struct trib_buf *text,
                                                    struct trib_error *error);

#endif
