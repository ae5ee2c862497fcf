/* Who a jailed command is, outside and inside.  Pure: what is known of the machine comes in, no call is made.
 *
 * The jail's user is never root outside: with root mapped to itself bubblewrap keeps capabilities, and files
 * with a setuid bit land on the host.  Started by root, the command runs as the project's owner; where that
 * is root too, as a user whom nobody else is, to whom root's files are shown as its own
 * (sandbox/jail_user.h). */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Above what people and distributions' services get, below what systemd gives out (61184 and more).  Another:
 * configure CPPFLAGS=-DEXEAT_JAIL_UID=NUMBER. */
#ifndef EXEAT_JAIL_UID
#define EXEAT_JAIL_UID 61099
#endif

struct run_user_facts {
    uid_t uid; /* ours */
    gid_t gid;
    uid_t owner; /* of the project */
    gid_t group;
    bool as_root;
    const char *taken; /* who has EXEAT_JAIL_UID on this machine; NULL: nobody, as it should be */
};

struct run_user {
    uid_t uid;
    gid_t gid;
    bool drop;     /* from root to these */
    bool for_root; /* root's files are shown as this user's */
};

MUST_USE int run_user_choose(const struct run_user_facts *f, struct run_user *ret, struct err *e);

/* What passwd(5) says of that user. */
struct run_user_account {
    const char *name, *home; /* NULL: it has no entry */
    gid_t group;
};

struct run_user_home {
    const char *home; /* HOME of our environment; NULL: not set */
    bool known;       /* it exists, and */
    uid_t owner;      /* belongs to */
};

/* A user without an entry has a group of its own number where the project's is root's. */
gid_t run_user_group(const struct run_user *u, const struct run_user_account *account);
/* Never fails: a user of whom nothing is known has a home all the same, which is empty inside. */
const char *run_user_home(const struct run_user *u, const struct run_user_account *account,
                          const struct run_user_home *home);
