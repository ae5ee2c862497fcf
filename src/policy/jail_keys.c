/* The keys of the jail one by one, for who compares two policies. */
#include "policy/jail.h"

#include <string.h>

/* `before`: the policy that was in force, or NULL; a value is never shown, that it is another one is. */
typedef int show_key(const struct policy_jail *jail, const struct policy_jail *before, struct buf *out);

/* `read: ["a, b"]` is not `read: [a, b]`, and `write: [none]` is not nothing. */
static int show_text(const char *text, struct buf *out)
{
    struct json j = JSON_INIT(out);
    if (!strpbrk(text, " ,\"\\") && strcmp(text, "none") != 0)
        return buf_append(out, slice_str(text));
    json_str(&j, text);
    return j.failed ? -1 : 0;
}

static int show_texts(const char *const *at, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++)
        if ((i && buf_append(out, SLICE(", ")) < 0) || show_text(at[i], out) < 0)
            return -1;
    return count ? 0 : buf_append(out, SLICE("none"));
}

static int show_agent(const struct policy_jail *jail, const struct policy_jail *before UNUSED, struct buf *out)
{
    return buf_append(out, slice_str(jail->files.agent ? jail->files.agent : "none"));
}

static int show_read(const struct policy_jail *jail, const struct policy_jail *before UNUSED, struct buf *out)
{
    return show_texts(jail->files.read, jail->files.read_count, out);
}

/* Nothing written is not nothing: then all of the project may be. */
static int show_write(const struct policy_jail *jail, const struct policy_jail *before UNUSED, struct buf *out)
{
    if (!jail->files.write_written)
        return buf_append(out, SLICE("the project"));
    return show_texts(jail->files.write, jail->files.write_count, out);
}

static int show_hide(const struct policy_jail *jail, const struct policy_jail *before UNUSED, struct buf *out)
{
    return show_texts(jail->files.hide, jail->files.hide_count, out);
}

static int show_keep(const struct policy_jail *jail, const struct policy_jail *before UNUSED, struct buf *out)
{
    return show_texts(jail->keep, jail->keep_count, out);
}

static bool has_another_value(const struct policy_jail *before, const struct policy_variable *v)
{
    for (size_t i = 0; before && i < before->set_count; i++)
        if (strcmp(before->set[i].name, v->name) == 0)
            return strcmp(before->set[i].value, v->value) != 0;
    return false;
}

static int show_set(const struct policy_jail *jail, const struct policy_jail *before, struct buf *out)
{
    for (size_t i = 0; i < jail->set_count; i++) {
        const struct policy_variable *v = &jail->set[i];
        if (buf_printf(out, "%s%s%s", i ? ", " : "", v->name,
                       has_another_value(before, v) ? " (another value)" : "") < 0)
            return -1;
    }
    return jail->set_count ? 0 : buf_append(out, SLICE("none"));
}

static int show_services(const struct policy_jail *jail, const struct policy_jail *before UNUSED,
                         struct buf *out)
{
    for (size_t i = 0; i < jail->service_count; i++)
        if ((i && buf_append(out, SLICE(", ")) < 0) || jail_show_service(&jail->services[i], out) < 0)
            return -1;
    return jail->service_count ? 0 : buf_append(out, SLICE("none"));
}

static int show_publish(const struct policy_jail *jail, const struct policy_jail *before UNUSED,
                        struct buf *out)
{
    for (size_t i = 0; i < jail->publish_count; i++)
        if ((i && buf_append(out, SLICE(", ")) < 0) || jail_show_published(&jail->publish[i], out) < 0)
            return -1;
    return jail->publish_count ? 0 : buf_append(out, SLICE("none"));
}

static int show_cache(const struct policy_jail *jail, const struct policy_jail *before UNUSED, struct buf *out)
{
    return buf_append(out, jail->cache ? SLICE("private") : SLICE("none"));
}

static int show_network(const struct policy_jail *jail, const struct policy_jail *before UNUSED,
                        struct buf *out)
{
    return buf_append(out,
                      jail->network == POLICY_NETWORK_EXPLICIT ? SLICE("explicit") : SLICE("capture"));
}

static int show_debug(const struct policy_jail *jail, const struct policy_jail *before UNUSED, struct buf *out)
{
    return buf_append(out, jail->debug ? SLICE("true") : SLICE("false"));
}

/* To add a key: a function above, a row here; a case in tests/unit/test_policy_diff.c. */
static const struct {
    const char *name;
    show_key *show;
} keys[] = {
    {"files.agent", show_agent},      {"files.read", show_read},        {"files.write", show_write},
    {"files.hide", show_hide},        {"environment.keep", show_keep},  {"environment.set", show_set},
    {"services", show_services},      {"publish", show_publish},        {"cache", show_cache},
    {"network", show_network},        {"jail.debug", show_debug},
};

int jail_diff(const struct policy_jail *before, const struct policy_jail *after, jail_report *report, void *arg)
{
    AUTO_BUF from = BUF_INIT(JAIL_TEXT_BYTES);
    AUTO_BUF to = BUF_INIT(JAIL_TEXT_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        buf_clear(&from);
        buf_clear(&to);
        if (keys[i].show(before, NULL, &from) < 0 || keys[i].show(after, before, &to) < 0)
            return -1;
        const char *a = buf_cstr(&from), *b = buf_cstr(&to);
        if (!a || !b)
            return -1;
        if (strcmp(a, b) != 0 && report(arg, keys[i].name, a, b) < 0)
            return -1;
    }
    return 0;
}
