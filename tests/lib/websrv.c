// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/websrv.h"

#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RULES	 32
#define SEEN	 4096
#define REQ_ROOM 65536u

struct rule {
	char method[8], path[128], body[64];
	unsigned int status;
	char *text;
};

struct websrv {
	int fd;
	unsigned int port;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	bool stop, dated;
	int64_t date;
	struct rule rules[RULES];
	unsigned int nr_rules;
	char seen[SEEN][64]; /* "METHOD /path" */
	unsigned int nr_seen;
	char last[REQ_ROOM];
};

/* Head and body, as a string. False: the other side has gone. */
static bool read_request(int fd, char *buf)
{
	size_t n = 0, want = REQ_ROOM - 1;

	while (n < want) {
		ssize_t k = recv(fd, buf + n, want - n, 0);
		char *end, *len;

		if (k <= 0)
			return false;
		n += (size_t)k;
		buf[n] = '\0';
		end = strstr(buf, "\r\n\r\n");
		if (!end)
			continue;
		len = strcasestr(buf, "\r\ncontent-length:");
		want = (size_t)(end + 4 - buf);
		if (len && len < end)
			want += strtoul(len + 17, NULL, 10);
		assert(want < REQ_ROOM);
	}
	return true;
}

static bool find(struct websrv *s, const char *req, struct rule *ret)
{
	const char *body = strstr(req, "\r\n\r\n") + 4;
	char method[8], path[1024];
	struct rule *best = NULL;

	assert(sscanf(req, "%7s %1023s", method, path) == 2);
	assert(s->nr_seen < SEEN);
	snprintf(s->seen[s->nr_seen++], sizeof(s->seen[0]), "%s %.50s", method, path);
	for (unsigned int i = 0; i < s->nr_rules; i++) {
		struct rule *r = &s->rules[i];

		if (!strcmp(r->method, method) && !strncmp(r->path, path, strlen(r->path)) &&
		    (!r->body[0] || strstr(body, r->body)) &&
		    (!best || strlen(r->path) >= strlen(best->path)))
			best = r;
	}
	if (!best)
		return false;
	*ret = *best;
	ret->text = strdup(best->text);
	assert(ret->text);
	return true;
}

static void send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		if (k <= 0)
			return;
		p += k;
		n -= (size_t)k;
	}
}

static bool stopping(struct websrv *s)
{
	bool stop;

	pthread_mutex_lock(&s->lock);
	stop = s->stop;
	pthread_mutex_unlock(&s->lock);
	return stop;
}

static void hang(struct websrv *s, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	while (!stopping(s) && poll(&p, 1, 10) == 0)
		;
}

static void answer(struct websrv *s, int fd)
{
	static char buf[REQ_ROOM];
	char head[512], date[80] = "";
	struct rule r = { .status = 404 };
	struct tm tm;
	time_t t;

	if (!read_request(fd, buf))
		return;
	pthread_mutex_lock(&s->lock);
	strcpy(s->last, buf);
	find(s, buf, &r);
	t = time(NULL) + s->date;
	if (s->dated)
		strftime(date, sizeof(date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
			 gmtime_r(&t, &tm));
	pthread_mutex_unlock(&s->lock);
	if (!r.status) {
		hang(s, fd);
	} else {
		snprintf(head, sizeof(head),
			 "HTTP/1.1 %u X\r\n%sConnection: close\r\nContent-Length: %zu\r\n\r\n",
			 r.status, date, r.text ? strlen(r.text) : 0);
		send_all(fd, head, strlen(head));
		if (r.text)
			send_all(fd, r.text, strlen(r.text));
	}
	free(r.text);
}

static void *serve(void *arg)
{
	struct websrv *s = arg;

	while (!stopping(s)) {
		struct pollfd p = { .fd = s->fd, .events = POLLIN };
		int fd;

		if (poll(&p, 1, 10) <= 0)
			continue;
		fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		answer(s, fd);
		shutdown(fd, SHUT_WR);
		close(fd);
	}
	return NULL;
}

struct websrv *websrv_new(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct websrv *s = calloc(1, sizeof(*s));
	socklen_t len = sizeof(a);

	assert(s);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert(s->fd >= 0);
	assert(!bind(s->fd, (struct sockaddr *)&a, sizeof(a)) && !listen(s->fd, 64));
	assert(!getsockname(s->fd, (struct sockaddr *)&a, &len));
	s->port = ntohs(a.sin_port);
	pthread_mutex_init(&s->lock, NULL);
	assert(!pthread_create(&s->thread, NULL, serve, s));
	return s;
}

void websrv_free(struct websrv *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	websrv_clear(s);
	close(s->fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

unsigned int websrv_port(const struct websrv *s)
{
	return s->port;
}

void websrv_set(struct websrv *s, const char *method, const char *path, const char *body,
		unsigned int status, const char *text)
{
	struct rule n = { .status = status, .text = strdup(text) }, *r = NULL;

	assert(n.text);
	snprintf(n.method, sizeof(n.method), "%s", method);
	snprintf(n.path, sizeof(n.path), "%s", path);
	snprintf(n.body, sizeof(n.body), "%s", body ? body : "");
	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < s->nr_rules && !r; i++)
		if (!strcmp(s->rules[i].method, n.method) && !strcmp(s->rules[i].path, n.path) &&
		    !strcmp(s->rules[i].body, n.body))
			r = &s->rules[i];
	if (!r) {
		assert(s->nr_rules < RULES);
		r = &s->rules[s->nr_rules++];
	}
	free(r->text);
	*r = n;
	pthread_mutex_unlock(&s->lock);
}

void websrv_clear(struct websrv *s)
{
	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < s->nr_rules; i++) {
		free(s->rules[i].text);
		s->rules[i].text = NULL;
	}
	s->nr_rules = s->nr_seen = 0;
	s->dated = false;
	s->last[0] = '\0';
	pthread_mutex_unlock(&s->lock);
}

void websrv_set_date(struct websrv *s, int64_t seconds)
{
	pthread_mutex_lock(&s->lock);
	s->dated = true;
	s->date = seconds;
	pthread_mutex_unlock(&s->lock);
}

unsigned int websrv_count(struct websrv *s, const char *method, const char *path)
{
	unsigned int n = 0;
	char want[64];

	snprintf(want, sizeof(want), "%s %.50s", method, path);
	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < s->nr_seen; i++)
		n += !strncmp(s->seen[i], want, strlen(want));
	pthread_mutex_unlock(&s->lock);
	return n;
}

void websrv_last(struct websrv *s, char *out, size_t room)
{
	pthread_mutex_lock(&s->lock);
	snprintf(out, room, "%s", s->last);
	pthread_mutex_unlock(&s->lock);
}
