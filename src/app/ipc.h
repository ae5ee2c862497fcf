/* Messages between the supervisor and its roles, and between a daemon and runs that use it (app/control.h):
 * SOCK_SEQPACKET, a fixed header, descriptors by SCM_RIGHTS (unix(7), cmsg(3)).
 *
 * A table (ipc_messages.def) says who may send what in which phase, as in OpenSSH's monitor.  A peer that
 * sends anything else has been taken over or is of another build: the conversation is over.  The end of
 * the stream means that the peer is gone. */
#pragma once
#include "base/caps.h"
#include "base/err.h"
#include "base/slice.h"
#include "policy/reason.h"

/* Below the kernel's SCM_MAX_FD (253): setup, listeners and a socket for each worker in one message. */
enum { IPC_FDS_MAX = 160, IPC_WORKERS_MAX = 128, IPC_LISTENERS_MAX = 16 };

enum ipc_end { IPC_SUPERVISOR = 1, IPC_KEEPER = 2, IPC_PROXY = 4, IPC_RUN = 8 };
enum ipc_phase { IPC_SETUP = 1, IPC_SERVING = 2, IPC_STOPPING = 4 };

enum ipc_type {
    IPC_NONE,
#define MESSAGE(name, sender, receivers, phases, least, most) IPC_##name,
#include "app/ipc_messages.def"
#undef MESSAGE
    IPC_TYPE_COUNT
};

/* Payloads of fixed shape.  Both ends are of one build: `version` makes sure of that. */
enum { IPC_VERSION_BYTES = 32, IPC_RUN_BYTES = 64, IPC_NAME_BYTES = 256, IPC_NOTE_BYTES = 600 };

struct ipc_keeper_setup { /* descriptors: certificate and key file unless ephemeral, then the sockets */
    char version[IPC_VERSION_BYTES];
    char common_name[IPC_NAME_BYTES]; /* of a CA that is made */
    uint32_t days, per_second, sockets;
    bool ephemeral; /* made in memory, gone with the keeper */
    bool create;    /* the files are empty: make a CA and write it there */
};

struct ipc_proxy_setup { /* descriptors: bundle, audit folder, in-flight table, budgets, listeners, sockets to the
                            keeper: one for each worker, one for the log */
    char version[IPC_VERSION_BYTES];
    char run[IPC_RUN_BYTES];
    char audit_name[IPC_NAME_BYTES];
    char note[IPC_NOTE_BYTES]; /* for the start record, behind the proxy's own */
    uint32_t listeners, workers;
};

/* Behind the CA certificate in the keeper's IPC_READY: the public key of its seals, hexadecimal. */
#define IPC_SEAL_KEY "seal key "

struct ipc_jail { /* descriptors: those that are present, then a socket for each worker (proxy/client.h) */
    uint32_t id;
    uint32_t present; /* bit i: enum jail_socket i */
    uint32_t ipv6;
    char task[IPC_NAME_BYTES];
};

/* A connection's other end, not inspected: of a service of this machine (descriptor: the listener in the
 * jail), or of a port that the jail publishes (descriptors: the client's connection, a socket of the jail's). */
struct ipc_jail_forward {
    uint32_t id;
    uint16_t port;      /* in the jail */
    uint16_t host_port; /* outside */
    uint16_t v6;        /* of address */
    uint16_t reserved;
    uint8_t address[16]; /* a service's; network order; IPv4 in the first four */
};

struct ipc_jail_id {
    uint32_t id;
};

/* A jail of a run that is somebody else's: its task is "UID/NAME".  Descriptors: a bundle with its policy, then
 * those of an ipc_jail. */
struct ipc_guest {
    struct ipc_jail jail;
    uint32_t uid;
    uint32_t mode; /* enum config_mode */
    char note[IPC_NOTE_BYTES]; /* what the run says of its jail */
};

