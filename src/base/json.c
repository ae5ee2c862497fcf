#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>

static void put(struct json *j, struct slice s)
{
    if (buf_append(j->out, s) < 0)
        j->failed = true;
}

static void before_value(struct json *j)
{
    if (j->comma)
        put(j, SLICE(","));
    j->comma = true;
}

void json_object(struct json *j)
{
    before_value(j);
    put(j, SLICE("{"));
    j->comma = false;
}

void json_object_end(struct json *j)
{
    put(j, SLICE("}"));
    j->comma = true;
}

void json_array(struct json *j)
{
    before_value(j);
    put(j, SLICE("["));
    j->comma = false;
}

void json_array_end(struct json *j)
{
    put(j, SLICE("]"));
    j->comma = true;
}

void json_key(struct json *j, const char *key)
{
    before_value(j);
    put(j, SLICE("\""));
    put(j, slice_str(key));
    put(j, SLICE("\":"));
    j->comma = false;
}

/* Length of the UTF-8 sequence at s (RFC 3629), its code point in *ret; 0 when it is not one. */
static size_t utf8_next(struct slice s, uint32_t *ret)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)s.ptr[0];
    size_t len = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;
    if (len == 0 || len > s.len)
        return 0;
    uint32_t point = len == 1 ? first : first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (c & 0x3f);
    }
    if (point < smallest[len] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return 0;
    *ret = point;
    return len;
}

static bool must_escape(uint32_t point)
{
    return point < 0x20 || point == '"' || point == '\\' || (point >= 0x7f && point < 0xa0) ||
           (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2060 && point <= 0x206f) || point == 0xfeff;
}

static void put_escape(struct json *j, uint32_t point)
{
    char text[8];
    static const char short_form[] = "\"\"\\\\\nn\rr\tt";
    for (const char *p = short_form; *p; p += 2) {
        if (point == (unsigned char)*p) {
            snprintf(text, sizeof text, "\\%c", p[1]);
            put(j, slice_str(text));
            return;
        }
    }
    snprintf(text, sizeof text, "\\u%04x", (unsigned)point & 0xffffu);
    put(j, slice_str(text));
}

/* Printable ASCII that stands for itself: the run that is copied at once. */
static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_escaped(struct json *j, struct slice rest)
{
    while (rest.len) {
        size_t plain = 0;
        while (plain < rest.len && is_plain(rest.ptr[plain]))
            plain++;
        put(j, slice_first(rest, plain));
        rest = slice_skip(rest, plain);
        if (!rest.len)
            return;
        uint32_t point;
        size_t len = utf8_next(rest, &point);
        if (len == 0)
            put(j, SLICE("\\ufffd"));
        else if (must_escape(point))
            put_escape(j, point);
        else
            put(j, slice_first(rest, len));
        rest = slice_skip(rest, len ? len : 1);
    }
}

void json_slice(struct json *j, struct slice text)
{
    before_value(j);
    put(j, SLICE("\""));
    put_escaped(j, text);
    put(j, SLICE("\""));
}

void json_str(struct json *j, const char *text)
{
    if (text)
        json_slice(j, slice_str(text));
    else
        json_null(j);
}

void json_int(struct json *j, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    json_raw(j, slice_str(text));
}

void json_bool(struct json *j, bool value)
{
    json_raw(j, value ? SLICE("true") : SLICE("false"));
}

void json_null(struct json *j)
{
    json_raw(j, SLICE("null"));
}

void json_ms(struct json *j, int64_t ns)
{
    char text[32];
    int64_t tenths = (ns + 50000) / 100000;
    if (tenths % 10)
        snprintf(text, sizeof text, "%" PRId64 ".%d", tenths / 10, (int)(tenths % 10));
    else
        snprintf(text, sizeof text, "%" PRId64, tenths / 10);
    json_raw(j, slice_str(text));
}

void json_raw(struct json *j, struct slice raw)
{
    before_value(j);
    put(j, raw);
}

void json_kv_slice(struct json *j, const char *key, struct slice text)
{
    json_key(j, key);
    json_slice(j, text);
}

void json_kv_str(struct json *j, const char *key, const char *text)
{
    json_key(j, key);
    json_str(j, text);
}

void json_kv_int(struct json *j, const char *key, int64_t value)
{
    json_key(j, key);
    json_int(j, value);
}

void json_kv_bool(struct json *j, const char *key, bool value)
{
    json_key(j, key);
    json_bool(j, value);
}
