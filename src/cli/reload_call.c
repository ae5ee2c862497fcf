#include "cli/reload_call.h"

#include "base/printable.h"

#include <stdio.h>

enum { LINE_BYTES = 16 << 10 };

/* What went wrong is no output. */
static void print_line(void *arg, char level, struct slice line)
{
    AUTO_BUF text = BUF_INIT(LINE_BYTES);
    size_t columns = 0;
    if (printable_append(&text, line, SIZE_MAX, &columns) < 0)
        return;
    if (level == 'e')
        fprintf(stderr, "exeat %s: %.*s\n", (const char *)arg, SLICE_FMT(buf_slice(&text)));
    else
        printf("%s%.*s\n", level == 'w' ? "warning: " : "", SLICE_FMT(buf_slice(&text)));
}

int reload_call(const char *command, const char *dir, enum reload_order order, struct slice texts, struct err *e)
{
    int status;
    int result = reload_ask(dir, order, texts, print_line, (void *)command, &status, e);
    return result < 0 ? -1 : result == 1 ? RELOAD_NOBODY : status;
}
