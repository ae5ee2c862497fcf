/* Which presets the files of a project ask for. */
#include "cli/init_scan.h"

#include "policy/glob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES_MAX = 5000, FOLDERS_MAX = 200 };

static const struct sign {
    const char *file, *preset;
} signs[] = {
#define SIGN(file, preset) {file, preset},
#include "cli/init_signs.def"
#undef SIGN
};

struct scan {
    struct {
        bool found;
        char file[SCAN_FILE_BYTES];
    } signs[ARRAY_LEN(signs)];
    unsigned entries, folders;
};

static bool is_regular(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* `folder` is "" or "frontend/".  A name with control characters is no sign of anything. */
static void note_file(struct scan *s, int dir, const char *folder, const char *name)
{
    for (const char *c = name; *c; c++)
        if (*c <= ' ' || *c > '~')
            return;
    for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
        if (s->signs[i].found || !glob_match_segment(slice_str(signs[i].file), slice_str(name), false) ||
            !is_regular(dir, name))
            continue;
        int n = snprintf(s->signs[i].file, sizeof s->signs[i].file, "%s%s", folder, name);
        s->signs[i].found = n > 0 && (size_t)n < sizeof s->signs[i].file;
    }
}

/* Folders of other people's code say nothing of this project. */
static bool is_own_folder(const char *name)
{
    static const char *const others[] = {"node_modules", "vendor", "third_party", "target",
                                         "build",        "dist",   "venv"};
    for (const char *c = name; *c; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (strcmp(name, others[i]) == 0)
            return false;
    return name[0] != '.';
}

static void scan_folder(struct scan *s, int fd, const char *folder);

static void scan_below(struct scan *s, int dir, const char *name)
{
    char folder[NAME_MAX + 2];
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return;
    s->folders++;
    snprintf(folder, sizeof folder, "%s/", name);
    scan_folder(s, fd, folder);
}

/* Takes fd.  What cannot be read says nothing. */
static void scan_folder(struct scan *s, int fd, const char *folder)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return;
    }
    for (struct dirent *entry; s->entries < ENTRIES_MAX && (entry = readdir(dir)); s->entries++) {
        note_file(s, dirfd(dir), folder, entry->d_name);
        if (!*folder && s->folders < FOLDERS_MAX && is_own_folder(entry->d_name))
            scan_below(s, dirfd(dir), entry->d_name);
    }
    closedir(dir);
}

static bool is_listed(const struct scan_presets *list, const char *preset)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->at[i].name, preset) == 0)
            return true;
    return false;
}

int scan_presets(int dir, struct scan_presets *ret, struct err *e)
{
    struct scan s = {.entries = 0};
    struct scan_presets list = {.count = 0};
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "the project cannot be read");
    scan_folder(&s, fd, "");
    for (size_t i = 0; i < ARRAY_LEN(signs) && list.count < SCAN_PRESETS; i++)
        if (s.signs[i].found && !is_listed(&list, signs[i].preset)) {
            struct scan_preset *p = &list.at[list.count++];
            p->name = signs[i].preset;
            memcpy(p->file, s.signs[i].file, sizeof p->file);
        }
    *ret = list;
    return 0;
}
