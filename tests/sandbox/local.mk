# The folder is distributed whole (DIST_TREES).
TESTS += %D%/run

# A program in bin/, where it finds the roles as `exeat` does.
check_PROGRAMS += bin/jailed
bin_jailed_SOURCES = %D%/jailed.c
