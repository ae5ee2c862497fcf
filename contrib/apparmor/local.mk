# The AppArmor profile, which names the program's path: one for what is installed, one for this build tree (which
# ./bootstrap offers to load).
apparmordir = $(sysconfdir)/apparmor.d
nodist_apparmor_DATA = %D%/exeat
noinst_DATA += %D%/exeat-checkout
CLEANFILES  += %D%/exeat %D%/exeat-checkout
EXTRA_DIST  += %D%/exeat.in

exeat_profile = $(AM_V_GEN)$(MKDIR_P) $(@D) && sed \
	-e '/^profile/s|@name[@]|$(profile_name)|' \
	-e '/^profile/s|@exeat[@]|$(profile_path)|' \
	$(srcdir)/%D%/exeat.in > $@.tmp && mv $@.tmp $@

%D%/exeat: profile_name = installed
%D%/exeat: profile_path = $(bindir)/exeat
%D%/exeat: %D%/exeat.in Makefile
	$(exeat_profile)

%D%/exeat-checkout: profile_name = checkout
%D%/exeat-checkout: profile_path = $(abs_top_builddir)/bin/exeat
%D%/exeat-checkout: %D%/exeat.in Makefile
	$(exeat_profile)
