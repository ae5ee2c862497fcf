/* exeat init: a first policy for this project, from its lock files and remotes. */
#include "app/registries.h"
#include "base/io.h"
#include "cli/commands.h"
#include "cli/init_scan.h"
#include "cli/options.h"
#include "cli/project.h"
#include "policy/show.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { POLICY_BYTES = 64 << 10, SUMMARY_BYTES = 4 << 10, COMMENT_COLUMN = 44 };

struct init_options {
    bool print;
};

static const struct option_row rows[] = {
    OPTION_FLAG(struct init_options, print, "print", "print the policy instead of writing it"),
};

static const struct option_usage usage = {
    .synopsis = "exeat init [OPTION]...",
    .about =
        "Writes a first policy for this project, .exeat.yaml at its top: presets that fit its lock files, and\n"
        "fetching from its own remotes. An existing policy is never overwritten.\n"
        "No program is started for it, and nothing is sent.",
    .rows = rows,
    .count = ARRAY_LEN(rows),
};

/* Presets whose host comes from a tool's own configuration: where that names none, the preset alone would not
 * load. */
static const struct {
    const char *preset, *tool;
} tools[] = {
    {"crates", "cargo"}, {"go", "go"},    {"gradle", "maven"}, {"maven", "maven"},
    {"npm", "npm"},      {"pypi", "pip"}, {"rubygems", "gem"},
};

static const char *tool_of(const char *preset)
{
    for (size_t i = 0; i < ARRAY_LEN(tools); i++)
        if (strcmp(tools[i].preset, preset) == 0)
            return tools[i].tool;
    return NULL;
}

/* ---- the text ---- */

/* "  - entry      # comment" */
static int put_entry(struct buf *out, const char *lead, const char *entry, const char *comment)
{
    int width = COMMENT_COLUMN - (int)strlen(lead);
    return buf_printf(out, "%s%-*s # %s\n", lead, width > 0 ? width : 0, entry, comment);
}

static int put_unknown(struct buf *out, const struct scan_preset *p, const char *why)
{
    char entry[128];
    snprintf(entry, sizeof entry, "{%s: packages.example.com}", p->name);
    return put_entry(out, "  # - ", entry, why);
}

static int put_preset(struct buf *out, const struct registries_world *world, const struct scan_preset *p)
{
    AUTO(registries) *found = NULL;
    struct err e;
    char comment[1400];
    const char *tool = tool_of(p->name);
    if (tool && registries_find(world, slice_str(tool), &found, &e) < 0) {
        snprintf(comment, sizeof comment, "%s; %s", p->file, e.text);
        return put_unknown(out, p, comment);
    }
    if (tool && found->count == 0) {
        snprintf(comment, sizeof comment, "%s; %s's configuration names no registry: write its host", p->file,
                 tool);
        return put_unknown(out, p, comment);
    }
    snprintf(comment, sizeof comment, "%s%s%s", p->file, tool ? "; host from " : "",
             tool ? found->at[0].where : "");
    return put_entry(out, "  - ", p->name, comment);
}

