#include "app/config_proxy.h"

#include "base/caps.h"
#include "http/chars.h"

#include <stdlib.h>

static const struct {
    struct slice prefix;
    const char *name;
    enum fetch_proxy_kind kind;
} schemes[] = {
    {SLICE("http://"), "http", FETCH_PROXY_HTTP},
    {SLICE("socks5://"), "socks5", FETCH_PROXY_SOCKS5},
    {SLICE("socks5h://"), "socks5h", FETCH_PROXY_SOCKS5},
};

static const char wrong_form[] = "must be http://HOST:PORT or socks5://HOST:PORT, with USER:PASSWORD@ before the host "
                                 "where the proxy asks for it";
static const char wrong_credentials[] = "has credentials that are empty, longer than 255 bytes, or hold what must be "
                                        "percent-encoded";

/* Percent-decoded; NULL where it is not plain text (RFC 1929: 1 to 255 bytes) or the arena is full. */
static const char *decode(struct arena *arena, struct slice in)
{
    char out[CAP_PROXY_CREDENTIAL_BYTES];
    size_t len = 0;
    while (in.len) {
        int byte = in.ptr[0] == '%' ? http_escape(in) : (unsigned char)in.ptr[0];
        if (byte < 0x20 || byte == 0x7f || len == sizeof out)
            return NULL;
        out[len++] = (char)byte;
        in = slice_skip(in, in.ptr[0] == '%' ? 3 : 1);
    }
    return arena_slice(arena, slice_of(out, len)).ptr;
}

static const char *read_userinfo(struct arena *arena, struct slice text, struct fetch_proxy *p)
{
    ptrdiff_t colon = slice_find(text, ':');
    struct slice user = colon < 0 ? text : slice_first(text, (size_t)colon);
    struct slice password = colon < 0 ? SLICE("") : slice_skip(text, (size_t)colon + 1);
    p->user = user.len ? decode(arena, user) : NULL;
    p->password = decode(arena, password);
    return p->user && p->password ? NULL : wrong_credentials;
}

/* The last one: an `@` in a password should be encoded, but often is not. */
static ptrdiff_t find_at(struct slice text)
{
    for (size_t i = text.len; i-- > 0;)
        if (text.ptr[i] == '@')
            return (ptrdiff_t)i;
    return -1;
}

static const char *read_rest(struct arena *arena, struct slice rest, const char *scheme, struct fetch_proxy *p)
{
    struct http_problem problem;
    ptrdiff_t at = find_at(rest);
    const char *wrong = at < 0 ? NULL : read_userinfo(arena, slice_first(rest, (size_t)at), p);
    if (wrong)
        return wrong;
    rest = slice_skip(rest, (size_t)(at + 1));
    if (slice_ends(rest, SLICE("/")))
        rest.len--;
    if (http_authority_parse(arena, rest, 0, &p->at, &problem) < 0)
        return wrong_form;
    bool bracket = p->at.kind == HTTP_HOST_IPV6;
    p->at.host = arena_slice(arena, p->at.host);
    p->text = arena_printf(arena, "%s://%s%.*s%s:%u", scheme, bracket ? "[" : "", SLICE_FMT(p->at.host),
                           bracket ? "]" : "", p->at.port);
    return p->text && p->at.host.ptr ? NULL : "does not fit into memory";
}

/* NULL and *ret, or what is wrong with it. */
static const char *parse(struct arena *arena, struct slice text, struct fetch_proxy *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        struct fetch_proxy p = {.kind = schemes[i].kind};
        if (!slice_eq_nocase(slice_first(text, schemes[i].prefix.len), schemes[i].prefix))
            continue;
        const char *wrong = read_rest(arena, slice_skip(text, schemes[i].prefix.len), schemes[i].name, &p);
        if (!wrong)
            *ret = p;
        return wrong;
    }
    return wrong_form;
}

void config_proxy_take(struct config *c, const struct schema_item *proxy, const struct schema_item *credentials,
                       struct problems *problems)
{
    c->upstream.proxy_line = proxy->line;
    c->upstream.proxy_column = proxy->column;
    if (!proxy->text.ptr) {
        if (credentials->text.ptr)
            problems_add(problems, credentials->line, credentials->column,
                         "`proxy_credentials_file` stands without `proxy`");
        return;
    }
    const char *wrong = parse(&c->arena, proxy->text, &c->upstream.proxy);
    if (wrong)
        problems_add(problems, proxy->line, proxy->column, "`proxy` %s", wrong);
    else if (c->upstream.proxy.user && credentials->text.ptr)
        problems_add(problems, proxy->line, proxy->column, "credentials stand in `proxy` and in a file");
    c->has_tokens |= c->upstream.proxy.user != NULL;
}

const char *config_proxy_credentials(struct arena *arena, struct slice text, struct fetch_proxy *p)
{
    struct slice line = slice_ends(text, SLICE("\n")) ? slice_first(text, text.len - 1) : text;
    ptrdiff_t colon = slice_find(line, ':');
    struct slice user = slice_first(line, colon < 0 ? 0 : (size_t)colon), password = slice_skip(line, user.len + 1);
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)line.ptr[i] < 0x20 || line.ptr[i] == 0x7f)
            return "is not one line of text";
    if (user.len == 0 || user.len > CAP_PROXY_CREDENTIAL_BYTES || password.len > CAP_PROXY_CREDENTIAL_BYTES)
        return "is not USER:PASSWORD, at most 255 bytes each";
    p->user = arena_slice(arena, user).ptr;
    p->password = arena_slice(arena, password).ptr;
    return p->user && p->password ? NULL : "does not fit into memory";
}

const char *config_proxy_hint(void)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "http_proxy",
                                        "HTTP_PROXY",  "all_proxy",   "ALL_PROXY"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return "exeat was started with proxy variables in its environment (HTTPS_PROXY and the like) and does not "
                   "use them: write the proxy as upstream.proxy";
    }
    return NULL;
}
