/* Compiler attributes and ownership macros.
 *
 * AUTO(type) *x: freed by type_free() on every exit from the scope; TAKE(x): hands the pointer over.
 * Every destructor `void type_free(struct type *)` takes NULL.
 */
#pragma once
#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define NONNULL __attribute__((nonnull))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Declares the cleanup that AUTO(name) runs: one line beside each destructor. */
#define DEFINE_AUTO(name)                                                                                    \
    static inline void name##_auto_free(struct name **p)                                                     \
    {                                                                                                        \
        name##_free(*p);                                                                                     \
    }
#define AUTO(name) __attribute__((cleanup(name##_auto_free))) struct name
#define TAKE(p)                                                                                              \
    ({                                                                                                       \
        __typeof__(p) take_ = (p);                                                                           \
        (p) = NULL;                                                                                          \
        take_;                                                                                               \
    })

/* A descriptor closed on every exit: AUTO_FD int fd = open(…); TAKE_FD(fd) hands it over. */
void fd_auto_close(int *fd);
#define AUTO_FD __attribute__((cleanup(fd_auto_close)))
#define TAKE_FD(fd)                                                                                          \
    ({                                                                                                       \
        int take_ = (fd);                                                                                    \
        (fd) = -1;                                                                                           \
        take_;                                                                                               \
    })

/* Heap text freed on every exit: AUTO_STR char *s = …; */
void str_auto_free(char **s);
#define AUTO_STR __attribute__((cleanup(str_auto_free)))
