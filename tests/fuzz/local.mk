# To add a fuzz target: write fuzz_<x>.c with an LLVMFuzzerTestOneInput, add a line here, and put at least one input
# into corpus/<x>/. Every build replays the corpus in `make check'; a build with --enable-fuzz makes libFuzzer programs
# instead, and `make fuzz FUZZ_SECONDS=n' runs each for n seconds.
FUZZ_TARGETS = \
	%D%/fuzz_audit \
	%D%/fuzz_dns \
	%D%/fuzz_guest \
	%D%/fuzz_h1 \
	%D%/fuzz_hello \
	%D%/fuzz_keeper \
	%D%/fuzz_policy \
	%D%/fuzz_registries \
	%D%/fuzz_target \
	%D%/fuzz_trust

# In an archive among the LDADD of all test programs: the linker takes its main() only where there is no other.
check_LIBRARIES += %D%/libreplay.a
%C%_libreplay_a_SOURCES = %D%/replay.c

check_PROGRAMS += $(FUZZ_TARGETS)
if ENABLE_FUZZ
fuzz_engine = $(FUZZ_LDFLAGS)
else
fuzz_engine = %D%/libreplay.a
TESTS += $(FUZZ_TARGETS)
endif

EXTRA_DIST += %D%/run

FUZZ_SECONDS = 60
fuzz: $(FUZZ_TARGETS)
	@$(AM_TESTS_ENVIRONMENT) $(srcdir)/tests/fuzz/run '$(FUZZ_SECONDS)' $(FUZZ_TARGETS)
.PHONY: fuzz
