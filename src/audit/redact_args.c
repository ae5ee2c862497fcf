#include "audit/redact_args.h"

#include "audit/redact.h"

enum { ARGUMENT_MAX = 200, NAME_MAX_BYTES = 64 };

static const struct slice hidden = SLICE("[redacted]");

static const struct slice parts[] = {
#define PART(text) SLICE(text),
#define START(text)
#define VALUE(text)
#include "audit/secret_args.def"
#undef PART
#undef START
#undef VALUE
};

static const struct slice starts[] = {
#define PART(text)
#define START(text) SLICE(text),
#define VALUE(text)
#include "audit/secret_args.def"
#undef PART
#undef START
#undef VALUE
};

static const struct slice options[] = {
#define PART(text)
#define START(text)
#define VALUE(text) SLICE(text),
#include "audit/secret_args.def"
#undef PART
#undef START
#undef VALUE
};

static bool is_secret_name(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        for (size_t at = 0; at + parts[i].len <= name.len; at++)
            if (slice_eq_nocase(slice_of(name.ptr + at, parts[i].len), parts[i]))
                return true;
    return false;
}

static bool is_token(struct slice text)
{
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        if (slice_starts(text, starts[i]))
            return true;
    return false;
}

static bool takes_credentials(struct slice arg)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (slice_eq(arg, options[i]))
            return true;
    return false;
}

static bool is_secret_option(struct slice arg)
{
    return slice_starts(arg, SLICE("-")) && slice_find(arg, '=') < 0 && slice_find(arg, ' ') < 0 &&
           is_secret_name(arg);
}

/* Whether `arg`, behind `before`, is a secret as a whole. */
static bool is_secret_value(struct slice before, struct slice arg)
{
    if (takes_credentials(before))
        return slice_find(arg, ':') >= 0;
    return is_secret_option(before);
}

static bool is_url(struct slice text)
{
    for (size_t i = 0; i + 3 <= text.len && i < ARGUMENT_MAX; i++)
        if (memcmp(text.ptr + i, "://", 3) == 0)
            return true;
    return false;
}

struct out {
    char *at;
    size_t len, size;
};

static void put(struct out *o, struct slice s)
{
    size_t room = o->size - o->len, n = s.len < room ? s.len : room;
    if (n)
        memcpy(o->at + o->len, s.ptr, n);
    o->len += n;
}

static bool is_quote_or_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '"' || c == '\'';
}

/* A program, as `sh -c` and `python -c` take one, and no single word. */
static bool is_program(struct slice arg)
{
    for (size_t i = 0; i < arg.len; i++)
        if (is_quote_or_space(arg.ptr[i]))
            return true;
    return false;
}

static bool begins_secret(struct slice before, struct slice value)
{
    if (before.len > NAME_MAX_BYTES)
        before = slice_skip(before, before.len - NAME_MAX_BYTES);
    while (value.len && is_quote_or_space(value.ptr[0]))
        value = slice_skip(value, 1);
    return is_secret_name(before) || is_token(value);
}

/* NAME=value, --name=value, "Name: value", scope:name=value, in what would be shown: what stands before a
 * secret; nothing where there is none. */
static struct slice before_secret(struct slice arg)
{
    bool program = is_program(arg);
    for (size_t i = 0; i < arg.len && i < ARGUMENT_MAX; i++) {
        bool url = slice_starts(slice_skip(arg, i), SLICE("://"));
        if (url && !program)
            break; /* what stands in it is redact_url's affair */
        if (!url && (arg.ptr[i] == '=' || arg.ptr[i] == ':') &&
            begins_secret(slice_first(arg, i), slice_skip(arg, i + 1)))
            return slice_first(arg, i + 1);
    }
    return slice_first(arg, 0);
}

static void put_short(struct out *o, struct slice text)
{
    put(o, slice_first(text, ARGUMENT_MAX));
    if (text.len > ARGUMENT_MAX)
        put(o, SLICE("\xe2\x80\xa6"));
}

static void put_word(struct out *o, struct slice word)
{
    AUTO_BUF scratch = BUF_INIT(REDACT_SCRATCH_BYTES);
    if (is_token(word))
        put(o, hidden);
    else
        put_short(o, is_url(word) ? redact_url(word, false, ARGUMENT_MAX, &scratch) : word);
}

/* Word by word: any of them may be a URL or a token. */
static void put_text(struct out *o, struct slice text)
{
    size_t begin = o->len;
    while (text.len && o->len - begin < ARGUMENT_MAX && o->len < o->size) {
        size_t len = 0;
        while (len < text.len && !is_quote_or_space(text.ptr[len]))
            len++;
        put_word(o, slice_first(text, len));
        put(o, slice_first(slice_skip(text, len), 1));
        text = slice_skip(text, len + 1);
    }
    if (text.len)
        put(o, SLICE("\xe2\x80\xa6"));
}

static void put_argument(struct out *o, struct slice arg)
{
    struct slice known = before_secret(arg);
    if (is_token(arg)) {
        put(o, hidden);
    } else if (known.len) {
        put_text(o, known);
        put(o, hidden);
    } else {
        put_text(o, arg);
    }
}

size_t redact_args(struct slice args, char *ret, size_t size)
{
    struct out o = {.at = ret, .size = size};
    struct slice arg, before = SLICE("");
    while (args.len && slice_next(&args, '\0', &arg) && o.len < size) {
        if (is_secret_value(before, arg))
            put(&o, hidden);
        else
            put_argument(&o, arg);
        before = arg;
        put(&o, slice_of("", 1));
    }
    if (o.len)
        ret[o.len - 1] = '\0';
    return o.len;
}