/* What a guest's records came to, and the log's last record then. */
struct ipc_guest_left {
    uint32_t id;
    uint32_t reserved;
    uint64_t allowed, blocked, would_block, sent, by_reason[REASON_COUNT];
    uint64_t tunnels, tunnels_out, tunnels_in; /* that nobody inspected */
    uint64_t seq;
    char hash[65];
};

/* Between a run and the daemon. */
enum { IPC_TASK_BYTES = 64, IPC_PATH_BYTES = 4096, IPC_SEAL_KEY_BYTES = 65 };

struct ipc_run_hello { /* descriptors: a bundle with its policy; its network namespace */
    char version[IPC_VERSION_BYTES];
    char task[IPC_TASK_BYTES];
    char note[IPC_NOTE_BYTES];
    uint32_t mode; /* enum config_mode */
};

struct ipc_run_network { /* descriptors: those that are present */
    uint32_t present; /* bit i: enum jail_socket i */
    uint32_t ipv6;
};

struct ipc_run_welcome { /* the CA's certificate, PEM, stands behind it */
    char task[IPC_NAME_BYTES]; /* "UID/NAME" */
    char run[IPC_RUN_BYTES];   /* of the daemon: in every record */
    char log[IPC_PATH_BYTES];
    char seal_key[IPC_SEAL_KEY_BYTES];
};

enum { IPC_UDP_MAX = 64 };
struct ipc_jail_udp { /* what UDP the jail tried since the last message */
    uint32_t id, count;
    struct ipc_udp {
        uint64_t datagrams;
        uint8_t address[16]; /* network order; IPv4 in the first four */
        uint16_t port;
        uint16_t v6;
    } at[IPC_UDP_MAX];
};

struct ipc_stop {
    int64_t grace_ns; /* 0: at once */
};

struct ipc_stopped {
    uint64_t seq;
    char hash[65];
};

struct ipc_message {
    enum ipc_type type;
    struct slice payload; /* in the channel's buffer: until the next ipc_recv */
    int fds[IPC_FDS_MAX]; /* the receiver's; close-on-exec */
    size_t fd_count;
};

/* One end of a conversation. */
struct ipc {
    int fd;
    enum ipc_end self, peer;
    enum ipc_phase phase; /* moved by the owner: ipc.phase = IPC_SERVING */
    char *buffer;
    struct ipc_message *broken; /* gets the descriptors of a message that is none; NULL: they are closed */
};

/* Takes `fd` over. */
MUST_USE int ipc_open(struct ipc *c, int fd, enum ipc_end self, enum ipc_end peer, struct err *e);
void ipc_close(struct ipc *c); /* safe on a zeroed or closed one */
/* The same, but for the socket: it is the caller's. */
MUST_USE int ipc_release(struct ipc *c);

/* `fds` stay the caller's. */
MUST_USE int ipc_send(struct ipc *c, enum ipc_type type, struct slice payload, const int *fds,
                      size_t fd_count, struct err *e);

enum ipc_result {
    IPC_GOT,
    IPC_END,     /* the peer is gone */
    IPC_TIMEOUT, /* nothing came in time */
    IPC_BROKEN,  /* a message that the table does not allow, or a failure: *e says what */
};
/* Waits at most timeout_ms (-1: as long as it takes).  With IPC_GOT the descriptors of `ret` are the
 * caller's to close; otherwise there are none. */
MUST_USE enum ipc_result ipc_recv(struct ipc *c, int timeout_ms, struct ipc_message *ret, struct err *e);
void ipc_message_close(struct ipc_message *m); /* closes the descriptors that were not taken (set to -1) */

/* Copies a payload of fixed shape; -1 where its size is another. */
MUST_USE int ipc_payload(const struct ipc_message *m, void *ret, size_t size);
/* Payload as one line of printable text, for messages. */
void ipc_text(const struct ipc_message *m, char *ret, size_t size);
const char *ipc_type_name(enum ipc_type t);
