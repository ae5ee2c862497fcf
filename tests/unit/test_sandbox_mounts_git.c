/* What an agent can do to a repository so that git on the host runs something: each row first works without a
 * jail, then is tried inside one, and must have no effect on what git does outside afterwards. */
#include "base/macros.h"
#include "sandbox/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
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

enum { BWRAP_ARGUMENTS = 300, CANNOT = 98 };

/* A project with a submodule below libs/, a linked work tree, hooks named in the configuration, an included file that
 * includes another and names a script, a script that the user's own configuration names, and a repository that lies
 * apart from its work tree; ./evil leaves a mark only where it runs outside. */
static const char MAKE[] =
    "set -e; export GIT_CONFIG_GLOBAL=/dev/null GIT_ALLOW_PROTOCOL=file\n"
    "git init -q --bare origin.git; git init -q -b main other; cd other; git commit -q --allow-empty -m o; cd ..\n"
    "git init -q -b main project; cd project\n"
    "printf '#!/bin/sh\\n[ -z \"$HOST\" ] || touch \"$MARK\"\\nexit 0\\n' > evil; chmod +x evil\n"
    "mkdir .husky tools; printf '.hidden\\n' > .gitignore; echo 1 > a\n"
    "printf '#!/bin/sh\\nexec cat\\n' > tools/clean; printf '#!/bin/sh\\nexit 0\\n' > tools/one\n"
    "chmod +x tools/*; cp tools/one tools/two\n"
    "printf '[include]\\n\\tpath = .gitmore\\n[alias]\\n\\tz = \"!(./tools/one;)\"\\n' > .gitextra\n"
    "printf '[alias]\\n\\ty = !./tools/two\\n\\tx = !./tools/three\\n' > .gitmore\n"
    "printf '[filter \"x\"]\\n\\tclean = ./tools/clean\\n' > ../home/.gitconfig\n"
    "git submodule -q add ../other libs/sub; git add a .gitextra .gitmore .gitignore tools; git commit -q -m 1\n"
    "git remote add origin ../origin.git; git push -q origin main\n"
    "git config core.hooksPath .husky/_; git config include.path ../.gitextra\n"
    "git worktree add -q wt; git init -q --separate-git-dir .apart n2; git -C n2 commit -q --allow-empty -m n\n"
    "echo : > ../startup\n";

/* What somebody does in there later. */
static const char VICTIM[] =
    "export HOST=1 GIT_CONFIG_GLOBAL=$PWD/home/.gitconfig GIT_EDITOR=true; cd project\n"
    "git status >/dev/null || exit 1; git commit -q --allow-empty 2>/dev/null; sh ../startup\n"
    "git commit -q --allow-empty -m v; git checkout -q -b v; git fetch -q origin; git y; git z; git x 2>/dev/null\n"
    "[ ! -e w3 ] || git -C w3 status >/dev/null\n"
    "[ ! -e n2 ] || git -C n2 status >/dev/null\n"
    "[ ! -e wt ] || git -C wt status >/dev/null; [ ! -e libs/sub ] || git -C libs/sub status >/dev/null\n"
    "[ ! -e n ] || git -C n commit -q --allow-empty 2>/dev/null; sh ../startup; true\n";

