# Examples, installed where people look for them. The folder is distributed whole (tests/local.mk).
exeatexamplesdir = $(exeatdatadir)/examples
exeatexamples_DATA = \
	%D%/examples/exeat.yaml \
	%D%/examples/policy.yaml
