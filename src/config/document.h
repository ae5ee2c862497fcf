/* A YAML file as a tree of nodes, each with its place: the only user of libyaml.
 *
 * The subset that two readers cannot see differently (YAML 1.1 as libyaml reads it, less):
 * one document, UTF-8, no tags, no duplicate keys, keys are plain text.  A scalar has no type here:
 * `no`, `0x10` and `2026-01-01` are text until a schema says what is expected (config/schema.h).
 * Bytes, depth, nodes and aliases are capped (base/caps.h).  An alias shares the node it names and
 * counts as that node's size, so a "billion laughs" file is refused after a few lines.
 */
#pragma once
#include "base/arena.h"
#include "config/problems.h"

enum { CAP_DOCUMENT_KEYS = 256 }; /* keys of one mapping: they are compared pairwise */

enum node_kind { NODE_SCALAR, NODE_SEQUENCE, NODE_MAPPING };

struct node {
    enum node_kind kind;
    bool plain;             /* a scalar without quotes */
    unsigned line, column;  /* from 1, columns in characters */
    unsigned count;         /* of children */
    unsigned weight;        /* nodes in it with aliases expanded, itself included */
    struct slice text;      /* of a scalar; NUL behind it */
    struct node *first;     /* child */
    struct node *next;      /* sibling */
    const struct node *key; /* of a mapping's child: a scalar */
};

#define NODE_FOREACH(child, parent)                                                                          \
    for (const struct node *child = (parent)->first; child; child = child->next)

/* "text", "a list", "a mapping": for messages. */
const char *node_kind_name(const struct node *n);
/* Nothing was written: `key:` with no value behind it. */
bool node_is_empty(const struct node *n);
/* The value of a key; NULL where the mapping has no such key. */
const struct node *node_get(const struct node *mapping, struct slice key);

struct document {
    struct arena arena; /* of all nodes and texts */
    struct node *root;  /* NULL: nothing but comments */
};

/* -1 with at least one problem added. */
MUST_USE int document_parse(struct slice text, struct problems *problems, struct document **ret_document);
void document_free(struct document *d);
DEFINE_AUTO(document)
