# To add a unit test: write test_<folder>_<what>.c and add a line here. A test of several files also gets
# tests_unit_test_x_SOURCES.
UNIT_TESTS = \
	%D%/test_base_placeholder

if HAVE_CMOCKA
check_PROGRAMS += $(UNIT_TESTS)
TESTS          += $(UNIT_TESTS)
endif
