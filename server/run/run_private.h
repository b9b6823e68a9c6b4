/* A run's struct, for the files of this room alone. */
#ifndef TRIB_RUN_RUN_PRIVATE_H
#define TRIB_RUN_RUN_PRIVATE_H

#include "run/run.h"
#include "setup/rooms.h"

#include <stdatomic.h>

struct trib_run {
    struct trib_run_host host;
    struct trib_rooms rooms;

    struct trib_made made; /* by APPLY, until it is committed or given up */
    bool score_due;        /* the round waits for its offers to be compared */
    uint64_t bytes_up_before, bytes_down_before;
    double train_loss_sum, train_weight_sum;
    struct trib_evaluation evaluation; /* of the round that runs; examples 0 = none */

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
/* run_fold.c */
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
