/* maven's settings.xml (registries_internal.h).
 *
 * Of XML 1.0 only as much is read as it needs: elements and plain text, comments skipped.  Document types,
 * CDATA and entities in the values that count are errors with their line. */
#include "app/registries_internal.h"
#include "base/buf.h"

enum { XML_DEPTH = 32, XML_PATH_BYTES = 1024, XML_VALUE_BYTES = 1024 };

struct xml {
    struct place *place;
    struct err *e;
    struct slice rest;
    unsigned line;
    struct buf path; /* "settings/mirrors/mirror/url" */
    unsigned depth;
    struct buf text; /* of the innermost element */
    struct buf url, mirror_of;
    bool blocked;
};

static int xml_wrong(const struct xml *x, const char *what)
{
    return place_wrong(x->place, x->line, x->e, "%s", what);
}

static void xml_step(struct xml *x, size_t n)
{
    for (size_t i = 0; i < n && i < x->rest.len; i++)
        x->line += x->rest.ptr[i] == '\n';
    x->rest = slice_skip(x->rest, n);
}

/* Skips what begins here up to and with `end`. */
static int xml_skip_to(struct xml *x, struct slice end)
{
    const char *at = memmem(x->rest.ptr, x->rest.len, end.ptr, end.len);
    if (!at)
        return xml_wrong(x, "the file ends in the middle of something");
    xml_step(x, (size_t)(at - x->rest.ptr) + end.len);
    return 0;
}

static bool xml_at(const struct xml *x, const char *path)
{
    return slice_eq(buf_slice(&x->path), slice_str(path));
}

/* One name of a list in <mirrorOf>. */
static bool list_has(struct slice list, const char *name)
{
    struct slice item;
    while (slice_next(&list, ',', &item))
        if (slice_eq(slice_trim(item), slice_str(name)))
            return true;
    return false;
}

static int xml_end_mirror(struct xml *x)
{
    struct slice of = buf_slice(&x->mirror_of);
    bool central = !list_has(of, "!central") &&
                   (list_has(of, "*") || list_has(of, "central") || list_has(of, "external:*"));
    int result = x->blocked ? 0
                            : place_add(x->place, central ? SLICE("central") : SLICE(""), buf_slice(&x->url),
                                        x->line, x->e);
    buf_clear(&x->url);
    buf_clear(&x->mirror_of);
    x->blocked = false;
    return result;
}

static int xml_keep(struct xml *x, struct buf *into)
{
    struct slice text = buf_slice(&x->text);
    while (text.len && strchr(" \t\r\n", text.ptr[0]))
        text = slice_skip(text, 1);
    while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1]))
        text.len--;
    if (slice_find(text, '&') >= 0 || slice_find(text, '$') >= 0)
        return xml_wrong(x, "write this value without entities and ${...}");
    buf_clear(into);
    return buf_append(into, text) < 0 ? xml_wrong(x, "too long a value") : 0;
}

static int xml_add_repository(struct xml *x)
{
    return xml_keep(x, &x->url) < 0 ? -1 : place_add(x->place, SLICE(""), buf_slice(&x->url), x->line, x->e);
}

/* An element has ended; its path is still there. */
static int xml_ended(struct xml *x)
{
    if (xml_at(x, "settings/mirrors/mirror/url"))
        return xml_keep(x, &x->url);
    if (xml_at(x, "settings/mirrors/mirror/mirrorOf"))
        return xml_keep(x, &x->mirror_of);
    if (xml_at(x, "settings/mirrors/mirror/blocked"))
        x->blocked = memmem(x->text.data + x->text.start, buf_len(&x->text), "true", 4) != NULL;
    if (xml_at(x, "settings/mirrors/mirror"))
        return xml_end_mirror(x);
    if (xml_at(x, "settings/profiles/profile/repositories/repository/url") ||
        xml_at(x, "settings/profiles/profile/pluginRepositories/pluginRepository/url"))
        return xml_add_repository(x);
    return 0;
}

