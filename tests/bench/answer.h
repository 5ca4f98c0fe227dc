/* How the load generator reads an answer of HTTP/1.1: a head, then a body of a known length or in chunks.

   Who includes this defines what becomes of the body's bytes (`take`), of a whole answer (`finish`) and of one that
   cannot be read (`fail`). */

enum { HEAD = 8192 };

enum state { STATUS, FIXED, SIZE, DATA, DATA_END, TRAILER };

struct connection {
    int fd, busy, status, chunks;
    enum state state;
    uint64_t begun, first; /* when the request was due, and when the first byte of the body came */
    long left;             /* bytes of the body, or of its chunk, that are still to come */
    char head[HEAD];       /* the head, or the line of a chunk's size */
    int head_size;
    char *body;
    long size, room, scanned;
};

static void take(struct connection *one, const char *bytes, long size, uint64_t time);
static void finish(struct connection *one);
static void fail(const char *what, const char *bytes, long size);
static int failed(void);

/* Reads up to the end of a line (or of the head); the bytes used. `head` holds it, `*complete` says whether it ends. */
static long read_line(struct connection *one, const char *bytes, long size, const char *end, int *complete)
{
    long used = 0;
    int length = strlen(end);
    *complete = 0;
    while (used < size && !*complete) {
        if (one->head_size + 1 >= HEAD)
            return fail("sent a head that is too long:", one->head, 80), size;
        one->head[one->head_size++] = bytes[used++];
        *complete = one->head_size >= length && !memcmp(one->head + one->head_size - length, end, length);
    }
    one->head[one->head_size] = 0;
    if (*complete)
        one->head_size = 0;
    return used;
}

static void head_ended(struct connection *one)
{
    char *length = strcasestr(one->head, "\r\ncontent-length:");
    one->status = strlen(one->head) > 12 ? atoi(one->head + 9) : 0;
    if (strcasestr(one->head, "\r\ntransfer-encoding: chunked")) {
        one->state = SIZE;
    } else if (length) {
        one->state = FIXED;
        one->left = atol(length + 17);
    } else {
        fail("answered without a length:", one->head, 300);
    }
}

/* Bytes of an answer in the order they came; all of them are used. */
static void feed(struct connection *one, const char *bytes, long size, uint64_t time)
{
    int complete;
    while (one->busy && !failed()) {
        if (one->state == FIXED || one->state == DATA) {
            long taken = one->left < size ? one->left : size;
            take(one, bytes, taken, time);
            bytes += taken, size -= taken, one->left -= taken;
            if (one->left)
                return;
            if (one->state == FIXED)
                return finish(one);
            one->state = DATA_END;
        }
        if (!size)
            return;
        long used = read_line(one, bytes, size, one->state == STATUS ? "\r\n\r\n" : "\r\n", &complete);
        bytes += used, size -= used;
        if (!complete)
            return;
        if (one->state == STATUS) {
            head_ended(one);
        } else if (one->state == SIZE) {
            one->left = strtol(one->head, NULL, 16);
            one->state = one->left ? DATA : TRAILER;
        } else if (one->state == DATA_END) {
            one->state = SIZE;
        } else if (one->head[0] == '\r') {
            return finish(one);
        }
    }
}
