/* The types of config/schema.h, a row each: text of a document, and what comes of it. */
#include "config/schema.h"
#include "config/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct child {
    struct slice name;
    uint64_t weight;
};

struct all {
    struct slice text;
    bool flag;
    unsigned word;
    uint64_t number, size, duration;
    struct schema_texts texts;
    struct schema_numbers numbers;
    struct schema_address address;
    struct schema_addresses addresses;
    struct schema_cidrs cidrs;
    struct child child;
    struct schema_list children;
};

static const struct schema_key child_keys[] = {
    {"name", schema_text, offsetof(struct child, name), .required = true},
    {"weight", schema_number, offsetof(struct child, weight)},
};
static const struct child child_defaults = {.weight = 7};
static const struct schema child_schema = {"a child", child_keys, ARRAY_LEN(child_keys), sizeof(struct child),
                                           &child_defaults};
static const char *const words[] = {"red", "green", NULL};
static const struct schema_key all_keys[] = {
    {"text", schema_text, offsetof(struct all, text), .max = 5},
    {"flag", schema_bool, offsetof(struct all, flag)},
    {"word", schema_word, offsetof(struct all, word), .words = words},
    {"number", schema_number, offsetof(struct all, number), .min = 2, .max = 9},
    {"size", schema_size, offsetof(struct all, size)},
    {"duration", schema_duration, offsetof(struct all, duration)},
    {"texts", schema_texts, offsetof(struct all, texts)},
    {"numbers", schema_numbers, offsetof(struct all, numbers)},
    {"address", schema_address, offsetof(struct all, address)},
    {"addresses", schema_addresses, offsetof(struct all, addresses)},
    {"cidrs", schema_cidrs, offsetof(struct all, cidrs)},
    {"child", schema_table, offsetof(struct all, child), .table = &child_schema},
    {"children", schema_tables, offsetof(struct all, children), .table = &child_schema, .max = 3},
    {"later", schema_later, 0},
};
static const struct schema all_schema = SCHEMA("a test", struct all, all_keys);

struct fixture {
    struct arena arena;
    struct document *doc;
    struct err first;
    struct problems problems;
    struct all all;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.arena = ARENA_INIT(1 << 20)};
    f.problems = (struct problems){.file = "f", .first = &f.first};
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_free(&f->arena);
    document_free(f->doc);
    return 0;
}

static int decode(struct fixture *f, const char *text)
{
    struct schema_ctx ctx = {.arena = &f->arena, .problems = &f->problems};
    document_free(TAKE(f->doc));
    f->problems.count = 0;
    if (document_parse(slice_str(text), &f->problems, &f->doc) < 0)
        return -1;
    return schema_decode(&ctx, &all_schema, f->doc->root, &f->all);
}

static void every_type_is_read(void **state)
{
    struct fixture *f = *state;
    struct all *a = &f->all;
    assert_int_equal(decode(f, "text: abc\nflag: true\nword: green\nnumber: 9\nsize: 64KiB\nduration: 5min\n"
                               "texts: [a, b]\nnumbers: [2, 3]\naddress: '[::1]:3128'\n"
                               "addresses: 127.0.0.1:1\ncidrs: [10.0.0.0/8, 'fd00::/8', 192.0.2.1]\n"
                               "child: {name: x}\nchildren: [{name: y, weight: 1}, {name: z}]\n"),
                     0);
    assert_string_equal(a->text.ptr, "abc");
    assert_true(a->flag);
    assert_int_equal(a->word, 1);
    assert_int_equal(a->number, 9);
    assert_int_equal(a->size, 65536);
    assert_int_equal(a->duration, 300000);
    assert_int_equal(a->texts.count, 2);
    assert_string_equal(a->texts.at[1].text.ptr, "b");
    assert_int_equal(a->texts.at[1].column, 12);
    assert_int_equal(a->numbers.at[1], 3);
    assert_true(a->address.v6 && a->address.port == 3128 && a->address.bytes[15] == 1);
    assert_int_equal(a->addresses.count, 1);
    assert_int_equal(a->addresses.at[0].bytes[0], 127);
    assert_int_equal(a->cidrs.count, 3);
    assert_int_equal(a->cidrs.at[0].prefix, 8);
    assert_int_equal(a->cidrs.at[2].prefix, 32);
    assert_string_equal(a->child.name.ptr, "x");
    const struct child *children = a->children.at;
    assert_int_equal(a->children.count, 2);
    assert_int_equal(children[0].weight, 1);
    assert_int_equal(children[1].weight, 7);
}

static void what_is_not_written_stays_as_it_was(void **state)
{
    struct fixture *f = *state;
    f->all.number = 5;
    f->all.child.weight = 6;
    assert_int_equal(decode(f, "text: a\nchild: {name: b}\n"), 0);
    assert_int_equal(f->all.number, 5);
    assert_int_equal(f->all.child.weight, 6);
}

static void what_is_read_outlives_the_document(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(decode(f, "text: abc\ntexts: [d]\n"), 0);
    document_free(TAKE(f->doc));
    assert_string_equal(f->all.text.ptr, "abc");
    assert_string_equal(f->all.texts.at[0].text.ptr, "d");
}

