#include "audit/redact.h"

#include "base/caps.h"
#include "base/crypto.h"

static const char *const secret_names[] = {
#define PARAM(name) name,
#include "audit/secret_params.def"
#undef PARAM
};

/* All appends go to one capped buffer; the first that does not fit ends the text there. */
static void put(struct buf *out, struct slice s)
{
    if (buf_append(out, s) < 0)
        out->max = buf_len(out);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `%74oken` is read as `token` by every server, so the comparison is made on the decoded name. */
static struct slice decoded(struct slice name, char *room, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < name.len && len < size; i++) {
        char c = name.ptr[i];
        if (c == '%' && i + 2 < name.len && hex_digit(name.ptr[i + 1]) >= 0 &&
            hex_digit(name.ptr[i + 2]) >= 0) {
            c = (char)(hex_digit(name.ptr[i + 1]) * 16 + hex_digit(name.ptr[i + 2]));
            i += 2;
        }
        room[len++] = c;
    }
    return slice_of(room, len);
}

static bool is_secret(struct slice name)
{
    char room[32];
    struct slice plain = decoded(name, room, sizeof room);
    for (size_t i = 0; i < ARRAY_LEN(secret_names); i++) {
        if (slice_eq_nocase(plain, slice_str(secret_names[i])))
            return true;
    }
    return false;
}

static void put_measured(struct buf *out, struct slice text)
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX + 1] = "";
    if (crypto_sha256(text, digest) == 0)
        crypto_hex(digest, sizeof digest, hex);
    if (buf_printf(out, "[len=%zu sha256=%s]", text.len, hex) < 0)
        out->max = buf_len(out);
}

static void put_short(struct buf *out, struct slice text, bool full)
{
    if (full || text.len <= CAP_QUERY_VALUE_CHARS)
        put(out, text);
    else
        put_measured(out, text);
}

static void put_param(struct buf *out, struct slice param, bool full)
{
    ptrdiff_t equals = slice_find(param, '=');
    if (equals < 0) {
        put_short(out, param, full);
        return;
    }
    struct slice name = slice_first(param, (size_t)equals), value = slice_skip(param, (size_t)equals + 1);
    put_short(out, name, full);
    put(out, SLICE("="));
    if (value.len && is_secret(name))
        put(out, SLICE("[redacted]"));
    else
        put_short(out, value, full);
}

/* Bytes before the first of two characters; all where there is neither. */
static size_t before_either(struct slice s, char a, char b)
{
    size_t i = 0;
    while (i < s.len && s.ptr[i] != a && s.ptr[i] != b)
        i++;
    return i;
}

/* The rest of a URL from its first '?' or '#' on. */
static void put_params(struct buf *out, struct slice rest, bool full)
{
    while (rest.len) {
        put(out, slice_first(rest, 1));
        rest = slice_skip(rest, 1);
        size_t len = before_either(rest, '&', '#');
        put_param(out, slice_first(rest, len), full);
        rest = slice_skip(rest, len);
    }
}

/* Where the authority begins: after "://", or at the start (the target of a CONNECT). */
static size_t authority_start(struct slice url)
{
    size_t slash = before_either(url, '/', '/');
    return slash > 0 && slice_starts(slice_skip(url, slash - 1), SLICE("://")) ? slash + 2 : 0;
}

/* Bytes of user information with its '@' at the start of `authority`. */
static size_t userinfo_length(struct slice authority)
{
    size_t len = authority.len;
    while (len && authority.ptr[len - 1] != '@')
        len--;
    return len;
}

/* At most max bytes, and no half UTF-8 sequence at the end. */
static size_t cut_length(struct slice s, size_t max)
{
    if (s.len <= max)
        return s.len;
    while (max && ((unsigned char)s.ptr[max] & 0xc0) == 0x80)
        max--;
    return max;
}

struct slice redact_url(struct slice url, bool full, size_t max, struct buf *scratch)
{
    size_t params = before_either(url, '?', '#');
    struct slice plain = slice_first(url, params);
    size_t start = authority_start(plain);
    struct slice authority = slice_skip(plain, start);
    authority.len = before_either(authority, '/', '/');
    size_t secret = userinfo_length(authority);
    if (secret == 0 && params == url.len && url.len <= max)
        return url;
    buf_clear(scratch);
    scratch->max = REDACT_SCRATCH_BYTES;
    put(scratch, slice_first(plain, start));
    put(scratch, slice_skip(plain, start + secret));
    put_params(scratch, slice_skip(url, params), full);
    scratch->max = REDACT_SCRATCH_BYTES + 64;
    size_t kept = cut_length(buf_slice(scratch), max);
    if (kept < buf_len(scratch)) {
        buf_truncate(scratch, kept);
        if (buf_printf(scratch, "\xe2\x80\xa6[len=%zu]", url.len) < 0)
            return buf_slice(scratch);
    }
    return buf_slice(scratch);
}
