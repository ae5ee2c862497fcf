/* A mapping of a document into a C struct, by a table of its keys.
 *
 * One row a key: name, type (a reader function), offset of the field.  The policy and the configuration
 * of `exeat proxy` are read by it.  An example:
 *
 *     struct audit { struct slice file; uint64_t rotate; };
 *     struct conf  { struct audit audit; struct schema_texts listen; unsigned connect; };
 *
 *     static const struct schema_key audit_keys[] = {
 *         {"file", schema_text, offsetof(struct audit, file), .required = true},
 *         {"rotate", schema_size, offsetof(struct audit, rotate), .min = 1 << 20},
 *         {"sink", schema_later, 0},
 *     };
 *     static const struct schema audit_schema = SCHEMA("audit", struct audit, audit_keys);
 *     static const char *const connect_words[] = {"explain", "refuse", NULL};
 *     static const struct schema_key conf_keys[] = {
 *         {"audit", schema_table, offsetof(struct conf, audit), .table = &audit_schema},
 *         {"listen", schema_texts, offsetof(struct conf, listen), .required = true},
 *         {"blocked_connect", schema_word, offsetof(struct conf, connect), .words = connect_words},
 *     };
 *     static const struct schema conf_schema = SCHEMA("configuration", struct conf, conf_keys);
 *
 *     struct conf conf = {.audit.rotate = 100 << 20};         // defaults: what stands there before
 *     struct schema_ctx ctx = {.arena = &arena, .problems = &problems};
 *     if (schema_decode(&ctx, &conf_schema, doc->root, &conf) < 0) …   // every problem was added
 *
 * A key that is not in the table is an error that names the nearest one.  A key of a capability that
 * does not exist yet has the reader schema_later: an error that says so; it is never ignored.
 * A reader of one's own is a function of type schema_read.
 */
#pragma once
#include "config/document.h"

struct schema;
struct schema_key;

struct schema_ctx {
    struct arena *arena; /* what is read lives there: the document may go */
    struct problems *problems;
    struct arena *scratch; /* what readers need only while they read; NULL: arena */
};

static inline struct arena *schema_scratch(const struct schema_ctx *ctx)
{
    return ctx->scratch ? ctx->scratch : ctx->arena;
}

/* Reads `value` into `field`; -1 with a problem added, and the field untouched. */
typedef int schema_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                        void *field);

struct schema_key {
    const char *name;
    schema_read *read;
    size_t offset;
    bool required;
    uint64_t min, max;          /* numbers, sizes, durations, lengths of lists; max 0: no limit */
    const char *const *words;   /* schema_word: ends with NULL */
    const struct schema *table; /* schema_table, schema_tables */
};

struct schema {
    const char *what; /* for messages: "a rule" has no key … */
    const struct schema_key *keys;
    size_t count;
    size_t size;          /* of the struct, for schema_tables */
    const void *defaults; /* schema_tables: each element starts as a copy; NULL: zeros */
};

#define SCHEMA(name, type, table_of_keys)                                                                    \
    {                                                                                                        \
        .what = (name), .keys = (table_of_keys), .count = ARRAY_LEN(table_of_keys), .size = sizeof(type)     \
    }

/* All keys of the mapping into *ret; a key that is not written leaves its field alone.
 * -1 when anything was wrong (all of it was added); *ret is then filled in part and of no use. */
MUST_USE int schema_decode(struct schema_ctx *ctx, const struct schema *schema, const struct node *mapping,
                           void *ret);

/* The types.  Behind each the type of the field. */
schema_read schema_later;     /* none: refused as not supported by this version yet */
schema_read schema_node;      /* const struct node *: as it is, of the document's arena */
schema_read schema_text;      /* struct slice with a NUL behind it: not empty, no control characters */
schema_read schema_item;      /* struct schema_item: such a text, for what is judged elsewhere */
schema_read schema_bool;      /* bool: true or false, no other spelling of YAML 1.1 */
schema_read schema_word;      /* unsigned: the index in key->words */
schema_read schema_number;    /* uint64_t: decimal digits */
schema_read schema_size;      /* uint64_t: bytes; 512, 64KiB, 1MiB, 2GiB, 1TiB */
schema_read schema_duration;  /* uint64_t: milliseconds; 250ms, 10s, 5min, 2h, 7d */
schema_read schema_texts;     /* struct schema_texts: a list, or one text */
schema_read schema_numbers;   /* struct schema_numbers: a list, or one number; min and max for each */
schema_read schema_address;   /* struct schema_address: 127.0.0.1:3128, [::1]:3128 */
schema_read schema_addresses; /* struct schema_addresses: a list, or one */
schema_read schema_cidrs;     /* struct schema_cidrs: a list, or one; 10.1.0.0/16, fd00::/8, 10.0.0.1 */
schema_read schema_table;     /* the struct of key->table, in place */
schema_read schema_tables;    /* struct schema_list: a list of mappings */

struct schema_item { /* a text and where it stands */
    struct slice text;
    unsigned line, column;
};

struct schema_texts {
    struct schema_item *at;
    size_t count;
};

struct schema_numbers {
    uint64_t *at;
    size_t count;
};

struct schema_address {
    uint8_t bytes[16]; /* network order; IPv4 uses the first four */
    bool v6;
    uint16_t port;
    unsigned line, column;
};

struct schema_addresses {
    struct schema_address *at;
    size_t count;
};

struct schema_cidr {
    uint8_t bytes[16]; /* network order; no bit behind the prefix is set */
    bool v6;
    unsigned prefix;
};

struct schema_cidrs {
    struct schema_cidr *at;
    size_t count;
};

struct schema_list {
    void *at; /* an array of the struct of key->table */
    size_t count;
};

/* For readers of one's own. */

/* Adds "`key` must be …, not a list"; `expected` is "a mapping of limits". */
int schema_mismatch(struct schema_ctx *ctx, const char *key, const struct node *value, const char *expected);
/* Adds a problem at the value's place. */
int schema_fail(struct schema_ctx *ctx, const struct node *value, const char *fmt, ...) PRINTF(3, 4);
/* The text of a scalar that may be shown on one line; -1 with a problem added. */
MUST_USE int schema_scalar(struct schema_ctx *ctx, const char *key, const struct node *value,
                           struct slice *ret);
/* "1MiB" to bytes; -1 when it is anything else. */
MUST_USE int schema_parse_size(struct slice text, uint64_t *ret);
enum { SCHEMA_SIZE_BYTES = 32 };
/* The shortest text that schema_parse_size reads as `size`: 65536 is 64KiB. */
void schema_print_size(uint64_t size, char ret_text[SCHEMA_SIZE_BYTES]);
/* "5min" to milliseconds; -1 when it is anything else. */
MUST_USE int schema_parse_duration(struct slice text, uint64_t *ret);
/* The shortest text that schema_parse_duration reads as `ms`: 300000 is 5min. */
void schema_print_duration(uint64_t ms, char ret_text[SCHEMA_SIZE_BYTES]);
