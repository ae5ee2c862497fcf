/* A project's policy: found, read once with all that it extends, compiled. */
#include "app/inside.h"
#include "app/trust.h"
#include "base/caps.h"
#include "base/io.h"
#include "cli/project.h"
#include "cli/trust_prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEXTS_BYTES = 64 << 20, SHOWN_BYTES = 32 << 20 };

void project_print_problem(void *arg, const char *file, unsigned line, unsigned column, const char *message)
{
    (void)arg;
    if (line)
        fprintf(stderr, "%s:%u:%u: %s\n", file, line, column, message);
    else
        fprintf(stderr, "%s: %s\n", file, message);
}

void project_policy_clear(struct project_policy *p)
{
    project_clear(&p->project);
    texts_free(p->texts);
    arena_free(&p->arena);
    *p = (struct project_policy){0};
}

/* --- reading --- */

static int read_text(struct project_policy *p, const char *path, bool alone, struct slice *ret, struct err *e)
{
    AUTO_BUF text = BUF_INIT(CAP_DOCUMENT_BYTES);
    if ((alone ? io_read_file_alone(path, &text, e) : io_read_file(path, &text, e)) < 0)
        return -1;
    struct slice kept = arena_slice(&p->arena, buf_slice(&text));
    if (!kept.ptr)
        return err_set(e, "%s: too large", path);
    *ret = kept;
    return 0;
}

/* One that is found in a project is a file of its own, as for a daemon's watch: who may write there names no other
 * file by a link.  What `found` extends counts by its text, which is trusted with it. */
static int read_top(struct project_policy *p, const char *path, bool found, struct err *e)
{
    struct slice text;
    if (read_text(p, path, found, &text, e) < 0)
        return -1;
    p->files[p->file_count++] = (struct files_given){p->name, text};
    return 0;
}

/* One that cannot be read is told by whoever compiles, at the line that extends it. */
static int read_extended(struct project_policy *p, struct err *e)
{
    const struct texts_source from = {.base = p->base};
    size_t count;
    if (texts_new(&from, &p->texts, e) < 0)
        return -1;
    const struct policy_source policy = {
        .file = p->name, .text = p->files[0].text, .lookup = texts_lookup, .lookup_arg = p->texts};
    policy_gather(&policy);
    const struct text_entry *all = texts_all(p->texts, &count);
    for (size_t i = 0; i < count; i++) {
        if (all[i].kind != POLICY_TEXT_FILE || all[i].error)
            continue;
        if (p->file_count == TRUST_FILES_MAX)
            return err_set(e, "%s: extends more than %d files", p->name, TRUST_FILES_MAX);
        p->files[p->file_count++] = (struct files_given){all[i].name, all[i].text};
    }
    return 0;
}

/* "./policy.yaml" and "policy.yaml" are one: a run's policy is known by its name (`exeat reload`). */
static const char *plain_name(const char *name)
{
    while (strncmp(name, "./", 2) == 0 && name[2])
        name += 2;
    return name;
}

