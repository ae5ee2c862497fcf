#include "app/state.h"

#include "app/folders.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *home_folder(void)
{
    const char *home = getenv("HOME");
    if (home && home[0] == '/')
        return home;
    const struct passwd *user = getpwuid(getuid());
    return user && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
}

int state_path(const char *below, char ret[STATE_PATH_BYTES], struct err *e)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = home_folder();
    char path[STATE_PATH_BYTES];
    const char *slash = *below ? "/" : "";
    int n;
    if (state && state[0] == '/')
        n = snprintf(path, sizeof path, "%s/exeat%s%s", state, slash, below);
    else if (home)
        n = snprintf(path, sizeof path, "%s/.local/state/exeat%s%s", home, slash, below);
    else
        return err_set(e, "no home directory: set XDG_STATE_HOME to where exeat may keep its state");
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(e, "the path of the state folder is too long");
    snprintf(ret, STATE_PATH_BYTES, "%s", path);
    return 0;
}

int state_make(const char *folder, struct err *e)
{
    return folders_make(folder, e) < 0 ? err_wrap(e, "exeat's state (XDG_STATE_HOME names another place)")
                                       : 0;
}
