// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * s3d [-p PORT] [-g GET_MS] [-u PUT_MS] [-b MB_PER_S]: an S3 server for benchmarks, whose every
 * request takes a fixed time and that of its bytes over a connection, whatever the machine does.
 *
 * Prints its endpoint, on loopback, and serves until it is killed. Plain HTTP, path style, objects
 * in memory, every bucket exists, no signature is looked at. PUT (If-None-Match: *), GET (ranges),
 * HEAD, LIST V2 (prefix, start-after, max-keys), DELETE. GET /-/counts tells requests and bytes
 * by kind as JSON; it takes no time and is not counted.
 *
 * The time: GET, HEAD, LIST and DELETE begin to be answered GET_MS (30) after their head came, at
 * MB_PER_S (90); a PUT is done and answered PUT_MS (60) and its bytes' time after its head came, or
 * at once when its body took longer. One thread: nothing is computed, and bodies are sent from
 * where they lie.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"

#define HEAD_MAX 16384u
#define BODY_MAX (256u << 20)
#define KEY_ROOM 1024u
#define PIECE_US 2000u /* what is sent at once */

enum kind { PUT, GET, LIST, DELETE, NR_KINDS };

struct obj {
	char *name; /* bucket/key */
	uint8_t *data;
	size_t len;
	unsigned int refs;
	uint64_t version;
};

enum state { HEAD, BODY, WAIT, SEND };

struct conn {
	struct list_head link;
	int fd;
	uint32_t events;
	enum state state;
	char head[HEAD_MAX + 1];
	size_t head_len;
	uint64_t due; /* WAIT: when the answer begins; SEND: when the next piece may go; else 0 */

	/* the request */
	enum kind kind;
	bool control, head_only, create, keep;
	char name[KEY_ROOM], query[HEAD_MAX];
	bool ranged;
	uint64_t from, to;
	uint8_t *body;
	size_t body_len, body_got;

	/* the answer: the head and a small body, then bytes of an object */
	char *text;
	size_t text_len;
	struct obj *src;
	const uint8_t *data;
	size_t data_len, sent;
	uint64_t began;
};

static struct list_head conns = LIST_HEAD_INIT(conns);
static struct obj **objs;
static size_t nr_objs, room;
static struct {
	uint64_t requests, bytes;
} counts[NR_KINDS];
static uint64_t refused; /* creates of a name that was taken */
static uint64_t versions;
static uint64_t get_us = 30000, put_us = 60000, bytes_per_s = 90000000;
static int ep;

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *need(void *p)
{
	if (!p)
		die("s3d: memory");
	return p;
}

/* ---- objects, in the order of their names ---- */

static void obj_put(struct obj *o)
{
	if (!o || --o->refs)
		return;
	free(o->name);
	free(o->data);
	free(o);
}

