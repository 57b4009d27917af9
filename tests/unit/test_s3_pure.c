// SPDX-License-Identifier: GPL-2.0-or-later
/* The parts of the S3 store that do no I/O: by table. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "base/clock.h"
#include "lib/testrand.h"
#include "store/s3/s3_answer.h"
#include "store/s3/s3_cap.h"
#include "store/s3/s3_error.h"
#include "store/s3/s3_hedge.h"
#include "store/s3/s3_list.h"
#include "store/s3/s3_opts.h"
#include "store/s3/s3_retry.h"

/* ---- URLs -------------------------------------------------------------------------------- */

static char *no_env(const char *name)
{
	(void)name;
	return NULL;
}

static char *some_env(const char *name)
{
	return !strcmp(name, "AWS_ENDPOINT_URL")   ? "https://minio.example:9000/" :
	       !strcmp(name, "AWS_DEFAULT_REGION") ? "eu-north-1" :
	       !strcmp(name, "AWS_CA_BUNDLE")	   ? "/etc/ca.pem" :
						     NULL;
}

static void good_urls(void **state)
{
	static const struct {
		const char *url, *bucket, *prefix, *host;
		bool tls;
	} t[] = {
		{ "s3://abc", "abc", "", "abc.s3.us-east-1.amazonaws.com", true },
		{ "s3://abc/", "abc", "", "abc.s3.us-east-1.amazonaws.com", true },
		{ "s3://abc/a/b//?region=cn-north-1", "abc", "a/b",
		  "abc.s3.cn-north-1.amazonaws.com.cn", true },
		{ "s3://a.b.c/x%20y%2fz", "a.b.c", "x y/z", "s3.us-east-1.amazonaws.com", true },
		{ "s3://abc?endpoint=https://Host:443/", "abc", "", "host", true },
		{ "s3://abc?endpoint=http://h:80&plain-http=yes", "abc", "", "h", false },
		{ "s3://abc/p?endpoint=http://h:8080&plain-http=yes&style=virtual", "abc", "p",
		  "abc.h:8080", false },
		{ "s3://abc?endpoint=https://[::1]:9", "abc", "", "[::1]:9", true },
		{ "s3://abc?style=path", "abc", "", "s3.us-east-1.amazonaws.com", true },
	};
	struct s3_opts o;
	char err[512], host[400];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(s3_opts_parse(&o, t[i].url, err, sizeof(err)), 0);
		assert_int_equal(s3_opts_complete(&o, no_env, err, sizeof(err)), 0);
		assert_string_equal(o.bucket, t[i].bucket);
		assert_string_equal(o.prefix, t[i].prefix);
		assert_int_equal(s3_opts_host(&o, o.region, host, sizeof(host)), t[i].tls);
		assert_string_equal(host, t[i].host);
	}
	assert_int_equal(s3_opts_parse(&o,
				       "s3://abc?storage-class=STANDARD_IA&sse=aws:kms&"
				       "sse-kms-key=arn:aws:kms:a:1:key/2&requester-pays=yes&"
				       "profile=p&credentials=/c&ca=/x&up=12.5&down=0.001",
				       err, sizeof(err)),
			 0);
	assert_string_equal(o.storage_class, "STANDARD_IA");
	assert_string_equal(o.sse, "aws:kms");
	assert_string_equal(o.sse_key, "arn:aws:kms:a:1:key/2");
	assert_true(o.requester_pays);
	assert_string_equal(o.profile, "p");
	assert_string_equal(o.credentials, "/c");
	assert_int_equal(o.up_bps, 12500000);
	assert_int_equal(o.down_bps, 1000);
	assert_int_equal(s3_opts_complete(&o, some_env, err, sizeof(err)), 0);
	assert_string_equal(o.endpoint, "https://minio.example:9000");
	assert_string_equal(o.region, "eu-north-1");
	assert_string_equal(o.ca, "/x");
	assert_true(o.path_style);
}

