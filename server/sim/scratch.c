/* A temporary folder and its end. */
#include "scratch.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

enum trib_status trib_scratch_make(char **path, struct trib_error *error)
{
    const char *temporary = getenv("TMPDIR");
    char *made = trib_path_join(temporary && temporary[0] ? temporary : "/tmp", "tributary-sim-XXXXXX");
    if (!made) {
        return trib_fail_no_memory(error);
    }
    if (!mkdtemp(made)) {
        enum trib_status status = trib_fail_errno(error, errno, "%s: no folder can be made there", made);
        trib_free(made);
        return status;
    }
    *path = made;
    return TRIB_OK;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void)status;
    (void)kind;
    (void)at;
    (void)remove(path);
    return 0;
}

void trib_scratch_remove(char *path)
{
    if (path) {
        (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        trib_free(path);
    }
}
