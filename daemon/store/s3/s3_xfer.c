// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/s3_xfer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "store/s3/s3_msg.h"
#include "store/s3/s3_shared.h"

#define CONNECT_MS	5000L
#define SLOW_BYTES	1024L /* per second ... */
#define SLOW_S		15L /* ... for so long: given up */
#define CONN_IDLE_S	60L
#define CONN_LIFE_S	600L
#define DNS_S		30L
#define UPLOAD_BUFFER	2097152L
#define DOWNLOAD_BUFFER 524288L

#define NO_S3		"no list in XML and no object: is this S3?"
#define NO_LIST		"the answer is no list in XML: is this S3?"
#define NO_STORE	"the answer is not that of an S3 store"

/* ---- what curl asks for ------------------------------------------------------------------ */

static uint64_t now(const struct s3_xfer *x)
{
	return clock_mono_us(x->shared->clock);
}

static size_t on_read(char *p, size_t size, size_t nmemb, void *ctx)
{
	struct s3_xfer *x = ctx;
	const struct store_req *r = x->job->req;
	size_t room = size * nmemb, n = 0;

	if (x->shared->up.bps) {
		size_t piece = s3_cap_piece(&x->shared->up);

		if (room > piece)
			room = piece;
		if (!s3_cap_take(&x->shared->up, now(x), room)) {
			x->paused = &x->shared->up;
			return CURL_READFUNC_PAUSE;
		}
	}
	x->moved_us = now(x);
	while (n < room && x->iov < r->niov) {
		const struct iovec *v = &r->iov[x->iov];
		size_t k = v->iov_len - x->iov_off;

		if (k > room - n)
			k = room - n;
		if (k)
			memcpy(p + n, (const char *)v->iov_base + x->iov_off, k);
		n += k;
		x->iov_off += k;
		if (x->iov_off == v->iov_len) {
			x->iov++;
			x->iov_off = 0;
		}
	}
	return n;
}

static int on_seek(void *ctx, curl_off_t offset, int origin)
{
	struct s3_xfer *x = ctx;
	const struct store_req *r = x->job->req;
	uint64_t left = (uint64_t)offset;

	if (origin != SEEK_SET || offset < 0)
		return CURL_SEEKFUNC_CANTSEEK;
	x->iov = 0;
	while (x->iov < r->niov && left >= r->iov[x->iov].iov_len)
		left -= r->iov[x->iov++].iov_len;
	x->iov_off = (size_t)left;
	return x->iov == r->niov && left ? CURL_SEEKFUNC_FAIL : CURL_SEEKFUNC_OK;
}

/* Programs that credentials come from are not to inherit our connections. */
static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
	(void)ctx;
	(void)purpose;
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_header(char *p, size_t size, size_t nmemb, void *ctx)
{
	struct s3_xfer *x = ctx;

	x->moved_us = now(x);
	if (!x->first_us)
		x->first_us = x->moved_us;
	s3_answer_header(&x->a, p, size * nmemb);
	return size * nmemb;
}

static bool good(const struct s3_xfer *x)
{
	return x->a.status >= 200 && x->a.status < 300;
}

/* What to say of an answer that is not @what: a page is the likeliest. */
static const char *not_that(const struct s3_xfer *x, const char *what)
{
	return x->a.html ? "the answer is a page of HTML, " NO_S3 : what;
}

/* The head of a GET's answer, once. */
static int check_get(struct s3_xfer *x)
{
	const struct store_req *r = x->job->req;
	uint64_t off = x->job->sizing ? 0 : r->off, len = x->dst_len;

	if (x->checked)
		return 0;
	if (s3_answer_get(&x->a, off, len, &x->expect, &x->size)) {
		x->bad = not_that(x, "the answer is not the range that was asked for");
		return -EBADMSG;
	}
	x->checked = true;
	return 0;
}

static int take_get(struct s3_xfer *x, const char *p, size_t n)
{
	if (check_get(x))
		return -EBADMSG;
	if (n > x->expect - x->got) {
		x->bad = "the answer is longer than it says";
		return -EBADMSG;
	}
	memcpy(x->dst + x->got, p, n);
	x->got += n;
	return 0;
}

