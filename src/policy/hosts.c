#include "policy/hosts.h"

#include <idn2.h>
#include <libpsl.h>
#include <stdarg.h>
#include <stdio.h>

struct parse {
    struct schema_ctx *ctx;
    const struct schema_item *item;
};

static int fail(const struct parse *p, const char *fmt, ...) PRINTF(2, 3);

static int fail(const struct parse *p, const char *fmt, ...)
{
    char message[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    return problems_add(p->ctx->problems, p->item->line, p->item->column, "%s", message);
}

static struct slice shown(struct slice s)
{
    return slice_first(s, 100);
}

/* What people write where a host stands; each is told what to write instead. */
static int refuse_mistakes(const struct parse *p)
{
    struct slice text = p->item->text;
    if (slice_eq(text, SLICE("*")) || slice_eq(text, SLICE("**")))
        return fail(p,
                    "\"%.*s\" would be every host there is; name the hosts, or all below one as "
                    "\"*.example.com\"",
                    SLICE_FMT(text));
    if (memmem(text.ptr, text.len, "://", 3))
        return fail(p, "write the host alone; scheme, port and path have keys of their own");
    if (slice_find(text, '/') >= 0)
        return fail(p, "a host has no \"/\"; paths are written under `paths`");
    if (slice_find(text, '@') >= 0)
        return fail(p, "a host has no \"@\"");
    if (slice_starts(text, SLICE(".")))
        return fail(p, "write \"*%.*s\" (all names below) or \"**%.*s\" (and the name itself)",
                    SLICE_FMT(shown(text)), SLICE_FMT(shown(text)));
    return 0;
}

static struct slice cut_wildcard(struct slice text, enum host_kind *ret_kind)
{
    if (slice_starts(text, SLICE("**."))) {
        *ret_kind = HOST_APEX_AND_BELOW;
        return slice_skip(text, 3);
    }
    if (slice_starts(text, SLICE("*."))) {
        *ret_kind = HOST_BELOW;
        return slice_skip(text, 2);
    }
    *ret_kind = HOST_EXACT;
    return text;
}

static bool is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] >= 0x80)
            return false;
    return true;
}

/* RFC 5891 with the mapping of UTS 46.  ASCII names stay as they are: they need not be valid IDNA. */
static int to_ascii(const struct parse *p, struct slice *name)
{
    if (is_ascii(*name))
        return 0;
    struct slice copy = arena_slice(p->ctx->arena, *name); /* libidn2 wants a NUL */
    if (!copy.ptr)
        return fail(p, "out of memory");
    char *ascii;
    int code = idn2_to_ascii_8z(copy.ptr, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
    if (code != IDN2_OK)
        return fail(p, "\"%.*s\" is not a host name: %s", SLICE_FMT(shown(*name)), idn2_strerror(code));
    *name = arena_slice(p->ctx->arena, slice_str(ascii));
    idn2_free(ascii);
    return name->ptr ? 0 : fail(p, "out of memory");
}

static size_t count(struct slice s, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += s.ptr[i] == c;
    return n;
}

/* An IPv6 address may be written with or without brackets. */
static int bracket(const struct parse *p, struct slice *name)
{
    size_t colons = count(*name, ':');
    bool open = name->len && name->ptr[0] == '[';
    if (colons == 0 && !open)
        return 0;
    if (open ? name->ptr[name->len - 1] != ']' : colons == 1)
        return fail(p, "write the port under `ports`, as in `ports: [8443]`");
    if (open)
        return 0;
    const char *text = arena_printf(p->ctx->arena, "[%.*s]", SLICE_FMT(*name));
    *name = slice_str(text);
    return text ? 0 : fail(p, "out of memory");
}

static int canonical(const struct parse *p, struct slice name, struct host_pattern *ret)
{
    struct http_authority authority;
    struct http_problem problem;
    struct slice given = name;
    if (count(name, '*'))
        return fail(p, "a wildcard is the whole first label: \"*.example.com\" or \"**.example.com\"");
    if (to_ascii(p, &name) < 0 || bracket(p, &name) < 0)
        return -1;
    if (http_authority_parse(p->ctx->arena, name, 443, &authority, &problem) < 0)
        return fail(p, "\"%.*s\" is not a host: %s", SLICE_FMT(shown(given)), problem.detail);
    ret->name = arena_slice(p->ctx->arena, authority.host);
    ret->literal = authority.kind;
    return ret->name.ptr ? 0 : fail(p, "out of memory");
}

/* Also the parent of suffixes that the list writes with a wildcard of its own (*.kawasaki.jp). */
static bool over_public_suffix(const struct parse *p, const struct host_pattern *h)
{
    const psl_ctx_t *list = psl_builtin();
    const char *below = arena_printf(p->ctx->arena, "x.%s", h->name.ptr);
    return !list || !below || psl_is_public_suffix(list, h->name.ptr) || psl_is_public_suffix(list, below);
}

static int check_wildcard(const struct parse *p, const struct host_pattern *h, bool broad)
{
    if (h->kind == HOST_EXACT)
        return 0;
    if (h->literal != HTTP_HOST_NAME)
        return fail(p, "an address has no names below it; write it without the wildcard");
    if (!broad && over_public_suffix(p, h))
        return fail(p,
                    "\"%.*s\" is a public suffix: names below it belong to anybody; name the hosts, or write "
                    "\"*.\" before a registered name (`broad: true` means it all the same)",
                    SLICE_FMT(shown(h->name)));
    return 0;
}

int hosts_parse(struct schema_ctx *ctx, const struct schema_item *item, bool broad, struct host_pattern *ret)
{
    const struct parse p = {ctx, item};
    struct host_pattern h;
    if (refuse_mistakes(&p) < 0)
        return -1;
    struct slice name = cut_wildcard(item->text, &h.kind);
    if (canonical(&p, name, &h) < 0 || check_wildcard(&p, &h, broad) < 0)
        return -1;
    *ret = h;
    return 0;
}

int hosts_print(const struct host_pattern *p, struct buf *out)
{
    static const char *const prefix[] = {"", "*.", "**."};
    bool v6 = p->literal == HTTP_HOST_IPV6;
    return buf_printf(out, "%s%s%s%s", prefix[p->kind], v6 ? "[" : "", p->name.ptr, v6 ? "]" : "");
}
