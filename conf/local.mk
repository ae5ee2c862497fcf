# Examples, installed where people look for them. The folder is distributed whole (tests/local.mk).
exeatexamplesdir = $(exeatdatadir)/examples
exeatexamples_DATA = \
	%D%/examples/exeat.yaml \
	%D%/examples/policy.yaml

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
