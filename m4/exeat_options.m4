dnl EXEAT_OPTIONS: what a person may switch on when configuring.
AC_DEFUN([EXEAT_OPTIONS], [
    AC_ARG_ENABLE([sanitizers],
        [AS_HELP_STRING([--enable-sanitizers@<:@=LIST@:>@],
            [build with -fsanitize=LIST (default list: address,undefined; thread works alone)])],
        [], [enable_sanitizers=no])
    AS_CASE([$enable_sanitizers],
        [no], [exeat_sanitizers=],
        [yes], [exeat_sanitizers=address,undefined],
        [exeat_sanitizers=$enable_sanitizers])

    AC_ARG_ENABLE([fuzz],
        [AS_HELP_STRING([--enable-fuzz], [build libFuzzer targets (needs clang); run them with `make fuzz'])],
        [], [enable_fuzz=no])
    AS_IF([test "$enable_fuzz" = yes], [
        AS_IF([test -z "$exeat_sanitizers"], [exeat_sanitizers=address,undefined])
    ])
    AM_CONDITIONAL([ENABLE_FUZZ], [test "$enable_fuzz" = yes])

    AC_ARG_ENABLE([test-hooks],
        [AS_HELP_STRING([--enable-test-hooks], [compile in fault injection, for test builds only])],
        [], [enable_test_hooks=no])
    AM_CONDITIONAL([TEST_HOOKS], [test "$enable_test_hooks" = yes])

    AC_ARG_ENABLE([werror],
        [AS_HELP_STRING([--disable-werror], [let warnings pass, for compilers that we have not met])],
        [], [enable_werror=yes])

    AC_ARG_WITH([bubblewrap],
        [AS_HELP_STRING([--with-bubblewrap=PATH], [the bwrap that jails are made with (default: found in /usr/bin, /bin, /usr/local/bin)])],
        [BUBBLEWRAP=$withval],
        [AC_PATH_PROG([BUBBLEWRAP], [bwrap], [/usr/bin/bwrap], [/usr/bin:/bin:/usr/local/bin])])
    AC_SUBST([BUBBLEWRAP])

    AC_SUBST([EXEAT_SANITIZERS], [$exeat_sanitizers])
])