/* The first whose name is not less than @name. */
static size_t obj_at(const char *name)
{
	size_t lo = 0, hi = nr_objs;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (strcmp(objs[mid]->name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct obj *obj_find(const char *name)
{
	size_t i = obj_at(name);

	return i < nr_objs && !strcmp(objs[i]->name, name) ? objs[i] : NULL;
}

static struct obj *obj_store(const char *name, uint8_t *data, size_t len)
{
	struct obj *o = need(calloc(1, sizeof(*o)));
	size_t i = obj_at(name);

	o->name = need(strdup(name));
	o->data = data;
	o->len = len;
	o->refs = 1;
	o->version = ++versions;
	if (i < nr_objs && !strcmp(objs[i]->name, name)) {
		obj_put(objs[i]);
		objs[i] = o;
		return o;
	}
	if (nr_objs == room) {
		room = room ? room * 2 : 1024;
		objs = need(reallocarray(objs, room, sizeof(*objs)));
	}
	memmove(&objs[i + 1], &objs[i], (nr_objs - i) * sizeof(*objs));
	objs[i] = o;
	nr_objs++;
	return o;
}

static void obj_delete(const char *name)
{
	size_t i = obj_at(name);

	if (i == nr_objs || strcmp(objs[i]->name, name))
		return;
	obj_put(objs[i]);
	memmove(&objs[i], &objs[i + 1], (--nr_objs - i) * sizeof(*objs));
}

/* ---- answers ---- */

static void answer(struct conn *c, int status, const char *headers, const char *type,
		   const char *body)
{
	size_t len = strlen(body) + c->data_len;
	int n;

	if (status == 204)
		n = asprintf(&c->text, "HTTP/1.1 204 No Content\r\n%s\r\n", headers);
	else
		n = asprintf(&c->text,
			     "HTTP/1.1 %d %s\r\nServer: s3d\r\n%sContent-Type: %s\r\n"
			     "Content-Length: %zu\r\n\r\n%s",
			     status, status < 300 ? "OK" : "Refused", headers, type, len,
			     c->head_only ? "" : body);
	if (n < 0)
		die("s3d: memory");
	c->text_len = (size_t)n;
	if (c->head_only)
		c->data_len = 0;
	c->state = SEND;
	c->began = now_us();
	c->due = c->began;
}

static void error(struct conn *c, int status, const char *code)
{
	char xml[256];

	snprintf(xml, sizeof(xml),
		 "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code></Error>",
		 code);
	answer(c, status, "", "application/xml", xml);
}

static void answer_put(struct conn *c)
{
	char etag[64];
	struct obj *o;

	if (c->create && obj_find(c->name)) {
		refused++;
		error(c, 412, "PreconditionFailed");
		return;
	}
	o = obj_store(c->name, c->body, c->body_len);
	c->body = NULL;
	snprintf(etag, sizeof(etag), "ETag: \"%016" PRIx64 "\"\r\n", o->version);
	answer(c, 200, etag, "text/plain", "");
}

static void answer_get(struct conn *c)
{
	struct obj *o = obj_find(c->name);
	char headers[192];
	size_t n;

	if (!o) {
		error(c, 404, "NoSuchKey");
		return;
	}
	if (c->ranged && c->from >= o->len) {
		error(c, 416, "InvalidRange");
		return;
	}
	if (!c->ranged) {
		c->from = 0;
		c->to = UINT64_MAX;
	}
	c->data_len = c->to - c->from < o->len - c->from ? (size_t)(c->to - c->from) + 1 :
							   (size_t)(o->len - c->from);
	c->data = o->data + c->from;
	c->src = o;
	o->refs++;
	n = (size_t)snprintf(headers, sizeof(headers), "ETag: \"%016" PRIx64 "\"\r\n", o->version);
	if (c->ranged)
		snprintf(headers + n, sizeof(headers) - n,
			 "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%zu\r\n", c->from,
			 c->from + c->data_len - 1, o->len);
	if (!c->head_only)
		counts[GET].bytes += c->data_len;
	answer(c, c->ranged ? 206 : 200, headers, "application/octet-stream", "");
}

static int unhex(char ch)
{
	const char *digits = "0123456789abcdef", *p = ch ? strchr(digits, ch | 0x20) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* False: not one of the names that need no escaping in XML either, or too long. */
static bool decode(const char *s, size_t n, char *ret, size_t max)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		int ch = (unsigned char)s[i];

		if (ch == '%') {
			if (i + 2 >= n || unhex(s[i + 1]) < 0 || unhex(s[i + 2]) < 0)
				return false;
			ch = unhex(s[i + 1]) * 16 + unhex(s[i + 2]);
			i += 2;
		}
		if (!ch || ch > 126 || strchr(" <>&\"'", ch) || len + 1 >= max)
			return false;
		ret[len++] = (char)ch;
	}
	ret[len] = 0;
	return true;
}

/* The value of a query's parameter; "" where there is none. */
static bool parameter(const struct conn *c, const char *key, char *ret, size_t max)
{
	const char *p = c->query;
	size_t k = strlen(key);

	ret[0] = 0;
	while (*p) {
		size_t n = strcspn(p, "&");

		if (n > k && !strncmp(p, key, k) && p[k] == '=')
			return decode(p + k + 1, n - k - 1, ret, max);
		p += n + (p[n] == '&');
	}
	return true;
}

static void answer_list(struct conn *c)
{
	char prefix[KEY_ROOM], after[KEY_ROOM], token[KEY_ROOM], max[32], full[2 * KEY_ROOM];
	size_t bucket = strcspn(c->name, "/"), len = 0, i, nr = 0, limit, plen;
	bool more = false;
	char *xml;
	FILE *f;

	if (!parameter(c, "prefix", prefix, sizeof(prefix)) ||
	    !parameter(c, "start-after", after, sizeof(after)) ||
	    !parameter(c, "continuation-token", token, sizeof(token)) ||
	    !parameter(c, "max-keys", max, sizeof(max))) {
		error(c, 400, "InvalidArgument");
		return;
	}
	limit = max[0] ? strtoul(max, NULL, 10) : 1000;
	if (limit > 1000)
		limit = 1000;
	if (strcmp(token, after) > 0)
		strcpy(after, token);
	f = need(open_memstream(&xml, &len));
	fprintf(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		   "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	plen = (size_t)snprintf(full, sizeof(full), "%.*s/%s", (int)bucket, c->name, prefix);
	i = obj_at(full);
	for (; i < nr_objs && !strncmp(objs[i]->name, full, plen); i++) {
		const char *key = objs[i]->name + bucket + 1;

		if (after[0] && strcmp(key, after) <= 0)
			continue;
		if (nr == limit) {
			more = true;
			break;
		}
		fprintf(f,
			"<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00.000Z"
			"</LastModified><ETag>&quot;%016" PRIx64 "&quot;</ETag><Size>%zu</Size>"
			"<StorageClass>STANDARD</StorageClass></Contents>",
			key, objs[i]->version, objs[i]->len);
		nr++;
		snprintf(token, sizeof(token), "%s", key);
	}
	fprintf(f, "<KeyCount>%zu</KeyCount><MaxKeys>%zu</MaxKeys>", nr, limit);
	if (more && nr)
		fprintf(f, "<NextContinuationToken>%s</NextContinuationToken>", token);
	fprintf(f, "<IsTruncated>%s</IsTruncated></ListBucketResult>", more ? "true" : "false");
	if (fclose(f))
		die("s3d: memory");
	counts[LIST].bytes += len;
	answer(c, 200, "", "application/xml", xml);
	free(xml);
}

static void answer_control(struct conn *c)
{
	static const char *const names[NR_KINDS] = { "put", "get", "list", "delete" };
	char json[1024];
	size_t n = 0;

	if (strcmp(c->name, "-/counts")) {
		error(c, 404, "NoSuchKey");
		return;
	}
	for (int k = 0; k < NR_KINDS; k++)
		n += (size_t)snprintf(json + n, sizeof(json) - n,
				      "%s\"%s\": {\"requests\": %" PRIu64 ", \"bytes\": %" PRIu64
				      "}",
				      k ? ", " : "{", names[k], counts[k].requests,
				      counts[k].bytes);
	snprintf(json + n, sizeof(json) - n, ", \"refused\": %" PRIu64 ", \"objects\": %zu}\n",
		 refused, nr_objs);
	answer(c, 200, "", "application/json", json);
}

static void perform(struct conn *c)
{
	size_t bucket = strcspn(c->name, "/");

	if (c->control) {
		answer_control(c);
		return;
	}
	counts[c->kind].requests++;
	if (c->kind == PUT && !c->name[bucket]) {
		answer(c, 200, "", "text/plain", "");
	} else if (c->kind == PUT) {
		counts[PUT].bytes += c->body_len;
		answer_put(c);
	} else if (c->kind == GET) {
		answer_get(c);
	} else if (c->kind == LIST) {
		answer_list(c);
	} else {
		obj_delete(c->name);
		answer(c, 204, "", "", "");
	}
}

/* ---- connections ---- */

static void watch(struct conn *c, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = c };

	if (events == c->events)
		return;
	c->events = events;
	if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev))
		die("s3d: epoll_ctl");
}

