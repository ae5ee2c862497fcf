/* Where budgets live between requests, reloads and restarts.
 *
 * The counters (inspect/budgets.h) lie in a memfd that the supervisor holds and the proxy maps: the proxy
 * opens no file.  For a daemon the supervisor writes them to STATE/budgets, whole and by rename: each second
 * in which they changed, at the end, and when the proxy has died.  A run's end with it. */
#pragma once
#include "inspect/budgets.h"

/* The proxy's side: a mapping of the memfd, which stays the caller's. */
struct budget_memory;
MUST_USE int budget_memory_map(int fd, struct budget_memory **ret, struct err *e);
void budget_memory_free(struct budget_memory *m);
DEFINE_AUTO(budget_memory)
struct budgets *budget_memory_budgets(struct budget_memory *m);

/* The supervisor's side. */
struct budget_store;
/* `folder` NULL: nothing is kept.  A file that is not what was written is an error: to begin anew would be to
 * refill every budget. */
MUST_USE int budget_store_open(const char *folder, struct budget_store **ret, struct err *e);
void budget_store_free(struct budget_store *s);
DEFINE_AUTO(budget_store)
int budget_store_fd(const struct budget_store *s);
/* Call about once a second, and with `last` when nobody counts any more.  What goes wrong is said on standard
 * error, once until it works again: the counters in memory hold all the same. */
void budget_store_save(struct budget_store *s, bool last);
