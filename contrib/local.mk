# The systemd unit knows where exeat was installed.
systemdunitdir = $(prefix)/lib/systemd/system
nodist_systemdunit_DATA = %D%/systemd/exeat.service
CLEANFILES += %D%/systemd/exeat.service
EXTRA_DIST += %D%/systemd/exeat.service.in

%D%/systemd/exeat.service: %D%/systemd/exeat.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && sed \
		-e 's|@bindir[@]|$(bindir)|g' \
		-e 's|@docdir[@]|$(docdir)|g' \
		-e 's|@sysconfdir[@]|$(sysconfdir)|g' \
		$(srcdir)/%D%/systemd/exeat.service.in > $@.tmp && mv $@.tmp $@
