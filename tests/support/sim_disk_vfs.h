/* SQLite on the disk of base/disk.h, whichever is in use: its files go through trib_disk_* at the time of each call,
 * its random numbers and its clock are the test's. It promises SQLite nothing about the disk: sectors of 512 bytes, no
 * safe overwriting of a part of one, no atomic write, and no shared memory, so that WAL needs locking_mode=EXCLUSIVE.
 *
 * A database is its connection's alone from the first lock until it is closed. One thread registers, before the first
 * connection; connections may be on any. */
#ifndef TRIB_TEST_SIM_DISK_VFS_H
#define TRIB_TEST_SIM_DISK_VFS_H

#include <stdint.h>

void sim_disk_vfs_register(void); /* as the default one; aborts when it cannot */
/* What SQLite draws from now on (salts of logs, for one) follows from the seed. */
void sim_disk_vfs_seed(uint64_t seed);
/* What time it is for SQLite, ms since 1970. At first 2000-01-01. */
void sim_disk_vfs_clock(int64_t now_ms);

#endif
