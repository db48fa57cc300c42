/* GET / by the C library's own resolver and sockets; prints what comes after the head. Arguments: HOST PORT. */

#define _POSIX_C_SOURCE 200809L
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connected(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found, *each;
    int sock = -1, error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
        fprintf(stderr, "getaddrinfo: %s\n", gai_strerror(error));
        return -1;
    }
    for (each = found; each != NULL && sock < 0; each = each->ai_next) {
        sock = socket(each->ai_family, each->ai_socktype, each->ai_protocol);
        if (sock >= 0 && connect(sock, each->ai_addr, each->ai_addrlen) != 0) {
            perror("connect");
            close(sock);
            sock = -1;
        }
    }
    freeaddrinfo(found);
    return sock;
}

int main(int argc, char **argv)
{
    static char answer[65536];
    size_t length = 0;
    ssize_t more;
    int sock = argc == 3 ? connected(argv[1], argv[2]) : -1;
    if (sock < 0)
        return 1;
    dprintf(sock, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", argv[1]);
    while ((more = read(sock, answer + length, sizeof answer - 1 - length)) > 0)
        length += (size_t)more;
    char *body = strstr(answer, "\r\n\r\n");
    if (body == NULL)
        return 1;
    fputs(body + 4, stdout);
    return 0;
}
