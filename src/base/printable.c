#include "base/printable.h"

#include <stdint.h>
#include <string.h>

enum { URL_CHARS = 200 };

/* Cuts one code point off *s (RFC 3629); a byte that begins none, or an overlong form, is a control. */
static uint32_t next_point(struct slice *s)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)s->ptr[0];
    size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    uint32_t point = len < 2 ? first : first & (0x7fu >> len);
    bool good = len > 0 && len <= s->len;
    for (size_t i = 1; good && i < len; i++) {
        unsigned char next = (unsigned char)s->ptr[i];
        good = (next & 0xc0) == 0x80;
        point = point << 6 | (next & 0x3f);
    }
    good = good && point >= least[len] && point <= 0x10ffff && !(point >= 0xd800 && point < 0xe000);
    *s = slice_skip(*s, good ? len : 1);
    return good ? point : 0;
}

/* Controls, and what reorders or hides text: shown as '?', one column. */
static bool is_printable(uint32_t p)
{
    return p >= 0x20 && !(p >= 0x7f && p < 0xa0) && p != 0xad && !(p >= 0x200b && p <= 0x200f) &&
           !(p >= 0x2028 && p <= 0x202e) && !(p >= 0x2060 && p <= 0x206f) && p != 0xfeff && !(p >= 0xe0000);
}

int printable_append(struct buf *out, struct slice text, size_t max, size_t *columns)
{
    for (size_t n = 0; text.len; n++) {
        struct slice before = text;
        uint32_t point = next_point(&text);
        if (n + 1 >= max && text.len) {
            ++*columns;
            return buf_append(out, SLICE("\xe2\x80\xa6"));
        }
        struct slice bytes = slice_of(before.ptr, before.len - text.len);
        if (buf_append(out, is_printable(point) ? bytes : SLICE("?")) < 0)
            return -1;
        ++*columns;
    }
    return 0;
}

int printable_lines(struct buf *out, struct slice text)
{
    size_t columns = 0;
    struct slice line;
    while (text.len && slice_next(&text, '\n', &line))
        if (printable_append(out, line, SIZE_MAX, &columns) < 0 || buf_append(out, SLICE("\n")) < 0)
            return -1;
    return 0;
}

int printable_url(struct buf *out, struct slice url, size_t max, bool defang, size_t *columns)
{
    max = max < URL_CHARS ? max : URL_CHARS;
    if (defang && slice_starts(url, SLICE("http"))) {
        url = slice_skip(url, 4);
        if (buf_append(out, SLICE("hxxp")) < 0)
            return -1;
        *columns += 4;
        max = max > 4 ? max - 4 : 1;
    }
    return printable_append(out, url, max, columns);
}

void printable_replace(char *text, size_t len)
{
    for (struct slice rest = slice_of(text, len); rest.len;) {
        size_t at = len - rest.len;
        if (!is_printable(next_point(&rest)))
            memset(text + at, '?', len - rest.len - at);
    }
}
