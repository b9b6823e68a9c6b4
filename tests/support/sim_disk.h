/* A disk in memory with the manners of a bad real one, under the calls of base/disk.h. What was synced stays, always;
 * what was not is lost, kept, torn or garbled when the power goes, as a seed decides, and the same calls with the same
 * seed come to the same end. The model of failures is that of Pillai et al. 2014 ("All File Systems Are Not Created
 * Equal") for the loss and order of writes and names, and of Rebello et al. 2020 ("Can Applications Recover from fsync
 * Failures?") for syncs that fail.
 *
 * A new disk has an empty "/", which is also where relative paths begin. Any thread may use a disk; a test that wants
 * the same again from the same seed uses it from one at a time. Memory comes from malloc, not from trib_malloc, so that
 * a test that fails allocations does not count those; without any the program aborts. */
#ifndef TRIB_TEST_SIM_DISK_H
#define TRIB_TEST_SIM_DISK_H

#include "base/disk.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct sim_disk; /* opaque */

struct sim_disk *sim_disk_new(uint64_t seed);
void sim_disk_free(struct sim_disk *disk);                     /* NULL is allowed */
const struct trib_disk *sim_disk_table(struct sim_disk *disk); /* for trib_disk_use; lives as long as the disk */

/* ---- the end of a process, and of the power ----
 * Both leave the disk stopped: every call fails with EIO and changes nothing, so that what the dead process had in
 * memory can be freed in the ordinary way, which may well try to remove its files. sim_disk_start then begins the next
 * life. Descriptors are never given twice: those of an earlier life get EBADF. */

/* The process died: its descriptors and locks are gone, every byte that it wrote stays, and is as unsynced as before.
 */
void sim_disk_kill(struct sim_disk *disk);
/* Power loss. Of each file's writes and truncations since its last sync survive: all, none, the first ones with the
 * last of them torn, or any subset of their 512-byte sectors, each whole, torn or (seldom) garbage; length and content
 * may part, which shows as zeros. Of a folder's changes since its last sync_dir the first ones survive, in their order;
 * a rename within a folder is one change; one between two folders may leave both names, never neither. That a file was
 * synced says nothing about its name, and the reverse. */
void sim_disk_crash(struct sim_disk *disk);
/* Let `after` more operations happen, then stop in the middle of the next, as if the process had died there (what it
 * does may be half done, and it fails with EIO). To be followed by kill or crash, and start. */
void sim_disk_stop_after(struct sim_disk *disk, uint64_t after);
bool sim_disk_stopped(struct sim_disk *disk);
void sim_disk_start(struct sim_disk *disk);

/* ---- faults ---- */

/* Bytes that all files together may hold; 0 = any number. What would grow beyond it writes what there is room for, and
 * fails with ENOSPC when that is nothing. Lowering it below what is held takes nothing away. */
void sim_disk_capacity(struct sim_disk *disk, uint64_t bytes);
/* Let `after` more operations succeed, then fail one (sticky: and all that follow) with errnum; ENOSPC and EDQUOT wait
 * for an operation that needs room. errnum 0 switches it off. A write that fails with EIO may have put down its first
 * bytes. A sync of a file that fails may have synced anything or nothing, and the next one does not mend it: those
 * writes stay in doubt until they are made again, though every reader sees them until the power goes. */
void sim_disk_fail(struct sim_disk *disk, uint64_t after, int errnum, bool sticky);
/* Flip bits of one byte, for good (what the file holds is synced on the way). False: there is no such file or byte. */
bool sim_disk_corrupt(struct sim_disk *disk, const char *path, uint64_t offset);

/* ---- what happened ---- */
struct sim_disk_counts {
    uint64_t operations; /* calls other than close; failed ones, too */
    uint64_t syncs;      /* of files and of folders, that succeeded */
    uint64_t bytes_written;
    uint64_t failures; /* that sim_disk_fail or the capacity caused */
    uint64_t held;     /* bytes in files now */
};
struct sim_disk_counts sim_disk_counts(struct sim_disk *disk);
/* A line for each file: its path, length, and writes that are not synced; and one for each folder with such changes. */
void sim_disk_dump(struct sim_disk *disk, FILE *to);

#endif
