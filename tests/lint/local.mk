LINT_TESTS = \
	%D%/banned \
	%D%/config \
	%D%/deps \
	%D%/headers \
	%D%/hooks \
	%D%/hosts \
	%D%/links \
	%D%/listed \
	%D%/sizes

TESTS += $(LINT_TESTS)
EXTRA_DIST += \
	$(LINT_TESTS) \
	%D%/format \
	%D%/hosts.forbidden \
	%D%/links.expected \
	%D%/lint.py \
	%D%/sizes.exceptions \
	%D%/system-headers

# No test by itself: layout is advice.
format:
	@EXEAT_TOP_SRCDIR='$(abs_top_srcdir)' $(srcdir)/tests/lint/format '$(CLANG_FORMAT)'
.PHONY: format