static void next_request(struct conn *c)
{
	free(c->text);
	free(c->body);
	obj_put(c->src);
	c->text = NULL;
	c->body = NULL;
	c->src = NULL;
	c->text_len = c->data_len = c->sent = c->body_len = c->body_got = c->head_len = 0;
	c->due = 0;
	c->state = HEAD;
	watch(c, EPOLLIN);
}

static void hang_up(struct conn *c)
{
	free(c->text);
	free(c->body);
	obj_put(c->src);
	close(c->fd);
	list_del(&c->link);
	free(c);
}

/* One "Name: value" line, whose end was made a NUL. False: refused. */
static bool header(struct conn *c, const char *line)
{
	const char *v = strchr(line, ':');
	size_t n;

	if (!v)
		return false;
	n = (size_t)(v - line);
	v += 1 + strspn(v + 1, " \t");
#define IS(s) (n == strlen(s) && !strncasecmp(line, s, n))
	if (IS("content-length")) {
		c->body_len = strtoull(v, NULL, 10);
		return c->body_len <= BODY_MAX;
	}
	if (IS("range")) {
		int r = sscanf(v, "bytes=%" SCNu64 "-%" SCNu64, &c->from, &c->to);

		if (r == 1)
			c->to = UINT64_MAX;
		c->ranged = true;
		return r >= 1 && c->from <= c->to;
	}
	if (IS("if-none-match"))
		c->create = true;
	else if (IS("connection"))
		c->keep = strcasecmp(v, "close") != 0;
	else if (IS("transfer-encoding"))
		return false;
	else if (IS("expect"))
		return send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL) == 25;
	return true;
