/* Who a jailed command is, outside and inside: never root, unless somebody asks for it. */
#include "app/run_user.h"

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { OWNER = 1000, GROUP = 100, ACCOUNTS_GROUP = 1234 };

static const struct {
    const char *what;
    struct run_user_facts facts;
    struct run_user who; /* uid UINT32_MAX: refused */
} choices[] = {
    {"a person stays who it is, whoever the project belongs to",
     {.uid = OWNER, .gid = GROUP, .owner = OWNER, .group = GROUP},
     {.uid = OWNER, .gid = GROUP}},
    {"a person who says --as-root is none the less a person",
     {.uid = OWNER, .gid = GROUP, .owner = 0, .group = 0, .as_root = true},
     {.uid = OWNER, .gid = GROUP}},
    {"root becomes the project's owner",
     {.uid = 0, .gid = 0, .owner = OWNER, .group = GROUP},
     {.uid = OWNER, .gid = GROUP, .drop = true}},
    {"root's own project: somebody stands for root",
     {.uid = 0, .gid = 0, .owner = 0, .group = 0},
     {.uid = EXEAT_JAIL_UID, .gid = EXEAT_JAIL_UID, .drop = true, .for_root = true}},
    {"root's own project of another group: as well",
     {.uid = 0, .gid = 0, .owner = 0, .group = GROUP},
     {.uid = EXEAT_JAIL_UID, .gid = EXEAT_JAIL_UID, .drop = true, .for_root = true}},
    {"root stays root only by --as-root",
     {.uid = 0, .gid = 0, .owner = 0, .group = 0, .as_root = true},
     {.uid = 0, .gid = 0}},
    {"and then also in somebody's project",
     {.uid = 0, .gid = 0, .owner = OWNER, .group = GROUP, .as_root = true},
     {.uid = 0, .gid = 0}},
    {"nobody stands for root whom this machine knows as somebody",
     {.uid = 0, .gid = 0, .owner = 0, .group = 0, .taken = "somebody"},
     {.uid = UINT32_MAX}},
    {"which is nothing to who does not need it",
     {.uid = 0, .gid = 0, .owner = OWNER, .group = GROUP, .taken = "somebody"},
     {.uid = OWNER, .gid = GROUP, .drop = true}},
    {"nor to --as-root",
     {.uid = 0, .gid = 0, .owner = 0, .group = 0, .taken = "somebody", .as_root = true},
     {.uid = 0, .gid = 0}},
};

static bool is_refused(int result, const struct run_user *got, const struct err *e)
{
    return result == -1 && got->uid == 0 && strstr(e->text, "\"somebody\"") && strstr(e->text, "--as-root");
}

static bool is_same(const struct run_user *a, const struct run_user *b)
{
    return a->uid == b->uid && a->gid == b->gid && a->drop == b->drop && a->for_root == b->for_root;
}

static void a_jails_user_is_root_only_by_request(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
        const struct run_user *want = &choices[i].who;
        struct run_user got = {0};
        struct err e = {0};
        int result = run_user_choose(&choices[i].facts, &got, &e);
        if (want->uid == UINT32_MAX ? !is_refused(result, &got, &e) : result != 0 || !is_same(&got, want))
            fail_msg("%s: %d, uid %u, gid %u; %s", choices[i].what, result, got.uid, got.gid, e.text);
    }
}

static const struct {
    const char *what;
    struct run_user who;
    struct run_user_account account;
    gid_t group;
} groups[] = {
    {"a person's own group stays",
     {.uid = OWNER, .gid = GROUP},
     {.name = "p", .group = ACCOUNTS_GROUP},
     GROUP},
    {"a person of group root is as ever", {.uid = OWNER, .gid = 0}, {0}, 0},
    {"an owner has the group of its account",
     {.uid = OWNER, .gid = GROUP, .drop = true},
     {.name = "p", .group = ACCOUNTS_GROUP},
     ACCOUNTS_GROUP},
    {"else the project's", {.uid = OWNER, .gid = GROUP, .drop = true}, {0}, GROUP},
    {"but never root's", {.uid = OWNER, .gid = 0, .drop = true}, {0}, OWNER},
    {"also where its account says so",
     {.uid = OWNER, .gid = GROUP, .drop = true},
     {.name = "p", .group = 0},
     OWNER},
    {"who stands for root has a group of nobody's",
     {.uid = EXEAT_JAIL_UID, .gid = EXEAT_JAIL_UID, .drop = true, .for_root = true},
     {.group = 0, .home = "/root"},
     EXEAT_JAIL_UID},
};

static void its_group_is_never_roots(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        gid_t got = run_user_group(&groups[i].who, &groups[i].account);
        if (got != groups[i].group)
            fail_msg("%s: %u", groups[i].what, got);
    }
}

#define PERSON                                                                                               \
    {                                                                                                        \
        .uid = OWNER                                                                                         \
    }
#define DROPPED                                                                                              \
    {                                                                                                        \
        .uid = OWNER, .drop = true                                                                           \
    }
#define FOR_ROOT                                                                                             \
    {                                                                                                        \
        .uid = EXEAT_JAIL_UID, .drop = true, .for_root = true                                                \
    }

static const struct {
    const char *what;
    struct run_user who;
    struct run_user_account account;
    struct run_user_home home;
    const char *want;
} homes[] = {
    {"HOME is a person's home", PERSON, {.name = "p", .home = "/home/p"}, {.home = "/else"}, "/else"},
    {"also one that is not there", PERSON, {0}, {.home = "/nowhere"}, "/nowhere"},
    {"without it, the account's", PERSON, {.name = "p", .home = "/home/p"}, {0}, "/home/p"},
    {"a relative one is none", PERSON, {.name = "p", .home = "/home/p"}, {.home = "here"}, "/home/p"},
    {"who has neither has one that is empty", PERSON, {0}, {0}, "/home/user"},
    {"root's HOME is not the owner's",
     DROPPED,
     {.name = "p", .home = "/home/p"},
     {.home = "/root", .known = true, .owner = 0},
     "/home/p"},
    {"one that belongs to the owner is, with an account or without",
     DROPPED,
     {0},
     {.home = "/srv/p", .known = true, .owner = OWNER},
     "/srv/p"},
    {"one that is not there says nothing about whose it is",
     DROPPED,
     {0},
     {.home = "/srv/p", .known = false, .owner = OWNER},
     "/home/user"},
    {"an owner without an account has one all the same",
     DROPPED,
     {0},
     {.home = "/root", .known = true, .owner = 0},
     "/home/user"},
    {"an account's may be no path", DROPPED, {.name = "p", .home = ""}, {0}, "/home/user"},
    {"who stands for root has root's",
     FOR_ROOT,
     {.home = "/root"},
     {.home = "/root", .known = true, .owner = 0},
     "/root"},
    {"wherever HOME says it is", FOR_ROOT, {.home = "/root"}, {.home = "/github/home"}, "/github/home"},
    {"also without HOME", FOR_ROOT, {.home = "/root"}, {0}, "/root"},
};

static void it_has_a_home_whoever_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(homes); i++) {
        const char *got = run_user_home(&homes[i].who, &homes[i].account, &homes[i].home);
        if (strcmp(got, homes[i].want) != 0)
            fail_msg("%s: %s", homes[i].what, got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jails_user_is_root_only_by_request),
        cmocka_unit_test(its_group_is_never_roots),
        cmocka_unit_test(it_has_a_home_whoever_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
