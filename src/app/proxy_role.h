/* What the proxy's main thread does: setup, lock-in, then the supervisor's messages until the end. */
#pragma once
#include "app/ipc.h"

/* Returns the exit status. */
int proxy_role(struct ipc *ipc);