static void bad_urls(void **state)
{
	static const char *const t[][2] = {
		{ "s3://", "names no bucket" },
		{ "s3:///x", "names no bucket" },
		{ "s3://ab", "'ab' is no bucket's name" },
		{ "s3://ABC", "no bucket's name" },
		{ "s3://-abc", "no bucket's name" },
		{ "s3://key:hunter2@abc", "no key or secret may stand in it" },
		{ "s3://key:hunt/hunter2@abc/x", "no key or secret may stand in it" },
		{ "s3://AKIAAAAAAAAAAAAAAAAA:hunter2hunter2hunter2hunter2hunter2hunter@abc/x",
		  "no key or secret may stand in it" },
		{ "s3://abc/a//b", "component" },
		{ "s3://abc/../b", "component" },
		{ "s3://abc/%zz", "prefix is malformed" },
		{ "s3://abc/%00", "prefix is malformed" },
		{ "s3://abc?regoin=x", "did you mean 'region'?" },
		{ "s3://abc?frobnicate=x", "there is no parameter 'frobnicate'" },
		{ "s3://abc?secret-key=hunter2", "no key or secret may stand in it" },
		{ "s3://abc?region", "'region' has no value" },
		{ "s3://abc?region=a&region=b", "there twice" },
		{ "s3://abc?region=a/b", "no region's name" },
		{ "s3://abc?style=old", "neither path nor virtual" },
		{ "s3://abc?plain-http=1", "neither yes nor no" },
		{ "s3://abc?endpoint=host:80", "must begin with https:// or http://" },
		{ "s3://abc?endpoint=https://h:0", "port" },
		{ "s3://abc?endpoint=https://h/path", "nothing else" },
		{ "s3://abc?endpoint=https://u:hunter2@h", "no key or secret may stand in it" },
		{ "s3://abc?ca=x.pem", "absolute path" },
		{ "s3://abc?sse=rot13", "neither AES256" },
		{ "s3://abc?sse-kms-key=x", "goes with sse=aws:kms" },
		{ "s3://abc?up=0", "number of MB/s" },
		{ "s3://abc?up=1.2345", "number of MB/s" },
		{ "s3://abc?up=-1", "number of MB/s" },
		{ "s3://abc?up=1.", "number of MB/s" },
		{ "s3://abc?storage-class=a%0d%0aX", "malformed" },
		{ "s3://abc?storage-class=a%20b", "odd character" },
	};
	struct s3_opts o;
	char err[512];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(s3_opts_parse(&o, t[i][0], err, sizeof(err)), -EINVAL);
		if (!strstr(err, t[i][1]))
			fail_msg("%s: %s", t[i][0], err);
		assert_null(strchr(err, '\n'));
		assert_null(strstr(err, "hunter2"));
	}
	assert_int_equal(s3_opts_parse(&o, "s3://abc?endpoint=http://h", err, sizeof(err)), 0);
	assert_int_equal(s3_opts_complete(&o, no_env, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "plain-http=yes"));
}

/* ---- errors ------------------------------------------------------------------------------ */

