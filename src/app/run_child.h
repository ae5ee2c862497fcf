/* The command of a run: started in the foreground, with signals passed on (signal(7)). */
#pragma once
#include "app/env.h"

#include <sys/types.h>

/* Forks and executes; `env` is added to our own environment.  The child's pid, or -1.
 * From then on SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 go on to the child, SIGINT and SIGQUIT where a process
 * sent them: from a terminal they reach the child by themselves. */
MUST_USE pid_t run_child_start(char *const *command, const struct env_inputs *env, struct err *e);
/* It has ended: its pid may soon be another's. */
void run_child_forget(void);
/* waitpid(2)'s status as a shell's exit status. */
int run_child_exit(int status);
