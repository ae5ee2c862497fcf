bench: all
	@$(AM_TESTS_ENVIRONMENT) $(srcdir)/tests/bench/run $(BENCH_ARGS)
.PHONY: bench
