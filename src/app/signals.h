/* Signals as they should be, whatever the process that started us had done to them.
 *
 * Supervisors, threads of runners and nohup(1) leave signals blocked or ignored across exec (signal(7)); then
 * SIGTERM would not stop us and a child's end would not be told. */
#pragma once
#include <stdint.h>

/* First thing in main: an empty mask, default actions; remembers what was found. */
void signals_enter(void);
/* What was found, for somebody else's program: bit n - 1 is signal n. */
void signals_found(uint64_t *ret_ignored, uint64_t *ret_blocked);