static void errors(void **state)
{
	static const struct {
		enum store_op op;
		bool create;
		unsigned int status;
		const char *code;
		enum s3_error_act act;
		int err;
	} t[] = {
		/* answers: only where both say so, and only to who may hear it */
		{ STORE_PUT, true, 412, "PreconditionFailed", S3_ERROR_ANSWER, -EEXIST },
		{ STORE_PUT, false, 412, "PreconditionFailed", S3_ERROR_RETRY, -EIO },
		{ STORE_GET, true, 412, "PreconditionFailed", S3_ERROR_RETRY, -EIO },
		{ STORE_PUT, true, 412, "", S3_ERROR_RETRY, -EIO },
		{ STORE_PUT, true, 409, "ConditionalRequestConflict", S3_ERROR_RETRY, -EIO },
		{ STORE_PUT, true, 409, "OperationAborted", S3_ERROR_RETRY, -EIO },
		{ STORE_PUT, true, 409, "PreconditionFailed", S3_ERROR_FAIL, -EACCES },
		{ STORE_GET, false, 404, "NoSuchKey", S3_ERROR_ANSWER, -ENOENT },
		{ STORE_GET, false, 404, "", S3_ERROR_RETRY, -EIO },
		{ STORE_GET, false, 404, "NoSuchBucket", S3_ERROR_FAIL, -EACCES },
		{ STORE_LIST, false, 404, "NoSuchKey", S3_ERROR_FAIL, -EACCES },
		{ STORE_PUT, true, 404, "NoSuchKey", S3_ERROR_FAIL, -EACCES },
		{ STORE_DELETE, false, 404, "NoSuchKey", S3_ERROR_ANSWER, 0 },
		{ STORE_DELETE, false, 404, "", S3_ERROR_RETRY, -EIO },
		{ STORE_GET, false, 416, "InvalidRange", S3_ERROR_RANGE, -EIO },
		{ STORE_PUT, true, 416, "InvalidRange", S3_ERROR_RETRY, -EIO },
		/* again */
		{ STORE_PUT, true, 500, "InternalError", S3_ERROR_RETRY, -EIO },
		{ STORE_PUT, true, 500, "", S3_ERROR_RETRY, -EIO },
		{ STORE_GET, false, 502, "", S3_ERROR_RETRY, -EIO },
		{ STORE_GET, false, 503, "", S3_ERROR_RETRY, -EIO },
		{ STORE_GET, false, 504, "", S3_ERROR_RETRY, -ETIMEDOUT },
		{ STORE_PUT, true, 400, "RequestTimeout", S3_ERROR_RETRY, -ETIMEDOUT },
		{ STORE_PUT, true, 400, "BadDigest", S3_ERROR_RETRY, -EIO },
		{ STORE_PUT, true, 503, "SlowDown", S3_ERROR_THROTTLED, -EIO },
		{ STORE_PUT, true, 400, "ThrottlingException", S3_ERROR_THROTTLED, -EIO },
		{ STORE_PUT, true, 400, "Throttling", S3_ERROR_THROTTLED, -EIO },
		{ STORE_GET, false, 429, "", S3_ERROR_THROTTLED, -EIO },
		/* set right first */
		{ STORE_GET, false, 403, "RequestTimeTooSkewed", S3_ERROR_SKEWED, -EACCES },
		{ STORE_GET, false, 400, "ExpiredToken", S3_ERROR_CREDS, -EACCES },
		{ STORE_GET, false, 400, "ExpiredTokenException", S3_ERROR_CREDS, -EACCES },
		{ STORE_GET, false, 400, "InvalidToken", S3_ERROR_CREDS, -EACCES },
		{ STORE_GET, false, 403, "InvalidAccessKeyId", S3_ERROR_CREDS, -EACCES },
		/* nothing helps */
		{ STORE_GET, false, 403, "AccessDenied", S3_ERROR_FAIL, -EACCES },
		{ STORE_GET, false, 403, "", S3_ERROR_FAIL, -EACCES },
		{ STORE_GET, false, 401, "", S3_ERROR_FAIL, -EACCES },
		{ STORE_GET, false, 403, "SignatureDoesNotMatch", S3_ERROR_FAIL, -EACCES },
		{ STORE_PUT, true, 501, "NotImplemented", S3_ERROR_FAIL, -EACCES },
		{ STORE_PUT, true, 403, "QuotaExceeded", S3_ERROR_FAIL, -ENOSPC },
		{ STORE_PUT, true, 507, "", S3_ERROR_FAIL, -ENOSPC },
		/* what no server says */
		{ STORE_GET, false, 0, "", S3_ERROR_RETRY, -EIO },
		{ STORE_GET, false, 100, "", S3_ERROR_RETRY, -EIO },
		{ STORE_GET, false, 999, "", S3_ERROR_RETRY, -EIO },
	};
	/* with another region, and without one */
	static const struct {
		unsigned int status;
		const char *code;
		enum s3_error_act act;
	} moved[] = {
		{ 301, "PermanentRedirect", S3_ERROR_FAIL },
		{ 301, "", S3_ERROR_RETRY },
		{ 302, "", S3_ERROR_RETRY },
		{ 307, "", S3_ERROR_RETRY },
		{ 307, "TemporaryRedirect", S3_ERROR_RETRY },
		{ 308, "", S3_ERROR_RETRY },
		{ 400, "AuthorizationHeaderMalformed", S3_ERROR_FAIL },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(t) / sizeof(t[0]); i++) {
		size_t k = i / 2;
		/* a region that is named makes no difference there */
		struct s3_error e =
			s3_error_http(t[k].op, t[k].create, t[k].status, t[k].code, i % 2);

		if (e.act != t[k].act || e.err != t[k].err)
			fail_msg("%u %s: act %d err %d", t[k].status, t[k].code, e.act, e.err);
	}
	for (size_t i = 0; i < sizeof(moved) / sizeof(moved[0]); i++) {
		struct s3_error e =
			s3_error_http(STORE_GET, false, moved[i].status, moved[i].code, true);

		assert_int_equal(e.act, S3_ERROR_REGION);
		assert_int_equal(e.err, -EACCES);
		e = s3_error_http(STORE_GET, false, moved[i].status, moved[i].code, false);
		assert_int_equal(e.act, moved[i].act);
		assert_int_equal(e.err, moved[i].act == S3_ERROR_FAIL ? -EACCES : -EIO);
	}
	assert_int_equal(s3_error_curl(CURLE_RECV_ERROR).act, S3_ERROR_RETRY);
	assert_int_equal(s3_error_curl(CURLE_OPERATION_TIMEDOUT).err, -ETIMEDOUT);
	assert_int_equal(s3_error_curl(CURLE_PEER_FAILED_VERIFICATION).act, S3_ERROR_FAIL);
	assert_non_null(s3_error_advice(404, "NoSuchBucket"));
	assert_non_null(s3_error_advice(403, ""));
	assert_null(s3_error_advice(500, "InternalError"));
}

/* ---- retries ----------------------------------------------------------------------------- */

struct fake {
	struct clock clock;
	uint64_t us;
};

static uint64_t fake_us(struct clock *c)
{
	return ((struct fake *)c)->us;
}

static const struct clock_ops fake_ops = { .mono_us = fake_us, .real_us = fake_us };

