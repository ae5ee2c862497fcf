/* One error object: filled where the failure is known, wrapped on the way up, printed once at the top.
 *
 * A message says what, where and what to do.  Libraries fill it and never log.
 * Every setter returns -1, so that `return err_set(e, "…");` reads as one step.  `e` may be NULL.
 */
#pragma once
#include "base/macros.h"

struct err {
    int sys;         /* errno where a system call failed, else 0 */
    char text[1000]; /* one line, NUL-terminated, no newline at the end */
};

int err_set(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/* As err_set, with ": <strerror(errno)>" at the end; errno is kept in e->sys. */
int err_sys(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/* Puts "<prefix>: " before the text that is there. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3);
