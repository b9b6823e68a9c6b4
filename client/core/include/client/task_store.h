/* The task store keeps the finished update that waits for its outcome, for the client's next process: the file `update`
 * under the state directory. A restarted client offers it again when the server sends the same task, instead of
 * training anew.
 *
 * The file, little-endian; the fields of the record follow each other as the table in task_store.c lists them:
 *
 *   0    "TRUP", u32 version 1
 *   8    u32 CRC-32C of everything from byte 12 to the end of the sketch
 *   12   u32 length of the sketch, u64 length of the frame
 *   24   the record: what makes the task the same one, and what the offer says
 *   ...  sketch, frame (whose SHA-256 stands in the record)
 *
 * Exactly once, with error feedback (client/feedback_store.h): an update counts together with the pending state that
 * was made with it, and never without it. So the pending state is durable before the update is saved; the update is
 * forgotten, durably, before the pending state is settled or another round begins; and an update whose pending state is
 * not there is neither saved nor loaded. A crash
 *   - before the pending state is durable, or between it and the save: there is no update. The same task is trained
 *     again, and the round that begins again drops what is pending; another task's folded_round settles it.
 *   - after the save, before the outcome: update and pending state are there. The same task gets the same update, its
 *     outcome settles the state. Another task ends the update first, and its folded_round settles the state.
 *   - after the outcome, before the update is forgotten: as before the outcome; the server, whose round is over, sends
 *     another task or the outcome again.
 *   - between forgetting and settling: as between pending state and save, but the round is over: the next task's
 *     folded_round settles the state.
 *
 * One thread at a time, save and forget on the worker's. */
#ifndef TRIB_CLIENT_TASK_STORE_H
#define TRIB_CLIENT_TASK_STORE_H

#include "client/session.h"
#include "codec/frame.h"

/* trib_task_store_len is the length of the file. */
uint64_t trib_task_store_len(const struct trib_client_update *update);
/* trib_task_store_save returns once the update is durable. A failure (TRIB_NOT_FOUND: its pending state is not there;
 * TRIB_NO_SPACE, TRIB_IO ...) leaves what was there. */
TRIB_MUST_CHECK enum trib_status trib_task_store_save(const char *dir, const struct trib_client_task *task,
                                                      const struct trib_client_update *update,
                                                      struct trib_error *error);
/* trib_task_store_load reads what is there, with references of the caller's own to clear; false when there is nothing.
 * A file that is damaged, of a newer version or of no use any more goes, with a line in the log. dir may be NULL. */
bool trib_task_store_load(const char *dir, struct trib_client_finished *finished);
void trib_task_store_forget(const char *dir); /* durably; dir may be NULL */

/* trib_task_store_parse reads the file's bytes. TRIB_CORRUPT: damaged, or no such file; TRIB_UNSUPPORTED: of a newer
 * version; TRIB_NO_MEMORY, and whatever the source's read returns. */
TRIB_MUST_CHECK enum trib_status trib_task_store_parse(const struct trib_frame_source *source,
                                                       struct trib_client_finished *finished, struct trib_error *error);

#endif
