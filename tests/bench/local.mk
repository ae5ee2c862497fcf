# Built with the tests, so that they keep compiling.
check_PROGRAMS += %D%/bench_audit %D%/bench_policy %D%/load
%C%_load_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
%C%_load_LDADD    = $(OPENSSL_LIBS)

EXTRA_DIST += \
	%D%/bench.py \
	%D%/jail \
	%D%/profile \
	%D%/run

bench: all %D%/load$(EXEEXT)
	@$(AM_TESTS_ENVIRONMENT) $(PYTHON3) $(srcdir)/tests/bench/run $(BENCH_ARGS)
bench-jail: all
	@$(AM_TESTS_ENVIRONMENT) $(PYTHON3) $(srcdir)/tests/bench/jail $(BENCH_ARGS)
.PHONY: bench bench-jail
CLEANFILES += bench.json
