/* The loopback upstream of the benchmark: chat completions in OpenAI's format, fixed answers, no thought.

       upstream PORT

   What upstream.py says holds here as well, byte for byte but for the order of streams: a whole answer with its usage,
   or a stream of `chunks=N` pieces, `pace=N` a second for each stream (0: as fast as it can), whose text holds the
   moment it was sent. One thread, one epoll; a piece is one write, and streams take turns. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 16, CONNECTIONS = 8192, CHUNKS = 100 };

#define META "\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\","
#define USAGE "{\"prompt_tokens\":42,\"completion_tokens\":100,\"total_tokens\":142}"
#define STREAM_HEAD "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
#define CONTENT(start, text) \
    "data: {" META "\"choices\":[{\"index\":0,\"delta\":{" start "\"content\":\"" text "\"},\"finish_reason\":null}]}\n\n"
#define STOP "data: {" META "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define TOTAL "data: {" META "\"choices\":[],\"usage\":" USAGE "}\n\n"
#define DONE "data: [DONE]\n\n"

struct connection {
    int fd, place;       /* its place among the streams, -1 when it sends none */
    int sent, chunks;    /* pieces of the stream: gone out, and all of them */
    int blocked, filled; /* waiting for room to write; bytes in `request` */
    uint64_t due, pace;  /* when the next piece goes out, and nanoseconds between two; 0: at once */
    char *rest;          /* of a piece that did not fit, until it does */
    int rest_size;
    char request[ROOM];
};

static struct connection *streams[CONNECTIONS];
static int streaming, poller;
static uint64_t asked;
static char whole[2048];
static int whole_size;

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + time.tv_nsec;
}

static void watch(struct connection *one, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = one};
    epoll_ctl(poller, operation, one->fd, &event);
}

static void leave_streams(struct connection *one)
{
    if (one->place < 0)
        return;
    streams[one->place] = streams[--streaming];
    streams[one->place]->place = one->place;
    one->place = -1;
}

static void forget(struct connection *one)
{
    leave_streams(one);
    close(one->fd);
    free(one->rest);
    free(one);
}

