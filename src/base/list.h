/* Doubly linked list of nodes that live inside their elements; the head is a node too. */
#pragma once
#include "base/macros.h"

#include <stdbool.h>

struct list {
    struct list *prev, *next;
};

#define LIST_INIT(head) ((struct list){&(head), &(head)})

static inline void list_init(struct list *n)
{
    n->prev = n->next = n;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

/* Before `at`: with the head, at the end of the list. */
static inline void list_insert(struct list *at, struct list *n)
{
    n->prev = at->prev;
    n->next = at;
    at->prev->next = n;
    at->prev = n;
}

/* Safe on a node that is in no list, if it was initialised. */
static inline void list_remove(struct list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)
/* The body may remove the node it was given, and no other. */
#define LIST_FOREACH(it, head)                                                                               \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                                \
         it = it##_next, it##_next = it->next)