static int read_files(struct project_policy *p, const char *policy, struct err *e)
{
    p->name = arena_slice(&p->arena, slice_str(policy ? plain_name(policy) : PROJECT_POLICY)).ptr;
    p->base = policy ? NULL : p->project.dir;
    p->files = arena_array(&p->arena, TRUST_FILES_MAX, sizeof *p->files);
    if (!p->name || !p->files)
        return err_set(e, "no memory");
    if (!policy && faccessat(AT_FDCWD, p->project.policy, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return 1;
    return read_top(p, policy ? policy : p->project.policy, !policy, e) < 0 ? -1 : read_extended(p, e);
}

int project_policy_read(const char *policy, const char *dir, struct project_policy *ret, struct err *e)
{
    struct project_policy p = {.arena = ARENA_INIT(TEXTS_BYTES)};
    if ((dir ? project_at(dir, &p.project, e) : project_find(&p.project, e)) < 0)
        return -1;
    int result = read_files(&p, policy, e);
    if (result < 0)
        project_policy_clear(&p);
    else
        *ret = p;
    return result;
}

int project_policy_compile(const struct project_policy *p, const char *task, policy_report *report,
                           void *report_arg, struct policy **ret_policy)
{
    struct err e;
    const struct policy_source from = {.file = p->name,
                                       .text = p->file_count ? p->files[0].text : SLICE(""),
                                       .default_task = task ? task : p->project.task,
                                       .lookup = p->texts ? texts_lookup : NULL,
                                       .lookup_arg = p->texts,
                                       .site_file = p->site.path,
                                       .site_text = p->site.text};
    return policy_compile_source(&from, report, report_arg, ret_policy, &e);
}

/* --- for commands that only look --- */

static void say_no_policy(const struct project *p)
{
    fprintf(stderr,
            "exeat: there is no policy (%s), so everything is blocked. `exeat init` writes a first one, or:\n"
            "    exeat: 1\n"
            "    allow:\n"
            "      - GET https://api.example.com/v1/**\n",
            p->policy);
}

static void say_not_trusted(const struct project_policy *p)
{
    struct err e;
    AUTO(trust_record) *record = NULL;
    if (inside_jail()) {
        fprintf(stderr, "exeat: %s as it stands here; in force is what was trusted outside\n", p->name);
        return;
    }
    if (trust_read(p->project.policy, &record, &e) < 0)
        fprintf(stderr, "exeat: %s\n", e.text);
    if (!trust_covers(record, p->files, p->file_count))
        fprintf(stderr, "exeat: %s is not trusted%s: it takes effect after `exeat trust`\n", p->name,
                record ? " since it has changed" : " yet");
}

static int read_both(const char *path, const char *site, struct project_policy *ret, struct err *e)
{
    int found = project_policy_read(path, NULL, ret, e);
    if (found < 0 || !site)
        return found;
    ret->site.path = site;
    if (read_text(ret, site, false, &ret->site.text, e) == 0)
        return found;
    project_policy_clear(ret);
    return -1;
}

int project_load_policy(const char *path, const char *task, struct policy **ret_policy)
{
    return project_load_configured(path, NULL, task, ret_policy);
}

int project_load_configured(const char *path, const char *site, const char *task, struct policy **ret_policy)
{
    struct err e;
    struct project_policy p;
    int found = read_both(path, site, &p, &e);
    if (found < 0) {
        fprintf(stderr, "exeat: %s\n", e.text);
        return -1;
    }
    if (found == 1)
        say_no_policy(&p.project);
    else if (!path)
        say_not_trusted(&p);
    int result = project_policy_compile(&p, task, project_print_problem, NULL, ret_policy) < 0 ? -1 : found;
    project_policy_clear(&p);
    return result;
}

/* --- for a run --- */

static int refuse(const struct project_policy *p, bool changed, enum trust_answer answer, struct err *e)
{
    if (answer == TRUST_NO)
        return err_set(e, "%s is not trusted, and nothing was started", p->project.policy);
    return err_set(e,
                   "%s %s. Look at it with `exeat trust --show`, then let it take effect with `exeat trust`, or "
                   "name it with --policy",
                   p->project.policy,
                   changed ? "has changed since it was trusted" : "is somebody else's word until it is trusted");
}

static int ask(const struct project_policy *p, const struct trust_record *before, struct err *e)
{
    AUTO_BUF text = BUF_INIT(SHOWN_BYTES);
    if (buf_printf(&text, "%s is %s.\n", p->name, before ? "not the one that was trusted" : "not trusted yet") < 0 ||
        trust_describe(p, before, &text) < 0 || !buf_cstr(&text))
        return err_set(e, "%s: it cannot be shown, so it cannot be trusted", p->project.policy);
    enum trust_answer answer = trust_ask(buf_cstr(&text), "Let it take effect?");
    if (answer != TRUST_YES)
        return refuse(p, before != NULL, answer, e);
    return trust_write(p->project.policy, p->files, p->file_count, e);
}

int project_policy_check_trust(const struct project_policy *p, struct err *e)
{
    AUTO(trust_record) *record = NULL;
    if (trust_read(p->project.policy, &record, e) < 0)
        return -1;
    return trust_covers(record, p->files, p->file_count) ? 0 : ask(p, record, e);
}

int project_policy_for_run(const char *policy, const char *dir, struct project_policy *ret, struct err *e)
{
    struct project_policy p;
    int found = project_policy_read(policy, dir, &p, e);
    if (found < 0)
        return -1;
    if (project_check_place(&p.project, e) < 0 || (found == 0 && !policy && project_policy_check_trust(&p, e) < 0)) {
        project_policy_clear(&p);
        return -1;
    }
    if (found == 1)
        say_no_policy(&p.project);
    *ret = p;
    return 0;
}
