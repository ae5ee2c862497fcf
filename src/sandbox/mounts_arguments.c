/* What is left to bubblewrap: the root that mounts_enter has built, /proc and /dev. */
#include "sandbox/mounts_internal.h"

enum { ARGUMENTS_MAX = 256 };

struct arguments {
    const char *words[ARGUMENTS_MAX];
    size_t count;
};

static void add(struct arguments *a, const char *option, const char *first, const char *second)
{
    const char *words[] = {option, first, second};
    for (size_t i = 0; i < ARRAY_LEN(words) && a->count < ARGUMENTS_MAX - 1; i++)
        if (words[i])
            a->words[a->count++] = words[i];
}

static void add_op(struct arguments *a, const struct mount_op *op)
{
    if (op->kind == MOUNT_PROC)
        add(a, "--proc", op->to, NULL);
    else if (op->kind == MOUNT_DEV)
        add(a, "--dev", op->to, NULL);
    else if (op->from)
        add(a, "--ro-bind-try", op->from, op->to);
    else {
        add(a, "--tmpfs", op->to, NULL);
        add(a, "--remount-ro", op->to, NULL);
    }
}

int mounts_make_arguments(struct mounts *m, const char *root, struct err *e)
{
    struct arguments a = {0};
    add(&a, "--bind", root, "/");
    for (size_t i = 0; i < m->count; i++)
        if (mounts_of_bubblewrap(&m->ops[i]))
            add_op(&a, &m->ops[i]);
    m->arguments = arena_array(&m->arena, a.count + 1, sizeof *m->arguments);
    if (!m->arguments || a.count == ARGUMENTS_MAX - 1)
        return err_set(e, "too many mounts for bubblewrap, or no memory");
    for (size_t i = 0; i < a.count; i++)
        m->arguments[i] = a.words[i];
    return 0;
}

bool mounts_of_bubblewrap(const struct mount_op *op)
{
    return op->kind == MOUNT_PROC || op->kind == MOUNT_DEV || path_within(op->to, "/proc");
}

const char *const *mounts_arguments(const struct mounts *m)
{
    return m->arguments;
}