static void retries(void **state)
{
	static const uint64_t most[2][5] = {
		{ 50000, 100000, 200000, 400000, 800000 },
		{ 1000000, 2000000, 4000000, 8000000, 16000000 },
	};
	struct fake f = { { &fake_ops }, 1000 };
	struct s3_error e[2] = { { S3_ERROR_RETRY, -EIO }, { S3_ERROR_THROTTLED, -EIO } };
	uint64_t at, sum, high;
	struct s3_retry r;

	(void)state;
	testrand_seed(3);
	for (int k = 0; k < 2; k++) {
		for (uint32_t i = 0; i < 5; i++) {
			sum = high = 0;
			for (int n = 0; n < 400; n++) {
				struct s3_retry_call c = { .tries = i };

				s3_retry_init(&r, &f.clock);
				assert_true(s3_retry_failed(&r, &c, &e[k], 0, &at));
				assert_int_equal(c.tries, i + 1);
				assert_in_range(at, f.us, f.us + most[k][i]);
				sum += at - f.us;
				high = at - f.us > high ? at - f.us : high;
			}
			/* full jitter: the whole of it, evenly */
			assert_in_range(sum / 400, most[k][i] * 2 / 5, most[k][i] * 3 / 5);
			assert_true(high > most[k][i] * 9 / 10);
		}
	}
	/* no more tries than that, and none of what nothing helps */
	struct s3_retry_call last = { .tries = S3_RETRY_TRIES - 1 }, first = { 0 };
	struct s3_error fail = { S3_ERROR_FAIL, -EACCES }, late = { S3_ERROR_RETRY, -ETIMEDOUT };

	assert_false(s3_retry_failed(&r, &last, &e[0], 0, &at));
	assert_false(s3_retry_failed(&r, &first, &fail, 0, &at));
	/* the store's own wish, within reason */
	assert_true(s3_retry_failed(&r, &first, &e[0], 5000000, &at));
	assert_int_equal(at, f.us + 5000000);
	assert_true(s3_retry_failed(&r, &first, &e[0], 900000000, &at));
	assert_int_equal(at, f.us + S3_RETRY_MAX);
	/* the budget ends, dearer for time-outs, and is earned back by what goes well */
	s3_retry_init(&r, &f.clock);
	for (unsigned int i = 0; i < S3_RETRY_TOKENS / S3_RETRY_COST_TIMEOUT; i++) {
		first.tries = 0;
		assert_true(s3_retry_failed(&r, &first, &late, 0, &at));
	}
	first.tries = 0;
	assert_false(s3_retry_failed(&r, &first, &e[0], 0, &at));
	for (unsigned int i = 0; i < S3_RETRY_COST; i++) {
		assert_false(s3_retry_failed(&r, &first, &e[0], 0, &at));
		s3_retry_answered(&r, &first);
	}
	assert_true(s3_retry_failed(&r, &first, &e[0], 0, &at));
	memset(&first, 0, sizeof(first));
	for (unsigned int i = 0; i < S3_RETRY_FIXES; i++)
		assert_true(s3_retry_fixed(&first));
	assert_false(s3_retry_fixed(&first));
	testrand_system();
}

/* ---- caps and hedges --------------------------------------------------------------------- */

static void caps(void **state)
{
	uint64_t t = 5000000, end = t + 10000000, sent = 0;
	struct s3_cap c;

	(void)state;
	s3_cap_init(&c, 0, t);
	assert_true(s3_cap_take(&c, t, 1u << 30));
	assert_true(s3_cap_take(&c, t, 1u << 30));
	s3_cap_destroy(&c);
	s3_cap_init(&c, 3000000, t);
	while (t < end) {
		if (s3_cap_take(&c, t, 65536)) {
			sent += 65536;
		} else {
			uint64_t at = s3_cap_ready_us(&c, t);

			assert_true(at > t);
			assert_false(s3_cap_take(&c, t, 1));
			t = at;
		}
	}
	assert_in_range(sent, 29700000, 30300000);
	/* what was not used is not saved up */
	t += 60000000;
	for (sent = 0; s3_cap_take(&c, t, 65536);)
		sent += 65536;
	assert_true(sent <= 300000 + 65536 + 1);
	assert_int_equal(s3_cap_piece(&c), 65536);
	s3_cap_destroy(&c);
	/* the lowest: no pause longer than a second, so that nobody takes us for gone */
	s3_cap_init(&c, 1000, t);
	for (end = t + 100000000, sent = 0; t < end;) {
		uint64_t at = t;

		if (s3_cap_take(&c, t, s3_cap_piece(&c)))
			sent += s3_cap_piece(&c);
		else
			at = s3_cap_ready_us(&c, t);
		assert_true(at - t <= 1000000);
		t = at;
	}
	assert_in_range(sent, 99000, 101000);
	s3_cap_destroy(&c);
}

