# Examples, installed where people look for them. The folder is distributed whole (tests/local.mk).
exeatexamplesdir = $(exeatdatadir)/examples
exeatexamples_DATA = \
	%D%/examples/all-keys.yaml \
	%D%/examples/exeat.yaml \
	%D%/examples/policy.yaml

# What a policy may say, for editors; held against the loader by tests/e2e/test_policy_schema.py.
exeatdata_DATA = %D%/policy.schema.json

# What a policy extends by name (policy/preset.h). To add one: a file, a line, a folder in tests/cases/presets.
exeatpresetsdir = $(exeatdatadir)/presets
exeatpresets_DATA = \
	%D%/presets/anthropic.yaml \
	%D%/presets/crates.yaml \
	%D%/presets/debian.yaml \
	%D%/presets/docker-pull.yaml \
	%D%/presets/gemini.yaml \
	%D%/presets/git.yaml \
	%D%/presets/github-read.yaml \
	%D%/presets/gitlab-read.yaml \
	%D%/presets/go.yaml \
	%D%/presets/gradle.yaml \
	%D%/presets/maven.yaml \
	%D%/presets/npm.yaml \
	%D%/presets/openai.yaml \
	%D%/presets/pypi.yaml \
	%D%/presets/rubygems.yaml \
	%D%/presets/ubuntu.yaml

# A build tree has them beside its programs, as an installation has (role_data in src/app/role.h).
noinst_DATA += %D%/.linked
%D%/.linked:
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	for folder in presets agents; do \
	  test $(abs_top_srcdir) = $(abs_top_builddir) || test -h %D%/$$folder || \
	    ln -s $(abs_top_srcdir)/%D%/$$folder %D%/$$folder || exit 1; \
	done; touch $@
clean-local: clean-conf-links
clean-conf-links:
	for folder in presets agents; do if test -h %D%/$$folder; then rm -f %D%/$$folder; fi; done
.PHONY: clean-conf-links
CLEANFILES += %D%/.linked
