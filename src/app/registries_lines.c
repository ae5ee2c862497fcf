/* Configurations that are read line by line (registries_internal.h). */
#include "app/registries_internal.h"

bool line_next(struct slice *rest, unsigned *line, struct slice *ret, bool *ret_indented)
{
    struct slice text;
    if (!slice_next(rest, '\n', &text))
        return false;
    ++*line;
    if (text.len && text.ptr[text.len - 1] == '\r')
        text.len--;
    *ret_indented = text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t');
    *ret = slice_trim(text);
    return true;
}

bool line_split(struct slice line, const char *separators, struct slice *ret_key, struct slice *ret_value)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] && strchr(separators, line.ptr[i])) {
            *ret_key = slice_trim(slice_first(line, i));
            *ret_value = slice_trim(slice_skip(line, i + 1));
            return true;
        }
    return false;
}

struct slice line_unquote(struct slice value)
{
    char q = value.len >= 2 ? value.ptr[0] : 0;
    return (q == '"' || q == '\'') && value.ptr[value.len - 1] == q ? slice_of(value.ptr + 1, value.len - 2)
                                                                    : value;
}

/* The next word between blanks. */
static bool word_next(struct slice *rest, struct slice *ret)
{
    struct slice s = slice_trim(*rest);
    size_t len = 0;
    while (len < s.len && s.ptr[len] != ' ' && s.ptr[len] != '\t')
        len++;
    *ret = slice_first(s, len);
    *rest = slice_skip(s, len);
    return len > 0;
}

int read_url(struct place *p, struct slice text, struct err *e)
{
    return place_add(p, slice_str(p->slot), text, 0, e);
}

/* ---- npm ---- */

int read_npmrc(struct place *p, struct slice text, struct err *e)
{
    struct slice line, key, value;
    unsigned number = 0;
    bool indented;
    while (line_next(&text, &number, &line, &indented)) {
        if (!line.len || line.ptr[0] == ';' || line.ptr[0] == '#' || !line_split(line, "=", &key, &value))
            continue;
        key = line_unquote(key);
        bool scoped = key.len && key.ptr[0] == '@' && slice_ends(key, SLICE(":registry"));
        if (!scoped && !slice_eq(key, SLICE("registry")))
            continue;
        value = line_unquote(value);
        if (slice_find(value, '$') >= 0)
            return place_wrong(p, number, e, "write the registry out, without a variable");
        if (place_add(p, key, value, number, e) < 0)
            return -1;
    }
    return 0;
}

/* What follows `mark`; empty where it is not there. */
static struct slice text_after(struct slice text, struct slice mark)
{
    const char *at = text.len ? memmem(text.ptr, text.len, mark.ptr, mark.len) : NULL;
    return at ? slice_skip(text, (size_t)(at - text.ptr) + mark.len) : slice_of(NULL, 0);
}

/* npm's table of settings is a program; this entry has had one shape since npm 7:
 *     'registry', {
 *       default: 'URL',
 * and where it has another, nothing is found. */
int read_npmjs(struct place *p, struct slice text, struct err *e)
{
    struct slice entry = slice_first(text_after(text, SLICE("'registry', {")), 256);
    struct slice value = text_after(entry, SLICE("default: '"));
    ptrdiff_t end = slice_find(value, '\'');
    return end > 0 ? place_add(p, SLICE("registry"), slice_first(value, (size_t)end), 0, e) : 0;
}

/* ---- pip ---- */

/* An index is a page of a repository, whose files often lie beside it: HOST/repository/{simple,packages}. */
static struct slice repository_of(struct slice index)
{
    while (index.len && index.ptr[index.len - 1] == '/')
        index.len--;
    if (slice_ends(index, SLICE("/simple")))
        index.len -= 7;
    else if (slice_ends(index, SLICE("/+simple")))
        index.len -= 8;
    return index;
}

static int add_indexes(struct place *p, struct slice slot, struct slice urls, unsigned line, struct err *e)
{
    struct slice url;
    while (word_next(&urls, &url))
        if (place_add(p, slot, repository_of(url), line, e) < 0)
            return -1;
    return 0;
}

int read_pip_urls(struct place *p, struct slice text, struct err *e)
{
    return add_indexes(p, slice_str(p->slot), text, 0, e);
}

/* pip takes `index_url` for `index-url`, in any case. */
static struct slice pip_slot(struct slice key)
{
    static const char *const slots[] = {"index-url", "extra-index-url"};
    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        struct slice slot = slice_str(slots[i]);
        bool same = key.len == slot.len;
        for (size_t c = 0; same && c < key.len; c++)
            same = ascii_lower(key.ptr[c]) == slot.ptr[c] || (key.ptr[c] == '_' && slot.ptr[c] == '-');
        if (same)
            return slot;
    }
    return slice_of(NULL, 0);
}

/* Python's configparser: indented lines carry the value before them on. */
int read_pip(struct place *p, struct slice text, struct err *e)
{
    struct slice line, key, value, slot = {0};
    unsigned number = 0;
    bool indented;
    while (line_next(&text, &number, &line, &indented)) {
        if (!line.len || line.ptr[0] == '#' || line.ptr[0] == ';')
            continue;
        if (!indented) {
            bool pair = line.ptr[0] != '[' && line_split(line, "=:", &key, &value);
            slot = pair ? pip_slot(key) : slice_of(NULL, 0);
            line = value;
        }
        if (slot.len && add_indexes(p, slot, line, number, e) < 0)
            return -1;
    }
    return 0;
}

