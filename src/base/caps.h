/* Every size that hostile input could choose has its ceiling here, so that one page answers
 * "how much can it make us hold?".  Sizes are bytes unless the name says otherwise. */
#pragma once

/* Documents: policies and configuration. */
#define CAP_DOCUMENT_BYTES (1u << 20)
#define CAP_DOCUMENT_DEPTH 16
#define CAP_DOCUMENT_NODES 200000
#define CAP_DOCUMENT_ALIASES 64
#define CAP_SCALAR_BYTES (64u << 10)
#define CAP_RULES 20000
#define CAP_RULE_VALUES 1000

/* Names and targets (RFC 1035 2.3.4, RFC 9110 4.1 recommends at least 8000 octets). */
#define CAP_HOST_BYTES 253
#define CAP_LABEL_BYTES 63
#define CAP_TARGET_BYTES (16u << 10)

/* HTTP/1 messages. */
#define CAP_HEAD_BYTES (64u << 10)
#define CAP_HEADERS 128
#define CAP_METHOD_BYTES 32
#define CAP_CHUNK_LINE_BYTES 256
#define CAP_TRAILER_BYTES (8u << 10)

/* The data plane: one connection holds at most two of these in each direction. */
#define CAP_IO_BYTES (17u << 10)

/* Regular expressions (PCRE2). */
#define CAP_REGEX_PATTERN_BYTES 1024
#define CAP_REGEX_BYTES (32u << 20) /* compiled, of one policy */
#define CAP_REGEX_MATCH_STEPS 100000
#define CAP_REGEX_DEPTH 1000

/* TLS and the keeper. */
#define CAP_CLIENT_HELLO_BYTES (16u << 10)
#define CAP_CERT_CACHE_ENTRIES 4096
#define CAP_BLOCKED_CERT_CACHE_ENTRIES 256
#define CAP_SESSION_CACHE_ENTRIES 4096

/* Upstream. */
#define CAP_ADDRESSES_PER_NAME 32
#define CAP_LOOKUPS_PER_TASK 64
#define CAP_POOL_IDLE_PER_HOST 128 /* of one task; these three are each worker's */
#define CAP_POOL_IDLE_PER_TASK 256
#define CAP_POOL_IDLE 512
#define CAP_PROXY_CREDENTIAL_BYTES 255 /* RFC 1929 2: a length of one byte */

/* Jails. */
#define CAP_JAIL_NAMES 16384 /* names looked up in one; each keeps its address */

/* The audit log. */
#define CAP_RECORD_BYTES (32u << 10)
#define CAP_AUDIT_QUEUE_BYTES (16u << 20)
#define CAP_QUERY_VALUE_CHARS 64

/* Messages between our own processes. */
#define CAP_IPC_MESSAGE_BYTES (64u << 10)
#define CAP_BUNDLE_BYTES (64u << 20)

/* The jail's file system.  Each mount holds a descriptor. */
#define CAP_MOUNTS 768
#define CAP_MOUNT_ROOTS 256
#define CAP_MOUNTS_BYTES (8u << 20)
#define CAP_TREE_ENTRIES 2000000
#define CAP_TREE_DEPTH 64
#define CAP_REPOSITORIES 64
#define CAP_GIT_CONFIG_BYTES (256u << 10)
#define CAP_MOUNTINFO_BYTES (4u << 20)
#define CAP_NOTED_FILES 20000
#define CAP_NOTED_LINKS 4096
#define CAP_NAMED_MISSING 512
