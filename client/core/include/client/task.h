/* A task as a client knows it, the update that becomes of it, and the model that a client holds between tasks. Values;
 * any thread. */
#ifndef TRIB_CLIENT_TASK_H
#define TRIB_CLIENT_TASK_H

#include "base/blob.h"
#include "codec/choose.h"
#include "codec/feedback.h"
#include "train/trainer.h"
#include "wire/chunk.h"
#include "wire/message.h"

/* A held model is the one that a client keeps between tasks. */
struct trib_held_model {
    char run[TRIB_RUN_ID_LEN + 1]; /* "": it holds none */
    uint64_t version;
    uint8_t sha256[32]; /* of the whole model's frame */
};

/* A delta is the blob that, added to version from_version, gives the next one. */
struct trib_client_delta {
    uint64_t from_version, len;
    uint8_t sha256[32];
};

/* A task is what the server asks of this client in one attempt of a round, checked. */
struct trib_client_task {
    char run[TRIB_RUN_ID_LEN + 1];
    uint64_t round;
    uint8_t model_sha256[32];
    uint64_t model_len, model_version;
    struct trib_client_delta deltas[TRIB_TASK_DELTAS]; /* oldest first, without a gap, up to model_version */
    size_t n_deltas;
    bool has_initialisation; /* version 0 can be made from the graph and this seed */
    uint64_t initialisation_seed;
    uint8_t graph_sha256[32];
    struct trib_blob *graph;   /* the Graph message's bytes, whose hash was checked; one reference */
    struct trib_recipe recipe; /* checked */
    struct trib_chain codec;   /* with `choose`: its text alone, "auto:..." */
    bool choose;               /* the chain is left to the client */
    struct trib_choice_target target;
    double upload_rate; /* bytes a second, as last measured; 0 = not yet */
    struct trib_feedback feedback;
    uint64_t folded_round; /* the last one whose model holds an update of this client; 0 = none */
    uint64_t seed;
    uint32_t deadline_seconds; /* 0 = none */
    uint64_t sketch_positions; /* whose signs the offer shows; 0 = none, as many as the model has values = all */
};

/* An update is what local training made of a task. */
struct trib_client_update {
    struct trib_train_result result;
    double norm;                 /* L2, of the update before coding */
    char codec[TRIB_CHAIN_TEXT]; /* the chain that was chosen, and why; "" when there was no choice */
    char codec_reason[TRIB_CHOICE_REASON];
    uint64_t feedback_round;  /* of ef21: the folded round of the state that was used, 0 = it began at zero */
    struct trib_blob *frame;  /* one reference */
    uint8_t sha256[32];       /* of the frame */
    struct trib_blob *sketch; /* packed as in codec/sketch.h, one reference; NULL = the task asks for none */
};
/* trib_client_update_clear lets go of the update's blobs and zeroes it. */
void trib_client_update_clear(struct trib_client_update *update);

/* A finished update is kept with its task for another process: of the task, what makes it the same one. */
struct trib_client_finished {
    struct trib_client_task task;
    struct trib_client_update update;
};

#endif
