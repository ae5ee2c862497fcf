dnl EXEAT_LIBRARIES: each library with variables of its own, so that each executable links what it needs and no more.
dnl To add one: a PKG_CHECK_MODULES line here, its LIBS in Makefile.am, its package in bootstrap, its header in the
dnl DEPS file of the one folder that may include it, and its soname in tests/lint/links.expected.
AC_DEFUN([EXEAT_LIBRARIES], [
    PKG_CHECK_MODULES([CRYPTO],  [libcrypto >= 3.0])
    PKG_CHECK_MODULES([OPENSSL], [libssl >= 3.0 libcrypto >= 3.0])
    PKG_CHECK_MODULES([CURL],    [libcurl >= 7.88])
    PKG_CHECK_MODULES([CARES],   [libcares >= 1.18])
    PKG_CHECK_MODULES([YAML],    [yaml-0.1 >= 0.2.5])
    PKG_CHECK_MODULES([PCRE2],   [libpcre2-8 >= 10.40])
    PKG_CHECK_MODULES([IDN2],    [libidn2 >= 2.3])
    PKG_CHECK_MODULES([PSL],     [libpsl >= 0.21])
    PKG_CHECK_MODULES([JANSSON], [jansson >= 2.14])
    PKG_CHECK_MODULES([SECCOMP], [libseccomp >= 2.5])
    PKG_CHECK_MODULES([NFTABLES], [libnftables >= 1.0])

    # libev ships no .pc file
    exeat_saved_LIBS=$LIBS
    AC_CHECK_HEADER([ev.h], [], [AC_MSG_ERROR([ev.h not found: install libev-dev])])
    AC_CHECK_LIB([ev], [ev_run], [EV_LIBS=-lev], [AC_MSG_ERROR([libev not found: install libev-dev])])
    LIBS=$exeat_saved_LIBS
    AC_SUBST([EV_CFLAGS])
    AC_SUBST([EV_LIBS])

    PKG_CHECK_MODULES([CMOCKA], [cmocka >= 1.1.5], [exeat_have_cmocka=yes], [exeat_have_cmocka=no])
    AM_CONDITIONAL([HAVE_CMOCKA], [test "$exeat_have_cmocka" = yes])
])
