LINT_TESTS = \
	%D%/banned \
	%D%/deps \
	%D%/headers \
	%D%/links \
	%D%/listed \
	%D%/sizes

TESTS += $(LINT_TESTS)
EXTRA_DIST += \
	$(LINT_TESTS) \
	%D%/format \
	%D%/links.expected \
	%D%/lint.py \
	%D%/sizes.exceptions \
	%D%/system-headers

# No test by itself: layout is advice.
format:
	@EXEAT_TOP_SRCDIR='$(abs_top_srcdir)' $(srcdir)/tests/lint/format '$(CLANG_FORMAT)'
.PHONY: format