static void hedges(void **state)
{
	struct s3_hedge h;
	int n = 0;

	(void)state;
	s3_hedge_init(&h);
	assert_int_equal(s3_hedge_delay_us(&h), S3_HEDGE_MIN);
	for (int i = 0; i < 1000; i++)
		s3_hedge_add(&h, 30000);
	assert_int_equal(s3_hedge_delay_us(&h), S3_HEDGE_MIN);
	for (int i = 0; i < 5; i++)
		s3_hedge_add(&h, 1900000);
	assert_int_equal(s3_hedge_delay_us(&h), S3_HEDGE_MIN);
	for (int i = 0; i < 200; i++)
		s3_hedge_add(&h, 700000);
	/* of p99, up to a quarter of an octave more */
	assert_in_range(s3_hedge_delay_us(&h), 700000, 900000);
	for (int i = 0; i < 200; i++)
		s3_hedge_add(&h, 60000000);
	assert_int_equal(s3_hedge_delay_us(&h), S3_HEDGE_MAX);
	/* one in twenty */
	while (s3_hedge_take(&h))
		n++;
	assert_int_equal(n, 10);
	for (int i = 0; i < 19; i++)
		s3_hedge_add(&h, 1000);
	assert_false(s3_hedge_take(&h));
	s3_hedge_add(&h, 1000);
	assert_true(s3_hedge_take(&h));
	assert_false(s3_hedge_take(&h));
}

/* ---- heads of answers -------------------------------------------------------------------- */

static void heads(void **state)
{
	/* a GET of 10 bytes from 5 */
	static const struct {
		const char *head;
		int rc;
		uint64_t expect, size;
	} t[] = {
		{ "HTTP/1.1 206 OK\nContent-Range: bytes 5-14/100\nContent-Length: 10", 0, 10,
		  100 },
		{ "HTTP/1.1 206 OK\ncontent-range:bytes 5-14/100", 0, 10, 100 },
		{ "HTTP/1.1 206 OK\nContent-Range: bytes 5-7/8\nContent-Length: 3", 0, 3, 8 },
		{ "HTTP/1.1 206 OK\nContent-Range: bytes 5-7/100\nContent-Length: 3", -EBADMSG, 0,
		  0 },
		{ "HTTP/1.1 206 OK\nContent-Range: bytes 5-15/100\nContent-Length: 11", -EBADMSG, 0,
		  0 },
		{ "HTTP/1.1 206 OK\nContent-Range: bytes 4-14/100\nContent-Length: 10", -EBADMSG, 0,
		  0 },
		{ "HTTP/1.1 206 OK\nContent-Range: bytes 4-13/100\nContent-Length: 10", -EBADMSG, 0,
		  0 },
		{ "HTTP/1.1 206 OK\nContent-Range: bytes 5-14/100\nContent-Length: 9", -EBADMSG, 0,
		  0 },
		{ "HTTP/1.1 206 OK\nContent-Range: bytes 5-14/*\nContent-Length: 10", -EBADMSG, 0,
		  0 },
		{ "HTTP/1.1 206 OK\nContent-Range: bytes 5-14/14", -EBADMSG, 0, 0 },
		{ "HTTP/1.1 206 OK\nContent-Range: bytes 14-5/100", -EBADMSG, 0, 0 },
		{ "HTTP/1.1 206 OK\nContent-Range: bytes 5-14/99999999999999999999", -EBADMSG, 0,
		  0 },
		{ "HTTP/1.1 206 OK\nContent-Range: bytes -5-14/100", -EBADMSG, 0, 0 },
		{ "HTTP/1.1 206 OK\nContent-Range: lines 5-14/100", -EBADMSG, 0, 0 },
		{ "HTTP/1.1 206 OK\nContent-Length: 10", -EBADMSG, 0, 0 },
		{ "HTTP/1.1 200 OK\nContent-Length: 10", -EBADMSG, 0, 0 },
		{ "HTTP/1.1 204 OK\nContent-Range: bytes 5-14/100", -EBADMSG, 0, 0 },
		{ "HTTP/1.1 206 OK\nContent-Range: bytes 5-14/100\nContent-Type: binary/text", 0,
		  10, 100 },
		{ "HTTP/1.1 206 OK\nContent-Range: bytes 5-14/100\nContent-Type: text/html",
		  -EBADMSG, 0, 0 },
		/* a proxy's own head before it does not count */
		{ "HTTP/1.1 100 Continue\nContent-Range: bytes 0-1/2\nHTTP/1.1 206 OK\n"
		  "Content-Range: bytes 5-14/100",
		  0, 10, 100 },
		{ "HTTP/1.1 206 OK\nContent-Range: bytes 5-14/100\nContent-Range: bytes 5-14/200",
		  -EBADMSG, 0, 0 },
	};
	static const char *const places[][2] = {
		{ "https://login.example:8443/in?token=hunter2", "https://login.example:8443" },
		{ "http://h?x", "http://h" },
		{ "http://user:hunter2@h/", "" },
		{ "/login?from=http://x", "" },
		{ "https://a\x1b[31m/", "https://a" },
	};
	struct s3_answer a;
	uint64_t expect, size;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		s3_answer_init(&a);
		for (const char *p = t[i].head; *p;) {
			size_t n = strcspn(p, "\n");

			s3_answer_header(&a, p, n);
			p += n + (p[n] == '\n');
		}
		expect = size = 0;
		if (s3_answer_get(&a, 5, 10, &expect, &size) != t[i].rc)
			fail_msg("%s", t[i].head);
		if (!t[i].rc) {
			assert_int_equal(expect, t[i].expect);
			assert_int_equal(size, t[i].size);
		}
	}
	/* a whole object instead of a range of it */
	s3_answer_init(&a);
	s3_answer_header(&a, "HTTP/1.1 200 OK\r\n", 17);
	s3_answer_header(&a, "Content-Length: 10\r\n", 20);
	/* a page, for all one knows */
	assert_int_equal(s3_answer_get(&a, 0, 10, &expect, &size), -EBADMSG);
	s3_answer_header(&a, "ETag: \"1\"\r\n", 11);
	assert_int_equal(s3_answer_get(&a, 0, 10, &expect, &size), -EBADMSG);
	s3_answer_header(&a, "X-Amz-Request-Id: 1\r\n", 21);
	assert_int_equal(s3_answer_get(&a, 0, 10, &expect, &size), 0);
	assert_int_equal(size, 10);
	assert_int_equal(s3_answer_get(&a, 0, 9, &expect, &size), -EBADMSG);
	assert_int_equal(s3_answer_get(&a, 1, 10, &expect, &size), -EBADMSG);
	s3_answer_header(&a, "content-type: Text/HTML; charset=x", 34);
	assert_int_equal(s3_answer_get(&a, 0, 10, &expect, &size), -EBADMSG);
	s3_answer_header(&a, "Date: Sun, 06 Nov 1994 08:49:37 GMT", 35);
	assert_int_equal(a.date, 784111777);
	s3_answer_header(&a, "x-amz-bucket-region: eu/../x", 28);
	assert_string_equal(a.region, "");
	s3_answer_header(&a, "x-amz-bucket-region: eu-west-3", 30);
	assert_string_equal(a.region, "eu-west-3");
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char line[200];

		snprintf(line, sizeof(line), "Location: %s", places[i][0]);
		s3_answer_header(&a, line, strlen(line));
		assert_string_equal(a.place, places[i][1]);
	}
}

