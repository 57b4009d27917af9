// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/control.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct control {
	int fd;
	struct sockaddr_un addr;
};

static int make_addr(struct sockaddr_un *sa, const char *dir, const char *name)
{
	int n;

	*sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strchr(name, '/') || name[0] == '.' || !name[0])
		return -EINVAL;
	n = snprintf(sa->sun_path, sizeof(sa->sun_path), "%s/%s.sock", dir, name);
	return n < 0 || (size_t)n >= sizeof(sa->sun_path) ? -ENAMETOOLONG : 0;
}

static void set_patience(int fd, unsigned int ms)
{
	struct timeval tv = { ms / 1000, (long)(ms % 1000) * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static int connect_to(const struct sockaddr_un *sa, unsigned int patience_ms)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	set_patience(fd, patience_ms);
	if (!connect(fd, (const struct sockaddr *)sa, sizeof(*sa)))
		return fd;
	rc = errno == ECONNREFUSED ? -ENOENT : errno == EAGAIN ? -ETIMEDOUT : -errno;
	close(fd);
	return rc;
}

static int send_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int send_json(int fd, json_t *j)
{
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	int rc;

	json_decref(j);
	if (!text)
		return -ENOMEM;
	rc = send_all(fd, text, strlen(text));
	if (!rc)
		rc = send_all(fd, "\n", 1);
	free(text);
	return rc;
}

/* What was received and is not yet taken out. */
struct inbox {
	char *buf;
	size_t room, len;
};

/* Until there is a whole line: its length with the newline, or as recv_json(). */
static ssize_t recv_line(int fd, struct inbox *in)
{
	size_t looked = 0;

	for (;;) {
		char *nl = in->len > looked ? memchr(in->buf + looked, '\n', in->len - looked) :
					      NULL;
		ssize_t n;

		if (nl)
			return nl + 1 - in->buf;
		looked = in->len;
		if (in->len == in->room) {
			size_t room = in->room ? in->room * 2 : 4096;
			char *more = room <= CONTROL_MAX ? realloc(in->buf, room) : NULL;

			if (!more)
				return room <= CONTROL_MAX ? -ENOMEM : -EPROTO;
			in->buf = more;
			in->room = room;
		}
		n = recv(fd, in->buf + in->len, in->room - in->len, 0);
		if (n < 0 && errno != EINTR)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (n == 0)
			return -ECONNRESET;
		if (n > 0)
			in->len += (size_t)n;
	}
}

/*
 * One line of JSON. -ECONNRESET: the peer went away; -ETIMEDOUT; -EPROTO: something else than that.
 */
static int recv_json(int fd, struct inbox *in, json_t **ret)
{
	ssize_t n = recv_line(fd, in);
	json_t *j;

	if (n < 0)
		return (int)n;
	j = json_loadb(in->buf, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	in->len -= (size_t)n;
	memmove(in->buf, in->buf + n, in->len);
	if (!json_is_object(j)) {
		json_decref(j);
		return -EPROTO;
	}
	*ret = j;
	return 0;
}

int control_open(struct control **ret, const char *dir, const char *name, char *err, size_t len)
{
	struct control *c = calloc(1, sizeof(*c));
	int rc, other;

	if (!c) {
		snprintf(err, len, "out of memory");
		return -ENOMEM;
	}
	rc = make_addr(&c->addr, dir, name);
	if (!rc && mkdir(dir, 0700) < 0 && errno != EEXIST)
		rc = -errno;
	if (rc)
		goto err;
	other = connect_to(&c->addr, CONTROL_PATIENCE_MS);
	if (other >= 0) {
		close(other);
		rc = -EADDRINUSE;
		goto err;
	}
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0) {
		rc = -errno;
		goto err;
	}
	/* What is left there is of a daemon that died: nobody answers. */
	unlink(c->addr.sun_path);
	if (bind(c->fd, (struct sockaddr *)&c->addr, sizeof(c->addr)) < 0 ||
	    chmod(c->addr.sun_path, 0600) < 0 || listen(c->fd, 16) < 0) {
		rc = -errno;
		close(c->fd);
		goto err;
	}
	*ret = c;
	return 0;

err:
	if (rc == -EADDRINUSE)
		snprintf(err, len,
			 "a daemon serves a volume called '%s' on this host already; see: zerofs "
			 "list",
			 name);
	else
		snprintf(err, len, "cannot listen at %s/%s.sock: %s", dir, name, strerror(-rc));
	free(c);
	return rc;
}

int control_fd(const struct control *c)
{
	return c->fd;
}

int control_accept(struct control *c, int *ret_conn, json_t **ret_req)
{
	int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
	struct inbox in = { 0 };
	int rc;

	if (fd < 0)
		return -errno;
	set_patience(fd, CONTROL_PATIENCE_MS);
	rc = recv_json(fd, &in, ret_req);
	if (!rc && in.len) {
		json_decref(*ret_req);
		rc = -EPROTO;
	}
	free(in.buf);
	if (rc == -EPROTO)
		control_answer(fd, control_refusal("the request is not one line of JSON"));
	else if (rc)
		close(fd);
	else
		*ret_conn = fd;
	return rc;
}

void control_answer(int conn, json_t *answer)
{
	(void)send_json(conn, answer); /* a peer that does not listen any more has lost interest */
	close(conn);
}

void control_note(int conn, const char *text)
{
	json_t *j = json_pack("{s:s}", "note", text);
	char *line = j ? json_dumps(j, JSON_COMPACT) : NULL;

	json_decref(j);
	if (line) {
		size_t n = strlen(line);

		line[n] = '\n'; /* in one piece, so that it comes whole or not at all */
		(void)!send(conn, line, n + 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	free(line);
}

bool control_gone(int conn)
{
	struct pollfd p = { .fd = conn, .events = POLLRDHUP };

	return poll(&p, 1, 0) != 0;
}

json_t *control_refusal(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return json_pack("{s:b, s:s}", "ok", 0, "error", text);
}

void control_close(struct control *c)
{
	if (!c)
		return;
	unlink(c->addr.sun_path);
	close(c->fd);
	free(c);
}

/* Takes notes until there is an answer. */
static int recv_answer(int fd, void (*note)(void *ctx, const char *text), void *ctx, json_t **ret)
{
	struct inbox in = { 0 };
	json_t *answer;
	int rc;

	for (;;) {
		const char *text;

		rc = recv_json(fd, &in, &answer);
		if (rc)
			break;
		text = json_string_value(json_object_get(answer, "note"));
		if (!text || json_object_get(answer, "ok")) {
			*ret = answer;
			break;
		}
		if (note)
			note(ctx, text);
		json_decref(answer);
	}
	free(in.buf);
	return rc;
}

int control_ask(const char *dir, const char *name, json_t *req, unsigned int patience_ms,
		void (*note)(void *ctx, const char *text), void *ctx, json_t **ret_answer)
{
	struct sockaddr_un sa;
	int rc = make_addr(&sa, dir, name);
	int fd = rc ? rc : connect_to(&sa, patience_ms);

	if (fd < 0) {
		json_decref(req);
		return fd;
	}
	rc = send_json(fd, req);
	if (rc == -EPIPE)
		rc = -ECONNRESET;
	if (!rc)
		rc = recv_answer(fd, note, ctx, ret_answer);
	close(fd);
	return rc;
}
