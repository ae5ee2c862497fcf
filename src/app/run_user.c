#include "app/run_user.h"

int run_user_choose(const struct run_user_facts *f, struct run_user *ret, struct err *e)
{
    if (f->uid != 0 || f->as_root) {
        *ret = (struct run_user){.uid = f->uid, .gid = f->gid};
        return 0;
    }
    if (f->owner != 0) {
        *ret = (struct run_user){.uid = f->owner, .gid = f->group, .drop = true};
        return 0;
    }
    if (f->taken)
        return err_set(e,
                       "the project belongs to root, and uid %u, which stands for root in a jail, is \"%s\" "
                       "here: start this as another user, give the project to one (chown), or say --as-root",
                       (unsigned)EXEAT_JAIL_UID, f->taken);
    *ret = (struct run_user){.uid = EXEAT_JAIL_UID, .gid = EXEAT_JAIL_UID, .drop = true, .for_root = true};
    return 0;
}

/* Group root opens files on the host that no owner of a project needs. */
gid_t run_user_group(const struct run_user *u, const struct run_user_account *account)
{
    if (!u->drop || u->for_root)
        return u->gid;
    gid_t gid = account->name ? account->group : u->gid;
    return gid != 0 ? gid : (gid_t)u->uid;
}

static bool is_absolute(const char *path)
{
    return path && path[0] == '/';
}

/* Root's own HOME is not the command's, unless whoever set it meant that user, or the command stands for
 * root. */
const char *run_user_home(const struct run_user *u, const struct run_user_account *account,
                          const struct run_user_home *home)
{
    bool own = !u->drop || u->for_root || (home->known && home->owner == u->uid);
    if (own && is_absolute(home->home))
        return home->home;
    return is_absolute(account->home) ? account->home : "/home/user";
}
