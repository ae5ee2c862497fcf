/* An order to a running supervisor, with its answers printed. */
#pragma once
#include "app/reload_socket.h"

enum { RELOAD_NOBODY = 100 };

/* The status that it ends with, RELOAD_NOBODY where nobody serves in this folder, or -1 with why in *e. */
MUST_USE int reload_call(const char *command, const char *dir, enum reload_order order, struct slice texts,
                         struct err *e);
