/* What of the file system a jail gets to see, decided over small trees: each case makes one and says which
 * mounts must and must not be in the plan. */
#include "base/macros.h"
#include "sandbox/mounts.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIST = 4, WANTED = 8 };

/* Paths are relative to a fresh folder with project/, home/, state/ and run/.  want: "kind path", "!kind
 * path" where there must be none, for paths in that folder; error: part of the message instead. */
static const struct plan_case {
    const char *name, *make;
    const char *read[LIST], *write[LIST], *hide[LIST];
    bool write_written;
    const char *never, *command, *agent;
    const char *want[WANTED];
    const char *error;
} CASES[] = {
    {.name = "the project is writable, home is empty, the rest is not there",
     .make = "touch home/.ssh other",
     .want = {"write project", "private home", "!read home/.ssh", "!read other"}},
    {.name = "what is read is read-only", .make = "mkdir data", .read = {"data"}, .want = {"read data"}},
    {.name = "what is read and not there is left out", .read = {"data"}, .want = {"!read data"}},
    {.name = "what is written must be there", .write = {"data"}, .error = "data: No such file"},
    {.name = "the whole system cannot be read", .read = {"/"}, .error = "name the folders that are needed"},
    {.name = "write beats read",
     .make = "mkdir data",
     .read = {"data"},
     .write = {"data"},
     .want = {"write data", "!read data"}},
    {.name = "a folder to read in one to write is written",
     .make = "mkdir project/gen",
     .read = {"project/gen"},
     .want = {"!read project/gen"}},
    {.name = "a folder to write in one to read",
     .make = "mkdir -p data/out",
     .read = {"data"},
     .write = {"data/out"},
     .want = {"read data", "write data/out"}},
    {.name = "hide beats write",
     .make = "mkdir project/x",
     .write = {"project/x"},
     .hide = {"project/x"},
     .want = {"hide project/x", "!write project/x"}},
    {.name = "below what is hidden nothing is shown",
     .make = "mkdir -p project/x/y",
     .write = {"project/x/y"},
     .hide = {"project/x"},
     .want = {"hide project/x", "!write project/x/y"}},
    {.name = "a sibling with a longer name is not below what is hidden",
     .make = "mkdir -p project/x/y project/x-y; mkfifo project/x/y/p project/x-y/p",
     .hide = {"project/x"},
     .want = {"hide project/x", "!hide project/x/y/p", "hide project/x-y/p"}},
    {.name = "written paths replace the project-wide default",
     .make = "mkdir project/src; mkdir project/.git",
     .write = {"project/src"},
     .write_written = true,
     .want = {"read project", "write project/src", "!write project"}},
    {.name = "links are judged as what they point to",
     .make = "mkdir real; ln -s ../real home/link",
     .read = {"home/link"},
     .want = {"read real", "link home/link"}},
    {.name = "but not those that a jail may have made",
     .make = "mkdir home/.ssh; ln -s ../home/.ssh project/docs",
     .read = {"project/docs"},
     .error = "through a link in"},
    {.name = "nor those on the way",
     .make = "mkdir -p home/.ssh/keys; ln -s ../home/.ssh project/docs",
     .write = {"project/docs/keys"},
     .error = "through a link in"},
    {.name = "unless they lead to what it writes anyway",
     .make = "mkdir project/a; ln -s a project/b",
     .read = {"project/b"},
     .want = {"write project"}},
    {.name = "what is hidden stays where it is hidden",
     .make = "mkdir -p project/a/b/x",
     .hide = {"project/a/b/x"},
     .want = {"write project/a", "write project/a/b", "hide project/a/b/x"}},
    {.name = "and is not chosen by a link of the jail",
     .make = "mkdir project/x; ln -s x project/y",
     .hide = {"project/y"},
     .error = "through a link in"},
    {.name = "secrets of the project are hidden",
     .make = "mkdir project/sub; touch project/.env project/.env.local project/.env.example project/.netrc "
             "project/sub/.npmrc",
     .want = {"hide project/.env", "hide project/.env.local", "!hide project/.env.example",
              "hide project/.netrc", "hide project/sub/.npmrc"}},
    {.name = "unless they are to be read",
     .make = "touch project/.env project/.pypirc",
     .read = {"project/.env"},
     .want = {"!hide project/.env", "hide project/.pypirc"}},
    {.name = "a secret behind a link",
     .make = "touch project/settings; ln -s settings project/.env",
     .want = {"hide project/settings", "read project/.env"}},
    {.name = "a secret with another link",
     .make = "mkdir project/d; touch project/.env; ln project/.env project/d/copy",
     .want = {"hide project/.env", "hide project/d/copy"}},
    {.name = "a folder of that name is an environment of Python",
     .make = "mkdir project/.env",
     .want = {"!hide project/.env"}},
    {.name = "sockets and pipes of the host are covered",
     .make = "mkdir data; mkfifo project/p data/p",
     .read = {"data"},
     .want = {"hide project/p", "hide data/p"}},
    {.name = "the state must not lie in the project",
     .make = "rmdir state; mkdir project/state; ln -s project/state state",
     .error = "exeat's state lies in"},
    {.name = "nor the project in the state", .write = {"state"}, .error = "exeat's state lies in"},
    {.name = "the state is not shown in a folder that is read",
     .read = {"."},
     .want = {"read .", "hide state"}},
    {.name = "what decides about the jail must not lie where it writes",
     .make = "touch project/log",
     .never = "project/log",
     .error = "which decides about the jail"},
    {.name = "a command's folder below home",
     .make = "mkdir -p home/.local/bin; touch home/.local/bin/x",
     .command = "home/.local/bin/x",
     .want = {"read home/.local/bin", "!read home/.local"}},
    {.name = "a command in home itself",
     .make = "touch home/x",
     .command = "home/x",
     .want = {"read home/x", "!read home"}},
    {.name = "a command of a package, through a link",
     .make =
         "mkdir -p home/v/bin home/v/lib/node_modules/p; touch home/v/lib/node_modules/p/cli.js home/v/bin/node;"
         "ln -s ../lib/node_modules/p/cli.js home/v/bin/p",
     .command = "home/v/bin/p",
     .want = {"read home/v"}},
    {.name = "a command of a project's own packages elsewhere",
     .make = "mkdir -p home/q/node_modules/.bin; touch home/q/node_modules/.bin/p",
     .command = "home/q/node_modules/.bin/p",
     .want = {"read home/q/node_modules", "!read home/q"}},
    {.name = "a Python environment and the interpreter of its scripts",
     .make = "mkdir -p home/venv/bin home/py/bin; touch home/venv/pyvenv.cfg home/py/bin/python3;"
             "ln -s ../../py/bin/python3 home/venv/bin/python;"
             "echo \"#!$PWD/home/venv/bin/python\" > home/venv/bin/tool",
     .command = "home/venv/bin/tool",
     .want = {"read home/venv", "read home/py"}},
    {.name = "an interpreter that a script of the project chose",
     .make = "mkdir home/.ssh; touch home/.ssh/id; echo \"#!$PWD/home/.ssh/id\" > project/tool",
     .command = "project/tool",
     .want = {"!read home/.ssh", "!read home/.ssh/id"}},
    {.name = "one that is a program comes by itself",
     .make = "mkdir home/k; touch home/k/x; chmod +x home/k/x; ln -s ../home/k/x project/tool",
     .command = "project/tool",
     .want = {"read home/k/x", "!read home/k"}},
    {.name = "or with its installation",
     .make = "mkdir -p home/py/bin project/v; touch home/py/bin/python3; chmod +x home/py/bin/python3;"
             "ln -s ../../home/py/bin/python3 project/v/python",
     .command = "project/v/python",
     .want = {"read home/py"}},
    {.name = "an interpreter that env finds",
     .make = "mkdir -p home/n/bin home/t; touch home/n/bin/node;"
             "chmod +x home/n/bin/node; echo '#!/usr/bin/env -S node --x' > home/t/tool",
     .command = "home/t/tool",
     .want = {"read home/t", "read home/n/bin"}},
    {.name = "an agent's state is kept apart", .agent = "codex", .want = {"write home/.codex"}},
    {.name = "an agent that nobody knows", .agent = "hal", .error = "there are aider, claude"},
    {.name = "the repository is held in place",
     .make = "git init -q project",
     .want = {"write project/.git", "link-over project/.git/config", "read project/.git/hooks",
              "read project/.git/commondir", "read project/.git/info/attributes",
              "write project/.git/modules"}},
    {.name = "and so are the folders above one further down",
     .make = "git init -q project/a/b",
     .want = {"write project/a", "write project/a/b", "write project/a/b/.git",
              "read project/a/b/.git/hooks"}},
    {.name = "a project without a repository gets a private one", .want = {"write project/.git"}},
    {.name = "the repository of a linked work tree",
     .make = "git init -q -b m main; git -C main commit -q --allow-empty -m 1; rmdir project;"
             "git -C main worktree add -q ../project",
     .want = {"read project/.git", "write main/.git", "link-over main/.git/config", "read main/.git/hooks"}},
    {.name = "one that does not know of this work tree is not shown",
     .make = "git init -q main; echo \"gitdir: $PWD/main/.git\" > project/.git",
     .want = {"read project/.git", "!write main/.git"}},
    {.name = "what a configuration names is read-only",
     .make = "git init -q project; touch project/inc; mkdir project/t; touch project/t/smudge;"
             "git -C project config core.hooksPath .githooks; git -C project config include.path ../inc;"
             "git -C project config filter.x.smudge './t/smudge --x'",
     .want = {"read project/.githooks", "read project/inc", "read project/t/smudge", "write project/t"}},
    {.name = "a configuration that git refuses",
     .make = "git init -q project; echo '[core' >> project/.git/config",
     .error = "git would refuse it"},
};

