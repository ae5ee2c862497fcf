/* What a policy says of the jail, in words and as JSON. */
#include "policy/jail.h"

static int show_texts(const char *label, const char *const *at, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++)
        if (buf_printf(out, "%s%s", i ? ", " : label, at[i]) < 0)
            return -1;
    return count ? buf_append(out, SLICE("\n")) : 0;
}

static int show_files(const struct policy_files *f, struct buf *out)
{
    if (f->agent && buf_printf(out, "  agent   %s\n", f->agent) < 0)
        return -1;
    if (show_texts("  reads   ", f->read, f->read_count, out) < 0)
        return -1;
    if (f->write_written && f->write_count == 0 && buf_append(out, SLICE("  writes  nothing\n")) < 0)
        return -1;
    return show_texts("  writes  ", f->write, f->write_count, out) < 0
               ? -1
               : show_texts("  hides   ", f->hide, f->hide_count, out);
}

/* Names only: a value may be a secret. */
static int show_environment(const struct policy_jail *jail, struct buf *out)
{
    if (show_texts("  keeps   ", jail->keep, jail->keep_count, out) < 0)
        return -1;
    for (size_t i = 0; i < jail->set_count; i++)
        if (buf_printf(out, "%s%s", i ? ", " : "  sets    ", jail->set[i].name) < 0)
            return -1;
    return jail->set_count ? buf_append(out, SLICE("\n")) : 0;
}

int jail_show_service(const struct policy_forward *f, struct buf *out)
{
    bool v6 = strchr(f->address, ':');
    if (buf_printf(out, "%s%s%s:%u", v6 ? "[" : "", f->address, v6 ? "]" : "", f->host_port) < 0)
        return -1;
    return f->port == f->host_port ? 0 : buf_printf(out, " at 127.0.0.1:%u", f->port);
}

static int show_services(const struct policy_jail *jail, struct buf *out)
{
    for (size_t i = 0; i < jail->service_count; i++)
        if (buf_append(out, slice_str(i ? ", " : "  services ")) < 0 ||
            jail_show_service(&jail->services[i], out) < 0)
            return -1;
    return jail->service_count ? buf_append(out, SLICE(" (not inspected)\n")) : 0;
}

int jail_show_published(const struct policy_forward *f, struct buf *out)
{
    if (buf_printf(out, "%u", f->port) < 0)
        return -1;
    return f->port == f->host_port ? 0 : buf_printf(out, " on the host's 127.0.0.1:%u", f->host_port);
}

static int show_published(const struct policy_jail *jail, struct buf *out)
{
    for (size_t i = 0; i < jail->publish_count; i++)
        if (buf_append(out, slice_str(i ? ", " : "  publishes ")) < 0 ||
            jail_show_published(&jail->publish[i], out) < 0)
            return -1;
    return jail->publish_count ? buf_append(out, SLICE(" (not inspected)\n")) : 0;
}

int jail_show(const struct policy_jail *jail, struct buf *out)
{
    if (show_files(&jail->files, out) < 0 || show_environment(jail, out) < 0 ||
        show_services(jail, out) < 0 || show_published(jail, out) < 0)
        return -1;
    if (!jail->cache && buf_append(out, SLICE("  cache   none\n")) < 0)
        return -1;
    if (jail->network == POLICY_NETWORK_EXPLICIT && buf_append(out, SLICE("  network explicit\n")) < 0)
        return -1;
    return jail->debug ? buf_append(out, SLICE("  debug   true\n")) : 0;
}

static void json_texts(const char *key, const char *const *at, size_t count, struct json *j)
{
    json_key(j, key);
    json_array(j);
    for (size_t i = 0; i < count; i++)
        json_str(j, at[i]);
    json_array_end(j);
}

static void json_files(const struct policy_files *f, struct json *j)
{
    if (!f->agent && !f->read && !f->write && !f->hide)
        return;
    json_key(j, "files");
    json_object(j);
    if (f->agent)
        json_kv_str(j, "agent", f->agent);
    if (f->read)
        json_texts("read", f->read, f->read_count, j);
    if (f->write_written)
        json_texts("write", f->write, f->write_count, j);
    if (f->hide)
        json_texts("hide", f->hide, f->hide_count, j);
    json_object_end(j);
}

static void json_environment(const struct policy_jail *jail, struct json *j)
{
    if (!jail->keep && !jail->set)
        return;
    json_key(j, "environment");
    json_object(j);
    json_texts("keep", jail->keep, jail->keep_count, j);
    json_key(j, "set");
    json_array(j);
    for (size_t i = 0; i < jail->set_count; i++)
        json_str(j, jail->set[i].name);
    json_array_end(j);
    json_object_end(j);
}

static void json_services(const struct policy_jail *jail, struct json *j)
{
    if (jail->service_count == 0)
        return;
    json_key(j, "services");
    json_array(j);
    for (size_t i = 0; i < jail->service_count; i++) {
        AUTO_BUF target = BUF_INIT(128);
        struct policy_forward f = jail->services[i];
        json_object(j);
        f.port = f.host_port;
        j->failed |= jail_show_service(&f, &target) < 0;
        json_kv_slice(j, "target", buf_slice(&target));
        json_kv_int(j, "port", jail->services[i].port);
        json_object_end(j);
    }
    json_array_end(j);
}

static void json_published(const struct policy_jail *jail, struct json *j)
{
    if (jail->publish_count == 0)
        return;
    json_key(j, "publish");
    json_array(j);
    for (size_t i = 0; i < jail->publish_count; i++) {
        json_object(j);
        json_kv_int(j, "port", jail->publish[i].port);
        json_kv_int(j, "on", jail->publish[i].host_port);
        json_object_end(j);
    }
    json_array_end(j);
}

void jail_json(const struct policy_jail *jail, struct json *j)
{
    json_object(j);
    json_files(&jail->files, j);
    json_environment(jail, j);
    json_services(jail, j);
    json_published(jail, j);
    json_kv_str(j, "cache", jail->cache ? "private" : "none");
    json_kv_str(j, "network", jail->network == POLICY_NETWORK_CAPTURE ? "capture" : "explicit");
    if (jail->debug)
        json_kv_bool(j, "debug", true);
    json_object_end(j);
}