static size_t on_write(char *p, size_t size, size_t nmemb, void *ctx)
{
	struct s3_xfer *x = ctx;
	size_t n = size * nmemb;
	int rc = 0;

	if (!s3_cap_take(&x->shared->down, now(x), n)) {
		x->paused = &x->shared->down;
		return CURL_WRITEFUNC_PAUSE;
	}
	x->moved_us = now(x);
	if (!good(x)) {
		s3_answer_body(&x->a, p, n);
		return n;
	}
	switch (x->job->req->op) {
	case STORE_GET:
		rc = take_get(x, p, n);
		break;
	case STORE_LIST:
		rc = s3_list_feed(x->job->list, p, n);
		if (rc)
			x->bad = not_that(x, NO_LIST);
		break;
	default:
		/* A store says nothing there; a page may even have an ETag. */
		x->bad = not_that(x, NO_STORE);
		rc = -EBADMSG;
	}
	return rc ? 0 : n;
}

/* ---- the request ------------------------------------------------------------------------- */

static int hash_body(struct s3_xfer_job *job, bool tls)
{
	static const char digits[] = "0123456789abcdef";
	const struct store_req *r = job->req;
	unsigned char md[EVP_MAX_MD_SIZE], sum[4];
	EVP_MD_CTX *ctx = tls ? NULL : EVP_MD_CTX_new();
	unsigned int n = 0;
	uint32_t crc = 0;
	bool ok = tls || (ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL));
	int niov = r->op == STORE_PUT ? r->niov : 0;

	job->body_len = 0; /* a try before may have had no memory */
	for (int i = 0; i < niov && ok; i++) {
		const struct iovec *v = &r->iov[i];

		if (!v->iov_len)
			continue;
		job->body_len += v->iov_len;
		crc = crc32c(crc, v->iov_base, v->iov_len);
		ok = tls || EVP_DigestUpdate(ctx, v->iov_base, v->iov_len);
	}
	ok = ok && (tls || EVP_DigestFinal_ex(ctx, md, &n));
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return -ENOMEM;
	if (tls)
		strcpy(job->sha256, "UNSIGNED-PAYLOAD");
	for (unsigned int i = 0; i < n; i++) {
		job->sha256[2 * i] = digits[md[i] >> 4];
		job->sha256[2 * i + 1] = digits[md[i] & 15];
	}
	for (int i = 0; i < 4; i++)
		sum[i] = (unsigned char)(crc >> (24 - 8 * i));
	EVP_EncodeBlock((unsigned char *)job->crc32c, sum, sizeof(sum));
	job->hashed = true;
	return 0;
}

static void ask_list(struct s3_msg *m, const struct s3_list *l, char *prefix, char *after,
		     char *max)
{
	const char *from, *token;

	sprintf(max, "%u", s3_list_want(l));
	sprintf(prefix, "%s%s", l->root, l->req->name);
	s3_list_from(l, after, &from, &token);
	m->query[m->nr_query++] = (struct s3_msg_query){ "list-type", "2" };
	m->query[m->nr_query++] = (struct s3_msg_query){ "encoding-type", "url" };
	m->query[m->nr_query++] = (struct s3_msg_query){ "max-keys", max };
	m->query[m->nr_query++] = (struct s3_msg_query){ "prefix", prefix };
	if (token)
		m->query[m->nr_query++] = (struct s3_msg_query){ "continuation-token", token };
	if (from)
		m->query[m->nr_query++] = (struct s3_msg_query){ "start-after", from };
}

static int build(struct s3_xfer *x)
{
	static const char *const methods[STORE_NR_OPS] = {
		[STORE_PUT] = "PUT",
		[STORE_GET] = "GET",
		[STORE_LIST] = "GET",
		[STORE_DELETE] = "DELETE",
	};
	char key[S3_LIST_KEY_MAX], after[S3_LIST_KEY_MAX], range[64], max[16];

	static_assert(sizeof(key) >= S3_OPTS_PREFIX_MAX + 2 + STORE_NAME_MAX, "a key fits");
	const struct store_req *r = x->job->req;
	struct s3_msg m = {
		.o = &x->shared->o,
		.region = x->region,
		.creds = &x->creds,
		.method = methods[r->op],
		.key = key,
		.hash = x->job->sha256,
	};

	m.real_us = s3_shared_real_us(x->shared, &x->skew_us);
	if (r->op == STORE_LIST) {
		m.key = NULL;
		ask_list(&m, x->job->list, key, after, max);
	} else {
		snprintf(key, sizeof(key), "%s%s", x->shared->root, r->name);
	}
	if (r->op == STORE_PUT) {
		m.put = true;
		m.create = !r->replace;
		m.crc32c = x->job->crc32c;
	} else if (r->op == STORE_GET) {
		uint64_t off = x->job->sizing ? 0 : r->off;

		snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, off,
			 off + x->dst_len - 1);
		m.range = range;
	}
	return s3_msg_build(&m, &x->url, &x->headers);
}

