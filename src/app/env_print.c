#include "app/env_print.h"

#include "base/json.h"

struct printer {
    struct buf *out;
    struct json json;
    const char *unquotable; /* the variable that the format cannot hold */
};

/* The value in single quotes, `escape` before each of the bytes `special`. */
static int put_quoted(struct buf *out, const char *value, const char *special, const char *escape)
{
    if (buf_append(out, SLICE("'")) < 0)
        return -1;
    for (const char *at = value; *at; at++)
        if ((strchr(special, *at) && buf_append(out, slice_str(escape)) < 0) ||
            buf_append(out, slice_of(at, 1)) < 0)
            return -1;
    return buf_append(out, SLICE("'\n"));
}

/* POSIX 2.2.2: inside single quotes nothing is special but the quote itself: 'it'\''s'. */
static int print_sh(void *arg, const char *name, const char *value)
{
    struct printer *p = arg;
    return buf_printf(p->out, "export %s=", name) < 0 ? -1 : put_quoted(p->out, value, "'", "'\\'");
}

/* fish, "Quotes": inside single quotes \' and \\ are the only escapes. */
static int print_fish(void *arg, const char *name, const char *value)
{
    struct printer *p = arg;
    return buf_printf(p->out, "set -gx %s ", name) < 0 ? -1 : put_quoted(p->out, value, "'\\", "\\");
}

static int print_json(void *arg, const char *name, const char *value)
{
    struct printer *p = arg;
    json_kv_str(&p->json, name, value);
    return p->json.failed ? -1 : 0;
}

/* Read alike by all, with and without quotes. */
static bool is_plain(const char *value)
{
    return value[strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                               "_-.,:/@%+=~")] == '\0';
}

/* There is no standard.  Common ground: plain text; single quotes around what has no quote, backslash or line
 * end in it; double quotes around what moreover has nothing that is expanded there. */
static int print_dotenv(void *arg, const char *name, const char *value)
{
    struct printer *p = arg;
    const char *quote = is_plain(value)                 ? ""
                        : !strpbrk(value, "'\\\r\n")    ? "'"
                        : !strpbrk(value, "\"\\$`\r\n") ? "\""
                                                        : NULL;
    if (!quote) {
        p->unquotable = name;
        return -1;
    }
    return buf_printf(p->out, "%s=%s%s%s\n", name, quote, value, quote);
}

static const struct {
    const char *name;
    env_visit *print;
} formats[ENV_FORMAT_COUNT] = {
    [ENV_FORMAT_SH] = {"sh", print_sh},
    [ENV_FORMAT_FISH] = {"fish", print_fish},
    [ENV_FORMAT_JSON] = {"json", print_json},
    [ENV_FORMAT_DOTENV] = {"dotenv", print_dotenv},
};

int env_format_of(const char *name, enum env_format *ret)
{
    for (enum env_format f = 0; f < ENV_FORMAT_COUNT; f++)
        if (strcmp(formats[f].name, name) == 0) {
            *ret = f;
            return 0;
        }
    return -1;
}

int env_print(enum env_format format, const struct env_inputs *in, struct buf *out, struct err *e)
{
    struct printer p = {.out = out, .json = JSON_INIT(out)};
    bool json = format == ENV_FORMAT_JSON;
    if (json)
        json_object(&p.json);
    if (env_each(in, formats[format].print, &p, e) < 0)
        return p.unquotable
                   ? err_set(e,
                             "%s: programs read quotes in .env files differently; use another format, "
                             "or a path without quotes, backslashes and `$`",
                             p.unquotable)
                   : -1;
    if (json)
        json_object_end(&p.json);
    if (p.json.failed || (json && buf_append(out, SLICE("\n")) < 0))
        return err_set(e, "the environment is too long to print");
    return 0;
}
