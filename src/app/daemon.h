/* `exeat proxy`: a supervisor, its signals, and what it says on standard error. */
#pragma once

/* Serves until it is told to stop; returns the exit status: 0, or 2 when something failed. */
int daemon_serve(const char *config);
