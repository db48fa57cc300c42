/* The measured client in C, of which little is its own time.

       connects WAY PROXY_PORT TARGET_PORT connections|threads|mebibytes|queries

   WAY is blocking or nonblocking, which know nothing of proxies and run under the seal or proxychains4, or socks, which
   is a hand-written SOCKS5 client without authentication. `queries` are getpeername(2) while bulk goes over four
   connections, or with socks a byte there and back to another process: the 99th percentile of their time. A count on
   each line of standard input; see worker.py. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 16, STREAMS = 4, MEBIBYTE = 1 << 20, PIECE = 1 << 18 };

static struct sockaddr_in proxy, target;
static int (*connected)(int);

static double now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void check(int is_true, const char *what)
{
    if (!is_true) {
        perror(what);
        exit(1);
    }
}

static int blocking(int fd)
{
    return connect(fd, (struct sockaddr *)&target, sizeof target) == 0;
}

static int nonblocking(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    struct pollfd writable = {fd, POLLOUT, 0};
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (connect(fd, (struct sockaddr *)&target, sizeof target) == 0 || errno != EINPROGRESS)
        return 0;
    poll(&writable, 1, -1);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0 && fcntl(fd, F_SETFL, 0) == 0;
}

/* Three messages each way, as RFC 1928 wants them; the proxy puts each answer into one segment. */
static int socks(int fd)
{
    unsigned char answer[10], request[10] = {5, 1, 0, 1};
    memcpy(request + 4, &target.sin_addr, 4);
    memcpy(request + 8, &target.sin_port, 2);
    return connect(fd, (struct sockaddr *)&proxy, sizeof proxy) == 0 && send(fd, "\5\1\0", 3, 0) == 3
        && recv(fd, answer, 2, 0) == 2 && answer[1] == 0 && send(fd, request, 10, 0) == 10
        && recv(fd, answer, 10, 0) == 10 && answer[1] == 0;
}

/* A connection, and how long it took. A reset leaves nothing in TIME_WAIT, which would make later connects slow. */
static double opened(int *fd)
{
    struct linger reset = {1, 0};
    double began;
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(*fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    began = now(CLOCK_MONOTONIC);
    check(connected(*fd), "connect");
    return now(CLOCK_MONOTONIC) - began;
}

static double connections(long count)
{
    double seconds = 0;
    int fd;
    while (count--) {
        seconds += opened(&fd);
        close(fd);
    }
    return seconds;
}

static void *run(void *count)
{
    connections((long)count);
    return NULL;
}

static double threads(long count)
{
    pthread_t started[THREADS];
    double began = now(CLOCK_MONOTONIC);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&started[i], NULL, run, (void *)(count / THREADS));
    for (int i = 0; i < THREADS; i++)
        pthread_join(started[i], NULL);
    return now(CLOCK_MONOTONIC) - began;
}

/* As many bytes there as back, as client.py does. */
static double mebibytes(long count)
{
    static __thread char buffer[PIECE];
    unsigned long size = __builtin_bswap64(count * MEBIBYTE);
    double began;
    int fd;
    opened(&fd);
    began = now(CLOCK_MONOTONIC);
    check(send(fd, &size, sizeof size, 0) == sizeof size, "send");
    for (long i = 0; i < count * MEBIBYTE / PIECE; i++)
        check(send(fd, buffer, PIECE, 0) == PIECE, "send");
    for (long i = 0; i < count * MEBIBYTE / PIECE; i++)
        check(recv(fd, buffer, PIECE, MSG_WAITALL) == PIECE, "recv");
    began = now(CLOCK_MONOTONIC) - began;
    close(fd);
    return began;
}

static int compare(const void *one, const void *other)
{
    double difference = *(double *)one - *(double *)other;
    return (difference > 0) - (difference < 0);
}

static volatile int is_moving;

static void *move(void *nothing)
{
    while (is_moving)
        mebibytes(4);
    return nothing;
}

/* A process that sends back what it gets. */
static int echo(void)
{
    int pair[2];
    char byte;
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    signal(SIGCHLD, SIG_IGN);
    if (fork() == 0) {
        close(pair[0]);
        while (read(pair[1], &byte, 1) == 1)
            check(write(pair[1], &byte, 1) == 1, "write");
        _exit(0);
    }
    close(pair[1]);
    return pair[0];
}

static double query(int fd, int other)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    double began = now(CLOCK_MONOTONIC);
    char byte = 0;
    if (connected == socks)
        check(write(other, &byte, 1) == 1 && read(other, &byte, 1) == 1, "echo");
    else
        check(getpeername(fd, (struct sockaddr *)&peer, &size) == 0, "getpeername");
    return now(CLOCK_MONOTONIC) - began;
}

/* The 99th percentile of the time that a query takes. */
static double queries(long count)
{
    int fd, other = echo();
    double *taken = malloc(count * sizeof *taken), longest;
    pthread_t streams[STREAMS];
    opened(&fd);
    is_moving = 1;
    for (int i = 0; i < STREAMS; i++)
        pthread_create(&streams[i], NULL, move, NULL);
    for (long i = 0; i < count; i++) {
        usleep(1000);
        taken[i] = query(fd, other);
    }
    qsort(taken, count, sizeof *taken, compare);
    longest = taken[count * 99 / 100];
    free(taken);
    is_moving = 0;
    for (int i = 0; i < STREAMS; i++)
        pthread_join(streams[i], NULL);
    close(fd);
    close(other);
    return longest;
}

int main(int argc, char **argv)
{
    double (*block)(long), seconds, used;
    char line[32];
    check(argc == 5, "usage");
    connected = strcmp(argv[1], "socks") == 0 ? socks : strcmp(argv[1], "blocking") == 0 ? blocking : nonblocking;
    proxy.sin_family = target.sin_family = AF_INET;
    proxy.sin_addr.s_addr = target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    proxy.sin_port = htons(atoi(argv[2]));
    target.sin_port = htons(atoi(argv[3]));
    block = strcmp(argv[4], "connections") == 0 ? connections
        : strcmp(argv[4], "threads") == 0 ? threads
        : strcmp(argv[4], "mebibytes") == 0 ? mebibytes : queries;
    while (fgets(line, sizeof line, stdin)) {
        used = now(CLOCK_PROCESS_CPUTIME_ID);
        seconds = block(atol(line));
        printf("{\"seconds\": %.9f, \"processor\": %.9f}\n", seconds, now(CLOCK_PROCESS_CPUTIME_ID) - used);
        fflush(stdout);
    }
    return 0;
}
