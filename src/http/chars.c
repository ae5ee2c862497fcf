#include "http/chars.h"

/* What the characters of a group have in common; each byte stands in the table once. */
#define VISIBLE  (CH_VALUE | CH_QUERY)
#define SUBDELIM (VISIBLE | CH_PATH)
#define LETTER   (SUBDELIM | CH_TOKEN | CH_UNRESERVED | CH_LABEL)

const uint8_t http_chars[256] = {
    ['\t'] = CH_VALUE,
    [' '] = CH_VALUE,
    ['!'] = SUBDELIM | CH_TOKEN,
    ['"'] = VISIBLE | CH_ESCAPE,
    ['#'] = CH_VALUE | CH_TOKEN,
    ['$'] = SUBDELIM | CH_TOKEN,
    ['%'] = VISIBLE | CH_TOKEN,
    ['&' ... '\''] = SUBDELIM | CH_TOKEN,
    ['(' ... ')'] = SUBDELIM,
    ['*' ... '+'] = SUBDELIM | CH_TOKEN,
    [','] = SUBDELIM,
    ['-'] = LETTER,
    ['.'] = SUBDELIM | CH_TOKEN | CH_UNRESERVED,
    ['/'] = VISIBLE,
    ['0' ... '9'] = LETTER | CH_HEX,
    [':' ... ';'] = SUBDELIM,
    ['<'] = VISIBLE | CH_ESCAPE,
    ['='] = SUBDELIM,
    ['>'] = VISIBLE | CH_ESCAPE,
    ['?'] = VISIBLE,
    ['@'] = SUBDELIM,
    ['A' ... 'F'] = LETTER | CH_HEX,
    ['G' ... 'Z'] = LETTER,
    ['['] = VISIBLE | CH_ESCAPE,
    ['\\'] = VISIBLE,
    [']'] = VISIBLE | CH_ESCAPE,
    ['^'] = VISIBLE | CH_ESCAPE | CH_TOKEN,
    ['_'] = LETTER,
    ['`'] = VISIBLE | CH_ESCAPE | CH_TOKEN,
    ['a' ... 'f'] = LETTER | CH_HEX,
    ['g' ... 'z'] = LETTER,
    ['{'] = VISIBLE | CH_ESCAPE,
    ['|'] = VISIBLE | CH_ESCAPE | CH_TOKEN,
    ['}'] = VISIBLE | CH_ESCAPE,
    ['~'] = SUBDELIM | CH_TOKEN | CH_UNRESERVED,
    [0x80 ... 0xff] = CH_VALUE,
};

bool http_all(struct slice s, enum http_char class)
{
    for (size_t i = 0; i < s.len; i++)
        if (!http_is(s.ptr[i], class))
            return false;
    return true;
}

unsigned http_hex(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(ascii_lower(c) - 'a') + 10;
}

int http_escape(struct slice s)
{
    if (s.len < 3 || s.ptr[0] != '%' || !http_is(s.ptr[1], CH_HEX) || !http_is(s.ptr[2], CH_HEX))
        return -1;
    return (int)(http_hex(s.ptr[1]) << 4 | http_hex(s.ptr[2]));
}
