/* Whole reads and writes over descriptors, with the error that says which file. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* All bytes of fd into ret (its cap is the limit: a larger file is an error). `name` is for messages. */
MUST_USE int io_read_all(int fd, const char *name, struct buf *ret, struct err *e);
/* Opens a regular file for reading (O_CLOEXEC) and reads all of it. */
MUST_USE int io_read_file(const char *path, struct buf *ret, struct err *e);
/* The same of a file that has one link and is none: nobody who may write elsewhere can have chosen its text.
 */
MUST_USE int io_read_file_alone(const char *path, struct buf *ret, struct err *e);
/* write(2) until everything is out; EINTR is repeated. */
MUST_USE int io_write_all(int fd, struct slice s);
/* Writes path.tmp, fsyncs, renames over path. */
MUST_USE int io_replace_file(const char *path, struct slice content, unsigned mode, struct err *e);
/* The same without fsync: for what each start writes anew, and a power cut may take. */
MUST_USE int io_place_file(const char *path, struct slice content, unsigned mode, struct err *e);
/* As many descriptors as the system lets this process have (getrlimit(2)). */
void io_raise_descriptors(void);
