# Completion, where the shells look for it. It asks `exeat` for its words, so nothing is made.
bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir  = $(datadir)/zsh/site-functions
fishcompletiondir = $(datadir)/fish/vendor_completions.d

dist_zshcompletion_DATA  = %D%/_exeat
dist_fishcompletion_DATA = %D%/exeat.fish
EXTRA_DIST += %D%/exeat.bash

# bash finds the file by the command's name.
install-data-hook: install-bash-completion
uninstall-hook: uninstall-bash-completion
.PHONY: install-bash-completion uninstall-bash-completion
install-bash-completion:
	$(MKDIR_P) "$(DESTDIR)$(bashcompletiondir)"
	$(INSTALL_DATA) $(srcdir)/%D%/exeat.bash "$(DESTDIR)$(bashcompletiondir)/exeat"
uninstall-bash-completion:
	rm -f "$(DESTDIR)$(bashcompletiondir)/exeat"
