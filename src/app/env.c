#include "app/env.h"
#include "tls/roots.h"

enum { VALUE_BYTES = 16384 };

enum env_kind { ENV_PROXY, ENV_DIRECT, ENV_BUNDLE, ENV_CA, ENV_ONE, ENV_JAVA };

static const struct {
    const char *name;
    enum env_kind kind;
} variables[] = {
#define ENV(name, kind) {#name, ENV_##kind},
#include "app/env.def"
#undef ENV
};

/* RFC 3986 2.3: all else is escaped, so that no token can be read as part of the host. */
static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static int put_escaped(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        int r = is_unreserved(text.ptr[i]) ? buf_append(out, slice_of(text.ptr + i, 1))
                                           : buf_printf(out, "%%%02X", (uint8_t)text.ptr[i]);
        if (r < 0)
            return -1;
    }
    return 0;
}

static int put_proxy_url(struct buf *out, const struct env_inputs *in)
{
    bool brackets = strchr(in->proxy_host, ':') != NULL;
    if (buf_append(out, SLICE("http://")) < 0)
        return -1;
    if (in->task && (put_escaped(out, slice_str(in->task)) < 0 || buf_append(out, SLICE(":")) < 0 ||
                     put_escaped(out, in->token) < 0 || buf_append(out, SLICE("@")) < 0))
        return -1;
    return buf_printf(out, brackets ? "[%s]:%u" : "%s:%u", in->proxy_host, in->proxy_port);
}

/* The JVM splits JAVA_TOOL_OPTIONS at white space and takes quotes away; it has no escape inside them. */
static int put_path_option(struct buf *out, const char *name, const char *path)
{
    const char *quote = !strpbrk(path, " \t\r\n\"'") ? "" : strchr(path, '"') ? "'" : "\"";
    return buf_printf(out, " %s-D%s=%s%s", quote, name, path, quote);
}

/* No credentials: the JDK sends none to a proxy for CONNECT (jdk.http.auth.tunneling.disabledSchemes), so
 * Java is known by its source address or its jail.  nonProxyHosts is what NO_PROXY is. */
static int put_java_options(struct buf *out, const struct env_inputs *in)
{
    if (buf_printf(out,
                   "-Dhttp.proxyHost=%s -Dhttp.proxyPort=%u -Dhttps.proxyHost=%s -Dhttps.proxyPort=%u"
                   " -Dhttp.nonProxyHosts=%s",
                   in->proxy_host, in->proxy_port, in->proxy_host, in->proxy_port,
                   in->jailed ? "localhost|127.*|[::1]" : "") < 0 ||
        put_path_option(out, "javax.net.ssl.trustStore", in->trust_store) < 0)
        return -1;
    return buf_printf(out, " -Djavax.net.ssl.trustStorePassword=" ROOTS_JAVA_PASSWORD
                           " -Djavax.net.ssl.trustStoreType=" ROOTS_JAVA_TYPE);
}

static int put_value(struct buf *out, enum env_kind kind, const struct env_inputs *in)
{
    switch (kind) {
    case ENV_PROXY:
        return put_proxy_url(out, in);
    case ENV_DIRECT:
        return in->jailed ? buf_append(out, SLICE("localhost,127.0.0.1,::1")) : 0;
    case ENV_BUNDLE:
        return buf_append(out, slice_str(in->bundle));
    case ENV_CA:
        return buf_append(out, slice_str(in->ca));
    case ENV_ONE:
        return buf_append(out, SLICE("1"));
    case ENV_JAVA:
        return put_java_options(out, in);
    }
    return -1;
}

int env_each(const struct env_inputs *in, env_visit *visit, void *arg, struct err *e)
{
    AUTO_BUF value = BUF_INIT(VALUE_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        buf_clear(&value);
        const char *text = put_value(&value, variables[i].kind, in) == 0 ? buf_cstr(&value) : NULL;
        if (!text)
            return err_set(e, "%s: its value is longer than %d bytes", variables[i].name, VALUE_BYTES);
        if (visit(arg, variables[i].name, text) < 0)
            return err_set(e, "%s: cannot be set", variables[i].name);
    }
    return 0;
}
