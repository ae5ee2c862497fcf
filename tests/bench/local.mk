# Built with the tests, so that they keep compiling; run by hand.
check_PROGRAMS += %D%/bench_audit

bench: all
	@$(AM_TESTS_ENVIRONMENT) $(srcdir)/tests/bench/run $(BENCH_ARGS)
.PHONY: bench
