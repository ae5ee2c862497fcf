/* The types of schema.h that are one value. */
#include "base/caps.h"
#include "config/schema.h"

#include <stdio.h>

int schema_later(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    (void)field;
    return schema_fail(ctx, value, "`%s` is not supported by this version yet", key->name);
}

int schema_node(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    (void)ctx;
    (void)key;
    *(const struct node **)field = value;
    return 0;
}

static bool has_controls(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return true;
    return false;
}

int schema_scalar(struct schema_ctx *ctx, const char *key, const struct node *value, struct slice *ret)
{
    if (value->kind != NODE_SCALAR || value->text.len == 0)
        return schema_mismatch(ctx, key, value, "text");
    if (has_controls(value->text))
        return schema_fail(ctx, value, "`%s` has control characters in it", key);
    *ret = value->text;
    return 0;
}

int schema_text(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    struct slice text;
    if (schema_scalar(ctx, key->name, value, &text) < 0)
        return -1;
    if (key->max && text.len > key->max)
        return schema_fail(ctx, value, "`%s` is longer than %llu bytes", key->name,
                           (unsigned long long)key->max);
    text = arena_slice(ctx->arena, text);
    if (!text.ptr)
        return schema_fail(ctx, value, "out of memory");
    *(struct slice *)field = text;
    return 0;
}

int schema_item(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    struct schema_item item = {.line = value->line, .column = value->column};
    if (schema_text(ctx, key, value, &item.text) < 0)
        return -1;
    *(struct schema_item *)field = item;
    return 0;
}

int schema_bool(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    bool plain = value->kind == NODE_SCALAR && value->plain;
    bool yes = plain && slice_eq(value->text, SLICE("true"));
    if (!yes && !(plain && slice_eq(value->text, SLICE("false"))))
        return schema_fail(ctx, value, "`%s` must be true or false", key->name);
    *(bool *)field = yes;
    return 0;
}

static int unknown_word(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value)
{
    char list[200];
    size_t used = 0;
    list[0] = '\0';
    for (unsigned i = 0; key->words[i] && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", key->words[i]);
    return schema_fail(ctx, value, "`%s` must be one of %s", key->name, list);
}

int schema_word(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    struct slice text;
    if (schema_scalar(ctx, key->name, value, &text) < 0)
        return -1;
    for (unsigned i = 0; key->words[i]; i++) {
        if (slice_eq(text, slice_str(key->words[i]))) {
            *(unsigned *)field = i;
            return 0;
        }
    }
    return unknown_word(ctx, key, value);
}

static int check_range(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                       uint64_t n, const char *unit)
{
    if (n >= key->min && (!key->max || n <= key->max))
        return 0;
    if (!key->max)
        return schema_fail(ctx, value, "`%s` must be at least %llu%s", key->name,
                           (unsigned long long)key->min, unit);
    return schema_fail(ctx, value, "`%s` must be between %llu and %llu%s", key->name,
                       (unsigned long long)key->min, (unsigned long long)key->max, unit);
}

int schema_number(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    struct slice text;
    uint64_t n;
    if (schema_scalar(ctx, key->name, value, &text) < 0)
        return -1;
    if (slice_to_u64(text, UINT64_MAX, &n) < 0)
        return schema_fail(ctx, value, "`%s` must be a number in decimal digits", key->name);
    if (check_range(ctx, key, value, n, "") < 0)
        return -1;
    *(uint64_t *)field = n;
    return 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static int parse_with_unit(struct slice text, const struct unit *units, size_t count, uint64_t *ret)
{
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    uint64_t n;
    if (slice_to_u64(slice_first(text, digits), UINT64_MAX, &n) < 0)
        return -1;
    struct slice unit = slice_skip(text, digits);
    for (size_t i = 0; i < count; i++)
        if (slice_eq(unit, slice_str(units[i].name)))
            return __builtin_mul_overflow(n, units[i].factor, ret) ? -1 : 0;
    return -1;
}

static const struct unit size_units[] = {
    {"", 1}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}, {"TiB", 1ull << 40}};

int schema_parse_size(struct slice text, uint64_t *ret)
{
    uint64_t n;
    /* an int64_t holds every size there is: -1 means unknown elsewhere */
    if (parse_with_unit(text, size_units, ARRAY_LEN(size_units), &n) < 0 || n > INT64_MAX)
        return -1;
    *ret = n;
    return 0;
}

/* In the largest unit that leaves no rest. */
static void print_with_unit(uint64_t n, const struct unit *units, size_t count, char ret[SCHEMA_SIZE_BYTES])
{
    size_t i = count - 1;
    while (i > 0 && (n == 0 || n % units[i].factor))
        i--;
    snprintf(ret, SCHEMA_SIZE_BYTES, "%llu%s", (unsigned long long)(n / units[i].factor), units[i].name);
}

void schema_print_size(uint64_t size, char ret_text[SCHEMA_SIZE_BYTES])
{
    print_with_unit(size, size_units, ARRAY_LEN(size_units), ret_text);
}

static const struct unit time_units[] = {
    {"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};

void schema_print_duration(uint64_t ms, char ret_text[SCHEMA_SIZE_BYTES])
{
    print_with_unit(ms, time_units, ARRAY_LEN(time_units), ret_text);
}

int schema_parse_duration(struct slice text, uint64_t *ret)
{
    uint64_t n;
    if (parse_with_unit(text, time_units, ARRAY_LEN(time_units), &n) < 0 || n > INT64_MAX / 1000000)
        return -1; /* in nanoseconds it must fit, too */
    *ret = n;
    return 0;
}

int schema_size(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    struct slice text;
    uint64_t n;
    if (schema_scalar(ctx, key->name, value, &text) < 0)
        return -1;
    if (schema_parse_size(text, &n) < 0)
        return schema_fail(ctx, value, "`%s` must be a size such as 512, 64KiB, 1MiB or 2GiB", key->name);
    if (check_range(ctx, key, value, n, " bytes") < 0)
        return -1;
    *(uint64_t *)field = n;
    return 0;
}

int schema_duration(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value,
                    void *field)
{
    struct slice text;
    uint64_t n;
    if (schema_scalar(ctx, key->name, value, &text) < 0)
        return -1;
    if (schema_parse_duration(text, &n) < 0)
        return schema_fail(ctx, value, "`%s` must be a time such as 250ms, 10s, 5min or 2h", key->name);
    if (check_range(ctx, key, value, n, " ms") < 0)
        return -1;
    *(uint64_t *)field = n;
    return 0;
}
