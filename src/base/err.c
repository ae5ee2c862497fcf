#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, const char *fmt, ...)
{
    if (!e)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    e->sys = 0;
    return -1;
}

int err_sys(struct err *e, const char *fmt, ...)
{
    int saved = errno;
    if (!e)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : (size_t)n;
    if (used < sizeof e->text) {
        char reason[128];
        snprintf(e->text + used, sizeof e->text - used, ": %s", strerror_r(saved, reason, sizeof reason));
    }
    e->sys = saved;
    return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    if (!e)
        return -1;
    char prefix[sizeof e->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(prefix, sizeof prefix, fmt, ap);
    va_end(ap);
    char inner[sizeof e->text];
    memcpy(inner, e->text, sizeof inner);
    size_t used = strlen(prefix);
    memcpy(e->text, prefix, used);
    snprintf(e->text + used, sizeof e->text - used, ": %.*s", (int)(sizeof inner - 3), inner);
    return -1;
}
