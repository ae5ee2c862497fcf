/* The form in which deny rules see a path besides the canonical one: http_path_decoded_lower. */
#include "http/chars.h"
#include "http/target.h"

/* Decodes until nothing is left to decode, in one pass: an escape is replaced as soon as its last digit
 * was written, and what it becomes may complete the escape before it (%2561 is %61 is a). */
static size_t decode(struct slice in, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        out[len++] = in.ptr[i];
        int byte;
        while (len >= 3 && (byte = http_escape(slice_of(out + len - 3, 3))) >= 0) {
            len -= 2;
            out[len - 1] = (char)byte;
        }
    }
    return len;
}

static void lower(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        text[i] = text[i] == '\\' ? '/' : ascii_lower(text[i]);
}

/* Back over "segment/" to behind the slash before it; the root stays. */
static size_t parent(const char *out, size_t len)
{
    if (len > 1)
        len--;
    while (len > 1 && out[len - 1] != '/')
        len--;
    return len;
}

/* Dots resolved and slashes merged, in place: an origin that decodes twice does both after it. */
static size_t resolve(char *text, size_t text_len)
{
    struct slice rest = slice_of(text, text_len), segment;
    size_t len = 0;

    text[len++] = '/';
    while (slice_next(&rest, '/', &segment)) {
        if (segment.len == 0 || slice_eq(segment, SLICE(".")))
            continue;
        if (slice_eq(segment, SLICE(".."))) {
            len = parent(text, len);
            continue;
        }
        memmove(text + len, segment.ptr, segment.len);
        len += segment.len;
        if (rest.ptr)
            text[len++] = '/';
    }
    return len;
}

struct slice http_path_decoded_lower(struct arena *arena, struct slice path)
{
    char *out = arena_alloc(arena, path.len + 1);
    if (!out)
        return slice_of(NULL, 0);
    size_t len = decode(path, out);
    lower(out, len);
    return slice_of(out, len > 0 && out[0] == '/' ? resolve(out, len) : len);
}
