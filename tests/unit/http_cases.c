#include "http_cases.h"

#include "base/io.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CASE_MAX = 256 << 10, FILE_MAX = 1 << 20 };

const char *http_case_fault(enum http_fault fault)
{
    static const char *const ids[] = {
        [HTTP_OK] = "ok",
        [HTTP_MALFORMED] = "malformed",
        [HTTP_AMBIGUOUS_TARGET] = "ambiguous-target",
        [HTTP_AMBIGUOUS_FRAMING] = "ambiguous-framing",
        [HTTP_BAD_VERSION] = "http-version",
        [HTTP_HEAD_TOO_LARGE] = "head-too-large",
    };
    return ids[fault];
}

static void append(struct buf *out, struct slice s)
{
    assert_int_equal(buf_append(out, s), 0);
}

void http_case_printf(struct buf *out, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    assert_true(n >= 0 && (size_t)n < sizeof text);
    append(out, slice_of(text, (size_t)n));
}

void http_case_put(struct buf *out, struct slice text)
{
    static const char plain[] = "\rr\nn\tt\\\\";
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        const char *letter = plain;
        while (*letter && *letter != c)
            letter += 2;
        if (c != '\0' && *letter)
            http_case_printf(out, "\\%c", letter[1]);
        else if (c < 0x20 || c == 0x7f)
            http_case_printf(out, "\\x%02x", (unsigned)(unsigned char)c);
        else
            append(out, slice_of(&c, 1));
    }
}

static struct slice unescape(struct slice in, struct buf *out);

/* \{TEXT*N} at the start of `in`. */
static size_t repeat(struct slice in, struct buf *out)
{
    ptrdiff_t end = slice_find(in, '}');
    assert_true(end > 2);
    struct slice inner = slice_of(in.ptr + 2, (size_t)end - 2);
    size_t star = inner.len;
    while (star > 0 && inner.ptr[star - 1] != '*')
        star--;
    uint64_t times;
    assert_true(star > 0);
    assert_int_equal(slice_to_u64(slice_skip(inner, star), CASE_MAX, &times), 0);
    while (times-- > 0)
        unescape(slice_first(inner, star - 1), out);
    return (size_t)end + 1;
}

static size_t unescape_one(struct slice in, struct buf *out)
{
    static const char letters[] = "r\rn\nt\ts \\\\";
    assert_true(in.len >= 2);
    if (in.ptr[1] == '{')
        return repeat(in, out);
    if (in.ptr[1] == 'x') {
        assert_true(in.len >= 4 && isxdigit((unsigned char)in.ptr[2]) && isxdigit((unsigned char)in.ptr[3]));
        char hex[3] = {in.ptr[2], in.ptr[3], '\0'}, byte = (char)strtoul(hex, NULL, 16);
        append(out, slice_of(&byte, 1));
        return 4;
    }
    if (in.ptr[1] == '0') {
        append(out, slice_of("", 1));
        return 2;
    }
    const char *letter = letters;
    while (*letter && *letter != in.ptr[1])
        letter += 2;
    assert_true(*letter);
    append(out, slice_of(letter + 1, 1));
    return 2;
}

static struct slice unescape(struct slice in, struct buf *out)
{
    size_t at = 0;
    while (at < in.len) {
        if (in.ptr[at] == '\\') {
            at += unescape_one(slice_skip(in, at), out);
        } else {
            append(out, slice_of(in.ptr + at, 1));
            at++;
        }
    }
    return buf_slice(out);
}

static void read_file(const char *file, struct buf *ret)
{
    const char *top = getenv("EXEAT_TOP_SRCDIR");
    char path[4096];
    struct err e = {0};
    snprintf(path, sizeof path, "%s/tests/cases/http/%s", top ? top : ".", file);
    if (io_read_file(path, ret, &e) < 0)
        fail_msg("%s", e.text);
}

/* The text around the last " => ". */
static void split_case(struct slice line, struct slice *ret_input, struct slice *ret_expected)
{
    size_t at = line.len;
    while (at > 0 && !slice_starts(slice_skip(line, at), SLICE("=> ")))
        at--;
    assert_true(at > 0);
    *ret_input = slice_trim(slice_first(line, at));
    *ret_expected = slice_trim(slice_skip(line, at + 3));
}

/* The input in a block of its own size, so that a sanitizer sees a read beyond its end. */
static bool run_case(struct slice escaped, struct slice expected, http_case_run *run, struct buf *got)
{
    AUTO_BUF raw = BUF_INIT(CASE_MAX);
    AUTO_BUF want = BUF_INIT(CASE_MAX);
    AUTO_BUF plain = BUF_INIT(CASE_MAX);
    struct slice input = unescape(escaped, &raw);
    char *exact = malloc(input.len ? input.len : 1);

    assert_non_null(exact);
    if (input.len)
        memcpy(exact, input.ptr, input.len);
    run(slice_of(exact, input.len), got);
    free(exact);
    return slice_eq(unescape(expected, &want), unescape(buf_slice(got), &plain));
}

void http_cases_check(const char *file, unsigned at_least, http_case_run *run)
{
    AUTO_BUF text = BUF_INIT(FILE_MAX);
    unsigned number = 0, cases = 0, bad = 0;
    struct slice line;

    read_file(file, &text);
    struct slice rest = buf_slice(&text);
    while (slice_next(&rest, '\n', &line)) {
        number++;
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        struct slice input, expected;
        AUTO_BUF got = BUF_INIT(CASE_MAX);
        split_case(line, &input, &expected);
        cases++;
        if (run_case(input, expected, run, &got))
            continue;
        bad++;
        print_error("%s:%u: %.*s\n  got %.*s\n", file, number, SLICE_FMT(slice_first(line, 200)),
                    SLICE_FMT(slice_first(buf_slice(&got), 200)));
    }
    assert_int_equal(bad, 0);
    assert_true(cases >= at_least);
}