static void set_up(struct s3_xfer *x, unsigned int flags)
{
	const struct s3_opts *o = &x->shared->o;
	CURL *e = x->easy;

	curl_easy_setopt(e, CURLOPT_PRIVATE, x);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->error);
	curl_easy_setopt(e, CURLOPT_URL, x->url);
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, s3_opts_tls(o) ? "https" : "http");
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, x->headers);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* Or the end of an exchange waits for its getaddrinfo(), and all others with it. */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, DOWNLOAD_BUFFER);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	/* Under a cap slow is what we are: s3_io.c looks whether anything moves. */
	if (!s3_shared_capped(x->shared)) {
		curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
		curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, SLOW_S);
	}
	curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, CONN_IDLE_S);
	curl_easy_setopt(e, CURLOPT_MAXLIFETIME_CONN, CONN_LIFE_S);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_DNS_SHUFFLE_ADDRESSES, 1L);
	curl_easy_setopt(e, CURLOPT_DNS_CACHE_TIMEOUT, flags & S3_XFER_FRESH ? 0L : DNS_S);
	curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, flags & S3_XFER_FRESH ? 1L : 0L);
	if (o->ca[0])
		curl_easy_setopt(e, CURLOPT_CAINFO, o->ca);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
	switch (x->job->req->op) {
	case STORE_PUT:
		curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(e, CURLOPT_READDATA, x);
		curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(e, CURLOPT_SEEKDATA, x);
		curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->job->body_len);
		break;
	case STORE_DELETE:
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, "DELETE");
		break;
	default:
		curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
	}
}

/* Where a GET's bytes go: to the caller, or to memory of our own. */
static int make_room(struct s3_xfer *x, unsigned int flags)
{
	const struct store_req *r = x->job->req;

	if (r->op != STORE_GET)
		return 0;
	x->dst_len = x->job->sizing ? 1 : r->len;
	x->dst = r->buf;
	x->own = x->job->sizing || flags & S3_XFER_OWN;
	if (x->own)
		x->dst = malloc(x->dst_len);
	return x->dst ? 0 : -ENOMEM;
}

int s3_xfer_begin(struct s3_xfer *x, struct s3_shared *shared, struct s3_xfer_job *job,
		  const struct creds *creds, unsigned int flags)
{
	int rc;

	list_init(&x->link);
	s3_answer_init(&x->a);
	x->shared = shared;
	x->job = job;
	x->creds = *creds;
	s3_shared_region(shared, x->region);
	rc = make_room(x, flags);
	if (!rc && !job->hashed)
		rc = hash_body(job, s3_opts_tls(&shared->o));
	if (!rc && job->list)
		rc = s3_list_page_begin(job->list);
	if (!rc)
		rc = build(x);
	if (!rc) {
		x->easy = curl_easy_init();
		rc = x->easy ? 0 : -ENOMEM;
	}
	if (rc) {
		s3_xfer_end(x);
		return rc;
	}
	set_up(x, flags);
	x->begun_us = x->moved_us = now(x);
	return 0;
}

void s3_xfer_take(struct s3_xfer *x)
{
	if (x->own && !x->job->sizing && x->got)
		memcpy(x->job->req->buf, x->dst, x->got);
}

