/* A run's struct, for the files of this room alone. */
#ifndef TRIB_RUN_RUN_PRIVATE_H
#define TRIB_RUN_RUN_PRIVATE_H

#include "intake/uplink.h"
#include "release/release.h"
#include "run/run.h"
#include "select/relevance.h"

#include <stdatomic.h>

struct trib_run {
    const struct trib_server_settings *settings;
    struct trib_run_host host;
    char software[64];
    char id[TRIB_RUN_ID_LEN + 1];

    /* fixed after trib_run_new */
    struct trib_graph *graph;
    struct trib_schema schema;
    struct trib_buf graph_bytes; /* serialised, as clients get it */
    uint8_t graph_sha256[TRIB_SHA256_LEN];
    struct trib_uplink uplink;
    struct trib_sealer sealer;
    const struct trib_strategy *strategy;
    const struct trib_backend *backend;
    struct trib_thread_pool *pool;
    struct trib_dataset test_set;
    bool has_test_set;
    struct trib_evaluator *evaluator;

    /* the rooms */
    struct trib_round *round;
    struct trib_roster *roster;
    struct trib_release *release;
    struct trib_uploads *uploads;
    struct trib_aggregate *aggregate;
    struct trib_relevance *relevance;
    struct trib_journal *journal; /* NULL: nothing is kept on disk */

    struct trib_parts parts;
    struct trib_proximal proximal;
    struct trib_made made; /* by APPLY, until it is committed or given up */
    bool score_due;        /* the round waits for its offers to be compared */
    uint64_t bytes_up_before, bytes_down_before;
    double train_loss_sum, train_weight_sum;
    struct trib_evaluation evaluation; /* of the round that runs; examples 0 = none */
    uint64_t kept_bytes;               /* of uploads that are kept until their round is committed */

    struct trib_letter *spare; /* jobs that are ready to be used */
    size_t n_spare;
    bool ending; /* the run is over, as soon as that is written down */
    bool done;
    _Atomic(bool) complete;
    struct trib_error failure; /* status TRIB_OK: none */
};

/* run.c */
/* False when the event changed nothing, or could not be taken (JOINED, out of memory). */
bool trib_run_step(struct trib_run *run, struct trib_round_event *event);
/* A job of the present round and attempt; there are enough of them after trib_run_ready. */
struct trib_job *trib_run_job(struct trib_run *run, enum trib_job_kind kind);
void trib_run_tell(struct trib_run *run, struct trib_fact *fact);
struct trib_present trib_run_look(const struct trib_run *run);
/* Updates may be folded into a later round than that of their task. */
bool trib_run_may_be_stale(const struct trib_server_settings *settings);
/* run_members.c */
struct trib_filters trib_run_filters(const struct trib_server_settings *settings);
/* run_fold.c */
/* The largest sum of weights of so many updates; the most updates that a round may fold. */
uint64_t trib_run_most_weight(const struct trib_server_settings *settings, uint64_t updates);
uint64_t trib_run_most_updates(const struct trib_server_settings *settings);
void trib_run_begin_round(struct trib_run *run);
void trib_run_fold(struct trib_run *run, const struct trib_round_action *action);
/* Nobody will ask for its upload again. */
void trib_run_let_upload_go(struct trib_run *run, uint32_t client);
/* run_tasks.c */
void trib_run_send_welcome(struct trib_run *run, uint32_t client);
void trib_run_send_task(struct trib_run *run, const struct trib_round_action *action);
void trib_run_send_grant(struct trib_run *run, const struct trib_round_action *action);
void trib_run_send_skip(struct trib_run *run, const struct trib_round_action *action);
void trib_run_send_outcome(struct trib_run *run, const struct trib_round_action *action, bool folded);
/* run_offers.c */
void trib_run_on_offer(struct trib_run *run, uint32_t client, const Tributary__V1__Offer *offer);
/* Compare the offers that wait, and tell the round. */
void trib_run_score(struct trib_run *run);
/* Selectors believe no more of what a client tells than weights do. */
uint64_t trib_run_most_examples(const struct trib_run *run, uint64_t told);

#endif
