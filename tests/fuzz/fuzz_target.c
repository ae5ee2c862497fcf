/* Targets from arbitrary bytes.
 *
 * The first byte chooses the reader.  What must hold: what was accepted reads and prints as itself again
 * (so judged is sent, and sent is judged); no byte comes out that could be read in two ways; what deny
 * rules see decodes no further. */
#include "base/buf.h"
#include "base/caps.h"
#include "http/target.h"

#include <stdlib.h>

enum { ROOM = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static bool contains(struct slice s, struct slice what)
{
    for (size_t i = 0; i + what.len <= s.len; i++)
        if (memcmp(s.ptr + i, what.ptr, what.len) == 0)
            return true;
    return false;
}

static void must_be_visible(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        must(s.ptr[i] > 0x20 && s.ptr[i] < 0x7f && s.ptr[i] != '#');
}

static void must_be_canonical(const struct http_target *t)
{
    static const char *const never[] = {"//",   "\\",  "?",   "\"",  "<",   "/./", "/../",
                                        "/..;", "%00", "%0D", "%0A", "%5C", "%2E", "%7E",
                                        "%41",  "%5c", "%2f", "%C0", "%FF"};
    must(t->path.len > 0 && t->path.ptr[0] == '/');
    must_be_visible(t->path);
    must_be_visible(t->query);
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        must(!contains(t->path, slice_str(never[i])));
    must(!slice_ends(t->path, SLICE("/..")) && !slice_ends(t->path, SLICE("/.")));
    must(t->encoded_slash == contains(t->path, SLICE("%2F")));
    must(t->path.len + t->query.len + t->has_query <= CAP_TARGET_BYTES);
}

/* Once decoded and resolved, always decoded and resolved. */
static void check_decoded(struct arena *arena, struct slice path)
{
    struct slice once = http_path_decoded_lower(arena, path);
    must(once.ptr && once.len <= path.len + 1);
    must(slice_eq(http_path_decoded_lower(arena, once), once));
}

static void check_url(struct arena *arena, struct slice in)
{
    struct http_target t, again;
    struct http_problem problem = {0};
    struct buf first = BUF_INIT(ROOM), second = BUF_INIT(ROOM);

    if (http_url_parse(arena, in, &t, &problem) == 0) {
        must_be_canonical(&t);
        must_be_visible(t.authority.host);
        must(t.authority.port != 0 && t.authority.host.len > 0);
        must(http_target_print(&t, &first) == 0);
        must(http_url_parse(arena, buf_slice(&first), &again, &problem) == 0);
        must(http_target_print(&again, &second) == 0);
        must(slice_eq(buf_slice(&first), buf_slice(&second)));
        must(http_authority_eq(&t.authority, &again.authority) && t.scheme == again.scheme);
        must(slice_eq(t.path, again.path) && slice_eq(t.query, again.query));
        check_decoded(arena, t.path);
    } else {
        must(problem.fault != HTTP_OK && problem.detail);
    }
    buf_free(&first);
    buf_free(&second);
}

static void check_path(struct arena *arena, struct slice in)
{
    struct http_target t = {0}, again = {0};

    if (http_path_parse(arena, in, &t, NULL) < 0)
        return;
    must_be_canonical(&t);
    must(http_path_parse(arena, t.path, &again, NULL) == 0 && slice_eq(again.path, t.path));
    must(again.encoded_slash == t.encoded_slash);
    check_decoded(arena, t.path);
}

static void check_authority(struct arena *arena, struct slice in, uint16_t default_port)
{
    struct http_authority a, again;
    struct buf out = BUF_INIT(ROOM);

    if (http_authority_parse(arena, in, default_port, &a, NULL) == 0) {
        must_be_visible(a.host);
        must(a.port != 0 && a.host.len > 0 && a.host.len <= CAP_HOST_BYTES);
        must(http_authority_print(&a, default_port, &out) == 0);
        must(http_authority_parse(arena, buf_slice(&out), default_port, &again, NULL) == 0);
        must(http_authority_eq(&a, &again) && a.kind == again.kind);
        must(memcmp(a.address, again.address, sizeof a.address) == 0);
    }
    buf_free(&out);
}

/* A pattern without a star is a path: it must read as that path does. */
static void check_pattern(struct arena *arena, struct slice in)
{
    struct slice once, twice;
    struct http_target t = {0};

    if (http_pattern_canonical(arena, in, &once, NULL) < 0)
        return;
    must_be_visible(once);
    must(http_pattern_canonical(arena, once, &twice, NULL) == 0 && slice_eq(once, twice));
    if (once.len > 0 && once.ptr[0] == '/' && once.len <= CAP_TARGET_BYTES)
        must(http_path_parse(arena, once, &t, NULL) == 0 && slice_eq(t.path, once));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice in = slice_of((const char *)data + 1, size - 1);
    struct arena arena = ARENA_INIT(ROOM);

    switch (data[0] % 5) {
    case 0:
        check_url(&arena, in);
        break;
    case 1:
        check_path(&arena, in);
        break;
    case 2:
        check_authority(&arena, in, 443);
        break;
    case 3:
        check_authority(&arena, in, 0);
        break;
    default:
        check_pattern(&arena, in);
    }
    arena_free(&arena);
    return 0;
}
