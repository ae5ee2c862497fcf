# Making a CA by hand.
exeatcertsdir = $(exeatdatadir)/certs
dist_exeatcerts_DATA = %D%/ca.cnf
dist_exeatcerts_SCRIPTS = %D%/make-ca
