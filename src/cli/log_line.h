/* One record as one line for people. */
#pragma once
#include "audit/record.h"
#include "base/buf.h"

struct log_style {
    bool color;
    bool ids;     /* the record's id first */
    size_t width; /* columns; 0: as long as it gets */
};

/* Replaces *out's content by the line, without a newline.  Text from outside is made printable, and a URL
 * that was not let through is defanged (hxxps://), so that no terminal makes a link of it, and cut at 200
 * characters (interfaces.md 7). */
MUST_USE int log_line(const struct log_record *r, const struct log_style *style, struct buf *out);