static const struct attack {
    const char *name, *script;
} ATTACKS[] = {
    {"a hook in .git/hooks, with the configuration that names it taken away",
     "git config --unset core.hooksPath; cp evil .git/hooks/pre-commit"},
    {"a hook in the folder that core.hooksPath names", "mkdir -p .husky/_; cp evil .husky/_/pre-commit"},
    {"that folder's parent exchanged",
     "mv .husky h2; mkdir -p .husky/_; cp evil .husky/_/pre-commit; cp evil .husky/_/post-checkout"},
    {"git config", "git config core.fsmonitor ./evil"},
    {"text at the end of the configuration", "printf '[core]\\n\\tfsmonitor = ./evil\\n' >> .git/config"},
    {"the configuration replaced by rename",
     "cp .git/config .git/c; printf '[core]\\n\\tfsmonitor = ./evil\\n' >> .git/c; mv .git/c .git/config"},
    {"the configuration removed and made anew",
     "cp .git/config c; rm -f .git/config; printf '[core]\\n\\tfsmonitor = ./evil\\n' >> c; cp c .git/config"},
    {"an included file", "printf '[core]\\n\\tfsmonitor = ./evil\\n' >> .gitextra"},
    {"an included file, exchanged", "printf '[core]\\n\\tfsmonitor = ./evil\\n' > x; mv x .gitextra"},
    {"a work tree's own configuration",
     "git config extensions.worktreeConfig true; git config --worktree core.fsmonitor ./evil"},
    {"another common directory",
     "cp -r .git ec; printf '[core]\\n\\tfsmonitor = ./evil\\n' >> ec/config; echo ../ec > .git/commondir"},
    {".git renamed and copied back", "mv .git g2; cp -r g2 .git; git config core.fsmonitor ./evil"},
    {".git replaced by a file",
     "cp -r .git g2; printf '[core]\\n\\tfsmonitor = ./evil\\n' >> g2/config; rm -rf .git; echo 'gitdir: g2' > .git"},
    {".git replaced by a link",
     "cp -r .git g2; printf '[core]\\n\\tfsmonitor = ./evil\\n' >> g2/config; mv .git g3; ln -s g2 .git"},
    {"hooks replaced by a link",
     "git config --unset core.hooksPath; rm -rf .git/hooks; mkdir h; cp evil h/pre-commit; ln -s ../h .git/hooks"},
    {"hooks exchanged by rename",
     "git config --unset core.hooksPath; mkdir h; cp evil h/pre-commit; mv .git/hooks .git/h2; mv h .git/hooks"},
    {"a submodule's configuration", "git -C libs/sub config core.fsmonitor ../../evil"},
    {"a submodule's configuration, by its path",
     "printf '[core]\\n\\tfsmonitor = ../../evil\\n' >> .git/modules/libs/sub/config"},
    {"a submodule's repository exchanged",
     "m=.git/modules/libs/sub; cp -r $m x; printf '[core]\\n\\tfsmonitor = ../../evil\\n' >> x/config; mv $m y; mv x $m"},
    {"modules exchanged",
     "cp -r .git/modules x; printf '[core]\\n\\tfsmonitor = ../../evil\\n' >> x/libs/sub/config; mv .git/modules y;"
     "mv x .git/modules"},
    {"a submodule's .git replaced by a directory",
     "g=$(git -C libs/sub rev-parse --absolute-git-dir); rm libs/sub/.git; cp -r $g libs/sub/.git;"
     "printf '[core]\\n\\tfsmonitor = ../../evil\\n\\tworktree = ..\\n' >> libs/sub/.git/config"},
    {"a folder above a submodule exchanged",
     "mv libs l2; mkdir -p libs/sub; git init -q libs/sub; git -C libs/sub config core.fsmonitor ../../evil"},
    {"a submodule of its own, in the index",
     "git init -q n; git -C n commit -q --allow-empty -m n; git add n 2>/dev/null; "
     "git -C n config core.fsmonitor ../evil"},
    {"a submodule of its own, deeper down",
     "mkdir -p d/e; git init -q d/e/n; git -C d/e/n commit -q --allow-empty -m n; git add d 2>/dev/null;"
     "git -C d/e/n config core.fsmonitor ../../../evil"},
    {"a submodule of its own, with a file for .git",
     "git init -q n; git -C n commit -q --allow-empty -m n; git add n 2>/dev/null; mv n/.git .hidden;"
     "printf 'gitdir: ../.hidden\\n' > n/.git; printf '[core]\\n\\tfsmonitor = ../evil\\n' >> .hidden/config"},
    {"a submodule of its own, with a work tree's configuration",
     "git init -q n; git -C n commit -q --allow-empty -m n; git add n 2>/dev/null;"
     "git -C n config extensions.worktreeConfig true; git -C n config --worktree core.fsmonitor ../evil"},
    {"a new submodule by git submodule add",
     "git -c protocol.file.allow=always submodule -q add ../other m2; git -C m2 config core.fsmonitor ../evil"},
    {"a linked work tree's common directory",
     "cp -r .git ec; printf '[core]\\n\\tfsmonitor = ../evil\\n' >> ec/config; echo ../../../ec > .git/worktrees/wt/commondir"},
    {"a linked work tree's entry exchanged",
     "cp -r .git ec; printf '[core]\\n\\tfsmonitor = ../evil\\n' >> ec/config; cp -r .git/worktrees/wt w2;"
     "mv .git/worktrees/wt w3; echo ../../../ec > w2/commondir; mv w2 .git/worktrees/wt"},
    {"a linked work tree's .git file",
     "cp -r .git ec; printf '[core]\\n\\tfsmonitor = ../evil\\n' >> ec/config; echo 'gitdir: ../ec' > wt/.git"},
    {"a linked work tree exchanged",
     "mv wt w2; mkdir wt; cp -r .git wt/.git; printf '[core]\\n\\tfsmonitor = ../evil\\n' >> wt/.git/config"},
    {"a file that an included file includes", "printf '[core]\\n\\tfsmonitor = ./evil\\n' >> .gitmore"},
    {"a script that an included file names", "cp evil tools/two"},
    {"a script in the middle of an alias", "cp evil tools/one"},
    {"a script that the user's configuration names",
     "cat tools/clean >> evil; cp evil tools/clean; echo 'a filter=x' > .gitattributes; echo 3 > a"},
    {"a linked work tree's hooks", "mkdir -p wt/.husky/_; cp evil wt/.husky/_/post-index-change; echo 1 > wt/b; touch wt/a"},
    {"the hooks of a new linked work tree",
     "git worktree add -q w3; mkdir -p w3/.husky/_; cp evil w3/.husky/_/post-index-change; touch w3/a"},
    {"a script that the configuration names and nobody has written yet", "cp evil tools/three"},
    {"a repository apart from its work tree", "printf '[core]\\n\\tfsmonitor = ../evil\\n' >> .apart/config"},
    {"a commit's message written through a link",
     "ln -sf ../../startup .git/COMMIT_EDITMSG; echo '(cd ../project && ./evil)' > .git/MERGE_MSG"},
    {"the same in a folder that nobody may list",
     "ln -sf ../../startup .git/COMMIT_EDITMSG; echo '(cd ../project && ./evil)' > .git/MERGE_MSG; chmod 300 .git"},
    {"the same in a repository of its own",
     "git init -q n; git -C n commit -q --allow-empty -m n; ln -sf ../../../startup n/.git/COMMIT_EDITMSG;"
     "echo '(cd ../project && ./evil)' > n/.git/MERGE_MSG"},
    {"a submodule of its own, in a folder that nobody may list",
     "git init -q d/n; git -C d/n commit -q --allow-empty -m n; git add d/n 2>/dev/null;"
     "git -C d/n config core.fsmonitor ../../evil; chmod 300 d"},
    {"the project as such a folder",
     "git init -q n; git -C n commit -q --allow-empty -m n; git add n 2>/dev/null;"
     "git -C n config core.fsmonitor ../evil; chmod 300 ."},
    {"a submodule of its own, in a folder that nobody may change",
     "git init -q n; git -C n commit -q --allow-empty -m n; git add n 2>/dev/null;"
     "git -C n config core.fsmonitor ../evil; chmod 555 n"},
    {"a submodule of its own, so deep that nobody looks",
     "d=d; while [ ${#d} -lt 300 ]; do d=$d/d; done; git init -q $d/n; git -C $d/n commit -q --allow-empty -m n;"
     "git add $d/n 2>/dev/null; git -C $d/n config core.fsmonitor \"$PWD/evil\""},
    {"a submodule of its own, whose other name is taken",
     "git init -q n; git -C n commit -q --allow-empty -m n; git add n 2>/dev/null;"
     "git -C n config core.fsmonitor ../evil; mkdir -p n/.git.disarmed/x"},
    {"a submodule of its own, below that other name",
     "git init -q .git.disarmed/n; git -C .git.disarmed/n commit -q --allow-empty -m n; git add .git.disarmed/n 2>/dev/null;"
     "git -C .git.disarmed/n config core.fsmonitor ../../evil"},
    {"the project as a repository without a work tree, since .git is none any more",
     "cp -r .git/objects .git/refs .git/HEAD .; rm .git/HEAD;"
     "printf '[core]\\n\\trepositoryformatversion = 0\\n\\tworktree = ./\\n\\tfsmonitor = ./evil\\n' > config"},
};

