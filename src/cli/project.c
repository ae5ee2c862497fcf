#include "cli/project.h"

#include "base/caps.h"
#include "base/io.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* In a work tree `.git` is a folder, in a linked one or a submodule a file. */
static bool is_work_tree(const char *dir)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/.git", dir);
    return n > 0 && (size_t)n < sizeof path && access(path, F_OK) == 0;
}

/* Shortens `dir` to the nearest parent that is a work tree; leaves it where there is none. */
static void climb(char *dir)
{
    AUTO_STR char *at = strdup(dir);
    while (at && !is_work_tree(at)) {
        char *slash = strrchr(at, '/');
        if (!slash || slash == at)
            return;
        *slash = '\0';
    }
    if (at)
        dir[strlen(at)] = '\0';
}

static char *task_of(const char *dir)
{
    const char *slash = strrchr(dir, '/');
    const char *name = slash && slash[1] ? slash + 1 : "project";
    char *task = strndup(name, 63);
    for (char *c = task; c && *c; c++) {
        bool good = (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') ||
                    strchr("._-", *c);
        if (!good)
            *c = '-';
    }
    return task;
}

int project_find(struct project *ret, struct err *e)
{
    struct project p = {.dir = realpath(".", NULL)};
    if (!p.dir)
        return err_sys(e, "cannot find out the working directory");
    climb(p.dir);
    bool root = strcmp(p.dir, "/") == 0;
    if (asprintf(&p.policy, "%s/%s", root ? "" : p.dir, PROJECT_POLICY) < 0)
        p.policy = NULL;
    p.task = task_of(p.dir);
    if (!p.policy || !p.task) {
        project_clear(&p);
        return err_set(e, "out of memory");
    }
    *ret = p;
    return 0;
}

void project_clear(struct project *p)
{
    free(p->dir);
    free(p->policy);
    free(p->task);
    *p = (struct project){0};
}

void project_print_problem(void *arg, const char *file, unsigned line, unsigned column, const char *message)
{
    (void)arg;
    if (line)
        fprintf(stderr, "%s:%u:%u: %s\n", file, line, column, message);
    else
        fprintf(stderr, "%s: %s\n", file, message);
}

static int compile(const char *shown, struct slice text, const char *task, struct policy **ret_policy)
{
    struct err e;
    return policy_compile(shown, text, task, project_print_problem, NULL, ret_policy, &e);
}

static int no_policy(const struct project *p, const char *task, struct policy **ret_policy)
{
    fprintf(stderr,
            "exeat: there is no policy (%s), so everything is blocked. A first one to write there:\n"
            "    exeat: 1\n"
            "    allow:\n"
            "      - GET https://api.example.com/v1/**\n",
            p->policy);
    return compile(PROJECT_POLICY, SLICE(""), task, ret_policy) < 0 ? -1 : 1;
}

static int load_file(const char *path, const char *shown, const char *task, struct policy **ret_policy)
{
    AUTO_BUF text = BUF_INIT(CAP_DOCUMENT_BYTES);
    struct err e;
    if (io_read_file(path, &text, &e) < 0) {
        fprintf(stderr, "exeat: %s\n", e.text);
        return -1;
    }
    return compile(shown, buf_slice(&text), task, ret_policy);
}

int project_load_policy(const char *path, const char *task, struct policy **ret_policy)
{
    struct err e;
    struct project p;
    if (project_find(&p, &e) < 0) {
        fprintf(stderr, "exeat: %s\n", e.text);
        return -1;
    }
    if (!task)
        task = p.task;
    int result;
    if (path)
        result = load_file(path, path, task, ret_policy);
    else if (access(p.policy, F_OK) < 0 && errno == ENOENT)
        result = no_policy(&p, task, ret_policy);
    else
        result = load_file(p.policy, PROJECT_POLICY, task, ret_policy);
    project_clear(&p);
    return result;
}
