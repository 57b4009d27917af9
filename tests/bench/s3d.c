// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * s3d [-p PORT] [-g GET_MS] [-u PUT_MS] [-b MB_PER_S]: an S3 server for benchmarks, whose every
 * request takes a fixed time and that of its bytes over a connection, whatever the machine does.
 *
 * Prints its endpoint, on loopback, and serves until it is killed. Plain HTTP, path style, objects
 * in memory, every bucket exists, no signature is looked at. PUT (If-None-Match: *), GET (ranges),
 * HEAD, LIST V2 (prefix, start-after, max-keys), DELETE. An object keeps its x-amz-meta-* headers;
 * its ETag is the Content-MD5 that came with it (which is believed), else a number. GET /-/counts
 * tells requests and bytes by kind as JSON, PUT /-/times?get=MS&put=MS sets the delays from there
 * on; both take no time and are not counted.
 *
 * The time: GET, HEAD, LIST and DELETE begin to be answered GET_MS (30) after their head came, at
 * MB_PER_S (90); a PUT is done and answered PUT_MS (60) and its bytes' time after its head came, or
 * at once when its body took longer. "100 Continue" comes at once. One thread: nothing is computed,
 * and bodies are sent from where they lie.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "bench/s3d.h"

#define PIECE_US 2000u /* what is sent at once */

enum state { HEAD, BODY, WAIT, SEND };

struct conn {
	struct list_head link;
	int fd;
	uint32_t events;
	enum state state;
	char head[S3D_HEAD_MAX + 1];
	size_t head_len;
	uint64_t due; /* WAIT: when the answer begins; SEND: when the next piece may go; else 0 */
	struct s3d_req req;
	struct s3d_answer answer;
	size_t sent;
	uint64_t began;
};

static struct list_head conns = LIST_HEAD_INIT(conns);
static struct s3d_times times = { 30000, 60000, 90000000 };
static int ep;

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void s3d_die(const char *what)
{
	perror(what);
	exit(1);
}

void *s3d_need(void *p)
{
	if (!p)
		s3d_die("s3d: memory");
	return p;
}

static void watch(struct conn *c, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = c };

	if (events == c->events)
		return;
	c->events = events;
	if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev))
		s3d_die("s3d: epoll_ctl");
}

static void forget(struct conn *c)
{
	free(c->req.body);
	c->req.body = NULL;
	s3d_answer_free(&c->answer);
}

static void next_request(struct conn *c)
{
	forget(c);
	c->sent = c->head_len = 0;
	c->due = 0;
	c->state = HEAD;
	watch(c, EPOLLIN);
}

static void hang_up(struct conn *c)
{
	forget(c);
	close(c->fd);
	list_del(&c->link);
	free(c);
}

static void begin_wait(struct conn *c)
{
	c->state = WAIT;
	watch(c, 0);
}

static void begin_send(struct conn *c)
{
	c->state = SEND;
	c->began = now_us();
	c->due = c->began;
}

/* All of a head is there. False: the connection has ended. */
static bool got_head(struct conn *c, char *end)
{
	size_t extra = c->head_len - (size_t)(end + 4 - c->head);
	struct s3d_req *q = &c->req;
	uint64_t wait;

	if (!s3d_http_parse(q, c->head, end) || extra > q->body_len) {
		q->keep = false;
		s3d_answer_refuse(&c->answer);
		begin_send(c);
		return true;
	}
	wait = q->kind == S3D_PUT ? times.put_us + q->body_len * 1000000 / times.bytes_per_s :
				    times.get_us;
	c->due = now_us() + (q->control ? 0 : wait);
	q->body = q->body_len ? s3d_need(malloc(q->body_len)) : NULL;
	if (extra)
		memcpy(q->body, end + 4, extra);
	q->body_got = extra;
	c->state = BODY;
	if (q->expect && q->body_got < q->body_len &&
	    send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL) != 25)
		return false;
	if (q->body_got == q->body_len)
		begin_wait(c);
	return true;
}

/* False: the connection has ended. */
static bool receive(struct conn *c)
{
	ssize_t n;
	char *end;

	if (c->state == HEAD)
		n = read(c->fd, c->head + c->head_len, S3D_HEAD_MAX - c->head_len);
	else if (c->state == BODY)
		n = read(c->fd, c->req.body + c->req.body_got, c->req.body_len - c->req.body_got);
	else
		return false;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	if (c->state == BODY) {
		c->req.body_got += (size_t)n;
		if (c->req.body_got == c->req.body_len)
			begin_wait(c);
		return true;
	}
	c->head_len += (size_t)n;
	c->head[c->head_len] = 0;
	end = strstr(c->head, "\r\n\r\n");
	if (end)
		return got_head(c, end);
	return c->head_len < S3D_HEAD_MAX;
}

/* Sends what time allows. False: the connection has ended. */
static bool transmit(struct conn *c)
{
	uint64_t now = now_us(), piece = times.bytes_per_s * PIECE_US / 1000000;
	uint64_t may = (now - c->began) * times.bytes_per_s / 1000000 + piece;
	const struct s3d_answer *a = &c->answer;
	size_t all = a->text_len + a->data_len, data_sent, n_text;
	struct iovec iov[2];
	ssize_t n;

	if (may > all)
		may = all;
	n_text = c->sent < a->text_len ? a->text_len - c->sent : 0;
	data_sent = c->sent > a->text_len ? c->sent - a->text_len : 0;
	iov[0] = (struct iovec){ a->text + a->text_len - n_text, n_text };
	iov[1].iov_base = (void *)(a->data + data_sent);
	iov[1].iov_len = may > c->sent + n_text ? may - c->sent - n_text : 0;
	n = sendmsg(c->fd, &(struct msghdr){ .msg_iov = iov, .msg_iovlen = a->data_len ? 2 : 1 },
		    MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (n > 0)
		c->sent += (size_t)n;
	if (c->sent == all) {
		if (!c->req.keep)
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
		struct conn *c = s3d_need(calloc(1, sizeof(*c)));

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c->fd = fd;
		c->events = EPOLLIN;
		ev.data.ptr = c;
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))
			s3d_die("s3d: epoll_ctl");
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
		if (c->state == WAIT && c->due <= now) {
			s3d_answer(&c->req, &times, &c->answer);
			begin_send(c);
		}
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
			times.get_us = strtoull(optarg, NULL, 10) * 1000;
		else if (opt == 'u')
			times.put_us = strtoull(optarg, NULL, 10) * 1000;
		else if (opt == 'b')
			times.bytes_per_s = strtoull(optarg, NULL, 10) * 1000000;
		else
			return 2;
	}
	if (optind != argc || !times.bytes_per_s) {
		fprintf(stderr, "usage: s3d [-p PORT] [-g GET_MS] [-u PUT_MS] [-b MB_PER_S]\n");
		return 2;
	}
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (listener < 0 || ep < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(listener, 1024) || getsockname(listener, (struct sockaddr *)&a, &len) ||
	    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev))
		s3d_die("s3d: listening");
	printf("http://127.0.0.1:%u\n", ntohs(a.sin_port));
	fflush(stdout);
	for (;;)
		turn(listener);
}
