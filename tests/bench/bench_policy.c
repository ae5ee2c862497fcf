/* What a verdict costs: does it grow with rules that speak of other hosts, or of the same one?
 *
 *     bench_policy
 *
 * Prints nanoseconds a verdict for policies of 10 and of 10,000 rules, five for each host, in rounds that
 * alternate: for requests to one host (everything in cache), for requests that go through all hosts (nothing
 * is), and for 10 and 10,000 rules that speak of one host.  A ratio of 1.3 is the target for the first. */
#include "base/arena.h"
#include "base/buf.h"
#include "policy/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 15, VERDICTS = 4096, TEXT_BYTES = 1 << 20, URLS = 4096, RULES_A_HOST = 5 };

struct subject {
    struct policy *policy;
    struct http_target targets[URLS]; /* asked for in turn */
    size_t count;
    int64_t best;
};

static struct arena arena = ARENA_INIT(64 << 20);

static void fail(const char *what)
{
    fprintf(stderr, "bench_policy: %s\n", what);
    exit(1);
}

static struct policy *compile(const char *paths, unsigned hosts, unsigned rules)
{
    AUTO_BUF text = BUF_INIT(TEXT_BYTES);
    struct policy *p = NULL;
    struct err e;
    int wrong = buf_printf(&text, "exeat: 1\nallow:\n");
    for (unsigned i = 0; i < rules; i++)
        wrong |= buf_printf(&text, "- GET https://h%u.example.com/p%u%s\n", i % hosts, i / hosts, paths);
    if (wrong || policy_compile("bench.yaml", buf_slice(&text), "t", NULL, NULL, &p, &e) < 0)
        fail(wrong ? "the policy is too large" : e.text);
    return p;
}

static struct http_target target_of(unsigned host, unsigned rule)
{
    const char *url = arena_printf(&arena, "https://h%u.example.com/p%u/x", host, rule);
    struct http_target t = {0};
    struct http_problem problem;
    if (!url || http_url_parse(&arena, slice_str(url), &t, &problem) < 0)
        fail("a URL cannot be read");
    return t;
}

/* Requests to the first `asked` hosts, each fitting another of its rules. */
static void prepare(struct subject *s, const char *paths, unsigned hosts, unsigned rules, unsigned asked)
{
    s->policy = compile(paths, hosts, rules);
    s->best = INT64_MAX;
    s->count = asked > 1 ? URLS : 1;
    for (size_t i = 0; i < s->count; i++) {
        unsigned host = (unsigned)(i * 7919) % asked, rule = (unsigned)i % (rules / hosts);
        s->targets[i] = target_of(host, rule);
    }
}

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void round_of(struct subject *s)
{
    const struct request_facts facts = {.method = SLICE("GET")};
    struct verdict v;
    int64_t start = cpu_ns();
    for (size_t i = 0; i < VERDICTS; i++) {
        policy_match(s->policy, &s->targets[i % s->count], &facts, &v);
        if (v.kind != VERDICT_ALLOW)
            fail("a request that should be allowed is not");
    }
    int64_t took = cpu_ns() - start;
    s->best = took < s->best ? took : s->best;
}

/* The best of several rounds: what else runs here only ever adds. */
static void compare(const char *what, struct subject *few, struct subject *many)
{
    for (int i = 0; i < ROUNDS; i++) {
        round_of(few);
        round_of(many);
    }
    printf("%-28s %6.1f ns  %8.1f ns  ratio %.2f\n", what, (double)few->best / VERDICTS,
           (double)many->best / VERDICTS, (double)many->best / (double)few->best);
    policy_free(few->policy);
    policy_free(many->policy);
}

int main(void)
{
    static struct subject few, many;
    printf("%-28s %9s  %11s\n", "", "10 rules", "10,000 rules");
    prepare(&few, "/**", 2, 10, 1);
    prepare(&many, "/**", 2000, 10000, 1);
    compare("one host, in cache", &few, &many);
    prepare(&few, "/**", 2, 10, 2);
    prepare(&many, "/**", 2000, 10000, 2000);
    compare("all hosts in turn", &few, &many);
    prepare(&few, "/*", 2, 10, 2);
    prepare(&many, "/*", 2000, 10000, 2000);
    compare("all hosts, wildcard paths", &few, &many);
    prepare(&few, "/**", 1, 10, 1);
    prepare(&many, "/**", 1, 10000, 1);
    compare("one host, its first rule", &few, &many);
    prepare(&few, "/**", 1, 10, 1);
    prepare(&many, "/**", 1, 10000, 1);
    few.targets[0] = target_of(0, 9);
    many.targets[0] = target_of(0, 9999);
    compare("one host, its last rule", &few, &many);
    arena_free(&arena);
    return 0;
}