/* What an agent's ordinary work needs. */
static const char *const WORK[] = {
    "echo 2 > a && git commit -qam 2 && git log --oneline | grep -q 2",
    "git checkout -q -b topic && git branch -m topic2 && git checkout -q main && git branch -D topic2",
    "git remote add up ../other && git remote rename up down && git remote remove down",
    "git checkout -q -b p && git push -q -u origin p && git rev-parse p@{u}",
    "git fetch -q origin && git pull -q origin main",
    "echo 3 > a && git stash -q && git stash pop -q && git checkout -q a",
    "git checkout -q -b r && echo 4 > b && git add b && git commit -qm b && git rebase -q main && git tag t",
    "git config core.abbrev 12 && git config --unset core.abbrev",
    "git clone -q ../other c && git -C c config user.name x && git -C c commit -q --allow-empty -m c",
    "git worktree add -q w2 && echo w > w2/w && git -C w2 add w && git -C w2 commit -qm w && git worktree remove w2",
    "git -C libs/sub checkout -q -b s && git -C libs/sub commit -q --allow-empty -m s && git add libs/sub",
    "git submodule -q update --init && git submodule status",
    "git -c protocol.file.allow=always submodule -q add ../other m && git commit -qm m && git -C m log -1 --oneline",
    "git gc -q && git fsck && git repack -adq && git reflog expire --all",
    "git cherry-pick --no-commit HEAD && git reset -q --hard && git clean -fq && git bisect start && git bisect reset",
    "git merge -q -m m --no-ff HEAD && git notes add -m n && git archive HEAD | tar t",
};

