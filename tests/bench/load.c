/* A load generator: N TLS connections with keep-alive, each one request at a time, straight to a server or
 * through a proxy's CONNECT.
 *
 * The measuring program talks to it by standard input and output, so that what is measured is requests on
 * connections that stand: it prints "ready" when every connection has had its first answer, starts at the
 * next line that it reads, prints one JSON object, and keeps its connections open until standard input ends.
 * Only for benches: blocking set-up, one thread, epoll(7), OpenSSL. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_BYTES = 64 << 10, REQUEST_BYTES = 2048, CONNECTIONS_MAX = 20000, SAMPLES_MAX = 4 << 20 };

struct options {
    struct sockaddr_in to;
    const char *name, *path, *ca, *credential; /* credential: base64 of user:token, for CONNECT */
    bool connect;
    long connections, requests, seconds;
};

struct connection {
    int fd;
    SSL *ssl;
    size_t head;     /* bytes of the response's head, once it is whole */
    size_t expected; /* bytes of the whole response, once that is known */
    size_t got;
    int64_t began;
    char *buffer;
};

static struct options opt = {.path = "/", .connections = 64, .requests = 10000, .seconds = 60};
static char request[REQUEST_BYTES];
static size_t request_len;
static uint32_t *samples;
static long done, errors;

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("load: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static long number(const char *text, long most)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || *end || value < 1 || value > most)
        die("%s: a number from 1 to %ld is needed", text, most);
    return value;
}

static void parse_address(char *text)
{
    char *colon = strrchr(text, ':');
    if (!colon)
        die("%s: ADDRESS:PORT is needed", text);
    *colon = '\0';
    opt.to.sin_family = AF_INET;
    opt.to.sin_port = htons((uint16_t)number(colon + 1, 65535));
    if (inet_pton(AF_INET, text, &opt.to.sin_addr) != 1)
        die("%s: no IPv4 address", text);
}

static void parse_options(int argc, char **argv)
{
    static const struct option rows[] = {
        {"to", required_argument, NULL, 't'},          {"connect", no_argument, NULL, 'C'},
        {"credential", required_argument, NULL, 'k'},  {"name", required_argument, NULL, 'n'},
        {"path", required_argument, NULL, 'p'},        {"ca", required_argument, NULL, 'a'},
        {"connections", required_argument, NULL, 'c'}, {"requests", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'},     {0},
    };
    int o;
    while ((o = getopt_long(argc, argv, "", rows, NULL)) != -1) {
        switch (o) {
        case 't':
            parse_address(optarg);
            break;
        case 'C':
            opt.connect = true;
            break;
        case 'k':
            opt.credential = optarg;
            break;
        case 'n':
            opt.name = optarg;
            break;
        case 'p':
            opt.path = optarg;
            break;
        case 'a':
            opt.ca = optarg;
            break;
        case 'c':
            opt.connections = number(optarg, CONNECTIONS_MAX);
            break;
        case 'r':
            opt.requests = number(optarg, SAMPLES_MAX);
            break;
        case 's':
            opt.seconds = number(optarg, 3600);
            break;
        default:
            die("usage: load --to ADDRESS:PORT --name HOST --ca FILE [--connect --credential BASE64] [--path PATH] "
                "[--connections N] [--requests N] [--seconds S]");
        }
    }
    if (!opt.to.sin_port || !opt.name || !opt.ca)
        die("--to, --name and --ca are needed");
}

/* --- setting up, blocking --- */

static void say_connect(int fd)
{
    char text[REQUEST_BYTES];
    int len = snprintf(text, sizeof text, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n%s%s%s\r\n", opt.name,
                       opt.name, opt.credential ? "Proxy-Authorization: Basic " : "",
                       opt.credential ? opt.credential : "", opt.credential ? "\r\n" : "");
    if (len < 0 || (size_t)len >= sizeof text || write(fd, text, (size_t)len) != len)
        die("CONNECT was not sent");
    size_t got = 0;
    while (got < sizeof text - 1) {
        ssize_t n = read(fd, text + got, 1); /* no byte of what follows */
        if (n != 1)
            die("the proxy closed the connection instead of answering CONNECT");
        got++;
        text[got] = '\0';
        if (got >= 4 && memcmp(text + got - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    if (strncmp(text, "HTTP/1.1 200", 12) != 0)
        die("CONNECT was answered: %.*s", (int)strcspn(text, "\r"), text);
}

static void open_connection(struct connection *c, SSL_CTX *ctx)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&opt.to, sizeof opt.to) != 0)
        die("connect: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (opt.connect)
        say_connect(c->fd);
    c->ssl = SSL_new(ctx);
    if (!c->ssl || !SSL_set_fd(c->ssl, c->fd) || !SSL_set_tlsext_host_name(c->ssl, opt.name) ||
        !SSL_set1_host(c->ssl, opt.name) || SSL_connect(c->ssl) != 1) {
        ERR_print_errors_fp(stderr);
        die("the TLS handshake failed");
    }
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0)
        die("fcntl: %s", strerror(errno));
}

static SSL_CTX *make_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || !SSL_CTX_load_verify_locations(ctx, opt.ca, NULL))
        die("%s: not readable as PEM", opt.ca);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    return ctx;
}