void s3_xfer_bytes(const struct s3_xfer *x, uint64_t *ret_up, uint64_t *ret_down)
{
	curl_off_t up = 0, down = 0;

	curl_easy_getinfo(x->easy, CURLINFO_SIZE_UPLOAD_T, &up);
	curl_easy_getinfo(x->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	*ret_up = up > 0 ? (uint64_t)up : 0;
	*ret_down = down > 0 ? (uint64_t)down : 0;
}

void s3_xfer_end(struct s3_xfer *x)
{
	if (x->easy)
		curl_easy_cleanup(x->easy);
	curl_slist_free_all(x->headers);
	free(x->url);
	s3_answer_free(&x->a);
	if (x->own)
		free(x->dst);
	explicit_bzero(x, sizeof(*x));
}

/* ---- the verdict ------------------------------------------------------------------------- */

static const char *op_name(const struct s3_xfer *x)
{
	static const char *const names[STORE_NR_OPS] = { "PUT", "GET", "LIST", "DELETE" };

	return names[x->job->req->op];
}

static void done(struct s3_xfer_verdict *v, ssize_t res)
{
	v->done = true;
	v->res = res;
}

static void nonsense(struct s3_xfer *x, struct s3_xfer_verdict *v, const char *what)
{
	s3_shared_say(x->shared, x->job->req->op, "s3://%s: %s: %s", x->shared->o.bucket,
		      op_name(x), what);
	v->e = (struct s3_error){ S3_ERROR_RETRY, -EIO };
}

static void judge_get(struct s3_xfer *x, struct s3_xfer_verdict *v)
{
	const struct store_req *r = x->job->req;

	if (check_get(x)) {
		nonsense(x, v, x->bad);
	} else if (x->got != x->expect) {
		nonsense(x, v, "the answer is shorter than it says");
	} else if (x->job->sizing && r->len && x->size > r->off) {
		nonsense(x, v, "a range is there and is not");
	} else {
		v->size = x->size;
		done(v, x->job->sizing ? 0 : (ssize_t)x->got);
	}
}

static void judge_good(struct s3_xfer *x, struct s3_xfer_verdict *v)
{
	int rc;

	switch (x->job->req->op) {
	case STORE_PUT:
		/* What is on the way and says 200 to everything knows no ETag, or has a body. */
		if (x->a.status == 200 && x->a.etag)
			done(v, 0);
		else
			nonsense(x, v, not_that(x, NO_STORE));
		break;
	case STORE_GET:
		judge_get(x, v);
		break;
	case STORE_LIST:
		rc = x->a.status == 200 ? s3_list_page_end(x->job->list) : -EBADMSG;
		if (rc < 0) {
			nonsense(x, v, not_that(x, NO_LIST));
			break;
		}
		v->more = !rc;
		done(v, (ssize_t)x->job->list->n);
		break;
	default:
		if (x->a.status == 204 || x->a.status == 200)
			done(v, 0);
		else
			nonsense(x, v, not_that(x, NO_STORE));
	}
}

/* A GET that began at the end or beyond it. How long the object is must be known. */
static void judge_range(struct s3_xfer *x, struct s3_xfer_verdict *v)
{
	const struct store_req *r = x->job->req;
	uint64_t off = x->job->sizing ? 0 : r->off;

	if (x->a.sized && x->a.total <= off) {
		v->size = x->a.total;
		done(v, 0);
	} else if (x->a.sized || x->a.ranged || x->a.range_bad) {
		nonsense(x, v, "a range is there and is not");
	} else if (x->job->sizing) {
		v->size = 0; /* not even a first byte */
		done(v, 0);
	} else {
		v->e = (struct s3_error){ S3_ERROR_RANGE, -EIO };
	}
}

static const char *reason(const struct s3_xfer *x)
{
	if (x->a.code[0])
		return x->a.code;
	if (x->a.status >= 300 && x->a.status < 400)
		return "(a redirect that S3 does not give)";
	return x->a.html ? "with a page of HTML: is this S3?" : "without a reason that S3 knows";
}

static void judge_bad(struct s3_xfer *x, struct s3_xfer_verdict *v)
{
	const struct store_req *r = x->job->req;
	const char *advice;

	s3_answer_end(&x->a);
	v->e = s3_error_http(r->op, !r->replace, x->a.status, x->a.code,
			     x->a.region[0] && strcmp(x->a.region, x->region) != 0);
	if (v->e.act == S3_ERROR_ANSWER) {
		done(v, v->e.err);
		return;
	}
	if (v->e.act == S3_ERROR_RANGE) {
		judge_range(x, v);
		return;
	}
	/* A page is somebody else's refusal, about which S3's rights say nothing. */
	advice = x->a.html ? NULL : s3_error_advice(x->a.status, x->a.code);
	s3_shared_say(x->shared, x->job->req->op, "s3://%s: %s: %u %s%s%s%s%.120s%s%s",
		      x->shared->o.bucket, op_name(x), x->a.status, reason(x),
		      x->a.place[0] ? " to " : "", x->a.place, x->a.message[0] ? ": " : "",
		      x->a.message, advice ? "; " : "", advice ? advice : "");
}

void s3_xfer_judge(struct s3_xfer *x, int code, struct s3_xfer_verdict *v)
{
	memset(v, 0, sizeof(*v));
	if (x->bad) {
		nonsense(x, v, x->bad);
	} else if (code == CURLE_PARTIAL_FILE && good(x)) {
		nonsense(x, v, "the answer is shorter than it says");
	} else if (code) {
		v->e = s3_error_curl(code);
		s3_shared_say(
			x->shared, x->job->req->op, "s3://%s: %s: %s%s", x->shared->o.bucket,
			op_name(x), x->error[0] ? x->error : curl_easy_strerror((CURLcode)code),
			code == CURLE_SSL_CONNECT_ERROR ? "; is the endpoint one of https?" : "");
	} else if (good(x)) {
		judge_good(x, v);
	} else {
		judge_bad(x, v);
	}
	if (!v->done)
		v->cause = s3_error_cause(code, x->a.status, &v->e);
}
