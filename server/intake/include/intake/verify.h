/* The verification of an update decides, before a single value of it is used, whether an uploaded frame is what its
 * task asked for and what its client offered. Pure; any thread; memory of one block a thread. */
#ifndef TRIB_INTAKE_VERIFY_H
#define TRIB_INTAKE_VERIFY_H

#include "codec/frame.h"
#include "codec/sketch.h"

struct trib_thread_pool;

/* The rules say what updates of a run must be. A value; pointers are borrowed. */
struct trib_update_rules {
    const uint8_t *schema;          /* [TRIB_FRAME_HASH_LEN] */
    size_t n;                       /* values */
    const struct trib_chain *chain; /* that the frame's stages must be; NULL: any */
    double max_abs;                 /* of an element */
    double max_norm;                /* L2, of the whole; 0 = any */
    uint64_t sketch_positions;      /* 0: no sketch was asked for */
    struct trib_thread_pool *pool;  /* that walks blocks side by side */
};
/* A claim is what was offered. */
struct trib_update_claim {
    const char *run;
    uint64_t task_round;   /* sketches are of (run, round) */
    const uint8_t *sketch; /* packed signs; NULL: none were kept */
};

/* Walk the frame once. TRIB_MISMATCH with *lied: the update contradicts the sketch that was offered for it. Otherwise
 * the status of what is wrong: chain, schema, CRC, values that are not finite or too large. */
TRIB_MUST_CHECK enum trib_status trib_update_verify(const struct trib_frame_source *source,
                                                    const struct trib_update_rules *rules,
                                                    const struct trib_update_claim *claim, bool *lied,
                                                    struct trib_error *error);
/* trib_update_expect is what a frame of an update must say of itself, for further walks. */
struct trib_frame_expect trib_update_expect(const struct trib_update_rules *rules);

#endif
