/* Files: bounded reads, atomic durable writes, directories. Any thread. */
#ifndef TRIB_BASE_FILE_H
#define TRIB_BASE_FILE_H

#include "base/buf.h"
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Read a whole file of at most max_len bytes (TRIB_LIMIT above it). The caller clears `content`. */
TRIB_MUST_CHECK enum trib_status trib_file_read(const char *path, size_t max_len, struct trib_buf *content,
                                                struct trib_error *error);
/* pread/pwrite loops: everything or an error (a short read is TRIB_CORRUPT). */
TRIB_MUST_CHECK enum trib_status trib_file_pread(int fd, void *to, size_t len, uint64_t offset, const char *path,
                                                 struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_file_pwrite(int fd, const void *from, size_t len, uint64_t offset,
                                                  const char *path, struct trib_error *error);

/* A durable replacement: bytes go to PATH.tmp, commit does fsync, rename, fsync of the directory. Until then the
 * old file stands; abort removes the temporary one, and must follow a failed add or commit. A second writer of the same
 * path gets TRIB_UNAVAILABLE while the first is open. A temporary file that a crash left behind is written over. */
struct trib_file_writer {
    int fd;
    uint64_t len;
    char *path;
    char *temporary;
};
TRIB_MUST_CHECK enum trib_status trib_file_writer_open(struct trib_file_writer *writer, const char *path,
                                                       struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_file_writer_add(struct trib_file_writer *writer, const void *bytes, size_t len,
                                                      struct trib_error *error);
TRIB_MUST_CHECK enum trib_status trib_file_writer_commit(struct trib_file_writer *writer, struct trib_error *error);
void trib_file_writer_abort(struct trib_file_writer *writer); /* also right after a commit: does nothing then */
/* The three in one. */
TRIB_MUST_CHECK enum trib_status trib_file_replace(const char *path, const void *bytes, size_t len,
                                                   struct trib_error *error);

/* mkdir -p with mode 0750 for what is missing, durably. */
TRIB_MUST_CHECK enum trib_status trib_dir_make(const char *path, struct trib_error *error);
bool trib_file_exists(const char *path);
/* dir + "/" + name, or name alone when it is absolute or dir is empty; caller frees; NULL when memory is short. */
char *trib_path_join(const char *dir, const char *name);
/* The directory part of a path ("." when it has none); caller frees. */
char *trib_path_dir(const char *path);

#endif
