#include "config/document.h"

#include "base/caps.h"

#include <stdlib.h>
#include <yaml.h>

enum { ARENA_BYTES = 64 << 20 };

struct anchor {
    struct slice name;
    const struct node *node;
};

struct loader {
    yaml_parser_t parser;
    struct slice text;
    struct problems *problems;
    struct arena *arena;
    unsigned nodes, aliases, anchor_count;
    struct anchor anchors[CAP_DOCUMENT_ALIASES];
};

const char *node_kind_name(const struct node *n)
{
    static const char *const names[] = {"text", "a list", "a mapping"};
    if (n->kind == NODE_SCALAR && n->text.len == 0)
        return n->plain ? "nothing" : "empty text";
    return names[n->kind];
}

bool node_is_empty(const struct node *n)
{
    return n->kind == NODE_SCALAR && n->plain && n->text.len == 0;
}

const struct node *node_get(const struct node *mapping, struct slice key)
{
    NODE_FOREACH(child, mapping)
    if (child->key && slice_eq(child->key->text, key))
        return child;
    return NULL;
}

static int fail_at(struct loader *l, const yaml_mark_t *at, const char *what)
{
    return problems_add(l->problems, (unsigned)at->line + 1, (unsigned)at->column + 1, "%s", what);
}

/* The rest of the source from a place (counted in characters, as libyaml does) to the end of its line. */
static struct slice source_at(struct slice text, size_t line, size_t column)
{
    struct slice rest = text, row = text;
    for (size_t i = 0; i <= line; i++)
        if (!slice_next(&rest, '\n', &row))
            return slice_of(NULL, 0);
    size_t at = 0;
    while (at < row.len && (column > 0 || ((unsigned char)row.ptr[at] & 0xc0) == 0x80)) {
        if (((unsigned char)row.ptr[at] & 0xc0) != 0x80)
            column--;
        at++;
    }
    return slice_skip(row, at);
}

/* An unquoted `*` starts an alias in YAML; whoever writes one here nearly always means a host pattern. */
static int fail_alias(struct loader *l, const yaml_mark_t *at)
{
    struct slice word = source_at(l->text, at->line, at->column);
    size_t len = 0;
    while (len < word.len && !strchr(" \t\r,]}\"'#", word.ptr[len]))
        len++;
    if (len < 2)
        word = SLICE("*.example.com");
    else
        word = slice_first(word, len);
    return problems_add(l->problems, (unsigned)at->line + 1, (unsigned)at->column + 1,
                        "write host patterns in quotes: \"%.*s\"",
                        SLICE_FMT(slice_first(word, CAP_HOST_BYTES)));
}

/* libyaml gives only a byte offset for text that is not UTF-8. */
static int fail_reader(struct loader *l)
{
    unsigned line = 1, column = 1;
    struct slice before = slice_first(l->text, l->parser.problem_offset);
    for (size_t i = 0; i < before.len; i++) {
        column++;
        if (before.ptr[i] == '\n') {
            line++;
            column = 1;
        }
    }
    return problems_add(l->problems, line, column, "not readable as UTF-8 text: %s",
                        l->parser.problem ? l->parser.problem : "invalid bytes");
}

/* What libyaml calls a character that cannot start any token. */
static bool is_tab(const struct loader *l, const yaml_mark_t *at)
{
    struct slice rest = l->text, line = SLICE("");
    for (size_t n = 0; n <= at->line; n++)
        if (!slice_next(&rest, '\n', &line))
            return false;
    return at->column < line.len && line.ptr[at->column] == '\t';
}

static int fail_parser(struct loader *l)
{
    const yaml_parser_t *p = &l->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return problems_add(l->problems, 0, 0, "out of memory");
    if (p->error == YAML_READER_ERROR)
        return fail_reader(l);
    if (p->error == YAML_SCANNER_ERROR && p->context && !strcmp(p->context, "while scanning an alias"))
        return fail_alias(l, &p->context_mark);
    if (p->error == YAML_SCANNER_ERROR && is_tab(l, &p->problem_mark))
        return problems_add(l->problems, (unsigned)p->problem_mark.line + 1, (unsigned)p->problem_mark.column + 1,
                            "not valid YAML: a tab; indent with spaces");
    return problems_add(l->problems, (unsigned)p->problem_mark.line + 1, (unsigned)p->problem_mark.column + 1,
                        "not valid YAML: %s%s%s", p->problem ? p->problem : "unreadable",
                        p->context ? ", " : "", p->context ? p->context : "");
}

static int next_event(struct loader *l, yaml_event_t *ret)
{
    return yaml_parser_parse(&l->parser, ret) ? 0 : fail_parser(l);
}

static int count_nodes(struct loader *l, unsigned n, const yaml_mark_t *at)
{
    l->nodes += n;
    return l->nodes > CAP_DOCUMENT_NODES ? fail_at(l, at, "the document has too many values") : 0;
}

