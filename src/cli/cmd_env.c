/* exeat env: the variables that lead a program through a running proxy, as lines for a shell or a file. */
#include "app/config.h"
#include "app/env_print.h"
#include "app/trustfiles.h"
#include "base/crypto.h"
#include "base/io.h"
#include "cli/commands.h"
#include "cli/daemon_config.h"
#include "cli/options.h"

#include <stdio.h>
#include <unistd.h>

enum { TOKEN_BYTES_MAX = 4096, OUTPUT_BYTES = 1 << 20 };

struct env_options {
    const char *config, *task, *format;
};

static const struct option_row rows[] = {
    OPTION_TEXT(struct env_options, config, "config", "FILE",
                "the configuration of the proxy (" DEFAULT_CONFIG ")"),
    OPTION_TEXT(struct env_options, task, "task", "NAME",
                "the task to use it as (not needed where there is one)"),
    OPTION_TEXT(struct env_options, format, "format", "FORMAT", "sh (the default), fish, json or dotenv"),
};

static const struct option_usage usage = {
    .synopsis = "exeat env [OPTION]...",
    .about =
        "Prints `export NAME='value'` lines; use them as: eval \"$(exeat env --task NAME)\"\n"
        "In fish: exeat env --task NAME --format fish | source\n"
        "They name the proxy with the task's token, and files that make programs trust its CA. The token is\n"
        "a secret: whoever has it acts as the task.\n\n"
        "What variables cannot do for programs outside a jail:\n"
        "  node             fetch() asks no proxy before version 24, https.request only with an agent\n"
        "  python aiohttp   asks the proxy with ClientSession(trust_env=True) only\n"
        "  java             sends no credentials for CONNECT: name its task by `sources`\n"
        "  wget             ca_certificate = STATE/ca-bundle.pem in ~/.wgetrc\n"
        "  apt              Acquire::https::CaInfo, where a source is https\n"
        "  browsers         keep a trust store of their own: import what `exeat ca export` prints\n"
        "  all              what ignores them goes past the proxy: close that way, or use `exeat run`",
    .rows = rows,
    .count = ARRAY_LEN(rows),
};

static int complain(const char *text)
{
    fprintf(stderr, "exeat env: %s\n", text);
    return EXIT_ERROR;
}

static int read_format(const char *name, enum env_format *ret)
{
    *ret = ENV_FORMAT_SH;
    if (!name || env_format_of(name, ret) == 0)
        return EXIT_OK;
    return options_wrong("env", "--format: there is no format %s; use sh, fish, json or dotenv", name);
}

/* NULL, and said why, where it is not clear which. */
static const struct config_task *choose_task(const struct config *c, const char *name)
{
    const struct config_task *task = name ? config_find_task(c, name) : c->task_count == 1 ? c->tasks : NULL;
    if (task)
        return task;
    if (name)
        fprintf(stderr, "exeat env: there is no task `%s` in %s", name, c->file);
    else
        fprintf(stderr, "exeat env: --task is needed, since %s has %zu tasks", c->file, c->task_count);
    for (size_t i = 0; i < c->task_count; i++)
        fprintf(stderr, "%s%s", i ? ", " : ": ", c->tasks[i].name);
    fputc('\n', stderr);
    return NULL;
}

/* As the proxy reads it: a token file is one line, with or without the newline that editors leave. */
static int read_token_file(const char *path, struct buf *ret, struct err *e)
{
    if (io_read_file(path, ret, e) < 0)
        return -1;
    if (slice_ends(buf_slice(ret), SLICE("\n")))
        buf_truncate(ret, buf_len(ret) - 1);
    struct slice token = buf_slice(ret);
    if (token.len == 0)
        return err_set(e, "%s: no token in it", path);
    if (slice_find(token, '\n') >= 0 || slice_find(token, '\r') >= 0)
        return err_set(e, "%s: a token is one line", path);
    return 0;
}

/* Nothing where the task is known by its source address alone. */
static int read_token(const struct config_task *task, struct buf *ret, struct err *e)
{
    if (task->token_file)
        return read_token_file(task->token_file, ret, e);
    return buf_append(ret, slice_str(task->token)) == 0 ? 0 : err_set(e, "the token is too long");
}

/* Where a program on this machine reaches a listener: one on all addresses is reached by loopback. */
static int choose_listener(const struct config *c, char ret_host[FETCH_ADDRESS_TEXT], uint16_t *ret_port,
                           struct err *e)
{
    static const uint8_t any[16], loopback4[4] = {127, 0, 0, 1};
    if (c->listen_count == 0)
        return err_set(e, "%s: it listens nowhere", c->file);
    struct fetch_address a = c->listen[0].address;
    size_t bytes = a.family == AF_INET ? 4 : 16;
    if (a.port == 0)
        return err_set(e, "%s:%u:%u: with port 0 only the running proxy knows its port", c->file,
                       c->listen[0].line, c->listen[0].column);
    if (memcmp(a.bytes, any, bytes) == 0) {
        if (a.family == AF_INET)
            memcpy(a.bytes, loopback4, sizeof loopback4);
        else
            a.bytes[15] = 1;
    }
    fetch_address_print(&a, ret_host);
    *ret_port = a.port;
    return 0;
}

static void wipe(struct buf *b)
{
    if (b->data)
        crypto_wipe(b->data, b->size);
}

/* The variables are right all the same: the proxy may be about to start. */
static void warn_missing(const struct trustfiles *files)
{
    if (access(files->bundle, R_OK) < 0 || access(files->ca, R_OK) < 0 || access(files->java, R_OK) < 0)
        fprintf(stderr,
                "exeat env: %s is not there (or not readable) yet: `exeat proxy` writes it when it starts\n",
                files->bundle);
}

static int print_env(const struct config *c, const struct config_task *task, enum env_format format,
                     struct err *e)
{
    struct trustfiles files;
    char host[FETCH_ADDRESS_TEXT];
    AUTO_BUF token = BUF_INIT(TOKEN_BYTES_MAX), text = BUF_INIT(OUTPUT_BYTES);
    struct env_inputs in = {
        .proxy_host = host, .bundle = files.bundle, .ca = files.ca, .trust_store = files.java};
    if (trustfiles_paths(c->state, &files, e) < 0 || read_token(task, &token, e) < 0 ||
        choose_listener(c, host, &in.proxy_port, e) < 0)
        return -1;
    if (buf_len(&token)) {
        in.task = task->name;
        in.token = buf_slice(&token);
    }
    int r = env_print(format, &in, &text, e);
    if (r == 0) {
        fwrite(text.data + text.start, 1, buf_len(&text), stdout);
        warn_missing(&files);
    }
    wipe(&token);
    wipe(&text);
    return r;
}

int cmd_env(int argc, char **argv)
{
    struct env_options o = {0};
    enum env_format format;
    struct err e = {0};
    int first;
    int over = options_parse(&usage, argc, argv, &o, &first);
    if (over != OPTIONS_READY)
        return over;
    if (first < argc)
        return options_wrong("env", "it takes options only, not %s", argv[first]);
    if (read_format(o.format, &format) != EXIT_OK)
        return EXIT_ERROR;
    AUTO(config) *config = NULL;
    if (daemon_config_load("env", o.config, &config) < 0)
        return EXIT_ERROR;
    const struct config_task *task = choose_task(config, o.task);
    if (!task)
        return EXIT_ERROR;
    return print_env(config, task, format, &e) == 0 ? EXIT_OK : complain(e.text);
}
