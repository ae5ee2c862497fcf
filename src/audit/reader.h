/* The lines of a log, from the oldest rotated file to the one that is being written, also while it is
 * rotated.  Reads what others wrote: nothing here trusts a line. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* Where a line stands, for messages. */
struct log_place {
    char file[512];
    uint64_t line;
};

struct log_reader;

/* `path` is the log's current file; its rotated ones lie beside it.  An error where there is neither. */
MUST_USE int log_reader_open(const char *path, struct log_reader **ret, struct err *e);
void log_reader_free(struct log_reader *r);
DEFINE_AUTO(log_reader)

enum log_read {
    LOG_LINE,  /* *ret_line: without its newline, valid until the next call */
    LOG_END,   /* nothing more for now; asking again later may bring more */
    LOG_ERROR, /* *e says what */
};

/* A line longer than a record can be comes as an empty one. */
MUST_USE enum log_read log_reader_next(struct log_reader *r, struct slice *ret_line, struct err *e);
/* Of the line returned last. */
const struct log_place *log_reader_place(const struct log_reader *r);
/* At LOG_END: bytes without a newline at the end. */
size_t log_reader_unfinished(const struct log_reader *r);
/* Files opened so far. */
unsigned log_reader_files(const struct log_reader *r);

/* The `.jsonl` files of a folder, oldest first by the time of their last change; each is malloc'ed
 * ("DIR/NAME"), and so is the array. */
MUST_USE int log_reader_find(const char *dir, char ***ret, size_t *ret_count, struct err *e);