static struct node *new_node(struct loader *l, enum node_kind kind, const yaml_mark_t *at)
{
    if (count_nodes(l, 1, at) < 0)
        return NULL;
    struct node *n = arena_new(l->arena, struct node);
    if (!n) {
        fail_at(l, at, "out of memory");
        return NULL;
    }
    *n = (struct node){
        .kind = kind, .line = (unsigned)at->line + 1, .column = (unsigned)at->column + 1, .weight = 1};
    return n;
}

static struct node *read_scalar(struct loader *l, const yaml_event_t *e)
{
    struct slice text = slice_of((const char *)e->data.scalar.value, e->data.scalar.length);
    if (text.len > CAP_SCALAR_BYTES) {
        fail_at(l, &e->start_mark, "the text is too long");
        return NULL;
    }
    if (memchr(text.ptr, '\0', text.len)) {
        fail_at(l, &e->start_mark, "a NUL character is not allowed");
        return NULL;
    }
    struct node *n = new_node(l, NODE_SCALAR, &e->start_mark);
    if (!n)
        return NULL;
    n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->text = arena_slice(l->arena, text);
    return n->text.ptr ? n : NULL;
}

/* A shallow copy: it has its own place and siblings, the children are shared. */
static struct node *read_alias(struct loader *l, const yaml_event_t *e)
{
    struct slice name = slice_str((const char *)e->data.alias.anchor);
    if (++l->aliases > CAP_DOCUMENT_ALIASES) {
        fail_at(l, &e->start_mark, "too many aliases");
        return NULL;
    }
    for (unsigned i = l->anchor_count; i-- > 0;) {
        if (!slice_eq(l->anchors[i].name, name))
            continue;
        const struct node *from = l->anchors[i].node;
        struct node *n = new_node(l, from->kind, &e->start_mark);
        if (!n || count_nodes(l, from->weight, &e->start_mark) < 0)
            return NULL;
        n->plain = from->plain;
        n->text = from->text;
        n->first = from->first;
        n->count = from->count;
        n->weight = from->weight;
        return n;
    }
    fail_alias(l, &e->start_mark);
    return NULL;
}

/* Known only from its end on: an alias inside its own anchor finds nothing. */
static int keep_anchor(struct loader *l, struct slice name, const struct node *node, const yaml_mark_t *at)
{
    if (!name.ptr)
        return 0;
    if (l->anchor_count == CAP_DOCUMENT_ALIASES)
        return fail_at(l, at, "too many anchors");
    l->anchors[l->anchor_count++] = (struct anchor){name, node};
    return 0;
}

static struct node *read_node(struct loader *l, const yaml_event_t *e, unsigned depth);

static struct node *read_next(struct loader *l, unsigned depth, yaml_event_type_t end, bool *ret_end)
{
    yaml_event_t e;
    if (next_event(l, &e) < 0)
        return NULL;
    struct node *n = NULL;
    if (e.type == end)
        *ret_end = true;
    else
        n = read_node(l, &e, depth);
    yaml_event_delete(&e);
    return n;
}

static void add_child(struct node *parent, struct node ***tail, struct node *child)
{
    **tail = child;
    *tail = &child->next;
    parent->count++;
    parent->weight += child->weight;
}

static int read_sequence(struct loader *l, struct node *seq, unsigned depth)
{
    struct node **tail = &seq->first;
    for (;;) {
        bool end = false;
        struct node *item = read_next(l, depth + 1, YAML_SEQUENCE_END_EVENT, &end);
        if (end)
            return 0;
        if (!item)
            return -1;
        add_child(seq, &tail, item);
    }
}

static int check_key(struct loader *l, const struct node *mapping, const struct node *key)
{
    if (key->kind != NODE_SCALAR)
        return problems_add(l->problems, key->line, key->column, "a key must be text, not %s",
                            node_kind_name(key));
    const struct node *twin = node_get(mapping, key->text);
    if (twin)
        return problems_add(l->problems, key->line, key->column, "\"%.*s\" stands twice; first in line %u",
                            SLICE_FMT(slice_first(key->text, 64)), twin->key->line);
    if (mapping->count == CAP_DOCUMENT_KEYS)
        return problems_add(l->problems, key->line, key->column, "the mapping has too many keys");
    return 0;
}

static int read_mapping(struct loader *l, struct node *mapping, unsigned depth)
{
    struct node **tail = &mapping->first;
    for (;;) {
        bool end = false;
        struct node *key = read_next(l, depth + 1, YAML_MAPPING_END_EVENT, &end);
        if (end)
            return 0;
        if (!key || check_key(l, mapping, key) < 0)
            return -1;
        struct node *value = read_next(l, depth + 1, YAML_NO_EVENT, &end);
        if (!value)
            return -1;
        value->key = key;
        mapping->weight += key->weight;
        add_child(mapping, &tail, value);
    }
}

