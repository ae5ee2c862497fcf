/* What a reload says: on standard error, and to whoever has asked for it. */
#pragma once
#include "app/reload_socket.h"
#include "policy/policy.h"

/* level: 'i', 'w', 'e'.  `to` may be NULL. */
void PRINTF(3, 4) reload_say(struct reload_socket *to, char level, const char *fmt, ...);
/* What differs, a line a change; what drops something as a warning.  Nothing where both are the same. */
void reload_say_policy(struct reload_socket *to, const char *task, const struct policy *old,
                       const struct policy *new);
