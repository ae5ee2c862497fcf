#include "http/headers.h"

static const struct {
    struct slice name;
    unsigned flags;
} known[HTTP_H_COUNT] = {
#define HEADER(id, name, flags) [HTTP_H_##id] = {{name, sizeof(name) - 1}, flags},
#include "http/headers.def"
#undef HEADER
};

/* A bit for each length that a known name has: most other names are settled by one test. */
static const uint64_t known_lengths = 0
#define HEADER(id, name, flags) | UINT64_C(1) << (sizeof(name) - 1)
#include "http/headers.def"
#undef HEADER
    ;

enum http_header_id http_header_id_of(struct slice name)
{
    if (name.len == 0 || name.len >= 64 || !(known_lengths >> name.len & 1))
        return HTTP_H_OTHER;
    char first = ascii_lower(name.ptr[0]);
    for (int id = HTTP_H_OTHER + 1; id < HTTP_H_COUNT; id++)
        if (known[id].name.len == name.len && known[id].name.ptr[0] == first &&
            slice_eq_nocase(known[id].name, name))
            return (enum http_header_id)id;
    return HTTP_H_OTHER;
}

unsigned http_header_flags(enum http_header_id id)
{
    return known[id].flags;
}

bool http_names_alike(struct slice name, struct slice lower)
{
    if (name.len != lower.len)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((name.ptr[i] == '_' ? '-' : ascii_lower(name.ptr[i])) != lower.ptr[i])
            return false;
    return true;
}

bool http_header_overrides(struct slice name)
{
    static const struct slice names[] = {
#define OVERRIDE(name) {name, sizeof(name) - 1},
#include "http/overrides.def"
#undef OVERRIDE
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (http_names_alike(name, names[i]))
            return true;
    return false;
}

const struct http_header *http_headers_find(const struct http_headers *h, enum http_header_id id)
{
    for (unsigned i = 0; i < h->count; i++)
        if (h->at[i].id == id)
            return &h->at[i];
    return NULL;
}

const struct http_header *http_headers_find_name(const struct http_headers *h, struct slice lower_name)
{
    for (unsigned i = 0; i < h->count; i++)
        if (slice_eq_nocase(h->at[i].name, lower_name))
            return &h->at[i];
    return NULL;
}

static bool list_has(struct slice list, struct slice token)
{
    struct slice part;
    while (slice_next(&list, ',', &part))
        if (slice_eq_nocase(slice_trim(part), token))
            return true;
    return false;
}

bool http_headers_has_token(const struct http_headers *h, enum http_header_id id, struct slice token)
{
    for (unsigned i = 0; i < h->count; i++)
        if (h->at[i].id == id && list_has(h->at[i].value, token))
            return true;
    return false;
}