static bool is_plain(const char *url)
{
    return url[strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~/-")] == '\0';
}

/* A canonical URL has neither quotes nor backslashes, so that quoting it is enough. */
static int put_remote(struct buf *out, const struct scan_remote *r)
{
    char entry[SCAN_URL_BYTES + 64];
    const char *url = strncmp(r->url, "https://", 8) == 0 ? r->url + 8 : r->url;
    const char *quote = is_plain(url) ? "" : "\"";
    snprintf(entry, sizeof entry, "{git: %s%s%s, push: false}", quote, url, quote);
    return put_entry(out, "  - ", entry,
                     r->rewritten ? "clone and fetch over https; the remote is written otherwise"
                                  : "clone and fetch");
}

static int put_head(struct buf *out)
{
    return buf_append(
        out,
        SLICE("# What programs may reach while they work on this project. All else is blocked, explained\n"
              "# and recorded. Written by `exeat init`; change it as you need, look at it with\n"
              "# `exeat policy show`, and let it take effect with `exeat trust`.\n"
              "exeat: 1\n"
              "mode: enforce   # monitor: let through what only lacks a rule, and record it\n"
              "\n"));
}

static int put_tail(struct buf *out)
{
    return buf_append(
        out,
        SLICE("\n"
              "# Rules of your own: METHOD URL, in which * is a run of characters inside one segment and\n"
              "# ** any number of segments. `exeat check GET URL` says what a request would get.\n"
              "# allow:\n"
              "#   - GET https://docs.example.com/**\n"
              "#   - name: comment on our issues\n"
              "#     rule: POST https://api.github.com/repos/acme/widgets/issues/*/comments\n"
              "#     body: {max: 64KiB, types: [application/json]}\n"
              "# deny:\n"
              "#   - host: \"**.pastebin.com\"\n"));
}

static int put_entries(struct buf *out, const struct registries_world *world,
                       const struct scan_presets *presets, const struct scan_remotes *remotes)
{
    for (size_t i = 0; i < remotes->count; i++)
        if (put_remote(out, &remotes->at[i]) < 0)
            return -1;
    for (size_t i = 0; i < presets->count; i++)
        if (put_preset(out, world, &presets->at[i]) < 0)
            return -1;
    return 0;
}

/* `extends:` with nothing but comments below it extends nothing, and one may be made an entry as it stands.
 */
static int put_extends(struct buf *out, const struct registries_world *world,
                       const struct scan_presets *presets, const struct scan_remotes *remotes)
{
    if (buf_append(out, SLICE("extends:\n")) < 0 || put_entries(out, world, presets, remotes) < 0)
        return -1;
    return buf_append(
        out, SLICE("  # - github-read                             # all of GitHub, reading only\n"
                   "  # - anthropic                               # the agent's model; or openai, gemini\n"));
}

/* ---- writing ---- */

static int write_new(int dir, struct slice text, struct err *e)
{
    AUTO_FD int fd = openat(dir, PROJECT_POLICY, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0 && errno == EEXIST)
        return err_set(e, "there is a " PROJECT_POLICY " already; `exeat policy show` prints what it allows");
    if (fd < 0)
        return err_sys(e, PROJECT_POLICY ": cannot be written");
    if (io_write_all(fd, text) == 0 && fsync(fd) == 0)
        return 0;
    err_sys(e, PROJECT_POLICY ": cannot be written");
    unlinkat(dir, PROJECT_POLICY, 0);
    return -1;
}

/* What the loader makes of it, not what we meant. */
static int print_summary(const struct project *p)
{
    AUTO(policy) *policy = NULL;
    AUTO_BUF out = BUF_INIT(SUMMARY_BYTES);
    if (project_load_policy(NULL, p->task, &policy) != 0 || show_summary(policy, &out) < 0)
        return -1;
    printf("wrote %s: %.*s\n", p->policy, SLICE_FMT(buf_slice(&out)));
    printf("next: exeat policy show (each rule), exeat trust (let it take effect), exeat run -- COMMAND\n");
    return 0;
}

static int make(const struct project *p, int dir, struct buf *out, struct err *e)
{
    struct registries_world world;
    struct scan_presets presets;
    struct scan_remotes remotes;
    registries_here(&world);
    if (scan_presets(dir, &presets, e) < 0 || scan_remotes(dir, &remotes, e) < 0)
        return -1;
    if (put_head(out) < 0 || put_extends(out, &world, &presets, &remotes) < 0 || put_tail(out) < 0)
        return err_set(e, "%s: the policy would be too long", p->policy);
    return 0;
}

static int init(const struct project *p, bool print, struct err *e)
{
    AUTO_BUF text = BUF_INIT(POLICY_BYTES);
    AUTO_FD int dir = open(p->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return err_sys(e, "%s: cannot open", p->dir);
    if ((!print && project_check_place(p, e) < 0) || make(p, dir, &text, e) < 0)
        return -1;
    if (print) {
        fwrite(text.data + text.start, 1, buf_len(&text), stdout);
        return 0;
    }
    if (write_new(dir, buf_slice(&text), e) < 0)
        return -1;
    return print_summary(p) < 0 ? err_set(e, "wrote %s, which does not load: see above", p->policy) : 0;
}

int cmd_init(int argc, char **argv)
{
    struct init_options o = {0};
    struct project p;
    struct err e;
    int first;
    int over = options_parse(&usage, argc, argv, &o, &first);
    if (over != OPTIONS_READY)
        return over;
    if (first < argc)
        return options_wrong("init", "no operands: it looks at the project of the working directory");
    int result = project_find(&p, &e);
    if (result == 0) {
        result = init(&p, o.print, &e);
        project_clear(&p);
    }
    if (result < 0)
        fprintf(stderr, "exeat init: %s\n", e.text);
    return result < 0 ? EXIT_ERROR : EXIT_OK;
}
