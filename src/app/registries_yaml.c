/* What gem(1) and bundle(1) keep as YAML (registries_internal.h). */
#include "app/registries_internal.h"
#include "config/document.h"

static int parse_yaml(const struct place *p, struct slice text, struct document **ret, struct err *e)
{
    struct problems problems = {.file = p->shown, .first = e};
    return document_parse(text, &problems, ret);
}

static int add_sources(struct place *p, const struct node *list, struct err *e)
{
    if (list->kind == NODE_SCALAR)
        return place_add(p, SLICE("sources"), list->text, list->line, e);
    NODE_FOREACH(source, list)
    if (source->kind == NODE_SCALAR && place_add(p, SLICE("sources"), source->text, source->line, e) < 0)
        return -1;
    return 0;
}

int read_gemrc(struct place *p, struct slice text, struct err *e)
{
    AUTO(document) *d = NULL;
    if (parse_yaml(p, text, &d, e) < 0)
        return -1;
    if (!d->root || d->root->kind != NODE_MAPPING)
        return 0;
    NODE_FOREACH(child, d->root)
    if ((slice_eq(child->key->text, SLICE(":sources")) || slice_eq(child->key->text, SLICE("sources"))) &&
        add_sources(p, child, e) < 0)
        return -1;
    return 0;
}

int read_bundle(struct place *p, struct slice text, struct err *e)
{
    AUTO(document) *d = NULL;
    if (parse_yaml(p, text, &d, e) < 0)
        return -1;
    if (!d->root || d->root->kind != NODE_MAPPING)
        return 0;
    NODE_FOREACH(child, d->root)
    if (slice_starts(child->key->text, SLICE("BUNDLE_MIRROR__")) && child->kind == NODE_SCALAR &&
        place_add(p, SLICE(""), child->text, child->line, e) < 0)
        return -1;
    return 0;
}