#undef IS
}

/* The head lies in c->head up to @end (its empty line). False: not understood. */
static bool parse(struct conn *c, char *end)
{
	char *line = c->head, *next, *target, *q;

	c->control = c->head_only = c->create = c->ranged = false;
	c->keep = true;
	end[2] = 0;
	next = strstr(line, "\r\n");
	*next = 0;
	target = strchr(line, ' ');
	if (!target || !(q = strchr(target + 1, ' ')))
		return false;
	*target++ = 0;
	*q = 0;
	q = target + strcspn(target, "?");
	snprintf(c->query, sizeof(c->query), "%s", *q ? q + 1 : "");
	if (*target != '/' ||
	    !decode(target + 1, (size_t)(q - target - 1), c->name, sizeof(c->name)))
		return false;
	/* "/bucket/" is the bucket too */
	q = strchr(c->name, '/');
	if (q && !q[1])
		*q = 0;
	c->control = !strncmp(c->name, "-/", 2);
	if (!strcmp(line, "PUT"))
		c->kind = PUT;
	else if (!strcmp(line, "DELETE"))
		c->kind = DELETE;
	else if (!strcmp(line, "GET"))
		c->kind = strchr(c->name, '/') ? GET : LIST;
	else if (!strcmp(line, "HEAD"))
		c->kind = GET, c->head_only = true;
	else
		return false;
	for (line = next + 2; *line; line = next + 2) {
		next = strstr(line, "\r\n");
		*next = 0;
		if (!header(c, line))
			return false;
	}
	return true;
}

static void begin_wait(struct conn *c)
{
	c->state = WAIT;
	watch(c, 0);
}

/* All of a head is there. */
static void got_head(struct conn *c, char *end)
{
	size_t extra = c->head_len - (size_t)(end + 4 - c->head);
	uint64_t wait;

	if (!parse(c, end) || extra > c->body_len) {
		c->keep = c->head_only = false;
		error(c, 400, "InvalidRequest");
		return;
	}
	wait = c->kind == PUT ? put_us + c->body_len * 1000000 / bytes_per_s : get_us;
	c->due = now_us() + (c->control ? 0 : wait);
	c->body = c->body_len ? need(malloc(c->body_len)) : NULL;
	if (extra)
		memcpy(c->body, end + 4, extra);
	c->body_got = extra;
	c->state = BODY;
	if (c->body_got == c->body_len)
		begin_wait(c);
}

/* False: the connection has ended. */
static bool receive(struct conn *c)
{
	ssize_t n;
	char *end;

	if (c->state == HEAD)
		n = read(c->fd, c->head + c->head_len, HEAD_MAX - c->head_len);
	else if (c->state == BODY)
		n = read(c->fd, c->body + c->body_got, c->body_len - c->body_got);
	else
		return false;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	if (c->state == BODY) {
		c->body_got += (size_t)n;
		if (c->body_got == c->body_len)
			begin_wait(c);
		return true;
	}
	c->head_len += (size_t)n;
	c->head[c->head_len] = 0;
	end = strstr(c->head, "\r\n\r\n");
	if (end)
		got_head(c, end);
	return end || c->head_len < HEAD_MAX;
}

