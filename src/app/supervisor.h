/* The supervisor: starts keeper and proxy, hands them what they work with, reloads, stops, cleans up.
 *
 * `exeat proxy` and `exeat run` are thin commands over it.  It reads the files, opens the listeners and
 * prints; it never touches a byte of traffic.  Runs on the main thread's loop. */
#pragma once
#include "app/files.h"
#include "app/listeners.h"
#include "app/load.h"
#include "app/trustfiles.h"
#include "loop/loop.h"

enum supervisor_end {
    SUPERVISOR_STOPPED,   /* as asked */
    SUPERVISOR_PROXY_LOST /* the proxy died: requests in flight are on record, nothing passes any more */
};

struct supervisor_options {
    struct files_source files; /* lives as long as the supervisor */
    const char *run;           /* id of this run in every record; NULL: made here */
    bool ephemeral_ca;         /* in the keeper's memory, not on disk */
    const char *project;       /* of a run: what `exeat reload` finds it by; NULL: of the daemon */
    const char *orders;        /* of a run: the state folder in which `exeat reload` looks for it */
    const char *note;          /* for the start record; NULL: nothing more than the proxy says itself */
    const char *trust_dir;     /* where the trust files go; NULL: the state folder */
    /* Called once, from the loop, when the proxy has ended. */
    void (*ended)(void *arg, enum supervisor_end end);
    void (*keeper_lost)(void *arg); /* the keeper has died although nobody asked it to; may be NULL */
    void *arg;
};

struct supervisor;

/* Returns when the keeper is ready, the trust files are written and the proxy knows what to do, or with the
 * reason why not (then nothing is left behind but files).  `loop` is the main thread's, made before: it must
 * see the children's ends.  The caller may do other work while the proxy gets ready, but calls
 * supervisor_serve before everything else below that is not a question. */
MUST_USE int supervisor_start(struct loop *loop, const struct supervisor_options *o, struct supervisor **ret,
                              struct err *e);
/* Returns when the proxy serves and orders are heard, or with the reason why not.  Once. */
MUST_USE int supervisor_serve(struct supervisor *s, struct err *e);
/* Whether it came so far, also where supervisor_serve failed behind that: then `ended` has come or will. */
bool supervisor_serves(const struct supervisor *s);
/* Kills what still runs. */
void supervisor_free(struct supervisor *s);
DEFINE_AUTO(supervisor)

/* Reads everything again; a broken file keeps what was in force.  Also starts a dead keeper anew.
 * Says on standard error what came of it. */
void supervisor_reload(struct supervisor *s);
/* Lets requests in progress finish within the configured limit; at once with `now`.  Then `ended`. */
void supervisor_stop(struct supervisor *s, bool now);

const struct load *supervisor_load(const struct supervisor *s); /* what is in force */
const struct listeners *supervisor_listeners(const struct supervisor *s);
const struct trustfiles *supervisor_trust(const struct supervisor *s);
const char *supervisor_run(const struct supervisor *s);
/* The public key of the log's seals, hexadecimal: what `exeat log --verify --seal-key` takes. */
const char *supervisor_seal_key(const struct supervisor *s);
/* After `ended` with SUPERVISOR_STOPPED: the last record of the log. */
void supervisor_head(const struct supervisor *s, uint64_t *ret_seq, char ret_hash[65]);

/* "exeat CA host 2026-11-21", and how long such a CA is good for. */
enum { SUPERVISOR_CA_NAME_BYTES = 256, SUPERVISOR_CA_DAYS = 825 };
void supervisor_name_ca(char ret[SUPERVISOR_CA_NAME_BYTES]);

/* "20261121T080000Z-k3x9qd": start time and six random characters. */
enum { RUN_ID_BYTES = 24 };
MUST_USE int supervisor_make_run(char ret[RUN_ID_BYTES]);