static char top[64];

static void shell(const char *script)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (chdir(top) == 0)
            execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("cannot make it: %s", script);
}

static const char *at(char ret[PATH_MAX], const char *path)
{
    bool here = strcmp(path, ".") == 0;
    snprintf(ret, PATH_MAX, "%s%s%s", path[0] == '/' ? "" : top, path[0] == '/' || here ? "" : "/",
             here ? "" : path);
    return ret;
}

static void list(const char *const from[LIST], char texts[LIST][PATH_MAX], const char *ret[LIST + 1])
{
    size_t n = 0;
    for (; n < LIST && from[n]; n++)
        ret[n] = at(texts[n], from[n]);
    ret[n] = NULL;
}

static bool planned(const struct mounts *m, const char *want)
{
    size_t count;
    char path[PATH_MAX];
    const struct mount_op *ops = mounts_ops(m, &count);
    const char *space = strchr(want, ' ');
    at(path, space + 1);
    for (size_t i = 0; i < count; i++) {
        const char *kind = mount_kind_id(ops[i].kind);
        if (strcmp(ops[i].to, path) == 0 && strlen(kind) == (size_t)(space - want) &&
            strncmp(kind, want, strlen(kind)) == 0)
            return true;
    }
    return false;
}

static void check_plan(const struct plan_case *c, int rc, const struct mounts *m, const struct err *e)
{
    if (c->error) {
        if (rc == 0 || !strstr(e->text, c->error))
            fail_msg("%s: %s", c->name, rc == 0 ? "no error" : e->text);
        return;
    }
    if (rc < 0)
        fail_msg("%s: %s", c->name, e->text);
    for (size_t i = 0; i < WANTED && c->want[i]; i++) {
        bool no = c->want[i][0] == '!';
        if (planned(m, c->want[i] + no) == no)
            fail_msg("%s: %s", c->name, c->want[i]);
    }
}

