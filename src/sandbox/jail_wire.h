/* What supervisor, launcher and pid 1 of a jail tell each other, over one SOCK_SEQPACKET socket: fixed
 * structures, and descriptors by SCM_RIGHTS (unix(7)).  Errors cross fork and exec as such messages, as data.
 *
 * The supervisor believes nothing of what it gets: sizes, types and step numbers are checked here. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <termios.h>

enum jail_place { JAIL_SUPERVISOR, JAIL_LAUNCHER, JAIL_INNER, JAIL_AGENT };

enum jail_step {
#define STEP(place, name, what, fix) JAIL_STEP_##name,
#include "sandbox/jail_steps.def"
#undef STEP
    JAIL_STEP_COUNT
};

struct jail_step_row {
    enum jail_place place;
    const char *name, *what, *fix;
};
const struct jail_step_row *jail_step_row(enum jail_step s);
/* -1 where there is none. */
MUST_USE int jail_step_of(const char *name, enum jail_step *ret);

enum jail_message_type {
    /* from inside */
    JAIL_FAILED = 1, /* step, sys, text: the end */
    JAIL_NETWORK,    /* the listeners are handed over; network_send follows on the same socket */
    JAIL_READY,   /* value: Landlock's ABI in force; descriptor: the terminal's master where there is one */
    JAIL_STARTED, /* the command runs */
    JAIL_NOT_STARTED, /* sys: execve's errno */
    JAIL_STOPPED,     /* the command was stopped; value: the signal */
    JAIL_ENDED,       /* value: the command's status (waitpid(2)) */
    JAIL_SOCKETS,     /* descriptors: what was asked for, as many as could be made */
    /* from outside */
    JAIL_SETUP,  /* struct jail_setup; descriptors: the texts, then the three standard ones */
    JAIL_GO,     /* the proxy serves */
    JAIL_RESUME, /* after JAIL_STOPPED: take the terminal and go on */
    JAIL_SIGNAL, /* value: for the command */
    JAIL_WANT_SOCKETS, /* value: how many, at most JAIL_FDS_MAX; answered by one JAIL_SOCKETS */
};

struct jail_message {
    uint32_t type;
    uint32_t step;
    int32_t value;
    int32_t sys;
    char text[1000];
};

enum { JAIL_VERSION_BYTES = 32, JAIL_TEXTS_MAX = 8 << 20, JAIL_STRINGS_MAX = 200000 };

/* The texts lie in a sealed memfd, each ended by a NUL: the executable's path, the working directory, the
 * command's arguments, its environment, the folders that it may write. */
struct jail_setup {
    uint32_t type; /* JAIL_SETUP */
    char version[JAIL_VERSION_BYTES];
    uint32_t bytes, arguments, environment, write;
    uint32_t terminals;        /* bit n: descriptor n is a terminal, and gets the jail's own */
    int32_t landlock;          /* the ABI to use at most */
    uint32_t fail;             /* test builds: 1 + the step that is to fail */
    uint64_t ignored, blocked; /* signals as `exeat run` found them (bit n - 1: signal n), for the command */
    bool debug;
    struct winsize size;
    struct termios modes;
};

enum { JAIL_FDS_MAX = 16 };

struct jail_packet {
    union {
        uint32_t type;
        struct jail_message message;
        struct jail_setup setup;
    };
    int fds[JAIL_FDS_MAX]; /* the receiver's, close-on-exec */
    size_t fd_count;
    pid_t pid; /* who sent it, as we number processes; 0: not known (SO_PASSCRED is off) */
};

/* -1 with errno. */
MUST_USE int jail_send(int sock, const void *what, size_t size, const int *fds, size_t fd_count);
MUST_USE int jail_say(int sock, enum jail_message_type type, int32_t value);
/* Tells why a step failed. */
void jail_say_failed(int sock, enum jail_step step, const struct err *e);

enum jail_got { JAIL_GOT, JAIL_END, JAIL_LATE, JAIL_BROKEN };
/* Waits at most timeout_ms (-1: as long as it takes).  Only with JAIL_GOT are there descriptors.
 * A message of the wrong size, or a text without an end, is JAIL_BROKEN. */
MUST_USE enum jail_got jail_receive(int sock, int timeout_ms, struct jail_packet *ret, struct err *e);
void jail_packet_close(struct jail_packet *p);

/* In test builds: fails with a text of its own where `fail` is 1 + this step. */
MUST_USE int jail_test_failure(uint32_t fail, enum jail_step now, struct err *e);
