/* The load generator of the benchmark, in C so that it is never what is measured.

       generator < job > result

   What load.py says of a job and a result holds here as well. A job is a line of numbers (port, connections,
   nanoseconds, requests, first, distinct, rate, models, chunks, bytes of the request, bytes of what is expected), the
   request, and what must stand in its answer. "ready" goes out once the connections are open; the load begins with the
   next line that comes in, and the result is one line of JSON. One thread, one epoll. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"

enum { READ = 1 << 16, STAMP = 19 };

static const uint64_t PATIENCE = 60000000000u; /* nanoseconds without a byte after which the load gives up */

struct times {
    double *values;
    long count, room;
};

static struct {
    int port, connections, models, chunks;
    uint64_t lasting, requests, first, distinct, rate;
    long request_size, expect_size;
} job;
static char *request, *expect, *number_at, *model_at;
static struct connection *connections, **idle;
static int idle_count, poller;
static uint64_t began, last_byte, sent, answered, unanswered;
static struct times whole, to_first, one_way;
static char failure[600];

static uint64_t now_of(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + time.tv_nsec;
}

static uint64_t now(void) { return now_of(CLOCK_MONOTONIC); }

static void keep(struct times *times, double value)
{
    if (times->count == times->room)
        times->values = realloc(times->values, (times->room = 2 * times->room + 4096) * sizeof(double));
    times->values[times->count++] = value;
}

static int smaller(const void *one, const void *other)
{
    double left = *(const double *)one, right = *(const double *)other;
    return (left > right) - (left < right);
}

static double quantile(struct times *times, double share)
{
    long place = (long)(share * times->count);
    return times->count ? times->values[place < times->count ? place : times->count - 1] : 0.0;
}

static void fail(const char *what, const char *bytes, long size)
{
    if (failure[0])
        return;
    int length = snprintf(failure, 80, "%s ", what);
    for (long place = 0; place < size && length < 580; place++) {
        unsigned char byte = bytes[place];
        failure[length++] = byte < ' ' || byte > '~' || byte == '"' || byte == '\\' ? '.' : byte;
    }
}

static int failed(void) { return failure[0] != 0; }

static int open_connection(struct connection *one)
{
    struct sockaddr_in address = {AF_INET, htons(job.port), {htonl(INADDR_LOOPBACK)}, {0}};
    int on = 1;
    one->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(one->fd, (struct sockaddr *)&address, sizeof address)) {
        fail("cannot connect:", strerror(errno), strlen(strerror(errno)));
        return 0;
    }
    setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(one->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
    epoll_ctl(poller, EPOLL_CTL_ADD, one->fd, &event);
    return 1;
}

static void write_number(char *at, int digits, uint64_t number)
{
    for (int place = digits - 1; place >= 0; place--, number /= 10)
        at[place] = '0' + number % 10;
}

static void ask(struct connection *one, uint64_t due)
{
    uint64_t number = job.first + (job.distinct ? sent % job.distinct : sent);
    if (one->fd < 0 && !open_connection(one))
        return;
    if (number_at)
        write_number(number_at, 20, number);
    if (model_at)
        write_number(model_at, 4, number % job.models);
    sent++;
    unanswered++;
    one->busy = 1;
    one->state = STATUS;
    one->head_size = one->chunks = 0;
    one->size = one->scanned = 0;
    one->first = 0;
    one->begun = due ? due : now();
    if (send(one->fd, request, job.request_size, MSG_NOSIGNAL) != job.request_size)
        fail("the request could not be sent:", strerror(errno), strlen(strerror(errno)));
}

static int may_ask(void)
{
    return !failure[0] && !(job.requests && sent >= job.requests) && !(job.lasting && now() >= began + job.lasting);
}

static void finish(struct connection *one)
{
    uint64_t time = now();
    if (one->status != 200 || !memmem(one->body, one->size, expect, job.expect_size)) {
        char what[40];
        sprintf(what, "answered %d", one->status);
        fail(what, one->body, one->size);
    } else if (one->chunks > job.chunks || 10 * one->chunks < 9 * job.chunks) { /* merged text may be cut in a stamp */
        char what[80];
        sprintf(what, "answered %d pieces of %d:", one->chunks, job.chunks);
        fail(what, one->body, one->size);
    }
    keep(&whole, (time - one->begun) / 1e9);
    keep(&to_first, ((one->first ? one->first : time) - one->begun) / 1e9);
    answered++;
    unanswered--;
    one->busy = 0;
    if (!job.rate && may_ask())
        ask(one, 0);
    else
        idle[idle_count++] = one;
}

