#include "base/log.h"

#include "base/printable.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const char *log_name = "exeat";

void log_set_name(const char *name)
{
    log_name = name;
}

static void PRINTF(2, 0) write_line(const char *level, const char *fmt, va_list ap)
{
    char line[2048];
    int head = snprintf(line, sizeof line, "%s: %s", log_name, level);
    if (head < 0)
        return;
    int body = vsnprintf(line + head, sizeof line - (size_t)head - 1, fmt, ap);
    size_t len = (size_t)head + (body < 0 ? 0 : (size_t)body);
    if (len > sizeof line - 2)
        len = sizeof line - 2;
    printable_replace(line, len); /* text from outside cannot drive the terminal */
    line[len] = '\n';
    if (write(STDERR_FILENO, line, len + 1) < 0) {
        /* nobody listens: there is no better place to say it */
    }
}

void log_info(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_line("", fmt, ap);
    va_end(ap);
}

void log_warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_line("warning: ", fmt, ap);
    va_end(ap);
}

void log_error(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_line("error: ", fmt, ap);
    va_end(ap);
}
