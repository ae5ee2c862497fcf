# The folder is distributed whole (DIST_TREES), so a new test_*.py needs no line here.
TESTS += %D%/run