/* ---- LIST -------------------------------------------------------------------------------- */

#define ROOT_OPEN "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://x\">"
#define KEY(k)	  "<Contents><Key>" k "</Key><Size>7</Size></Contents>"
#define URL	  "<EncodingType>url</EncodingType>"
#define LAST	  "<IsTruncated>false</IsTruncated></ListBucketResult>"
#define MORE(t) \
	"<IsTruncated>true</IsTruncated><NextContinuationToken>" t \
	"</NextContinuationToken></ListBucketResult>"

static int page(struct s3_list *l, const char *text)
{
	int rc;

	assert_int_equal(s3_list_page_begin(l), 0);
	/* byte by byte: it may come in any pieces */
	for (; *text; text++) {
		rc = s3_list_feed(l, text, 1);
		if (rc) {
			s3_list_drop(l);
			return rc;
		}
	}
	return s3_list_page_end(l);
}

static void lists(void **state)
{
	static const char *const bad[] = {
		"",
		"<html><body>Log in</body></html>",
		"<!DOCTYPE x [<!ENTITY a \"b\">]>" ROOT_OPEN LAST,
		ROOT_OPEN KEY("r/a"),
		ROOT_OPEN KEY("r/a") "</ListBucketResult>",
		/* broken off behind the word that there is no more */
		ROOT_OPEN "<IsTruncated>false</IsTruncated>" KEY("r/a"),
		ROOT_OPEN KEY("r/b") KEY("r/a") LAST,
		ROOT_OPEN KEY("r/a") KEY("r/a") LAST,
		ROOT_OPEN KEY("q/a") LAST,
		ROOT_OPEN KEY("r") LAST,
		ROOT_OPEN KEY("r/b") KEY("r/A") LAST,
		ROOT_OPEN "<Contents><Key>r/a</Key></Contents>" LAST,
		ROOT_OPEN "<Contents><Size>1</Size></Contents>" LAST,
		ROOT_OPEN "<Contents><Key>r/a</Key><Size>-1</Size></Contents>" LAST,
		ROOT_OPEN "<IsTruncated>true</IsTruncated></ListBucketResult>",
		ROOT_OPEN "<IsTruncated>perhaps</IsTruncated></ListBucketResult>",
		"<Error><Code>x</Code></Error>",
	};
	struct store_entry e[3];
	struct store_req r = { .op = STORE_LIST, .ents = e, .max_ents = 3 };
	char text[400];
	struct s3_list *l = malloc(sizeof(*l));

	(void)state;
	assert_non_null(l);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		s3_list_init(l, &r, "r/");
		if (page(l, bad[i]) != -EBADMSG)
			fail_msg("%s", bad[i]);
		assert_int_equal(l->n, 0);
	}
	/* two pages, the second at first broken off; what is no name of ours is not seen */
	s3_list_init(l, &r, "r/");
	assert_int_equal(page(l, ROOT_OPEN KEY("r/A.txt") KEY("r/a") MORE("t&lt;1")), 0);
	assert_string_equal(l->token, "t<1");
	assert_int_equal(page(l, ROOT_OPEN KEY("r/b")), -EBADMSG);
	assert_int_equal(l->n, 1);
	assert_int_equal(page(l, ROOT_OPEN KEY("r/a") LAST), -EBADMSG);
	assert_int_equal(page(l, ROOT_OPEN KEY("r/b") KEY("r/b/c") LAST), 1);
	assert_int_equal(l->n, 3);
	assert_string_equal(e[0].name, "a");
	assert_string_equal(e[2].name, "b/c");
	assert_int_equal(e[2].size, 7);
	/* whose room ends within a page, and before what nobody may read any more */
	s3_list_init(l, &r, "r/");
	assert_int_equal(page(l, ROOT_OPEN KEY("r/a") KEY("r/b") KEY("r/c") KEY("r/d") MORE("t")),
			 1);
	assert_int_equal(l->n, 3);
	assert_string_equal(e[2].name, "c");
	s3_list_init(l, &r, "r/");
	assert_int_equal(page(l, ROOT_OPEN KEY("r/a") KEY("r/b") KEY("r/c") KEY("r/d") KEY("r/d")
					 LAST),
			 -EBADMSG);
	assert_int_equal(l->n, 0);
	/* the order goes on over pages, and over keys that are not ours */
	s3_list_init(l, &r, "r/");
	assert_int_equal(page(l, ROOT_OPEN KEY("r/") KEY("r/A") KEY("r/B") MORE("t")), 0);
	assert_int_equal(page(l, ROOT_OPEN KEY("r/B") LAST), -EBADMSG);
	assert_int_equal(page(l, ROOT_OPEN KEY("r/C") KEY("r/a") LAST), 1);
	assert_int_equal(l->n, 1);
	assert_string_equal(e[0].name, "a");
	/* a blank is a part of a key, which then is none of ours */
	s3_list_init(l, &r, "r/");
	assert_int_equal(page(l, ROOT_OPEN KEY("r/a") KEY("r/a ") KEY("r/b ") LAST), 1);
	assert_int_equal(l->n, 1);
	/* a store that goes round in circles */
	s3_list_init(l, &r, "r/");
	assert_int_equal(page(l, ROOT_OPEN MORE("t")), 0);
	assert_int_equal(page(l, ROOT_OPEN MORE("t")), -EBADMSG);
	s3_list_init(l, &r, "r/");
	for (unsigned int i = 0; i <= S3_LIST_EMPTY_MAX; i++) {
		snprintf(text, sizeof(text), ROOT_OPEN MORE("%u"), i);
		assert_int_equal(page(l, text), i < S3_LIST_EMPTY_MAX ? 0 : -EBADMSG);
	}
	/* pages full of what is not ours are no such thing */
	s3_list_init(l, &r, "r/");
	for (unsigned int i = 0; i < 4 * S3_LIST_EMPTY_MAX; i++) {
		snprintf(text, sizeof(text), ROOT_OPEN KEY("r/A%04u") MORE("%u"), i, i);
		assert_int_equal(page(l, text), 0);
	}
	assert_int_equal(page(l, ROOT_OPEN KEY("r/a") LAST), 1);
	assert_int_equal(l->n, 1);
	/* only what was asked for */
	strcpy(r.name, "b");
	strcpy(r.after, "ba");
	s3_list_init(l, &r, "r/");
	assert_int_equal(page(l, ROOT_OPEN KEY("r/ba") LAST), -EBADMSG);
	s3_list_init(l, &r, "r/");
	assert_int_equal(page(l, ROOT_OPEN KEY("r/c") LAST), -EBADMSG);
	s3_list_init(l, &r, "r/");
	assert_int_equal(page(l, ROOT_OPEN KEY("r/bb") LAST), 1);
	free(l);
}

