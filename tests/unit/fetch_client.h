/* One `struct fetch` on a loop, with settings that a test changes, and asking it for connections. */
#pragma once
#include "fetch/fetch.h"
#include "fetch_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>

#define MS     1000000ll
#define SECOND (1000 * MS)

extern bool own_network; /* all addresses are ours: public ones can be dialled */
extern struct world_dns *dns;
extern struct loop *loop;
extern struct fetch *fetch;
extern struct fetch_settings settings; /* configure() puts them in force */
extern struct fetch_address listeners[2];
extern uint64_t generation;

/* For cmocka_unit_test_setup_teardown. */
int set_up(void **state);
int tear_down(void **state);
/* In a network of their own where the system lets us, with a name server. */
int run_fetch_tests(const struct CMUnitTest *tests, size_t count);

struct fetch_address address(const char *text, uint16_t port);
void configure(void);
/* `upstream.resolve`, one more row of it. */
void override(const char *host, uint16_t port, const char *to, uint16_t to_port);
/* A listener that an override sends "origin.test:80" to. */
int plain_origin(void);
bool has_visitor(int listener);

struct asked {
    struct fetch_op *op;
    unsigned calls;
    struct fetch_result result;
};

extern unsigned awaited; /* the loop stops when so many results have come */

struct fetch_want want(const char *task, enum http_scheme scheme, const char *host, uint16_t port);
void run_for(int64_t ns);
void note(void *arg, const struct fetch_result *result);
void start(struct asked *a, const struct fetch_want *w);
void await_all(void);
struct asked ask(const struct fetch_want *w);
/* `detail` NULL: any. */
void expect(const struct fetch_want *w, enum fetch_fault fault, const char *detail);
struct fetch_conn *connected(const struct fetch_want *w);
/* NULL where the pool has none. */
struct fetch_conn *acquire_pooled(const struct fetch_want *w);