struct world {
    char top[64];
    char project[96], state[96], run[96], home[96], mark[96];
};

static void run_in_top(const struct world *w, const char *script)
{
    if (chdir(w->top) < 0 || setenv("MARK", w->mark, 1) < 0)
        _exit(CANNOT);
    execl("/bin/sh", "sh", "-c", script, (char *)NULL);
    _exit(CANNOT);
}

static int wait_for(pid_t pid)
{
    int status;
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int outside(const struct world *w, const char *script)
{
    pid_t pid = fork();
    if (pid == 0)
        run_in_top(w, script);
    return wait_for(pid);
}

static void setup(struct world *w)
{
    if (w->top[0]) { /* as it was at first: linked work trees know their absolute path */
        assert_int_equal(outside(w, "cp -a ../$(basename $PWD).first/. ."), 0);
        return;
    }
    snprintf(w->top, sizeof w->top, "/var/tmp/exeat-mounts-XXXXXX");
    assert_non_null(mkdtemp(w->top));
    snprintf(w->project, sizeof w->project, "%s/project", w->top);
    snprintf(w->state, sizeof w->state, "%s/state", w->top);
    snprintf(w->run, sizeof w->run, "%s/run", w->top);
    snprintf(w->home, sizeof w->home, "%s/home", w->top);
    snprintf(w->mark, sizeof w->mark, "%s/mark", w->top);
    assert_int_equal(mkdir(w->state, 0700) | mkdir(w->run, 0700) | mkdir(w->home, 0700), 0);
    assert_int_equal(outside(w, MAKE), 0);
    assert_int_equal(outside(w, "cp -a . ../$(basename $PWD).first"), 0);
}

static void teardown(struct world *w)
{
    assert_int_equal(outside(w, "chmod -R u+rwX . && find . -mindepth 1 -delete"), 0);
}

static int world_after(void **state)
{
    const struct world *w = *state;
    return outside(w, "rm -rf \"$PWD\" \"$PWD.first\"");
}

static void write_map(const char *path, const char *text)
{
    AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        _exit(CANNOT);
}

/* As network_enter does it, without the network. */
static void enter_user_namespace(void)
{
    char uids[64], gids[64];
    snprintf(uids, sizeof uids, "%u %u 1", getuid(), getuid());
    snprintf(gids, sizeof gids, "%u %u 1", getgid(), getgid());
    if (unshare(CLONE_NEWUSER) < 0)
        _exit(CANNOT);
    write_map("/proc/self/setgroups", "deny");
    write_map("/proc/self/uid_map", uids);
    write_map("/proc/self/gid_map", gids);
}

static void become_jail(const struct world *w, struct mounts *m, const char *script)
{
    const char *words[BWRAP_ARGUMENTS] = {"bwrap", "--unshare-user", "--unshare-pid", "--cap-drop", "ALL"};
    size_t n = 5;
    struct err e;
    enter_user_namespace();
    if (mounts_enter(m, &e) < 0) {
        fprintf(stderr, "# %s\n", e.text);
        _exit(CANNOT);
    }
    for (const char *const *a = mounts_arguments(m); *a && n < BWRAP_ARGUMENTS - 6; a++)
        words[n++] = *a;
    const char *rest[] = {"--chdir", w->project, "sh", "-c", script};
    for (size_t i = 0; i < ARRAY_LEN(rest); i++)
        words[n++] = rest[i];
    setenv("HOME", w->home, 1);
    execv(EXEAT_BUBBLEWRAP, (char **)words);
    _exit(CANNOT);
}

static void ignore(void *ctx, enum mounts_finding f, const char *path, const char *detail)
{
    (void)ctx, (void)f, (void)path, (void)detail;
}

static int inside(const struct world *w, const char *script)
{
    struct err e = {0};
    AUTO(mounts) *m = NULL;
    char other[96], origin[96];
    snprintf(other, sizeof other, "%s/other", w->top);
    snprintf(origin, sizeof origin, "%s/origin.git", w->top);
    const char *read[] = {other, NULL}, *write[] = {origin, NULL};
    const struct mounts_options o = {.project = w->project,
                                     .home = w->home,
                                     .state = w->state,
                                     .run = w->run,
                                     .read = read,
                                     .write = write,
                                     .uid = getuid(),
                                     .gid = getgid()};
    if (mounts_plan(&o, &m, &e) < 0 || mounts_prepare(m, &e) < 0)
        fail_msg("%s", e.text);
    pid_t pid = fork();
    if (pid == 0)
        become_jail(w, m, script);
    int status = wait_for(pid);
    if (mounts_report(m, ignore, NULL, &e) < 0)
        fail_msg("%s", e.text);
    mounts_finish(m);
    return status;
}

/* An agent may delete what it works on, repositories too: then git outside finds nothing. */
static bool is_whole(const struct world *w)
{
    return outside(w, "test -e project/.git/HEAD && test -e project/.git/modules/libs/sub/HEAD") == 0;
}

static int world_before(void **state)
{
    static struct world w;
    w = (struct world){0};
    setenv("GIT_AUTHOR_NAME", "a", 1);
    setenv("GIT_AUTHOR_EMAIL", "a@example.com", 1);
    setenv("GIT_COMMITTER_NAME", "a", 1);
    setenv("GIT_COMMITTER_EMAIL", "a@example.com", 1);
    setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
    *state = &w;
    return 0;
}

static void each_attack_works_without_a_jail_and_not_from_inside(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(ATTACKS); i++) {
        char script[2048];
        snprintf(script, sizeof script, "cd project; %s", ATTACKS[i].script);
        setup(w);
        outside(w, script);
        outside(w, VICTIM);
        if (access(w->mark, F_OK) < 0)
            fail_msg("%s: does nothing even without a jail", ATTACKS[i].name);
        teardown(w);
        setup(w);
        if (inside(w, ATTACKS[i].script) == CANNOT)
            fail_msg("%s: no jail", ATTACKS[i].name);
        if (outside(w, VICTIM) != 0 && is_whole(w))
            fail_msg("%s: git does not work any more outside", ATTACKS[i].name);
        if (access(w->mark, F_OK) == 0)
            fail_msg("%s: ran outside", ATTACKS[i].name);
        teardown(w);
    }
}

static void ordinary_work_with_git_passes(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(WORK); i++) {
        setup(w);
        int status = inside(w, WORK[i]);
        if (status != 0)
            fail_msg("exit %d: %s", status, WORK[i]);
        if (outside(w, VICTIM) != 0)
            fail_msg("git does not work any more outside after: %s", WORK[i]);
        teardown(w);
    }
}

/* The thread sanitizer starts one in each process, which unshare(2) refuses with EINVAL. */
static bool has_threads(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(unshare(CLONE_NEWUSER) < 0 && errno == EINVAL);
    return wait_for(pid) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_attack_works_without_a_jail_and_not_from_inside, world_before,
                                        world_after),
        cmocka_unit_test_setup_teardown(ordinary_work_with_git_passes, world_before, world_after),
    };
    if (access(EXEAT_BUBBLEWRAP, X_OK) < 0 || access("/usr/bin/git", X_OK) < 0) {
        printf("1..0 # SKIP needs bubblewrap and git\n");
        return 0;
    }
    if (has_threads()) {
        printf("1..0 # SKIP a thread of the sanitizer's, and so no unshare(2): no jails\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