/* Whether all is gone, or at least kept for later; 0 when the connection is dead. */
static int put(struct connection *one, const char *bytes, int size)
{
    ssize_t gone = send(one->fd, bytes, size, MSG_NOSIGNAL);
    if (gone < 0 && errno != EAGAIN)
        return 0;
    gone = gone < 0 ? 0 : gone;
    if (gone < size) {
        one->rest_size = size - gone;
        one->rest = memcpy(malloc(one->rest_size), bytes + gone, one->rest_size);
        one->blocked = 1;
        watch(one, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    return 1;
}

static int frame(char *to, const char *piece, int size)
{
    int head = sprintf(to, "%x\r\n", size);
    memcpy(to + head, piece, size);
    memcpy(to + head + size, "\r\n", 2);
    return head + size + 2;
}

/* One piece of a stream; 0 when the connection is dead. */
static int send_piece(struct connection *one)
{
    char out[2048], piece[512];
    int size = 0, number = one->sent++;
    const char *format = number == 0 ? CONTENT("\"role\":\"assistant\",", "@%019lu word ")
                         : number + 1 == one->chunks ? CONTENT("", "@%019lu the end.")
                                                     : CONTENT("", "@%019lu word ");
    if (number == 0)
        size = sprintf(out, "%s", STREAM_HEAD);
    size += frame(out + size, piece, sprintf(piece, format, (unsigned long)now()));
    if (one->sent == one->chunks) {
        size += frame(out + size, STOP, sizeof STOP - 1);
        size += frame(out + size, TOTAL, sizeof TOTAL - 1);
        size += frame(out + size, DONE, sizeof DONE - 1);
        size += sprintf(out + size, "0\r\n\r\n");
        leave_streams(one);
    } else if (one->pace) {
        one->due += one->pace;
    }
    return put(one, out, size);
}

static long number_after(const char *text, int size, const char *name, long otherwise)
{
    const char *found = memmem(text, size, name, strlen(name));
    return found ? atol(found + strlen(name)) : otherwise;
}

static int answer(struct connection *one, int post, const char *body, int size)
{
    char text[256], count[32];
    if (!post) {
        int digits = sprintf(count, "%lu", (unsigned long)asked);
        int length = sprintf(text, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", digits, count);
        return put(one, text, length);
    }
    asked++;
    if (!memmem(body, size, "\"stream\":true", 13) && !memmem(body, size, "\"stream\": true", 14))
        return put(one, whole, whole_size);
    long pace = number_after(body, size, "pace=", 0);
    one->chunks = number_after(body, size, "chunks=", CHUNKS);
    one->sent = 0;
    one->pace = pace > 0 ? 1000000000u / pace : 0;
    one->due = one->pace ? now() : 0;
    one->place = streaming;
    streams[streaming++] = one;
    return send_piece(one);
}

/* Answers the requests that have arrived in full; 0 when the connection is dead. */
static int serve(struct connection *one)
{
    while (one->place < 0 && !one->blocked) {
        char *end = memmem(one->request, one->filled, "\r\n\r\n", 4);
        if (!end)
            return one->filled < ROOM;
        *end = 0;
        char *field = strcasestr(one->request, "\r\ncontent-length:");
        int length = field ? atoi(field + 17) : 0, head = end + 4 - one->request;
        *end = '\r';
        if (length < 0 || head + length > ROOM)
            return 0;
        if (one->filled < head + length)
            return 1;
        if (!answer(one, one->request[0] == 'P', one->request + head, length))
            return 0;
        one->filled -= head + length;
        memmove(one->request, one->request + head + length, one->filled);
    }
    return 1;
}

static int flush(struct connection *one)
{
    char *rest = one->rest;
    int size = one->rest_size;
    one->rest = NULL;
    one->blocked = 0;
    watch(one, EPOLL_CTL_MOD, EPOLLIN);
    int alive = put(one, rest, size);
    free(rest);
    return alive;
}

static void happened(struct connection *one, uint32_t events)
{
    int alive = 1;
    if (events & EPOLLOUT && one->blocked)
        alive = flush(one);
    if (alive && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t got = recv(one->fd, one->request + one->filled, ROOM - one->filled, 0);
        if (got > 0)
            one->filled += got;
        alive = got > 0 || (got < 0 && errno == EAGAIN);
    }
    if (!alive || !serve(one))
        forget(one);
}

/* Every stream that is due sends one piece. Returns when the next is due; 0: now, all ones: none. */
static uint64_t turn(void)
{
    uint64_t next = UINT64_MAX, time = now();
    for (int place = streaming - 1; place >= 0; place--) {
        struct connection *one = streams[place];
        if (one->blocked)
            continue;
        if (one->due <= time && (!send_piece(one) || (one->place < 0 && !serve(one)))) {
            forget(one);
            continue;
        }
        if (one->place >= 0 && !one->blocked && one->due < next)
            next = one->due;
    }
    return next;
}

static void prepare(void)
{
    char text[1024] = "", body[1536];
    for (int number = 0; number < CHUNKS - 1; number++)
        sprintf(text + strlen(text), "word%d ", number);
    int size = sprintf(body,
                       "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"bench\","
                       "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%sthe end.\"},"
                       "\"finish_reason\":\"stop\"}],\"usage\":" USAGE "}",
                       text);
    whole_size = sprintf(whole, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
                         size, body);
}

static int listener(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1024)) {
        perror("upstream");
        exit(1);
    }
    return fd;
}

static void welcome(int fd)
{
    int on = 1, client;
    while ((client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *one = calloc(1, sizeof *one);
        one->fd = client;
        one->place = -1;
        watch(one, EPOLL_CTL_ADD, EPOLLIN);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    prepare();
    struct connection door = {.fd = listener(atoi(argv[1]))}, bell = {.fd = timerfd_create(CLOCK_MONOTONIC, 0)};
    poller = epoll_create1(EPOLL_CLOEXEC);
    watch(&door, EPOLL_CTL_ADD, EPOLLIN);
    watch(&bell, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        struct epoll_event events[512];
        uint64_t next = turn();
        struct itimerspec alarm = {{0}, {0}};
        if (next && next != UINT64_MAX)
            alarm.it_value = (struct timespec){next / 1000000000u, next % 1000000000u};
        timerfd_settime(bell.fd, TFD_TIMER_ABSTIME, &alarm, NULL);
        int count = epoll_wait(poller, events, 512, next ? -1 : 0);
        for (int place = 0; place < count; place++) {
            struct connection *one = events[place].data.ptr;
            if (one == &door)
                welcome(door.fd);
            else if (one != &bell)
                happened(one, events[place].events);
        }
    }
}