static int xml_pop(struct xml *x, struct slice name)
{
    struct slice path = buf_slice(&x->path);
    bool nested = path.len > name.len;
    if (x->depth == 0 || !slice_ends(path, name) || (nested && path.ptr[path.len - name.len - 1] != '/'))
        return xml_wrong(x, "an end tag that does not fit");
    if (xml_ended(x) < 0)
        return -1;
    buf_truncate(&x->path, path.len - name.len - nested);
    buf_clear(&x->text);
    x->depth--;
    return 0;
}

static int xml_push(struct xml *x, struct slice name)
{
    if (x->depth == XML_DEPTH || buf_printf(&x->path, "%s%.*s", x->depth ? "/" : "", SLICE_FMT(name)) < 0)
        return xml_wrong(x, "nested too deeply");
    buf_clear(&x->text);
    x->depth++;
    return 0;
}

/* The length of the tag that begins here, with its ">", which attributes may hold in quotes; 0: it has no
 * end. */
static size_t xml_tag_length(const struct xml *x)
{
    char quote = '\0';
    for (size_t i = 1; i < x->rest.len; i++) {
        char c = x->rest.ptr[i];
        if (quote)
            quote = c == quote ? '\0' : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == '>')
            return i + 1;
    }
    return 0;
}

static int xml_tag(struct xml *x)
{
    size_t len = xml_tag_length(x);
    if (len < 3)
        return xml_wrong(x, "a tag without its end");
    struct slice inner = slice_of(x->rest.ptr + 1, len - 2);
    bool ends = inner.ptr[0] == '/', empty = !ends && inner.ptr[inner.len - 1] == '/';
    if (ends)
        inner = slice_skip(inner, 1);
    size_t name = 0;
    while (name < inner.len && !strchr(" \t\r\n/", inner.ptr[name]))
        name++;
    struct slice tag = slice_first(inner, name);
    if (!tag.len || memchr(tag.ptr, '\0', tag.len))
        return xml_wrong(x, "a tag without a name");
    if (!ends && xml_push(x, tag) < 0)
        return -1;
    if ((ends || empty) && xml_pop(x, tag) < 0)
        return -1;
    xml_step(x, len);
    return 0;
}

static int xml_text(struct xml *x)
{
    size_t len = 0;
    while (len < x->rest.len && x->rest.ptr[len] != '<')
        len++;
    struct slice text = slice_first(x->rest, len);
    /* Long texts stand in elements that nobody asks about. */
    if (len > buf_space(&x->text))
        text = slice_first(text, buf_space(&x->text));
    int result = buf_append(&x->text, text);
    xml_step(x, len);
    return result < 0 ? xml_wrong(x, "no memory") : 0;
}

static int xml_item(struct xml *x)
{
    if (x->rest.ptr[0] != '<')
        return xml_text(x);
    if (slice_starts(x->rest, SLICE("<!--")))
        return xml_skip_to(x, SLICE("-->"));
    if (slice_starts(x->rest, SLICE("<?")))
        return xml_skip_to(x, SLICE("?>"));
    if (slice_starts(x->rest, SLICE("<!")))
        return xml_wrong(x, "declarations and CDATA are not read here: write plain elements");
    return xml_tag(x);
}

int read_maven(struct place *p, struct slice text, struct err *e)
{
    struct xml x = {.place = p,
                    .e = e,
                    .rest = text,
                    .line = 1,
                    .path = BUF_INIT(XML_PATH_BYTES),
                    .text = BUF_INIT(XML_VALUE_BYTES),
                    .url = BUF_INIT(XML_VALUE_BYTES),
                    .mirror_of = BUF_INIT(XML_VALUE_BYTES)};
    int result = 0;
    while (result == 0 && x.rest.len)
        result = xml_item(&x);
    if (result == 0 && x.depth)
        result = xml_wrong(&x, "an element without its end");
    buf_free(&x.path);
    buf_free(&x.text);
    buf_free(&x.url);
    buf_free(&x.mirror_of);
    return result;
}