/* A piece's text holds `@` and when it was sent. */
static void scan(struct connection *one, uint64_t time)
{
    for (;;) {
        char *found = memchr(one->body + one->scanned, '@', one->size - one->scanned);
        one->scanned = found ? found - one->body : one->size;
        if (!found || one->scanned + 1 + STAMP > one->size)
            return;
        uint64_t stamp = 0;
        int digits = 0;
        while (digits < STAMP && found[1 + digits] >= '0' && found[1 + digits] <= '9')
            stamp = 10 * stamp + (found[1 + digits++] - '0');
        if (digits == STAMP) {
            one->chunks++;
            keep(&one_way, ((double)time - (double)stamp) / 1e9);
        }
        one->scanned++;
    }
}

static void take(struct connection *one, const char *bytes, long size, uint64_t time)
{
    if (one->size + size > one->room)
        one->body = realloc(one->body, one->room = 2 * (one->size + size));
    memcpy(one->body + one->size, bytes, size);
    one->size += size;
    if (!one->first)
        one->first = time;
    if (job.chunks)
        scan(one, time);
}

static void readable(struct connection *one)
{
    static char bytes[READ];
    ssize_t got = recv(one->fd, bytes, READ, 0);
    if (got > 0) {
        last_byte = now();
        feed(one, bytes, got, last_byte);
    } else if (got == 0 || errno != EAGAIN) {
        close(one->fd);
        one->fd = -1; /* a server may close what is idle; it is opened again when it is needed */
        if (one->busy)
            fail("closed the connection after", one->body, one->size);
    }
}

static void run(void)
{
    struct epoll_event events[256];
    uint64_t step = job.rate ? 1000000000u / job.rate : 0, due = began;
    while (!failure[0]) {
        for (; job.rate && idle_count && due <= now() && may_ask(); due += step)
            ask(idle[--idle_count], due);
        if (!unanswered && !may_ask())
            return;
        struct timespec wait = {1, 0};
        if (job.rate && idle_count && may_ask()) {
            uint64_t time = now();
            wait = (struct timespec){due > time ? (due - time) / 1000000000u : 0,
                                     due > time ? (due - time) % 1000000000u : 0};
        }
        int count = epoll_pwait2(poller, events, 256, &wait, NULL);
        for (int place = 0; place < count; place++)
            readable(events[place].data.ptr);
        if (unanswered && now() - last_byte > PATIENCE)
            fail("has not answered for a minute", "", 0);
    }
}

static char *read_text(long size, const char *placeholder, char **at)
{
    char *text = calloc(1, size + 1);
    if (fread(text, 1, size, stdin) != (size_t)size)
        exit(2);
    if (at)
        *at = memmem(text, size, placeholder, strlen(placeholder));
    return text;
}

static void prepare(void)
{
    if (scanf("%d %d %lu %lu %lu %lu %lu %d %d %ld %ld", &job.port, &job.connections, &job.lasting, &job.requests,
              &job.first, &job.distinct, &job.rate, &job.models, &job.chunks, &job.request_size,
              &job.expect_size) != 11 || getchar() != '\n')
        exit(2);
    request = read_text(job.request_size, "####################", &number_at);
    model_at = memmem(request, job.request_size, "$$$$", 4);
    expect = read_text(job.expect_size, "", NULL);
    getchar(); /* the end of the job's last line */
    poller = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(job.connections, sizeof *connections);
    idle = calloc(job.connections, sizeof *idle);
    for (int place = job.connections - 1; place >= 0; place--) {
        connections[place].fd = -1;
        idle[idle_count++] = &connections[place];
        open_connection(&connections[place]);
    }
}

int main(void)
{
    prepare();
    puts("ready");
    fflush(stdout);
    while (getchar() != '\n')
        if (feof(stdin))
            return 2;
    uint64_t own = now_of(CLOCK_PROCESS_CPUTIME_ID);
    began = last_byte = now();
    if (!job.rate)
        for (int left = idle_count; left && may_ask(); left--)
            ask(idle[--idle_count], 0);
    run();
    double seconds = (now() - began) / 1e9;
    own = now_of(CLOCK_PROCESS_CPUTIME_ID) - own;
    struct times *all[] = {&whole, &to_first, &one_way};
    for (int place = 0; place < 3; place++)
        qsort(all[place]->values, all[place]->count, sizeof(double), smaller);
    printf("{\"requests\": %lu, \"seconds\": %.9f, \"p50\": %.9f, \"p99\": %.9f, \"first_p50\": %.9f, \"chunks\": %ld, "
           "\"chunk_p50\": %.9f, \"chunk_p99\": %.9f, \"generator\": %.4f, \"failure\": \"%s\"}\n",
           answered, seconds, quantile(&whole, 0.5), quantile(&whole, 0.99), quantile(&to_first, 0.5), one_way.count,
           quantile(&one_way, 0.5), quantile(&one_way, 0.99), own / 1e9 / seconds, failure);
    return 0;
}
