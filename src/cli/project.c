#include "cli/project.h"

#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ACCOUNTS_MAX = 100000, FIRST_PERSON = 1000, LAST_PERSON = 59999 }; /* login.defs(5) of Debian */

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

/* Takes `dir` over. */
static int describe(char *dir, struct project *ret, struct err *e)
{
    struct project p = {.dir = dir};
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

int project_find(struct project *ret, struct err *e)
{
    char *dir = realpath(".", NULL);
    if (!dir)
        return err_sys(e, "cannot find out the working directory");
    climb(dir);
    return describe(dir, ret, e);
}

int project_at(const char *dir, struct project *ret, struct err *e)
{
    char *real = realpath(dir, NULL);
    struct stat st;
    if (!real)
        return err_sys(e, "%s: cannot be the project", dir);
    if (stat(real, &st) < 0 || !S_ISDIR(st.st_mode)) {
        free(real);
        return err_set(e, "%s: cannot be the project: not a folder", dir);
    }
    return describe(real, ret, e);
}

void project_clear(struct project *p)
{
    free(p->dir);
    free(p->policy);
    free(p->task);
    *p = (struct project){0};
}

/* --- where no command is let loose --- */

/* Whether `dir` is `home` or an ancestor of it; both without symbolic links. */
static bool holds(const char *dir, const char *home)
{
    size_t len = strlen(dir);
    if (strcmp(dir, "/") == 0)
        return true;
    return strncmp(home, dir, len) == 0 && (home[len] == '/' || home[len] == '\0');
}

static bool holds_home(const char *dir, const char *home)
{
    AUTO_STR char *real = home && home[0] == '/' && home[1] ? realpath(home, NULL) : NULL;
    return real && holds(dir, real);
}

/* Of root and of people; the homes of services are folders such as /usr/games. */
static bool is_person(const struct passwd *user)
{
    return user->pw_uid == 0 || (user->pw_uid >= FIRST_PERSON && user->pw_uid <= LAST_PERSON);
}

/* Read from the file: enumerating a directory service may take minutes, and its users' own homes are found by
 * HOME and by who owns a folder. */
static bool holds_any_home(const char *dir)
{
    FILE *file = fopen("/etc/passwd", "re");
    bool found = false;
    const struct passwd *user;
    for (unsigned n = 0; file && !found && n < ACCOUNTS_MAX && (user = fgetpwent(file)); n++)
        found = is_person(user) && holds_home(dir, user->pw_dir);
    if (file)
        fclose(file);
    return found;
}

static bool holds_own_home(const char *dir)
{
    if (holds_home(dir, getenv("HOME")))
        return true;
    const struct passwd *user = getpwuid(geteuid());
    return user && holds_home(dir, user->pw_dir);
}

static int bad_place(const struct project *p, const char *why, struct err *e)
{
    return err_set(e, "%s cannot be a project: it is %s. Start this in a project, or name one with --rw DIR", p->dir,
                   why);
}

int project_check_place(const struct project *p, struct err *e)
{
    struct stat st;
    if (strcmp(p->dir, "/") == 0)
        return bad_place(p, "the whole system", e);
    if (holds_own_home(p->dir) || holds_any_home(p->dir))
        return bad_place(p, "a home directory or above one", e);
    if (stat(p->dir, &st) < 0)
        return err_sys(e, "%s: cannot be the project", p->dir);
    if (geteuid() != 0 && st.st_uid != geteuid())
        return bad_place(p, "another user's", e);
    return (st.st_mode & S_ISVTX) && (st.st_mode & S_IWOTH) ? bad_place(p, "a folder that all users share", e) : 0;
}
