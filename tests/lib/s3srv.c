// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/s3srv.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "lib/s3listing.h"
#include "lib/s3objs.h"

#define RULES	  32
#define HEAD_MAX  65536u
#define SKEW_MAX  900
#define CONNS_MAX 1024

struct rule {
	struct s3srv_rule r;
	unsigned int seen, done;
};

struct s3srv {
	int fd;
	unsigned int port;
	pthread_t acceptor;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	bool stop;
	unsigned int release; /* counts */
	int conns[CONNS_MAX];
	unsigned int nr_conns;
	unsigned int nr_threads;
	struct s3objs objs;
	struct rule rules[RULES];
	unsigned int nr_rules;
	int64_t skew;
	char region[40], token[128];
	unsigned int page;
	bool bare_416;
	enum s3listing_keys keys;
	struct s3srv_counts counts;
	char last[8192];
};

struct conn {
	struct s3srv *s;
	int fd;
};

struct request {
	enum s3srv_op op;
	char method[8];
	char key[2048];
	char query[8192];
	char head[HEAD_MAX]; /* the header lines */
	char *body;
	size_t len;
	bool create;
	uint64_t from, to; /* GET */
	bool ranged;
};

/* ---- reading a request ------------------------------------------------------------------- */

/* The value of a header, into @out; false: it is not there. */
static bool header(const struct request *q, const char *name, char *out, size_t room)
{
	size_t n = strlen(name);

	for (const char *p = q->head; *p; p = strchr(p, '\n') + 1) {
		if (!strncasecmp(p, name, n) && p[n] == ':') {
			const char *v = p + n + 1 + strspn(p + n + 1, " ");

			snprintf(out, room, "%.*s", (int)strcspn(v, "\r\n"), v);
			return true;
		}
	}
	return false;
}

static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		unsigned int c;

		if (*s == '%' && sscanf(s + 1, "%2x", &c) == 1) {
			*out++ = (char)c;
			s += 2;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

static bool param(const struct request *q, const char *name, char *out, size_t room)
{
	size_t n = strlen(name);

	out[0] = '\0';
	for (const char *p = q->query; *p;) {
		size_t k = strcspn(p, "&");

		if (!strncmp(p, name, n) && p[n] == '=') {
			snprintf(out, room, "%.*s", (int)(k - n - 1), p + n + 1);
			unescape(out);
			return true;
		}
		p += k + (p[k] == '&');
	}
	return false;
}

static bool read_all(int fd, char *p, size_t n)
{
	while (n) {
		ssize_t rc = recv(fd, p, n, 0);

		if (rc <= 0)
			return false;
		p += rc;
		n -= (size_t)rc;
	}
	return true;
}

static bool read_head(int fd, char *head)
{
	size_t n = 0;

	while (n < HEAD_MAX - 1) {
		if (recv(fd, head + n, 1, 0) != 1)
			return false;
		n++;
		if (n >= 4 && !memcmp(head + n - 4, "\r\n\r\n", 4)) {
			head[n - 2] = '\0';
			return true;
		}
	}
	return false;
}

static bool read_request(struct s3srv *s, int fd, struct request *q)
{
	static const char bucket[] = "/" S3SRV_BUCKET;
	char path[10240], v[256], *mark;

	memset(q, 0, sizeof(*q));
	if (!read_head(fd, q->head))
		return false;
	if (sscanf(q->head, "%7s %10239s HTTP/1.1", q->method, path) != 2)
		return false;
	memmove(q->head, strchr(q->head, '\n') + 1, strlen(strchr(q->head, '\n')));
	mark = strchr(path, '?');
	if (mark) {
		*mark = '\0';
		snprintf(q->query, sizeof(q->query), "%s", mark + 1);
	}
	if (strncmp(path, bucket, sizeof(bucket) - 1) != 0)
		return false;
	snprintf(q->key, sizeof(q->key), "%s",
		 path + sizeof(bucket) - 1 + (path[sizeof(bucket) - 1] == '/'));
	unescape(q->key);
	q->op = !strcmp(q->method, "PUT")    ? S3SRV_PUT :
		!strcmp(q->method, "DELETE") ? S3SRV_DELETE :
		q->key[0]		     ? S3SRV_GET :
					       S3SRV_LIST;
	if (header(q, "content-length", v, sizeof(v)))
		q->len = (size_t)strtoull(v, NULL, 10);
	q->body = malloc(q->len + 1);
	assert(q->body);
	if (!read_all(fd, q->body, q->len))
		return false;
	q->create = header(q, "if-none-match", v, sizeof(v)) && !strcmp(v, "*");
	q->ranged = header(q, "range", v, sizeof(v)) &&
		    sscanf(v, "bytes=%lu-%lu", &q->from, &q->to) == 2;
	pthread_mutex_lock(&s->lock);
	s->counts.puts += q->op == S3SRV_PUT;
	s->counts.gets += q->op == S3SRV_GET;
	s->counts.lists += q->op == S3SRV_LIST;
	s->counts.deletes += q->op == S3SRV_DELETE;
	s->counts.bytes_in += q->len;
	snprintf(s->last, sizeof(s->last), "%s %.1000s\n%.7000s", q->method, path, q->head);
	pthread_mutex_unlock(&s->lock);
	return true;
}

/* ---- answering --------------------------------------------------------------------------- */

static bool send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t rc = send(fd, p, n, MSG_NOSIGNAL);

		if (rc <= 0)
			return false;
		p += rc;
		n -= (size_t)rc;
	}
	return true;
}

