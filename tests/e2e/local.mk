# The folder is distributed whole, so a new test_*.py needs no line here.
TESTS      += %D%/run
EXTRA_DIST += tests/e2e