/* Keys as EncodingType=url has them, whether that is said before or behind them. */
static void list_encoded(void **state)
{
	static const struct {
		const char *text, *last;
		int rc, n;
	} t[] = {
		{ URL KEY("r%2Fa") KEY("r%2fb%2Fc") LAST, "r/b/c", 1, 2 },
		{ KEY("r/A+%2B%25") KEY("r%2Fa") URL LAST, "r/a", 1, 1 },
		{ URL KEY("r%2Fa") KEY("r%2Fb%01") MORE("x"), "r/b\001", 0, 1 },
		/* encoded they would be in order */
		{ URL KEY("r%2Fa") KEY("r%2Fb") KEY("r/c") LAST, "r/c", 1, 3 },
		{ URL KEY("r%2F%7E") KEY("r%2Fa") LAST, NULL, -EBADMSG, 0 },
		{ URL KEY("r%2") LAST, NULL, -EBADMSG, 0 },
		{ URL KEY("r/%") LAST, NULL, -EBADMSG, 0 },
		{ URL KEY("r/%g0") LAST, NULL, -EBADMSG, 0 },
		{ URL KEY("r/a%00b") LAST, NULL, -EBADMSG, 0 },
		/* not said: such are the keys */
		{ KEY("r/%61") KEY("r/a") LAST, "r/a", 1, 1 },
		{ KEY("r%2Fa") LAST, NULL, -EBADMSG, 0 },
		/* what there is no character for is one all the same, and only that */
		{ KEY("r/A&#x1;&#31;\002&amp;&#65;") KEY("r/a") LAST, "r/a", 1, 1 },
		{ KEY("r/A&#x;") LAST, NULL, -EBADMSG, 0 },
		{ KEY("r/A&#1x;") LAST, NULL, -EBADMSG, 0 },
		{ KEY("r/A&#-1;") LAST, NULL, -EBADMSG, 0 },
		{ KEY("r/A&#1") LAST, NULL, -EBADMSG, 0 },
		{ KEY("r/A&nothing;") LAST, NULL, -EBADMSG, 0 },
		{ KEY("r/A&#x000000000000001;") LAST, NULL, -EBADMSG, 0 },
		{ KEY("r/A&") LAST, NULL, -EBADMSG, 0 },
	};
	struct store_entry e[3];
	struct store_req r = { .op = STORE_LIST, .ents = e, .max_ents = 3 };
	struct s3_list *l = malloc(sizeof(*l));
	char text[700], buf[S3_LIST_KEY_MAX];
	const char *after, *token;

	(void)state;
	assert_non_null(l);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		s3_list_init(l, &r, "r/");
		snprintf(text, sizeof(text), ROOT_OPEN "%s", t[i].text);
		if (page(l, text) != t[i].rc || (int)l->n != t[i].n)
			fail_msg("%s", t[i].text);
		assert_string_equal(l->passed, t[i].last ? t[i].last : "");
	}
	/* a token that was hurt is not used: the key is as good */
	s3_list_init(l, &r, "r/");
	s3_list_from(l, buf, &after, &token);
	assert_true(!after && !token);
	assert_int_equal(page(l, ROOT_OPEN URL KEY("r%2Fb") MORE("r/b")), 0);
	s3_list_from(l, buf, &after, &token);
	assert_null(after);
	assert_string_equal(token, "r/b");
	assert_int_equal(page(l, ROOT_OPEN URL KEY("r%2Fb%01") MORE("r/b&#x1;")), 0);
	s3_list_from(l, buf, &after, &token);
	assert_null(token);
	assert_string_equal(after, "r/b\001");
	assert_int_equal(page(l, ROOT_OPEN URL MORE("r/b&#x1;")), -EBADMSG);
	assert_int_equal(page(l, ROOT_OPEN URL KEY("r%2Fb%01") LAST), -EBADMSG);
	assert_int_equal(page(l, ROOT_OPEN URL KEY("r%2Fc") LAST), 1);
	free(l);
}

