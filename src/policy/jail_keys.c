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

static int show_agent(const struct policy_jail *jail, const struct policy_jail *before UNUSED,
                      struct buf *out)
{
    return buf_append(out, slice_str(jail->files.agent ? jail->files.agent : "none"));
}

static int show_read(const struct policy_jail *jail, const struct policy_jail *before UNUSED, struct buf *out)
{
    return show_texts(jail->files.read, jail->files.read_count, out);
}

/* Nothing written is not nothing: then all of the project may be. */
static int show_write(const struct policy_jail *jail, const struct policy_jail *before UNUSED,
                      struct buf *out)
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

static const struct policy_variable *find_variable(const struct policy_jail *jail, const char *name)
{
    for (size_t i = 0; i < jail->set_count; i++)
        if (strcmp(jail->set[i].name, name) == 0)
            return &jail->set[i];
    return NULL;
}

static bool has_another_value(const struct policy_jail *before, const struct policy_variable *v)
{
    const struct policy_variable *was = before ? find_variable(before, v->name) : NULL;
    return was && strcmp(was->value, v->value) != 0;
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

static int show_cache(const struct policy_jail *jail, const struct policy_jail *before UNUSED,
                      struct buf *out)
{
    return buf_append(out, jail->cache ? SLICE("private") : SLICE("none"));
}

static int show_network(const struct policy_jail *jail, const struct policy_jail *before UNUSED,
                        struct buf *out)
{
    return buf_append(out, jail->network == POLICY_NETWORK_EXPLICIT ? SLICE("explicit") : SLICE("capture"));
}

static int show_debug(const struct policy_jail *jail, const struct policy_jail *before UNUSED,
                      struct buf *out)
{
    return buf_append(out, jail->debug ? SLICE("true") : SLICE("false"));
}

/* --- whether a change lets the jail reach, or keep, more --- */

static bool has_text(const char *const *list, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

/* By their texts: a folder below a listed one may be a link that leads elsewhere. */
static bool adds(const char *const *before, size_t before_count, const char *const *after, size_t after_count)
{
    for (size_t i = 0; i < after_count; i++)
        if (!has_text(before, before_count, after[i]))
            return true;
    return false;
}

static bool opens_agent(const struct policy_jail *before UNUSED, const struct policy_jail *after)
{
    return after->files.agent;
}

static bool opens_read(const struct policy_jail *before, const struct policy_jail *after)
{
    return adds(before->files.read, before->files.read_count, after->files.read, after->files.read_count);
}

static bool leaves_project(const char *path)
{
    return path[0] == '/' || path[0] == '~' || strstr(path, "..");
}

static bool opens_write(const struct policy_jail *before, const struct policy_jail *after)
{
    const struct policy_files *f = &after->files;
    if (before->files.write_written)
        return !f->write_written ||
               adds(before->files.write, before->files.write_count, f->write, f->write_count);
    for (size_t i = 0; i < f->write_count; i++)
        if (leaves_project(f->write[i]))
            return true;
    return false;
}

static bool opens_hide(const struct policy_jail *before, const struct policy_jail *after)
{
    return adds(after->files.hide, after->files.hide_count, before->files.hide, before->files.hide_count);
}

static bool opens_keep(const struct policy_jail *before, const struct policy_jail *after)
{
    return adds(before->keep, before->keep_count, after->keep, after->keep_count);
}

/* One that is set no longer may be kept instead, with the caller's value. */
static bool opens_set(const struct policy_jail *before, const struct policy_jail *after)
{
    for (size_t i = 0; i < after->set_count; i++) {
        const struct policy_variable *was = find_variable(before, after->set[i].name);
        if (!was || strcmp(was->value, after->set[i].value) != 0)
            return true;
    }
    for (size_t i = 0; i < before->set_count; i++)
        if (!find_variable(after, before->set[i].name) &&
            has_text(after->keep, after->keep_count, before->set[i].name))
            return true;
    return false;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool has_forward(const struct policy_forward *list, size_t count, const struct policy_forward *f)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].port == f->port && list[i].host_port == f->host_port && same_text(list[i].address, f->address))
            return true;
    return false;
}

static bool adds_forward(const struct policy_forward *before, size_t before_count,
                         const struct policy_forward *after, size_t after_count)
{
    for (size_t i = 0; i < after_count; i++)
        if (!has_forward(before, before_count, &after[i]))
            return true;
    return false;
}

static bool opens_services(const struct policy_jail *before, const struct policy_jail *after)
{
    return adds_forward(before->services, before->service_count, after->services, after->service_count);
}

static bool opens_publish(const struct policy_jail *before, const struct policy_jail *after)
{
    return adds_forward(before->publish, before->publish_count, after->publish, after->publish_count);
}

/* What one run leaves there the next one finds. */
static bool opens_cache(const struct policy_jail *before UNUSED, const struct policy_jail *after)
{
    return after->cache;
}

static bool opens_network(const struct policy_jail *before UNUSED, const struct policy_jail *after)
{
    return after->network == POLICY_NETWORK_CAPTURE;
}

static bool opens_debug(const struct policy_jail *before UNUSED, const struct policy_jail *after)
{
    return after->debug;
}

/* To add a key: two functions above, a row here; a row in tests/unit/test_policy_opens.c. */
static const struct {
    const char *name;
    show_key *show;
    bool (*opens)(const struct policy_jail *before,
                  const struct policy_jail *after); /* asked where they differ */
} keys[] = {
    {"files.agent", show_agent, opens_agent},    {"files.read", show_read, opens_read},
    {"files.write", show_write, opens_write},    {"files.hide", show_hide, opens_hide},
    {"environment.keep", show_keep, opens_keep}, {"environment.set", show_set, opens_set},
    {"services", show_services, opens_services}, {"publish", show_publish, opens_publish},
    {"cache", show_cache, opens_cache},          {"network", show_network, opens_network},
    {"jail.debug", show_debug, opens_debug},
};

int jail_diff(const struct policy_jail *before, const struct policy_jail *after, jail_report *report,
              void *arg)
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
        if (strcmp(a, b) != 0 && report(arg, keys[i].name, a, b, keys[i].opens(before, after)) < 0)
            return -1;
    }
    return 0;
}
