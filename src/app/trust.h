/* Which projects' policies may take effect (interfaces.md 1, Trust).
 *
 * A policy that lies in a project is somebody else's word until a person has trusted it.  What was trusted is
 * kept under the state folder, where no jail can write: STATE/trust/H, H the SHA-256 of the policy's path, 0600,
 * replaced by rename.  It holds the texts too, so that the next question can show what has changed:
 *
 *     exeat trust 1
 *     path /home/me/widgets/.exeat.yaml
 *     time 2026-11-21T08:00:00.123Z
 *     file <SHA-256> <bytes> .exeat.yaml
 *     <the bytes>
 *     file …                                   what it extends by path, each file once
 *     end
 *
 * A record that others could have written, that is cut off or whose texts do not have their hashes is an error:
 * nothing is trusted by it. */
#pragma once
#include "app/texts.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"

enum { TRUST_FILES_MAX = 256 };

struct trust_record {
    struct arena arena; /* of all that follows */
    const char *path;
    char time[CLOCK_RFC3339_BYTES];
    struct files_given *files;
    size_t count;
};

/* `path` is the policy's, absolute and without symbolic links.  *ret is NULL where it was never trusted. */
MUST_USE int trust_read(const char *path, struct trust_record **ret, struct err *e);
void trust_record_free(struct trust_record *t);
DEFINE_AUTO(trust_record)

/* Whether exactly these files with these texts were trusted; `t` may be NULL. */
bool trust_covers(const struct trust_record *t, const struct files_given *files, size_t count);
MUST_USE int trust_write(const char *path, const struct files_given *files, size_t count, struct err *e);
/* 1 where there was nothing to forget. */
MUST_USE int trust_forget(const char *path, struct err *e);

/* The two halves of the format, pure. */
MUST_USE int trust_print(const char *path, const char *time, const struct files_given *files, size_t count,
                         struct buf *out, struct err *e);
MUST_USE int trust_parse(struct slice text, struct trust_record **ret, struct err *e);
