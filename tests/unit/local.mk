# To add a unit test: write test_<folder>_<what>.c and add a line here. A test of several files also gets
# tests_unit_test_x_SOURCES.
UNIT_TESTS = \
	%D%/test_fetch_guard \
	%D%/test_loop

# libFuzzer, which a build with --enable-fuzz links into all test programs, brings a main() of its own.
if HAVE_CMOCKA
if !ENABLE_FUZZ
check_PROGRAMS += $(UNIT_TESTS)
TESTS          += $(UNIT_TESTS)
endif
else
check-local:
	@echo 'NOTE: the unit tests are left out: cmocka was not found when configuring'
endif
