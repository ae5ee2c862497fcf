/* What gem(1) and bundle(1) keep as YAML (registries_internal.h). */
#include "app/registries_internal.h"
#include "config/document.h"

typedef int read_key(struct place *p, const struct node *value, struct err *e);

/* A file that holds something else than keys names nothing. */
static int read_keys(struct place *p, struct slice text, read_key *read, struct err *e)
{
    struct problems problems = {.file = p->shown, .first = e};
    AUTO(document) *d = NULL;
    if (document_parse(text, &problems, &d) < 0)
        return -1;
    if (!d->root || d->root->kind != NODE_MAPPING)
        return 0;
    NODE_FOREACH(child, d->root)
    if (read(p, child, e) < 0)
        return -1;
    return 0;
}

static int read_sources(struct place *p, const struct node *value, struct err *e)
{
    bool sources = slice_eq(value->key->text, SLICE(":sources")) || slice_eq(value->key->text, SLICE("sources"));
    if (!sources)
        return 0;
    if (value->kind == NODE_SCALAR)
        return place_add(p, SLICE("sources"), value->text, value->line, e);
    NODE_FOREACH(source, value)
    if (source->kind == NODE_SCALAR && place_add(p, SLICE("sources"), source->text, source->line, e) < 0)
        return -1;
    return 0;
}

int read_gemrc(struct place *p, struct slice text, struct err *e)
{
    return read_keys(p, text, read_sources, e);
}

static int read_mirror(struct place *p, const struct node *value, struct err *e)
{
    bool mirror = slice_starts(value->key->text, SLICE("BUNDLE_MIRROR__")) && value->kind == NODE_SCALAR;
    return mirror ? place_add(p, SLICE(""), value->text, value->line, e) : 0;
}

int read_bundle(struct place *p, struct slice text, struct err *e)
{
    return read_keys(p, text, read_mirror, e);
}
