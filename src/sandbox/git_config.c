#include "sandbox/git_config.h"

#include <stdio.h>

struct reader {
    struct slice in; /* what is left */
    char key[GIT_CONFIG_KEY], value[GIT_CONFIG_VALUE];
    size_t section; /* bytes of key that are the section */
};

enum { END = -1, BAD = -2 };

static int peek(const struct reader *r)
{
    return r->in.len ? (unsigned char)r->in.ptr[0] : END;
}

/* CR LF is a line's end as well. */
static int take(struct reader *r)
{
    if (r->in.len > 1 && r->in.ptr[0] == '\r' && r->in.ptr[1] == '\n')
        r->in = slice_skip(r->in, 1);
    int c = peek(r);
    if (c != END)
        r->in = slice_skip(r->in, 1);
    return c;
}

static bool is_name(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

static void skip_line(struct reader *r)
{
    int c;
    do
        c = take(r);
    while (c != END && c != '\n');
}

static int put(char *to, size_t cap, size_t *len, int c)
{
    if (*len + 1 >= cap || c == 0)
        return BAD;
    to[(*len)++] = (char)c;
    to[*len] = 0;
    return 0;
}

/* `"sub\"section"]`, from behind the first quote on. */
static int read_subsection(struct reader *r, size_t *len)
{
    if (put(r->key, sizeof r->key, len, '.') < 0)
        return BAD;
    for (int c = take(r); c != '"'; c = take(r)) {
        if (c == '\\')
            c = take(r);
        if (c == END || c == '\n' || put(r->key, sizeof r->key, len, c) < 0)
            return BAD;
    }
    return take(r) == ']' ? 0 : BAD;
}

/* "[section]", "[section.old]" or `[section "sub"]`, from behind the bracket on. */
static int read_section(struct reader *r)
{
    size_t len = 0;
    int c = take(r);
    for (; is_name(c) || c == '.'; c = take(r))
        if (put(r->key, sizeof r->key, &len, ascii_lower((char)c)) < 0)
            return BAD;
    if (len == 0)
        return BAD;
    if (c == ' ' || c == '\t') {
        while (c == ' ' || c == '\t')
            c = take(r);
        if (c != '"' || read_subsection(r, &len) < 0)
            return BAD;
    } else if (c != ']') {
        return BAD;
    }
    r->section = len;
    return 0;
}

static int unescape(int c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case '"':
    case '\\':
        return c;
    default:
        return BAD;
    }
}

/* Up to the line's end: comments and white space at the end go, unless they are quoted. */
static int read_value(struct reader *r)
{
    size_t len = 0, keep = 0;
    bool quoted = false;
    r->value[0] = 0;
    for (;;) {
        int c = take(r);
        if (c == END || c == '\n') {
            r->value[keep] = 0;
            return quoted ? BAD : 0;
        }
        if (!quoted && (c == ';' || c == '#')) {
            skip_line(r);
            r->value[keep] = 0;
            return 0;
        }
        if (c == '"') {
            quoted = !quoted;
            keep = len;
            continue;
        }
        bool space = !quoted && (c == ' ' || c == '\t' || c == '\r');
        if (space && len == 0)
            continue;
        if (c == '\\') {
            c = take(r);
            if (c == '\n') /* goes on in the next line */
                continue;
            c = unescape(c);
        }
        if (c < 0 || put(r->value, sizeof r->value, &len, c) < 0)
            return BAD;
        if (!space)
            keep = len;
    }
}

static int read_variable(struct reader *r, int first)
{
    size_t len = r->section;
    if (len == 0 || put(r->key, sizeof r->key, &len, '.') < 0)
        return BAD;
    for (int c = first;; c = take(r)) {
        if (put(r->key, sizeof r->key, &len, ascii_lower((char)c)) < 0)
            return BAD;
        if (!is_name(peek(r)))
            break;
    }
    while (peek(r) == ' ' || peek(r) == '\t')
        take(r);
    int c = take(r);
    if (c == '=')
        return read_value(r);
    snprintf(r->value, sizeof r->value, "true");
    if (c == '#' || c == ';')
        skip_line(r);
    return c == END || c == '\n' || c == '#' || c == ';' ? 0 : BAD;
}

static bool skip_blank(struct reader *r)
{
    int c = peek(r);
    if (c == '#' || c == ';') {
        skip_line(r);
        return true;
    }
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
        return false;
    take(r);
    return true;
}

int git_config_read(struct slice text, git_config_each *each, void *ctx)
{
    static const struct slice mark = {"\xef\xbb\xbf", 3};
    struct reader r = {.in = slice_starts(text, mark) ? slice_skip(text, mark.len) : text};
    while (r.in.len) {
        if (skip_blank(&r))
            continue;
        int c = take(&r);
        if (c == '[') {
            if (read_section(&r) < 0)
                return -1;
            continue;
        }
        if (!is_name(c) || read_variable(&r, c) < 0)
            return -1;
        int rc = each(ctx, r.key, r.value);
        if (rc)
            return rc;
    }
    return 0;
}
