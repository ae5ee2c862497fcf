#include "policy/tests.h"

#include "base/caps.h"
#include "policy/model.h"

const struct policy_tests *policy_tests(const struct policy *p)
{
    return &p->tests;
}

static int fail(struct schema_ctx *ctx, const struct node *value)
{
    return schema_fail(ctx, value,
                       "a test is `allow METHOD https://host/path` or `block METHOD https://host/path`");
}

/* Cuts a word and the spaces behind it off. */
static struct slice take_word(struct slice *rest)
{
    struct slice word = *rest;
    ptrdiff_t space = slice_find(*rest, ' ');
    if (space >= 0)
        word = slice_first(*rest, (size_t)space);
    *rest = slice_trim(slice_skip(*rest, word.len));
    return word;
}

static int read_test(struct schema_ctx *ctx, const struct node *value, struct policy_test *ret)
{
    struct slice text;
    if (value->kind != NODE_SCALAR)
        return fail(ctx, value);
    if (schema_scalar(ctx, "tests", value, &text) < 0)
        return -1;
    text = arena_slice(ctx->arena, slice_trim(text));
    if (!text.ptr)
        return schema_fail(ctx, value, "out of memory");
    struct slice verdict = take_word(&text), method = take_word(&text);
    bool allow = slice_eq(verdict, SLICE("allow"));
    if ((!allow && !slice_eq(verdict, SLICE("block"))) || method.len == 0 || text.len == 0 ||
        slice_find(text, ' ') >= 0)
        return fail(ctx, value);
    *ret = (struct policy_test){allow, method, text, value->line, value->column};
    return 0;
}

int tests_read(struct schema_ctx *ctx, const struct schema_key *key, const struct node *value, void *field)
{
    if (value->kind != NODE_SEQUENCE)
        return node_is_empty(value) ? 0 : schema_mismatch(ctx, key->name, value, "a list of tests");
    if (value->count > CAP_RULES)
        return schema_fail(ctx, value, "`%s` has more than %d entries", key->name, CAP_RULES);
    struct policy_test *at = arena_array(ctx->arena, value->count + 1, sizeof *at);
    size_t count = 0;
    int result = 0;
    if (!at)
        return schema_fail(ctx, value, "out of memory");
    NODE_FOREACH(child, value)
    {
        if (read_test(ctx, child, &at[count++]) < 0)
            result = -1;
    }
    if (result == 0)
        *(struct policy_tests *)field = (struct policy_tests){at, count};
    return result;
}
