#include "audit/record.h"

#include <jansson.h>

static struct slice text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return slice_of(json_string_value(value), json_string_length(value)); /* NULL, 0 for what is no text */
}

int log_record_parse(struct slice line, struct log_record *ret)
{
    /* a key that stands twice would let two readers see two records */
    json_t *root = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    json_int_t seq = json_integer_value(json_object_get(root, "seq"));
    if (seq <= 0) {
        json_decref(root);
        return -1;
    }
    const json_t *rule = json_object_get(root, "rule"), *nearest = json_object_get(root, "nearest");
    const json_t *client = json_object_get(root, "client");
    const json_t *ms = json_object_get(root, "ms");
    json_int_t status = json_integer_value(json_object_get(root, "status"));
    *ret = (struct log_record){
        .root = root,
        .seq = (uint64_t)seq,
        .id = text(root, "id"),
        .time = text(root, "time"),
        .run = text(root, "run"),
        .kind = text(root, "kind"),
        .task = text(root, "task"),
        .verdict = text(root, "verdict"),
        .would = text(root, "would"),
        .reason = text(root, "reason"),
        .method = text(root, "method"),
        .url = text(root, "url"),
        .outcome = text(root, "outcome"),
        .detail = text(root, "detail"),
        .rule = text(rule, "name"),
        .rule_file = text(rule, "file"),
        .rule_line = json_integer_value(json_object_get(rule, "line")),
        .nearest = text(nearest, "name"),
        .nearest_file = text(nearest, "file"),
        .nearest_line = json_integer_value(json_object_get(nearest, "line")),
        .client_address = text(client, "address"),
        .client_exe = text(client, "exe"),
        .client_pid = json_integer_value(json_object_get(client, "pid")),
        .upstream_address = text(json_object_get(root, "upstream"), "address"),
        .sent = json_integer_value(json_object_get(root, "sent")),
        .received = json_integer_value(json_object_get(root, "received")),
        .status = status > 0 && status < 1000 ? (int)status : 0,
        .ms = json_is_number(ms) ? json_number_value(ms) : -1,
    };
    return 0;
}

static int copy_text(struct slice from, char *ret, size_t size)
{
    if (!from.ptr || from.len >= size)
        return -1;
    memcpy(ret, from.ptr, from.len);
    ret[from.len] = '\0';
    return 0;
}

int log_record_seal(const struct log_record *r, struct seal *ret)
{
    const json_t *o = json_object_get(r->root, "seal");
    struct seal s = {0};
    json_int_t seq = json_integer_value(json_object_get(o, "seq"));
    if (!slice_eq(r->kind, SLICE("seal")) || seq <= 0 || copy_text(r->run, s.chain, sizeof s.chain) < 0 ||
        copy_text(text(o, "hash"), s.hash, sizeof s.hash) < 0 ||
        crypto_unhex(text(o, "key"), s.key, sizeof s.key) < 0 ||
        crypto_unhex(text(o, "signature"), s.signature, sizeof s.signature) < 0)
        return -1;
    s.seq = (uint64_t)seq;
    s.time_ms = json_integer_value(json_object_get(o, "time_ms"));
    *ret = s;
    return 0;
}

int log_record_args(const struct log_record *r, struct buf *out)
{
    const json_t *all = json_object_get(json_object_get(r->root, "client"), "args"), *one;
    size_t i;
    json_array_foreach(all, i, one)
    {
        if ((i && buf_append(out, SLICE(" ")) < 0) ||
            buf_append(out, slice_of(json_string_value(one), json_string_length(one))) < 0)
            return -1;
    }
    return 0;
}

void log_record_clear(struct log_record *r)
{
    json_decref(r->root);
    *r = (struct log_record){0};
}