/* ---- go ---- */

static int add_proxies(struct place *p, struct slice list, unsigned line, struct err *e)
{
    while (list.len) {
        size_t len = 0;
        while (len < list.len && list.ptr[len] != ',' && list.ptr[len] != '|')
            len++;
        if (place_add(p, SLICE("GOPROXY"), slice_first(list, len), line, e) < 0)
            return -1;
        list = slice_skip(list, len + 1);
    }
    return 0;
}

int read_goproxy(struct place *p, struct slice text, struct err *e)
{
    return add_proxies(p, text, 0, e);
}

int read_goenv(struct place *p, struct slice text, struct err *e)
{
    struct slice line, key, value;
    unsigned number = 0;
    bool indented;
    while (line_next(&text, &number, &line, &indented))
        if (line_split(line, "=", &key, &value) && slice_eq(key, SLICE("GOPROXY")) && value.len &&
            add_proxies(p, value, number, e) < 0)
            return -1;
    return 0;
}

/* ---- apt ---- */

/* A source is a mirror, or a local list of mirrors (apt-transport-mirror(1)); only lists under /etc/apt
 * count. */
static int add_source(struct place *p, struct slice uri, unsigned line, struct err *e)
{
    struct slice list = SLICE("mirror+file:");
    if (!slice_starts(uri, list))
        return place_add(p, SLICE(""), uri, line, e);
    struct slice path = slice_skip(uri, list.len);
    while (slice_starts(path, SLICE("//")))
        path = slice_skip(path, 1);
    if (!slice_starts(path, SLICE("/etc/apt/")) || memmem(path.ptr, path.len, "..", 2))
        return place_wrong(p, line, e, "a list of mirrors must lie below /etc/apt");
    return place_add_file(p, SLICE(""), path, line, e);
}

/* deb [ option=value ... ] URI suite component... */
int read_apt_lines(struct place *p, struct slice text, struct err *e)
{
    struct slice line, word;
    unsigned number = 0;
    bool indented;
    while (line_next(&text, &number, &line, &indented)) {
        if (!word_next(&line, &word) || !(slice_eq(word, SLICE("deb")) || slice_eq(word, SLICE("deb-src"))))
            continue;
        line = slice_trim(line);
        if (line.len && line.ptr[0] == '[') {
            ptrdiff_t end = slice_find(line, ']');
            if (end < 0)
                return place_wrong(p, number, e, "the options have no end: ] is missing");
            line = slice_skip(line, (size_t)end + 1);
        }
        if (!word_next(&line, &word))
            return place_wrong(p, number, e, "a source without a URI");
        if (add_source(p, word, number, e) < 0)
            return -1;
    }
    return 0;
}

struct stanza { /* of a deb822 file, while it is read */
    struct slice uris[REGISTRIES_MAX];
    unsigned lines[REGISTRIES_MAX];
    size_t count;
    bool in_uris, disabled;
};

static int end_stanza(struct place *p, struct stanza *s, struct err *e)
{
    int result = 0;
    struct slice uri;
    for (size_t i = 0; result == 0 && !s->disabled && i < s->count; i++)
        while (result == 0 && word_next(&s->uris[i], &uri))
            result = add_source(p, uri, s->lines[i], e);
    *s = (struct stanza){0};
    return result;
}

static int add_field_line(struct place *p, struct stanza *s, struct slice value, unsigned line, struct err *e)
{
    if (!s->in_uris)
        return 0;
    if (s->count == REGISTRIES_MAX)
        return place_wrong(p, line, e, "more than %d lines of URIs", REGISTRIES_MAX);
    s->uris[s->count] = value;
    s->lines[s->count++] = line;
    return 0;
}

static bool means_no(struct slice v)
{
    static const char *const words[] = {"no", "false", "without", "off", "disable", "0"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_eq_nocase(v, slice_str(words[i])))
            return true;
    return false;
}

/* Stanzas end at an empty line, fields go on in indented ones; comments end neither. */
int read_apt_stanzas(struct place *p, struct slice text, struct err *e)
{
    struct stanza s = {0};
    struct slice line, key, value;
    unsigned number = 0;
    bool indented;
    while (line_next(&text, &number, &line, &indented)) {
        if (line.len && line.ptr[0] == '#')
            continue;
        if (!line.len) {
            if (end_stanza(p, &s, e) < 0)
                return -1;
            continue;
        }
        if (!indented) {
            if (!line_split(line, ":", &key, &value))
                return place_wrong(p, number, e, "not a field: write `Name: value`");
            s.in_uris = slice_eq_nocase(key, SLICE("URIs"));
            if (slice_eq_nocase(key, SLICE("Enabled")))
                s.disabled = means_no(value);
            line = value;
        }
        if (add_field_line(p, &s, line, number, e) < 0)
            return -1;
    }
    return end_stanza(p, &s, e);
}
