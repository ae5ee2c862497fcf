# Everything in TESTS speaks TAP, whatever it is written in.
LOG_DRIVER      = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER   = $(LOG_DRIVER)
LOG_COMPILER    = $(SHELL) $(top_srcdir)/tests/tap
EXTRA_DIST     += %D%/tap
TEST_EXTENSIONS = .sh

AM_TESTS_ENVIRONMENT = \
	EXEAT_TOP_SRCDIR='$(abs_top_srcdir)'; export EXEAT_TOP_SRCDIR; \
	EXEAT_TOP_BUILDDIR='$(abs_top_builddir)'; export EXEAT_TOP_BUILDDIR; \
	EXEAT_BINDIR='$(abs_top_builddir)/bin'; export EXEAT_BINDIR; \
	EXEAT_CC='$(CC)'; export EXEAT_CC; \
	EXEAT_HEADER_FLAGS='$(AM_CPPFLAGS) $(TEST_CPPFLAGS) $(CPPFLAGS) $(AM_CFLAGS) $(CFLAGS)'; export EXEAT_HEADER_FLAGS; \
	EXEAT_SANITIZERS='$(EXEAT_SANITIZERS)'; export EXEAT_SANITIZERS; \
	EXEAT_HAS_TEST_HOOKS='$(has_test_hooks)'; export EXEAT_HAS_TEST_HOOKS; \
	PYTHON3='$(PYTHON3)'; export PYTHON3; \
	PYTHONDONTWRITEBYTECODE=1; export PYTHONDONTWRITEBYTECODE; \
	CMOCKA_MESSAGE_OUTPUT=TAP; export CMOCKA_MESSAGE_OUTPUT; \
	ASAN_OPTIONS=$${ASAN_OPTIONS-detect_stack_use_after_return=1:strict_string_checks=1}; export ASAN_OPTIONS; \
	UBSAN_OPTIONS=$${UBSAN_OPTIONS-print_stacktrace=1}; export UBSAN_OPTIONS; \
	TSAN_OPTIONS=$${TSAN_OPTIONS-halt_on_error=1}; export TSAN_OPTIONS;

# For test programs: a program without a SOURCES line is made of the .c file of its own name.
TEST_CPPFLAGS = \
	$(CARES_CFLAGS) \
	$(CMOCKA_CFLAGS) \
	$(CURL_CFLAGS) \
	$(EV_CFLAGS) \
	$(IDN2_CFLAGS) \
	$(JANSSON_CFLAGS) \
	$(OPENSSL_CFLAGS) \
	$(PCRE2_CFLAGS) \
	$(PSL_CFLAGS) \
	$(SECCOMP_CFLAGS) \
	$(YAML_CFLAGS)
LDADD = \
	$(EXEAT_ARCHIVES) \
	$(CARES_LIBS) \
	$(CMOCKA_LIBS) \
	$(CURL_LIBS) \
	$(EV_LIBS) \
	$(IDN2_LIBS) \
	$(JANSSON_LIBS) \
	$(NFTABLES_LIBS) \
	$(OPENSSL_LIBS) \
	$(PCRE2_LIBS) \
	$(PSL_LIBS) \
	$(SECCOMP_LIBS) \
	$(YAML_LIBS) \
	$(fuzz_engine)

# The longest first, for those who run with -j.
include %D%/e2e/local.mk
include %D%/unit/local.mk
include %D%/fuzz/local.mk
include %D%/lint/local.mk
include %D%/bench/local.mk
include %D%/sandbox/local.mk

# Folders that are distributed whole, so that a new file needs no line. Not by EXTRA_DIST: that would add what an
# out-of-tree build has put into the folder of the same name.
DIST_TREES = \
	conf \
	tests/bench \
	tests/cases \
	tests/e2e \
	tests/fuzz/corpus \
	tests/sandbox

dist-hook:
	for tree in $(DIST_TREES); do \
	    test -d '$(srcdir)'/$$tree || continue; \
	    $(MKDIR_P) '$(distdir)'/$$tree && cp -fpR '$(srcdir)'/$$tree/. '$(distdir)'/$$tree || exit 1; \
	done
	find '$(distdir)' -name __pycache__ -prune -exec rm -rf {} +