static void run_case(const struct plan_case *c)
{
    char project[PATH_MAX], home[PATH_MAX], state[PATH_MAX], run[PATH_MAX], command[PATH_MAX],
        never[PATH_MAX];
    char texts[3][LIST][PATH_MAX], path[PATH_MAX], agent[PATH_MAX];
    const char *read[LIST + 1], *write[LIST + 1], *hide[LIST + 1];
    const char *nevers[] = {c->never ? at(never, c->never) : NULL, NULL};
    struct err e = {0};
    AUTO(mounts) *m = NULL;
    snprintf(top, sizeof top, "/var/tmp/exeat-plan-XXXXXX");
    assert_non_null(mkdtemp(top));
    shell("mkdir project home state run");
    if (c->make)
        shell(c->make);
    if (c->never)
        at(never, c->never);
    list(c->read, texts[0], read);
    list(c->write, texts[1], write);
    list(c->hide, texts[2], hide);
    const struct mounts_options o = {
        .project = at(project, "project"),
        .home = at(home, "home"),
        .state = at(state, "state"),
        .run = at(run, "run"),
        .uid = getuid(),
        .gid = getgid(),
        .read = read,
        .write = write,
        .hide = hide,
        .write_written = c->write_written,
        .never = nevers,
        .command = c->command ? at(command, c->command) : NULL,
        .path = at(path, "home/n/bin"),
        .agent = c->agent,
        .agent_state = at(agent, "state/agents"),
    };
    int rc = mounts_plan(&o, &m, &e);
    check_plan(c, rc, m, &e);
    shell("find . -mindepth 1 -delete");
    assert_int_equal(rmdir(top), 0);
}

