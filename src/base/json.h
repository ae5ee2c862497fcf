/* Writes JSON (RFC 8259) into a buffer.  Reading is jansson's part, where files are read.
 *
 * The writer puts the commas; a failed append is remembered in `failed` and asked once at the end.
 * Text may be any bytes: controls are escaped, bytes that are not valid UTF-8 become U+FFFD, and
 * DEL, U+2028/9 and the bidirectional controls are written as \u escapes, so that a hostile name
 * can neither break a line nor reorder one on a terminal.
 */
#pragma once
#include "base/buf.h"

struct json {
    struct buf *out;
    bool comma;  /* the next value needs one before it */
    bool failed; /* something did not fit */
};

#define JSON_INIT(buffer) ((struct json){.out = (buffer)})

void json_object(struct json *j);
void json_object_end(struct json *j);
void json_array(struct json *j);
void json_array_end(struct json *j);
/* The key is a literal of ours and is not escaped. */
void json_key(struct json *j, const char *key);

void json_slice(struct json *j, struct slice text);
void json_str(struct json *j, const char *text); /* NULL is written as null */
void json_int(struct json *j, int64_t value);
void json_bool(struct json *j, bool value);
void json_null(struct json *j);
/* Milliseconds with at most one decimal: 0.4, 12. */
void json_ms(struct json *j, int64_t ns);
/* Text that is JSON already. */
void json_raw(struct json *j, struct slice raw);

/* A key and its value in one step. */
void json_kv_slice(struct json *j, const char *key, struct slice text);
void json_kv_str(struct json *j, const char *key, const char *text);
void json_kv_int(struct json *j, const char *key, int64_t value);
void json_kv_bool(struct json *j, const char *key, bool value);