/* A page is asked for that has room for others' keys, and may not have more. */
static void list_pages(void **state)
{
	struct store_entry e[2000];
	struct store_req r = { .op = STORE_LIST, .ents = e };
	struct s3_list *l = malloc(sizeof(*l));
	char *text = malloc(200 * (S3_LIST_PAGE_MIN + 10)), *p;

	(void)state;
	assert_non_null(l);
	assert_non_null(text);
	for (uint32_t max = 1; max <= 2000; max++) {
		r.max_ents = max;
		s3_list_init(l, &r, "r/");
		assert_int_equal(s3_list_want(l), max < 100 ? 100 : max > 1000 ? 1000 : max);
	}
	r.max_ents = 1;
	for (unsigned int n = S3_LIST_PAGE_MIN; n <= S3_LIST_PAGE_MIN + 1; n++) {
		p = text + sprintf(text, ROOT_OPEN);
		for (unsigned int i = 0; i < n; i++)
			p += sprintf(p, KEY("r/a%03u"), i);
		strcpy(p, MORE("t"));
		s3_list_init(l, &r, "r/");
		assert_int_equal(page(l, text), n == S3_LIST_PAGE_MIN ? 1 : -EBADMSG);
		assert_int_equal(l->n, n == S3_LIST_PAGE_MIN);
	}
	free(text);
	free(l);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_urls),  cmocka_unit_test(bad_urls),
		cmocka_unit_test(errors),     cmocka_unit_test(retries),
		cmocka_unit_test(caps),	      cmocka_unit_test(hedges),
		cmocka_unit_test(heads),      cmocka_unit_test(lists),
		cmocka_unit_test(list_pages), cmocka_unit_test(list_encoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