static void wrong_values_are_named_with_their_place(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"flag: yes", "f:1:7: `flag` must be true or false"},
        {"flag: 'true'", "f:1:7: `flag` must be true or false"},
        {"flag: True", "f:1:7: `flag` must be true or false"},
        {"word: blue", "f:1:7: `word` must be one of red, green"},
        {"text: ''", "f:1:7: `text` must be text, not empty text"},
        {"text: abcdef", "f:1:7: `text` is longer than 5 bytes"},
        {"text: [a]", "f:1:7: `text` must be text, not a list"},
        {"number: 1", "f:1:9: `number` must be between 2 and 9"},
        {"number: 10", "f:1:9: `number` must be between 2 and 9"},
        {"number: 0x5", "f:1:9: `number` must be a number in decimal digits"},
        {"number: 99999999999999999999", "f:1:9: `number` must be a number in decimal digits"},
        {"size: 1 KiB", "f:1:7: `size` must be a size such as 512, 64KiB, 1MiB or 2GiB"},
        {"size: 1kib", "f:1:7: `size` must be a size such as 512, 64KiB, 1MiB or 2GiB"},
        {"size: 9223372036854775808", "f:1:7: `size` must be a size such as 512, 64KiB, 1MiB or 2GiB"},
        {"duration: 5", "f:1:11: `duration` must be a time such as 250ms, 10s, 5min or 2h"},
        {"duration: 5m", "f:1:11: `duration` must be a time such as 250ms, 10s, 5min or 2h"},
        {"texts: {a: b}", "f:1:8: `texts` must be a list, not a mapping"},
        {"texts:", "f:1:7: `texts` must be a list, not nothing"},
        {"texts: [[a]]", "f:1:9: `texts` must be text, not a list"},
        {"address: localhost:1",
         "f:1:10: `address` must be an address and port such as 127.0.0.1:3128 or [::1]:3128"},
        {"address: '::1:1'",
         "f:1:10: `address` must be an address and port such as 127.0.0.1:3128 or [::1]:3128"},
        {"address: 127.1:80",
         "f:1:10: `address` must be an address and port such as 127.0.0.1:3128 or [::1]:3128"},
        {"address: 127.0.0.1:65536",
         "f:1:10: `address` must be an address and port such as 127.0.0.1:3128 or [::1]:3128"},
        {"cidrs: [10.0.0.1/8]",
         "f:1:9: \"10.0.0.1/8\" has bits set behind its prefix: write the network's first address"},
        {"cidrs: [10.0.0.0/33]", "f:1:9: `cidrs` must hold networks such as 10.1.0.0/16 or fd00::/8"},
        {"cidrs: ['::/129']", "f:1:9: `cidrs` must hold networks such as 10.1.0.0/16 or fd00::/8"},
        {"child: {weight: 1}", "f:1:8: a child has no `name`"},
        {"child: x", "f:1:8: `child` must be a mapping (`key: value`), not text"},
        {"children: [{name: a, wieght: 1}]", "f:1:22: unknown key \"wieght\"; did you mean \"weight\"?"},
        {"children: [{name: a}, {name: a}, {name: a}, {name: a}]",
         "f:1:11: `children` has more than 3 entries"},
        {"later: 1", "f:1:1: `later` is not supported by this version yet"},
        {"latter: 1", "f:1:1: unknown key \"latter\"; the keys of a test are text, flag, word, number, size, "
                      "duration, texts, numbers, address, addresses, cidrs, child, children"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture *f = *state;
        assert_int_equal(decode(f, rows[i].text), -1);
        assert_string_equal(f->first.text, rows[i].message);
        assert_int_equal(f->problems.count, 1);
    }
}

static void sizes_are_printed_as_they_are_read(void **state)
{
    static const struct {
        uint64_t size;
        const char *text;
    } rows[] = {{0, "0"},
                {1, "1"},
                {1023, "1023"},
                {1024, "1KiB"},
                {65536, "64KiB"},
                {5u << 20, "5MiB"},
                {(1u << 20) + 1, "1048577"},
                {1ull << 40, "1TiB"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[SCHEMA_SIZE_BYTES];
        uint64_t back;
        schema_print_size(rows[i].size, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(schema_parse_size(slice_str(text), &back), 0);
        assert_int_equal(back, rows[i].size);
    }
}

static void the_nearest_name_is_the_one_with_the_fewest_edits(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance(SLICE("method"), SLICE("methods")), 1);
    assert_int_equal(suggest_distance(SLICE("mehtods"), SLICE("methods")), 1);
    assert_int_equal(suggest_distance(SLICE(""), SLICE("abc")), 3);
    assert_int_equal(suggest_distance(SLICE("kitten"), SLICE("sitting")), 3);
    struct suggestion s = SUGGESTION_INIT(SLICE("path"));
    suggest_consider(&s, "path_regex");
    suggest_consider(&s, "paths");
    assert_string_equal(s.name, "paths");
    s = SUGGESTION_INIT(SLICE("zzz"));
    suggest_consider(&s, "paths");
    assert_null(s.name);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_type_is_read),
        TEST(what_is_not_written_stays_as_it_was),
        TEST(what_is_read_outlives_the_document),
        TEST(wrong_values_are_named_with_their_place),
        TEST(sizes_are_printed_as_they_are_read),
        TEST(the_nearest_name_is_the_one_with_the_fewest_edits),
    };
    return cmocka_run_group_tests_name("config_schema", tests, setup, teardown);
}
