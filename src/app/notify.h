/* Tells the service manager how we are: sd_notify(3)'s datagrams, without its library. */
#pragma once

/* "READY=1": one or more assignments, a line each.  Does nothing where NOTIFY_SOCKET is not set; what the
 * manager does not get is no failure of ours. */
void notify_state(const char *state);
/* RELOADING=1 with the time that Type=notify-reload asks for. */
void notify_reloading(void);