static void make_request(void)
{
    int len = snprintf(request, sizeof request,
                       "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n", opt.path,
                       opt.name);
    if (len < 0 || (size_t)len >= sizeof request)
        die("the path is too long");
    request_len = (size_t)len;
}

/* --- one exchange --- */

static void send_request(struct connection *c)
{
    c->head = c->expected = c->got = 0;
    c->began = now_ns();
    if (SSL_write(c->ssl, request, (int)request_len) !=
        (int)request_len) /* small, and nothing is in the socket's way */
        die("a request was not taken");
}

/* Finds the end of the head and Content-Length in what has come. */
static void read_head(struct connection *c)
{
    c->buffer[c->got] = '\0';
    char *end = strstr(c->buffer, "\r\n\r\n");
    if (!end)
        return;
    char *length = strcasestr(c->buffer, "\r\ncontent-length:");
    if (!length || length > end)
        die("an answer without Content-Length: %.*s", (int)(end - c->buffer), c->buffer);
    c->head = (size_t)(end - c->buffer) + 4;
    c->expected = c->head + strtoul(length + 17, NULL, 10);
    if (c->expected >= BUFFER_BYTES)
        die("answers of less than %d bytes only", BUFFER_BYTES);
    if (strncmp(c->buffer, "HTTP/1.1 200", 12) != 0)
        errors++;
}

/* True when the whole response has come. */
static bool receive(struct connection *c)
{
    for (;;) {
        int n = SSL_read(c->ssl, c->buffer + c->got, (int)(BUFFER_BYTES - 1 - c->got));
        if (n <= 0) {
            int why = SSL_get_error(c->ssl, n);
            if (why == SSL_ERROR_WANT_READ)
                return false;
            die("a connection ended after %ld requests (SSL error %d)", done, why);
        }
        c->got += (size_t)n;
        if (!c->expected)
            read_head(c);
        if (c->expected && c->got >= c->expected)
            return true;
    }
}

static void finish(struct connection *c)
{
    int64_t us = (now_ns() - c->began) / 1000;
    if (done < SAMPLES_MAX)
        samples[done] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    done++;
}

/* Runs until `target` exchanges are done and no connection waits. */
static void run(int epoll, struct connection *all, long target, int64_t until)
{
    struct epoll_event events[256];
    long started = 0, waiting = 0;
    done = errors = 0;
    for (long i = 0; i < opt.connections && started < target; i++, started++, waiting++)
        send_request(&all[i]);
    while (waiting) {
        int n = epoll_wait(epoll, events, 256, 10000);
        if (n <= 0)
            die("no answer for ten seconds; %ld are done, %ld wait", done, waiting);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!receive(c))
                continue;
            finish(c);
            waiting--;
            if (started < target && now_ns() < until) {
                send_request(c);
                started++;
                waiting++;
            }
        }
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(double share)
{
    long count = done < SAMPLES_MAX ? done : SAMPLES_MAX;
    return count ? samples[(long)((double)(count - 1) * share)] : 0;
}

static void print_result(int64_t ns)
{
    qsort(samples, (size_t)(done < SAMPLES_MAX ? done : SAMPLES_MAX), sizeof *samples, by_size);
    printf(
        "{\"requests\":%ld,\"errors\":%ld,\"seconds\":%.6f,\"p50_us\":%u,\"p90_us\":%u,\"p99_us\":%u,\"max_us\":%u}\n",
        done, errors, (double)ns / 1e9, percentile(0.5), percentile(0.9), percentile(0.99), percentile(1.0));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char line[16];
    signal(SIGPIPE, SIG_IGN);
    parse_options(argc, argv);
    make_request();
    SSL_CTX *ctx = make_context();
    struct connection *all = calloc((size_t)opt.connections, sizeof *all);
    char *buffers = malloc((size_t)opt.connections * BUFFER_BYTES);
    samples = malloc(sizeof *samples * SAMPLES_MAX);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!all || !buffers || !samples || epoll < 0)
        die("no memory");
    for (long i = 0; i < opt.connections; i++) {
        all[i].buffer = buffers + i * BUFFER_BYTES;
        open_connection(&all[i], ctx);
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &ev) != 0)
            die("epoll_ctl: %s", strerror(errno));
    }
    run(epoll, all, opt.connections, INT64_MAX);
    puts("ready");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return 0;
    int64_t began = now_ns();
    run(epoll, all, opt.requests, began + opt.seconds * 1000000000);
    print_result(now_ns() - began);
    while (fgets(line, sizeof line, stdin))
        ;
    return 0;
}
