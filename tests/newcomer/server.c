//! The newcomer's own server: HTTP on the loopback, one request at a time. It says the port that it was given.
//!
//! It remembers what its visitors asked for, for a page of statistics that nobody ever wrote: KEEP is as good as for ever.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEEP 1000000

static char *visits[KEEP];
static size_t count;

static void remember(const char *path) {
  char **visit = &visits[count++ % KEEP];
  free(*visit);
  *visit = strdup(path);
}

static char *render(const char *path) {
  char *page = malloc(4096);
  snprintf(page, 4096, "<h1>%s</h1>\n", path);
  return page;
}

static void answer(int client) {
  char request[4096], head[128], path[256];
  ssize_t length = read(client, request, sizeof request - 1);
  if (length <= 0) return;
  request[length] = 0;
  if (sscanf(request, "GET %255s", path) != 1) return;
  remember(path);
  char *page = render(path);
  int size = snprintf(head, sizeof head, "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(page));
  if (write(client, head, size) == size && write(client, page, strlen(page)) < 0) perror("write");
  free(page);
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 64)) return 1;
  getsockname(listener, (struct sockaddr *)&address, &size);
  dprintf(1, "%d\n", ntohs(address.sin_port));
  for (;;) {
    int client = accept(listener, NULL, NULL);
    if (client < 0) return 1;
    answer(client);
    close(client);
  }
}
