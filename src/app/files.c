#include "app/files.h"

#include "app/config_proxy.h"
#include "base/crypto.h"
#include "base/io.h"
#include "tls/roots.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOKEN_FILE_BYTES = 4096, EXTRA_ROOTS_BYTES = 4 << 20 };

struct packer {
    const struct files_source *source;
    const struct config *config;
    struct buf *out;
    struct problems *problems;
    struct texts *texts; /* what policies extend */
};

static const struct files_given *find_given(const struct files_source *source, const char *path)
{
    for (size_t i = 0; i < source->given_count; i++)
        if (strcmp(source->given[i].path, path) == 0)
            return &source->given[i];
    return NULL;
}

static int read_text(const struct files_source *source, const char *path, struct buf *text, struct err *e)
{
    const struct files_given *given = find_given(source, path);
    if (!given)
        return io_read_file(path, text, e);
    return buf_append(text, given->text) < 0 ? err_set(e, "%s: larger than %zu bytes", path, text->max) : 0;
}

/* A secret that others can read is still the operator's decision: said, not refused. */
static void warn_if_readable(const struct files_source *source, const char *path)
{
    struct stat st;
    if (!source->warning || find_given(source, path) || stat(path, &st) < 0 || !(st.st_mode & S_IROTH))
        return;
    source->warning(source->arg, path, 0, 0, "holds a token and can be read by everybody: chmod o-r it");
}

/* Reads what a policy extends. */
static void gather(const struct packer *p, const char *path, struct slice text)
{
    const struct policy_source policy = {
        .file = path, .text = text, .lookup = texts_lookup, .lookup_arg = p->texts};
    texts_only_given(p->texts, find_given(p->source, path));
    policy_gather(&policy);
}

/* Reads a file that a task or a key names; an error stands at the place of the name. */
static int pack_file(struct packer *p, enum bundle_kind kind, const char *path, size_t max, unsigned line,
                     unsigned column)
{
    AUTO_BUF text = BUF_INIT(max);
    struct err why;
    bool alone = (kind == BUNDLE_POLICY || kind == BUNDLE_SITE) && p->source->alone && !find_given(p->source, path);
    if ((alone ? io_read_file_alone(path, &text, &why) : read_text(p->source, path, &text, &why)) < 0)
        return problems_add(p->problems, line, column, "%s", why.text);
    int result = bundle_append(p->out, kind, path, buf_slice(&text), &why);
    if (kind == BUNDLE_POLICY)
        gather(p, path, buf_slice(&text));
    if (kind == BUNDLE_TOKEN && text.data)
        crypto_wipe(text.data, text.size);
    return result < 0 ? problems_add(p->problems, line, column, "%s", why.text) : 0;
}

/* Several tasks may share a policy: it is read and packed once. */
static bool policy_is_packed(const struct packer *p, size_t task)
{
    for (size_t i = 0; i < task; i++)
        if (strcmp(p->config->tasks[i].policy, p->config->tasks[task].policy) == 0)
            return true;
    return false;
}

static void pack_task(struct packer *p, size_t i)
{
    const struct config_task *t = &p->config->tasks[i];
    if (t->given && !find_given(p->source, t->policy)) {
        problems_add(p->problems, t->line, t->column, "task `%s`: no policy was given; a file is named without `given`",
                     t->name);
        return;
    }
    if (!policy_is_packed(p, i) &&
        pack_file(p, BUNDLE_POLICY, t->policy, CAP_DOCUMENT_BYTES, t->line, t->column) < 0)
        return; /* told */
    if (!t->token_file)
        return;
    warn_if_readable(p->source, t->token_file);
    if (pack_file(p, BUNDLE_TOKEN, t->token_file, TOKEN_FILE_BYTES, t->line, t->column) < 0)
        return; /* told */
}

static int pack_roots(struct packer *p, struct err *e)
{
    AUTO_BUF roots = BUF_INIT(ROOTS_BYTES_MAX);
    if (roots_read_system(&roots, e) < 0)
        return -1;
    return bundle_append(p->out, BUNDLE_ROOTS, "the system's roots", buf_slice(&roots), e);
}

