/* The file of the log: opened safely, locked, appended to, cut back, rotated.
 *
 * One writer a file: an open-file-description lock (fcntl(2), F_OFD_SETLK) held as long as the file is
 * open.  All names are relative to a directory descriptor, so that a process that has locked itself in can
 * work on it.  Rotation renames NAME to NAME.<number of its first record, twelve digits>, so that names
 * in alphabetical order are the chain in order, and a file's name says what it begins with.
 *
 * Not thread-safe: the writer (writer.c) uses it from one thread at a time; only logfile_sync may run
 * beside an append.
 */
#pragma once
#include "audit/chain.h"
#include "base/err.h"

#include <sys/types.h>

enum { LOGFILE_NAME_BYTES = 200, LOGFILE_CUT_SHOWN = 200, LOGFILE_ROTATED_BYTES = LOGFILE_NAME_BYTES + 32 };

struct logfile {
    int dir_fd, fd;
    char name[LOGFILE_NAME_BYTES];
    uint64_t size;      /* bytes of complete records */
    uint64_t first_seq; /* of the first record in it, or of the next where it is empty */
    dev_t device;
    ino_t inode;
    bool torn;         /* bytes of an append that failed may stand behind `size` */
    uint64_t *rotated; /* first records of the rotated files, ascending */
    size_t rotated_count;
};

/* What a crash left at the end of the file, and was cut off. */
struct logfile_cut {
    size_t bytes;
    char hash[SHA256_HEX + 1];
    char start[LOGFILE_CUT_SHOWN];
    size_t start_len;
};

/* Opens or creates NAME in dir_fd (which is duplicated), 0600, and sets *ret_chain to its last record;
 * where it is empty, to that of the newest rotated file.  An unfinished last line is cut off and
 * described in *ret_cut (bytes 0: there was none).  Errors: a link, not a regular file, several links,
 * writable by others, locked by another writer, last lines that are no records of ours. */
MUST_USE int logfile_open(int dir_fd, const char *name, struct logfile *ret, struct chain *ret_chain,
                          struct logfile_cut *ret_cut, struct err *e);
void logfile_close(struct logfile *f);

/* All of `lines` or nothing: after a failure the file is cut back to what it was before. */
MUST_USE int logfile_append(struct logfile *f, struct slice lines, struct err *e);
/* Is the file still there, under its name, and as long as we left it?  Cuts off what a failed append
 * could not; never touches bytes that are not ours. */
MUST_USE int logfile_check(struct logfile *f, struct err *e);
MUST_USE int logfile_sync(struct logfile *f, struct err *e);

/* Renames the file and begins a new one, whose first record will be next_seq. On failure the old one
 * goes on. */
MUST_USE int logfile_rotate(struct logfile *f, uint64_t next_seq, struct err *e);
/* The name of a rotated file. */
void logfile_rotated_name(const char *name, uint64_t first_seq, char ret_name[LOGFILE_ROTATED_BYTES]);
/* The last record of the oldest rotated file. */
MUST_USE int logfile_oldest(struct logfile *f, struct chain *ret_last, struct err *e);
/* When it was written last, clock_wall_ms; -1: not known. */
int64_t logfile_oldest_written_ms(struct logfile *f);
/* Deletes it. */
MUST_USE int logfile_drop_oldest(struct logfile *f, struct err *e);

/* First records of NAME's rotated files in a directory, ascending; the array is the caller's. */
MUST_USE int logfile_list(int dir_fd, const char *name, uint64_t **ret, size_t *ret_count, struct err *e);
