/* Signals as they should be, whatever the process that started us had done to them.
 *
 * Supervisors, threads of runners and nohup(1) leave signals blocked or ignored across exec (signal(7)); then
 * SIGTERM would not stop us and a child's end would not be told. */
#pragma once

/* First thing in main: an empty mask, default actions; remembers what was found. */
void signals_enter(void);
/* In a child before exec of somebody else's program: as they were found. */
void signals_leave(void);