struct reply {
	unsigned int status;
	char headers[1024];
	const char *body;
	size_t len; /* of the body ... */
	size_t claim; /* ... and what Content-Length says; ~0: it is not there */
	size_t stop; /* so much of the body is sent */
	char text[2048]; /* may be the body */
};

static bool send_reply(struct s3srv *s, int fd, const struct reply *a)
{
	char head[2048], date[64];
	time_t t;
	struct tm tm;

	pthread_mutex_lock(&s->lock);
	t = time(NULL) + s->skew;
	s->counts.bytes_out += a->stop;
	pthread_mutex_unlock(&s->lock);
	gmtime_r(&t, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	snprintf(head, sizeof(head), "HTTP/1.1 %u X\r\nDate: %s\r\n%s", a->status, date,
		 a->headers);
	if (a->claim != ~(size_t)0)
		snprintf(head + strlen(head), sizeof(head) - strlen(head),
			 "Content-Length: %zu\r\n", a->claim);
	strcat(head, "\r\n");
	return send_all(fd, head, strlen(head)) && send_all(fd, a->body, a->stop) &&
	       a->stop == a->claim;
}

static void set_body(struct reply *a, const char *body, size_t len)
{
	a->body = body;
	a->len = a->claim = a->stop = len;
}

static void error(struct reply *a, unsigned int status, const char *code, const char *more)
{
	a->status = status;
	if (!*code) {
		set_body(a, "", 0);
		return;
	}
	snprintf(a->text, sizeof(a->text),
		 "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code>"
		 "<Message>because of a test</Message>%s<RequestId>1</RequestId></Error>",
		 code, more);
	set_body(a, a->text, strlen(a->text));
}

static void put(struct s3srv *s, const struct request *q, struct reply *a)
{
	if (q->create && s3objs_find(&s->objs, q->key)) {
		error(a, 412, "PreconditionFailed", "");
		return;
	}
	s3objs_put(&s->objs, q->key, q->body, q->len);
	a->status = 200;
	strcpy(a->headers, "ETag: \"0123\"\r\n");
	set_body(a, "", 0);
}

/* The body is a copy: the object may go while it is sent. */
static char *get(struct s3srv *s, const struct request *q, struct reply *a)
{
	const struct s3obj *o = s3objs_find(&s->objs, q->key);
	size_t from = q->ranged ? q->from : 0, end;
	char *copy;

	if (!o) {
		error(a, 404, "NoSuchKey", "");
		return NULL;
	}
	if (q->ranged && from >= o->len) {
		error(a, 416, "InvalidRange", "");
		if (!s->bare_416)
			sprintf(a->headers, "Content-Range: bytes */%zu\r\n", o->len);
		return NULL;
	}
	end = q->ranged && q->to < o->len ? q->to + 1 : o->len;
	copy = malloc(end - from + 1);
	assert(copy);
	memcpy(copy, o->data + from, end - from);
	a->status = q->ranged ? 206 : 200;
	strcpy(a->headers, "ETag: \"0123\"\r\n");
	if (q->ranged)
		sprintf(a->headers + strlen(a->headers), "Content-Range: bytes %zu-%zu/%zu\r\n",
			from, end - 1, o->len);
	set_body(a, copy, end - from);
	return copy;
}

static char *list(struct s3srv *s, const struct request *q, struct reply *a)
{
	char max[16], how[8], token[2048], *body;
	struct s3listing l = { .bucket = S3SRV_BUCKET, .keys = S3LISTING_PLAIN };
	size_t len;

	l.max = param(q, "max-keys", max, sizeof(max)) ? strtoul(max, NULL, 10) : 1000;
	if (l.max > s->page)
		l.max = s->page;
	param(q, "prefix", l.prefix, sizeof(l.prefix));
	param(q, "start-after", l.after, sizeof(l.after));
	if (param(q, "continuation-token", token, sizeof(token)))
		s3listing_resume(&l, token);
	if (param(q, "encoding-type", how, sizeof(how)) && !strcmp(how, "url"))
		l.keys = s->keys;
	body = s3listing_write(&l, &s->objs, &len);
	a->status = 200;
	set_body(a, body, len);
	return body;
}

/* ---- what a real one checks -------------------------------------------------------------- */

static bool hash_ok(const struct request *q)
{
	unsigned char md[EVP_MAX_MD_SIZE], sum[4], b64[16];
	char want[128], hex[65] = "";
	unsigned int n;
	uint32_t crc;

	if (!header(q, "x-amz-content-sha256", want, sizeof(want)))
		return false;
	assert(EVP_Digest(q->body, q->len, md, &n, EVP_sha256(), NULL) && n == 32);
	for (unsigned int i = 0; i < n; i++)
		sprintf(hex + 2 * i, "%02x", md[i]);
	if (strcmp(hex, want) != 0)
		return false;
	if (q->op != S3SRV_PUT)
		return true;
	if (!header(q, "x-amz-checksum-crc32c", want, sizeof(want)))
		return false;
	crc = crc32c(0, q->body, q->len);
	for (int i = 0; i < 4; i++)
		sum[i] = (unsigned char)(crc >> (24 - 8 * i));
	EVP_EncodeBlock(b64, sum, 4);
	return !strcmp((char *)b64, want);
}

static bool over(const char *token)
{
	return !strncmp(token, "until-", 6) && strtoll(token + 6, NULL, 10) <= (int64_t)time(NULL);
}

/* True: @a is a refusal. */
static bool refuse(struct s3srv *s, const struct request *q, struct reply *a)
{
	char auth[1024] = "", date[32] = "", token[256] = "", scope[128], more[128];
	struct tm tm = { 0 };
	int64_t off;

	header(q, "authorization", auth, sizeof(auth));
	header(q, "x-amz-date", date, sizeof(date));
	header(q, "x-amz-security-token", token, sizeof(token));
	if (!strptime(date, "%Y%m%dT%H%M%SZ", &tm)) {
		error(a, 403, "AccessDenied", "");
		return true;
	}
	off = (int64_t)timegm(&tm) - (int64_t)time(NULL) - s->skew;
	snprintf(scope, sizeof(scope), "AWS4-HMAC-SHA256 Credential=" S3SRV_ACCESS "/%.8s/", date);
	if (off > SKEW_MAX || off < -SKEW_MAX)
		error(a, 403, "RequestTimeTooSkewed", "");
	else if (strncmp(auth, scope, strlen(scope)) != 0)
		error(a, 403, "InvalidAccessKeyId", "");
	else if (s->token[0] ? strcmp(token, s->token) != 0 : over(token))
		error(a, 400, "ExpiredToken", "");
	else if (strncmp(auth + strlen(scope), s->region, strlen(s->region)) != 0 ||
		 auth[strlen(scope) + strlen(s->region)] != '/') {
		snprintf(more, sizeof(more), "<Region>%s</Region>", s->region);
		error(a, 400, "AuthorizationHeaderMalformed", more);
	} else if (!hash_ok(q)) {
		error(a, 400, "BadDigest", "");
	} else {
		return false;
	}
	s->counts.refused++;
	return true;
}

/* ---- rules ------------------------------------------------------------------------------- */

static bool find_rule(struct s3srv *s, const struct request *q, struct s3srv_rule *ret)
{
	char prefix[2048];
	const char *name = q->key;

	if (q->op == S3SRV_LIST && param(q, "prefix", prefix, sizeof(prefix)))
		name = prefix;
	for (unsigned int i = 0; i < s->nr_rules; i++) {
		struct rule *u = &s->rules[i];

		if (!(u->r.ops & q->op) || (u->r.name && !strstr(name, u->r.name)))
			continue;
		if (u->seen++ < u->r.skip || (u->r.times && u->done >= u->r.times))
			continue;
		u->done++;
		*ret = u->r;
		return true;
	}
	return false;
}

static void cut(int fd)
{
	struct linger l = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static void hang(struct s3srv *s, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };
	unsigned int at;

	pthread_mutex_lock(&s->lock);
	at = s->release;
	while (!s->stop && s->release == at) {
		pthread_mutex_unlock(&s->lock);
		if (poll(&p, 1, 20) > 0) {
			pthread_mutex_lock(&s->lock);
			break;
		}
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
}

static bool carry_out(struct s3srv *s, const struct request *q, struct reply *a, char **body)
{
	bool ok = false;

	pthread_mutex_lock(&s->lock);
	if (!refuse(s, q, a)) {
		ok = true;
		switch (q->op) {
		case S3SRV_PUT:
			put(s, q, a);
			break;
		case S3SRV_GET:
			*body = get(s, q, a);
			break;
		case S3SRV_LIST:
			*body = list(s, q, a);
			break;
		default:
			s3objs_delete(&s->objs, q->key);
			a->status = 204;
			a->body = "";
			a->claim = ~(size_t)0;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return ok;
}

static void html(struct reply *a, unsigned int status, bool said)
{
	a->status = status;
	strcpy(a->headers, said ? "Content-Type: text/html\r\n" : "");
	strcpy(a->text, "<!DOCTYPE html><html><head><title>Log in</title></head><body><p>Welcome"
			"<br>to this hotel</body></html>");
	set_body(a, a->text, strlen(a->text));
}

/* Makes of a GET's good answer a wrong one. */
static void spoil(const struct s3srv_rule *r, const struct request *q, struct reply *a)
{
	size_t total = 0;
	const char *slash = strchr(a->headers, '/');

	if (slash)
		total = strtoul(slash + 1, NULL, 10);
	if (r->act == S3SRV_SHORT || r->act == S3SRV_LATE_HANG) {
		a->stop = a->len / 2;
	} else if (r->act == S3SRV_LESS) {
		set_body(a, a->body, a->len / 2);
		sprintf(a->headers, "ETag: \"1\"\r\nContent-Range: bytes %lu-%lu/%zu\r\n", q->from,
			q->from + a->len - 1, total);
	} else if (r->act == S3SRV_SHIFTED) {
		sprintf(a->headers, "ETag: \"1\"\r\nContent-Range: bytes %lu-%lu/%zu\r\n",
			q->from + 1, q->from + a->len, total + 1);
	} else if (r->act == S3SRV_MORE) {
		static char much[65536];

		a->body = much;
		a->len = a->stop = sizeof(much);
		a->claim = ~(size_t)0;
		strcat(a->headers, "Connection: close\r\n");
	}
}

/* One request. False: the connection ends. */
static bool serve_one(struct s3srv *s, int fd)
{
	struct request *q = malloc(sizeof(*q));
	struct reply *a = calloc(1, sizeof(*a));
	struct s3srv_rule r;
	char *body = NULL;
	bool ruled, go_on;

	assert(q && a);
	go_on = read_request(s, fd, q);
	if (!go_on)
		goto out;
	pthread_mutex_lock(&s->lock);
	ruled = find_rule(s, q, &r);
	pthread_mutex_unlock(&s->lock);
	if (ruled && r.act == S3SRV_DELAY)
		usleep(r.ms * 1000);
	if (ruled && r.act == S3SRV_HANG) {
		hang(s, fd);
		go_on = false;
		goto out;
	}
	if (ruled && r.act == S3SRV_RESET) {
		cut(fd);
		go_on = false;
		goto out;
	}
	if (ruled && r.act == S3SRV_STATUS)
		error(a, r.status, r.code, "");
	else if (ruled && (r.act == S3SRV_HTML || r.act == S3SRV_PAGE))
		html(a, r.status, r.act == S3SRV_HTML);
	else
		carry_out(s, q, a, &body);
	if (ruled && r.act == S3SRV_LATE_STATUS)
		error(a, r.status, r.code, "");
	if (ruled && r.act == S3SRV_LATE_RESET) {
		cut(fd);
		go_on = false;
		goto out;
	}
	if (ruled && r.header)
		sprintf(a->headers + strlen(a->headers), "%s\r\n", r.header);
	if (ruled && a->status < 300)
		spoil(&r, q, a);
	go_on = send_reply(s, fd, a) || (a->status == 204 && !(ruled && r.act == S3SRV_MORE));
	if (ruled && r.act == S3SRV_LATE_HANG)
		hang(s, fd);
out:
	free(body);
	free(q->body);
	free(q);
	free(a);
	return go_on;
}

/* ---- connections ------------------------------------------------------------------------- */

static void *conn_thread(void *arg)
{
	struct conn *c = arg;
	struct s3srv *s = c->s;
	int fd = c->fd;

	free(c);
	while (serve_one(s, fd))
		;
	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < s->nr_conns; i++)
		if (s->conns[i] == fd)
			s->conns[i--] = s->conns[--s->nr_conns];
	close(fd);
	s->nr_threads--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void *accept_thread(void *arg)
{
	struct s3srv *s = arg;
	int one = 1;

	for (;;) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
		struct conn *c;
		pthread_t t;

		if (fd < 0)
			return NULL;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c = malloc(sizeof(*c));
		assert(c);
		*c = (struct conn){ s, fd };
		pthread_mutex_lock(&s->lock);
		s->counts.connections++;
		assert(s->nr_conns < CONNS_MAX);
		s->conns[s->nr_conns++] = fd;
		s->nr_threads++;
		pthread_mutex_unlock(&s->lock);
		assert(!pthread_create(&t, NULL, conn_thread, c));
		pthread_detach(t);
	}
}

struct s3srv *s3srv_new(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct s3srv *s = calloc(1, sizeof(*s));
	socklen_t n = sizeof(a);

	assert(s);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	strcpy(s->region, "us-east-1");
	s->page = 1000;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert(s->fd >= 0);
	assert(!bind(s->fd, (struct sockaddr *)&a, sizeof(a)));
	assert(!listen(s->fd, 256));
	assert(!getsockname(s->fd, (struct sockaddr *)&a, &n));
	s->port = ntohs(a.sin_port);
	assert(!pthread_create(&s->acceptor, NULL, accept_thread, s));
	return s;
}

void s3srv_free(struct s3srv *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->acceptor, NULL);
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	for (unsigned int i = 0; i < s->nr_conns; i++)
		shutdown(s->conns[i], SHUT_RDWR);
	while (s->nr_threads)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	close(s->fd);
	s3objs_free(&s->objs);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- settings ---------------------------------------------------------------------------- */

unsigned int s3srv_port(const struct s3srv *s)
{
	return s->port;
}

void s3srv_rule(struct s3srv *s, const struct s3srv_rule *r)
{
	pthread_mutex_lock(&s->lock);
	assert(s->nr_rules < RULES);
	s->rules[s->nr_rules++] = (struct rule){ .r = *r };
	pthread_mutex_unlock(&s->lock);
}

void s3srv_clear(struct s3srv *s)
{
	pthread_mutex_lock(&s->lock);
	s->nr_rules = 0;
	pthread_mutex_unlock(&s->lock);
}

void s3srv_release(struct s3srv *s)
{
	pthread_mutex_lock(&s->lock);
	s->release++;
	pthread_mutex_unlock(&s->lock);
}

void s3srv_set_skew(struct s3srv *s, int64_t seconds)
{
	pthread_mutex_lock(&s->lock);
	s->skew = seconds;
	pthread_mutex_unlock(&s->lock);
}

void s3srv_set_region(struct s3srv *s, const char *region)
{
	pthread_mutex_lock(&s->lock);
	snprintf(s->region, sizeof(s->region), "%s", region);
	pthread_mutex_unlock(&s->lock);
}

void s3srv_set_token(struct s3srv *s, const char *token)
{
	pthread_mutex_lock(&s->lock);
	snprintf(s->token, sizeof(s->token), "%s", token);
	pthread_mutex_unlock(&s->lock);
}

void s3srv_set_page(struct s3srv *s, unsigned int n)
{
	pthread_mutex_lock(&s->lock);
	s->page = n;
	pthread_mutex_unlock(&s->lock);
}

void s3srv_set_keys(struct s3srv *s, enum s3listing_keys how)
{
	pthread_mutex_lock(&s->lock);
	s->keys = how;
	pthread_mutex_unlock(&s->lock);
}

void s3srv_set_bare_416(struct s3srv *s, bool bare)
{
	pthread_mutex_lock(&s->lock);
	s->bare_416 = bare;
	pthread_mutex_unlock(&s->lock);
}

void s3srv_plant(struct s3srv *s, const char *key, const char *text)
{
	pthread_mutex_lock(&s->lock);
	s3objs_put(&s->objs, key, text, strlen(text));
	pthread_mutex_unlock(&s->lock);
}

void s3srv_unplant(struct s3srv *s, const char *key)
{
	pthread_mutex_lock(&s->lock);
	s3objs_delete(&s->objs, key);
	pthread_mutex_unlock(&s->lock);
}

struct s3srv_counts s3srv_counts(struct s3srv *s)
{
	struct s3srv_counts c;

	pthread_mutex_lock(&s->lock);
	c = s->counts;
	pthread_mutex_unlock(&s->lock);
	return c;
}

void s3srv_last(struct s3srv *s, char *out, unsigned int len)
{
	pthread_mutex_lock(&s->lock);
	snprintf(out, len, "%s", s->last);
	pthread_mutex_unlock(&s->lock);
}