/* Sends what time allows. False: the connection has ended. */
static bool transmit(struct conn *c)
{
	uint64_t now = now_us(), piece = bytes_per_s * PIECE_US / 1000000;
	uint64_t may = (now - c->began) * bytes_per_s / 1000000 + piece;
	size_t all = c->text_len + c->data_len, data_sent, n_text;
	struct iovec iov[2];
	ssize_t n;

	if (may > all)
		may = all;
	n_text = c->sent < c->text_len ? c->text_len - c->sent : 0;
	data_sent = c->sent > c->text_len ? c->sent - c->text_len : 0;
	iov[0] = (struct iovec){ c->text + c->text_len - n_text, n_text };
	iov[1].iov_base = (void *)(c->data + data_sent);
	iov[1].iov_len = may > c->sent + n_text ? may - c->sent - n_text : 0;
	n = sendmsg(c->fd, &(struct msghdr){ .msg_iov = iov, .msg_iovlen = c->data_len ? 2 : 1 },
		    MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (n > 0)
		c->sent += (size_t)n;
	if (c->sent == all) {
		if (!c->keep)
			return false;
		next_request(c);
	} else if (c->sent < may) {
		c->due = 0;
		watch(c, EPOLLOUT);
	} else {
		c->due = now + PIECE_US;
		watch(c, 0);
	}
	return true;
}

static void accept_all(int listener)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = need(calloc(1, sizeof(*c)));

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c->fd = fd;
		c->events = EPOLLIN;
		ev.data.ptr = c;
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))
			die("s3d: epoll_ctl");
		list_add_tail(&c->link, &conns);
	}
}

static void turn(int listener)
{
	struct epoll_event ev[64];
	uint64_t due = UINT64_MAX, now = now_us();
	struct timespec ts;
	struct conn *c, *tmp;
	int n;

	list_for_each_entry(c, &conns, link)
		if (c->state >= WAIT && c->due && c->due < due)
			due = c->due;
	due = due == UINT64_MAX ? 3600000000u : due > now ? due - now : 0;
	ts = (struct timespec){ (time_t)(due / 1000000), (long)(due % 1000000) * 1000 };
	n = epoll_pwait2(ep, ev, 64, &ts, NULL);
	for (int i = 0; i < n; i++) {
		c = ev[i].data.ptr;
		if (!c)
			accept_all(listener);
		else if (ev[i].events & (EPOLLERR | EPOLLHUP) ||
			 !(c->state == SEND ? transmit(c) : receive(c)))
			hang_up(c);
	}
	now = now_us();
	list_for_each_entry_safe(c, tmp, &conns, link) {
		if (c->state == WAIT && c->due <= now)
			perform(c);
		if (c->state == SEND && c->due && c->due <= now_us() && !transmit(c))
			hang_up(c);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event ev = { .events = EPOLLIN };
	socklen_t len = sizeof(a);
	int opt, listener;

	while ((opt = getopt(argc, argv, "p:g:u:b:")) != -1) {
		if (opt == 'p')
			a.sin_port = htons((uint16_t)atoi(optarg));
		else if (opt == 'g')
			get_us = strtoull(optarg, NULL, 10) * 1000;
		else if (opt == 'u')
			put_us = strtoull(optarg, NULL, 10) * 1000;
		else if (opt == 'b')
			bytes_per_s = strtoull(optarg, NULL, 10) * 1000000;
		else
			return 2;
	}
	if (optind != argc || !bytes_per_s) {
		fprintf(stderr, "usage: s3d [-p PORT] [-g GET_MS] [-u PUT_MS] [-b MB_PER_S]\n");
		return 2;
	}
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (listener < 0 || ep < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(listener, 1024) || getsockname(listener, (struct sockaddr *)&a, &len) ||
	    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev))
		die("s3d: listening");
	printf("http://127.0.0.1:%u\n", ntohs(a.sin_port));
	fflush(stdout);
	for (;;)
		turn(listener);
}