static void each_plan_is_as_it_must_be(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        run_case(&CASES[i]);
}

/* ---- what is made on the host, and removed ---- */

static const char *const MADE[] = {"project/.git/commondir", "project/.git/config.worktree",
                                   "project/.git/modules", "project/.git/info/attributes"};

static void plan_run(const char *name, struct mounts **ret)
{
    static char project[PATH_MAX], home[PATH_MAX], state[PATH_MAX], run[2][PATH_MAX];
    static struct mounts_options options[2];
    size_t i = strcmp(name, "run") == 0 ? 0 : 1;
    struct err e = {0};
    options[i] = (struct mounts_options){.project = at(project, "project"),
                                         .home = at(home, "home"),
                                         .state = at(state, "state"),
                                         .run = at(run[i], name),
                                         .uid = getuid(),
                                         .gid = getgid()};
    if (mounts_plan(&options[i], ret, &e) < 0 || mounts_prepare(*ret, &e) < 0)
        fail_msg("%s", e.text);
}

static void expect_made(bool there)
{
    for (size_t i = 0; i < ARRAY_LEN(MADE); i++) {
        char path[PATH_MAX];
        if ((access(at(path, MADE[i]), F_OK) == 0) != there)
            fail_msg("%s is %s", MADE[i], there ? "not there" : "still there");
    }
}

static int make_repository(void **state)
{
    (void)state;
    snprintf(top, sizeof top, "/var/tmp/exeat-plan-XXXXXX");
    assert_non_null(mkdtemp(top));
    shell("mkdir project home state run run2; git init -q project");
    return 0;
}

static int remove_repository(void **state)
{
    (void)state;
    shell("find . -mindepth 1 -delete");
    return rmdir(top);
}

static void nothing_is_left_in_the_project(void **state)
{
    (void)state;
    struct mounts *m = NULL;
    plan_run("run", &m);
    expect_made(true);
    shell("git -C project status >/dev/null");
    mounts_finish(m);
    mounts_free(m);
    expect_made(false);
    shell("test -z \"$(ls run)\"");
}

static void what_a_killed_run_left_goes_at_the_next_start(void **state)
{
    (void)state;
    struct mounts *m = NULL;
    char path[PATH_MAX];
    plan_run("run", &m);
    mounts_free(m); /* as if it were killed: the journal is unlocked, nothing removed */
    expect_made(true);
    mounts_sweep(at(path, "state"));
    expect_made(false);
}

static void two_runs_share_what_was_made_and_the_last_one_removes_it(void **state)
{
    (void)state;
    struct mounts *first = NULL, *second = NULL;
    plan_run("run", &first);
    plan_run("run2", &second);
    mounts_finish(first);
    mounts_free(first);
    expect_made(true);
    mounts_finish(second);
    mounts_free(second);
    expect_made(false);
}

static void a_users_own_file_in_the_place_stays(void **state)
{
    (void)state;
    struct mounts *m = NULL;
    shell("echo '* text' > project/.git/info/attributes; mkdir -p project/.git/modules");
    plan_run("run", &m);
    mounts_finish(m);
    mounts_free(m);
    shell("test -s project/.git/info/attributes && test -d project/.git/modules");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_plan_is_as_it_must_be),
        cmocka_unit_test_setup_teardown(nothing_is_left_in_the_project, make_repository, remove_repository),
        cmocka_unit_test_setup_teardown(what_a_killed_run_left_goes_at_the_next_start, make_repository,
                                        remove_repository),
        cmocka_unit_test_setup_teardown(two_runs_share_what_was_made_and_the_last_one_removes_it,
                                        make_repository, remove_repository),
        cmocka_unit_test_setup_teardown(a_users_own_file_in_the_place_stays, make_repository,
                                        remove_repository),
    };
    if (access("/usr/bin/git", X_OK) < 0) {
        printf("1..0 # SKIP needs git\n");
        return 0;
    }
    setenv("GIT_AUTHOR_NAME", "a", 1);
    setenv("GIT_AUTHOR_EMAIL", "a@example.com", 1);
    setenv("GIT_COMMITTER_NAME", "a", 1);
    setenv("GIT_COMMITTER_EMAIL", "a@example.com", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
