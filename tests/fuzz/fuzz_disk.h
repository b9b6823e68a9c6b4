/* For fuzz targets of what is read from files: a disk in memory, empty for each input, and a log that goes nowhere. */
#ifndef TRIB_FUZZ_DISK_H
#define TRIB_FUZZ_DISK_H

#include "base/file.h"
#include "base/log.h"
#include "sim_disk.h"

#include <stdlib.h>
#include <string.h>

static struct sim_disk *fuzz_disk;

static inline void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static inline void fuzz_log_nowhere(void)
{
    static bool done;
    const struct trib_log_options nowhere = {.level = TRIB_LOG_ERROR, .path = "/dev/null"};
    if (!done) {
        require(trib_log_open(&nowhere, NULL) == TRIB_OK);
        done = true;
    }
}

static inline void fuzz_disk_begin(void)
{
    fuzz_log_nowhere();
    fuzz_disk = sim_disk_new(1);
    (void)trib_disk_use(sim_disk_table(fuzz_disk));
}

static inline void fuzz_disk_end(void)
{
    (void)trib_disk_use(NULL);
    sim_disk_free(fuzz_disk);
    fuzz_disk = NULL;
}

/* The file, whatever was there. */
static inline void fuzz_disk_write(const char *path, const uint8_t *bytes, size_t len)
{
    int fd = trib_disk_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    require(fd >= 0 && (len == 0 || trib_disk_pwrite(fd, bytes, len, 0) == (ssize_t)len));
    require(trib_disk_close(fd) == 0);
}

#endif
