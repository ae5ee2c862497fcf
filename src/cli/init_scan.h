/* What a project says of itself, for `exeat init`: which presets its files ask for, where its repository is.
 *
 * All of it is the project's word and only read as data: no link is followed, no program started.  What comes
 * out are names of our own table, and URLs in canonical form.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum { SCAN_PRESETS = 16, SCAN_REMOTES = 16, SCAN_FILE_BYTES = 320, SCAN_URL_BYTES = 1024 };

struct scan_preset {
    const char *name;           /* of a preset */
    char file[SCAN_FILE_BYTES]; /* what asks for it, relative to the project, printable */
};

struct scan_presets {
    struct scan_preset at[SCAN_PRESETS]; /* in the order of init_signs.def, none twice */
    size_t count;
};

/* `dir` is the project's directory, open. */
MUST_USE int scan_presets(int dir, struct scan_presets *ret, struct err *e);

struct scan_remote {
    char url[SCAN_URL_BYTES]; /* "https://github.com/acme/shop": without .git, credentials, query */
    bool rewritten;           /* it was written for ssh or the git protocol */
};

struct scan_remotes {
    struct scan_remote at[SCAN_REMOTES]; /* none twice */
    size_t count;
};

/* The remotes of the repository whose work tree is `dir`; none where there is no repository, or only remotes
 * that are not on the network.  -1 where its configuration cannot be read. */
MUST_USE int scan_remotes(int dir, struct scan_remotes *ret, struct err *e);
/* The same of the text of a configuration (git-config(1)). */
void scan_git_config(struct slice text, struct scan_remotes *ret);
