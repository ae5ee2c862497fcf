dnl EXEAT_TRY_FLAG(VARIABLE, FLAG): append FLAG to VARIABLE if compiling and linking accept it without a warning.
AC_DEFUN([EXEAT_TRY_FLAG], [
    AS_VAR_PUSHDEF([cache], [exeat_cv_flag_$2])
    AC_CACHE_CHECK([whether $CC accepts $2], [cache], [
        exeat_saved_CFLAGS=$CFLAGS
        CFLAGS="$CFLAGS -Werror $exeat_quiet_driver $2"
        AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
        CFLAGS=$exeat_saved_CFLAGS
    ])
    AS_VAR_IF([cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
    AS_VAR_POPDEF([cache])
])

dnl EXEAT_COMPILER_FLAGS: warnings, hardening and sanitizers, all in one place.
dnl
dnl Sets EXEAT_CPPFLAGS, EXEAT_CFLAGS, EXEAT_LDFLAGS and, for the tests/fuzz programs, FUZZ_LDFLAGS. They stay out of
dnl CFLAGS, which belongs to the person who builds, and out of configure's own probes, which -Werror would break.
AC_DEFUN([EXEAT_COMPILER_FLAGS], [
    EXEAT_CPPFLAGS=
    EXEAT_CFLAGS="-std=gnu17 -pthread -fno-strict-aliasing -fno-common -fvisibility=hidden"
    EXEAT_LDFLAGS="-pthread -Wl,--as-needed"
    FUZZ_LDFLAGS=
    exeat_quiet_driver=

    # clang names every compile-only option that it also sees when linking
    AC_CACHE_CHECK([whether $CC is clang], [exeat_cv_clang], [
        AC_COMPILE_IFELSE([AC_LANG_SOURCE([[
#ifndef __clang__
#error not clang
#endif
]])], [exeat_cv_clang=yes], [exeat_cv_clang=no])
    ])
    AS_IF([test "$exeat_cv_clang" = yes], [
        exeat_quiet_driver=-Wno-unused-command-line-argument
        AS_VAR_APPEND([EXEAT_CFLAGS], [" $exeat_quiet_driver"])
    ])

    m4_foreach_w([flag], [
        -Wall
        -Wextra
        -Wformat=2
        -Wimplicit-fallthrough
        -Wmissing-prototypes
        -Wold-style-definition
        -Wpointer-arith
        -Wredundant-decls
        -Wshadow
        -Wstrict-prototypes
        -Wundef
        -Wvla
        -Wwrite-strings
        -Wno-missing-field-initializers
    ], [EXEAT_TRY_FLAG([EXEAT_CFLAGS], m4_quote(flag))])
    AS_IF([test "$enable_werror" = yes], [AS_VAR_APPEND([EXEAT_CFLAGS], [" -Werror"])])

    m4_foreach_w([flag], [
        -fPIE
        -fstack-protector-strong
        -fstack-clash-protection
        -fcf-protection
    ], [EXEAT_TRY_FLAG([EXEAT_CFLAGS], m4_quote(flag))])
    m4_foreach_w([flag], [
        -pie
        -Wl,-z,relro
        -Wl,-z,now
        -Wl,-z,noexecstack
    ], [EXEAT_TRY_FLAG([EXEAT_LDFLAGS], m4_quote(flag))])

    # glibc's checks need an optimizer, and hide from sanitizers what they would see
    AS_CASE(["$exeat_sanitizers: $CFLAGS "],
        [[?*:\ *|*\ -O0\ *]], [],
        [*\ -O*], [EXEAT_CPPFLAGS="-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])

    AS_IF([test -n "$exeat_sanitizers"], [
        exeat_sanitize="-fsanitize=$exeat_sanitizers -fno-sanitize-recover=all -fno-omit-frame-pointer"
        AS_VAR_APPEND([EXEAT_CFLAGS], [" $exeat_sanitize"])
        AS_VAR_APPEND([EXEAT_LDFLAGS], [" -fsanitize=$exeat_sanitizers"])
    ])
    AS_IF([test "$enable_fuzz" = yes], [
        AS_IF([test "$exeat_cv_clang" = no], [AC_MSG_ERROR([--enable-fuzz needs clang: CC=clang])])
        AS_VAR_APPEND([EXEAT_CFLAGS], [" -fsanitize=fuzzer-no-link"])
        FUZZ_LDFLAGS=-fsanitize=fuzzer
    ])

    AC_SUBST([EXEAT_CPPFLAGS])
    AC_SUBST([EXEAT_CFLAGS])
    AC_SUBST([EXEAT_LDFLAGS])
    AC_SUBST([FUZZ_LDFLAGS])
])