struct properties {
    const yaml_char_t *anchor, *tag;
};

static struct properties properties_of(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return (struct properties){e->data.scalar.anchor, e->data.scalar.tag};
    case YAML_SEQUENCE_START_EVENT:
        return (struct properties){e->data.sequence_start.anchor, e->data.sequence_start.tag};
    case YAML_MAPPING_START_EVENT:
        return (struct properties){e->data.mapping_start.anchor, e->data.mapping_start.tag};
    default:
        return (struct properties){NULL, NULL};
    }
}

static struct node *read_collection(struct loader *l, const yaml_event_t *e, unsigned depth)
{
    bool sequence = e->type == YAML_SEQUENCE_START_EVENT;
    struct node *n = new_node(l, sequence ? NODE_SEQUENCE : NODE_MAPPING, &e->start_mark);
    if (!n || (sequence ? read_sequence(l, n, depth) : read_mapping(l, n, depth)) < 0)
        return NULL;
    return n;
}

/* NULL with a problem added. */
static struct node *read_node(struct loader *l, const yaml_event_t *e, unsigned depth)
{
    struct properties with = properties_of(e);
    if (depth > CAP_DOCUMENT_DEPTH) {
        fail_at(l, &e->start_mark, "the document is nested too deep");
        return NULL;
    }
    if (with.tag) {
        fail_at(l, &e->start_mark, "tags (`!…`) are not allowed");
        return NULL;
    }
    if (e->type == YAML_ALIAS_EVENT)
        return read_alias(l, e);
    struct slice anchor =
        with.anchor ? arena_slice(l->arena, slice_str((const char *)with.anchor)) : slice_str(NULL);
    struct node *n = e->type == YAML_SCALAR_EVENT ? read_scalar(l, e) : read_collection(l, e, depth);
    if (!n || keep_anchor(l, anchor, n, &e->start_mark) < 0)
        return NULL;
    return n;
}

static int expect(struct loader *l, yaml_event_type_t type, const char *otherwise)
{
    yaml_event_t e;
    if (next_event(l, &e) < 0)
        return -1;
    int result = e.type == type ? 0 : fail_at(l, &e.start_mark, otherwise);
    yaml_event_delete(&e);
    return result;
}

/* The stream's grammar (libyaml): STREAM-START (DOCUMENT-START node DOCUMENT-END)* STREAM-END. */
static int read_stream(struct loader *l, struct node **ret_root)
{
    if (expect(l, YAML_STREAM_START_EVENT, "not a YAML stream") < 0)
        return -1;
    yaml_event_t e;
    if (next_event(l, &e) < 0)
        return -1;
    yaml_event_type_t type = e.type;
    yaml_event_delete(&e);
    if (type == YAML_STREAM_END_EVENT) {
        *ret_root = NULL;
        return 0;
    }
    bool end = false;
    struct node *root = read_next(l, 1, YAML_NO_EVENT, &end);
    if (!root || expect(l, YAML_DOCUMENT_END_EVENT, "one document only") < 0 ||
        expect(l, YAML_STREAM_END_EVENT, "a second document: one file holds one") < 0)
        return -1;
    *ret_root = root;
    return 0;
}

static int load(struct slice text, struct problems *problems, struct document *d)
{
    if (slice_starts(text, SLICE("\xef\xbb\xbf")))
        text = slice_skip(text, 3); /* a byte order mark, which some editors write (YAML 1.1, 5.2) */
    struct loader l = {.text = text, .problems = problems, .arena = &d->arena};
    if (!yaml_parser_initialize(&l.parser))
        return problems_add(problems, 0, 0, "out of memory");
    yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&l.parser, (const unsigned char *)(text.ptr ? text.ptr : ""), text.len);
    int result = read_stream(&l, &d->root);
    if (result < 0 && problems->count == 0) /* an arena that is full says nothing by itself */
        problems_add(problems, 0, 0, "the document is too large");
    yaml_parser_delete(&l.parser);
    return result;
}

int document_parse(struct slice text, struct problems *problems, struct document **ret_document)
{
    if (text.len > CAP_DOCUMENT_BYTES)
        return problems_add(problems, 0, 0, "the file is larger than %u KiB", CAP_DOCUMENT_BYTES >> 10);
    AUTO(document) *d = malloc(sizeof *d);
    if (!d)
        return problems_add(problems, 0, 0, "out of memory");
    *d = (struct document){.arena = ARENA_INIT(ARENA_BYTES)};
    if (load(text, problems, d) < 0)
        return -1;
    if (d->root && node_is_empty(d->root))
        d->root = NULL;
    *ret_document = TAKE(d);
    return 0;
}

void document_free(struct document *d)
{
    if (!d)
        return;
    arena_free(&d->arena);
    free(d);
}