static int pack_upstream_proxy(struct packer *p)
{
    const char *path = p->config->upstream.proxy_credentials, *hint = config_proxy_hint();
    if (hint && bundle_append(p->out, BUNDLE_HINT, "proxy variables", slice_str(hint), NULL) < 0)
        return problems_add(p->problems, 0, 0, "the files of the configuration are too large");
    if (!path)
        return 0;
    warn_if_readable(p->source, path);
    return pack_file(p, BUNDLE_TOKEN, path, TOKEN_FILE_BYTES, p->config->upstream.proxy_line,
                     p->config->upstream.proxy_column);
}

/* That a text could not be read is told where it is extended, by whoever compiles. */
static int pack_extended(struct packer *p, struct err *e)
{
    size_t count;
    const struct text_entry *all = texts_all(p->texts, &count);
    for (const struct text_entry *t = all; t < all + count; t++) {
        AUTO_BUF text = BUF_INIT(CAP_DOCUMENT_BYTES + 1);
        enum bundle_kind kind = BUNDLE_EXTENDED + (enum bundle_kind)t->kind;
        if (buf_append(&text, t->error ? SLICE("-") : SLICE("+")) < 0 ||
            buf_append(&text, t->error ? slice_str(t->error) : t->text) < 0)
            return err_set(e, "%s: too large", t->name);
        if (bundle_append(p->out, kind, t->name, buf_slice(&text), e) < 0)
            return -1;
    }
    return 0;
}

static int pack_all(struct packer *p, struct err *e)
{
    unsigned before = p->problems->count;
    for (size_t i = 0; i < p->config->task_count; i++)
        pack_task(p, i);
    if (pack_extended(p, e) < 0)
        return -1;
    if (pack_upstream_proxy(p) < 0)
        return -1;
    const char *extra = p->config->upstream.ca_file, *site = p->config->site;
    if (site && pack_file(p, BUNDLE_SITE, site, CAP_DOCUMENT_BYTES, p->config->site_line, p->config->site_column) < 0)
        return -1;
    if (extra && pack_file(p, BUNDLE_EXTRA_ROOTS, extra, EXTRA_ROOTS_BYTES, p->config->upstream.ca_line,
                           p->config->upstream.ca_column) < 0)
        return -1;
    return p->problems->count > before ? -1 : pack_roots(p, e);
}

static int read_config(const struct files_source *source, char name[PATH_MAX], struct buf *text, struct err *e)
{
    if (!find_given(source, source->config))
        return config_read(source->config, name, text, e);
    snprintf(name, PATH_MAX, "%s", source->config);
    return read_text(source, source->config, text, e);
}

int files_pack(const struct files_source *source, struct err *e)
{
    AUTO_BUF text = BUF_INIT(CAP_DOCUMENT_BYTES);
    AUTO_BUF out = BUF_INIT(CAP_BUNDLE_BYTES);
    char name[PATH_MAX];
    struct problems problems = {.file = name, .report = source->report, .report_arg = source->arg, .first = e};
    AUTO(config) *config = NULL;
    if (read_config(source, name, &text, e) < 0 || config_parse(buf_slice(&text), &problems, &config) < 0)
        return -1;
    if (config->has_tokens)
        warn_if_readable(source, name);
    const struct texts_source from = {.given = source->given, .given_count = source->given_count, .alone = source->alone};
    AUTO(texts) *texts = NULL;
    if (texts_new(&from, &texts, e) < 0)
        return -1;
    struct packer p = {source, config, &out, &problems, texts};
    if (bundle_append(&out, BUNDLE_CONFIG, name, buf_slice(&text), e) < 0 || pack_all(&p, e) < 0)
        return -1;
    return bundle_seal(&out, e);
}

int files_pack_policy(const struct files_given *files, size_t count, struct err *e)
{
    AUTO_BUF out = BUF_INIT(CAP_BUNDLE_BYTES);
    const struct texts_source from = {.given = files, .given_count = count, .only_given = true};
    const struct files_source source = {.given = files, .given_count = count};
    AUTO(texts) *texts = NULL;
    if (texts_new(&from, &texts, e) < 0)
        return -1;
    struct packer p = {.source = &source, .out = &out, .texts = texts};
    if (bundle_append(&out, BUNDLE_POLICY, files[0].path, files[0].text, e) < 0)
        return -1;
    gather(&p, files[0].path, files[0].text);
    return pack_extended(&p, e) < 0 ? -1 : bundle_seal(&out, e);
}
