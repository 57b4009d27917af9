// SPDX-License-Identifier: GPL-2.0-or-later
/* The S3 store against a server in trouble: each fault by itself. */
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/core.h"
#include "lib/s3srv.h"
#include "lib/tempdir.h"
#include "lib/testrand.h"
#include "store/store.h"
#include "store/url.h"

/* A clock that runs faster than the machine's from when it was set to. */
struct fast {
	struct clock clock;
	uint64_t by, since_us;
};

static uint64_t fast_us(struct clock *c)
{
	struct fast *f = (struct fast *)c;
	uint64_t t = clock_mono_us(clock_system());

	return f->since_us + (t - f->since_us) * f->by;
}

static uint64_t fast_real_us(struct clock *c)
{
	(void)c;
	return clock_real_us(clock_system());
}

static const struct clock_ops fast_ops = { fast_us, fast_real_us };

struct world {
	struct fast fast;
	struct core core;
	struct s3srv *srv;
	const char *host; /* of the endpoint */
	struct store *s;
};

static struct world w;

static void open_store_at(const char *prefix, const char *more)
{
	char text[400], err[256] = "";
	struct url u;

	snprintf(text, sizeof(text),
		 "s3://" S3SRV_BUCKET "%s?endpoint=http://%s:%u&plain-http=yes%s", prefix, w.host,
		 s3srv_port(w.srv), more);
	assert_int_equal(url_parse(&u, text, err, sizeof(err)), 0);
	assert_int_equal(url_open(&w.s, &u, 0, &w.core, &w.fast.clock, err, sizeof(err)), 0);
}

static void open_store(const char *more)
{
	open_store_at("/v", more);
}

static int begin(void **state)
{
	(void)state;
	setenv("AWS_ACCESS_KEY_ID", S3SRV_ACCESS, 1);
	setenv("AWS_SECRET_ACCESS_KEY", S3SRV_SECRET, 1);
	memset(&w, 0, sizeof(w));
	w.fast = (struct fast){ { &fast_ops }, 1, clock_mono_us(clock_system()) };
	assert_int_equal(core_init(&w.core, NULL, NULL), 0);
	testrand_lowest();
	w.srv = s3srv_new();
	w.host = "127.0.0.1";
	open_store("");
	return 0;
}

static int end(void **state)
{
	(void)state;
	store_close(w.s);
	s3srv_free(w.srv);
	core_destroy(&w.core);
	testrand_system();
	return 0;
}

static void on_done(struct store_req *r)
{
	assert_true(core_held(&w.core));
	*(bool *)r->priv = true;
}

static ssize_t run(struct store_req *r)
{
	bool done = false;

	r->done = on_done;
	r->priv = &done;
	core_lock(&w.core);
	store_submit(w.s, r);
	while (!done)
		core_wait(&w.core, UINT64_MAX);
	core_unlock(&w.core);
	return r->res;
}

static ssize_t put(const char *name, const char *text)
{
	struct iovec iov[2] = { { (void *)(uintptr_t)text, strlen(text) / 2 },
				{ (void *)(uintptr_t)(text + strlen(text) / 2),
				  strlen(text) - strlen(text) / 2 } };
	struct store_req r = { .op = STORE_PUT, .iov = iov, .niov = 2 };

	strcpy(r.name, name);
	return run(&r);
}

/* @buf has 16 bytes more, which must stay as they are. */
static ssize_t get(const char *name, uint64_t off, char *buf, size_t len)
{
	struct store_req r = { .op = STORE_GET, .off = off, .buf = buf, .len = len };
	ssize_t rc;

	strcpy(r.name, name);
	memset(buf, '#', len + 16);
	rc = run(&r);
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(buf[len + i], '#');
	return rc;
}

static ssize_t list(struct store_entry *e, uint32_t max)
{
	struct store_req r = { .op = STORE_LIST, .ents = e, .max_ents = max };

	return run(&r);
}

static ssize_t del(const char *name)
{
	struct store_req r = { .op = STORE_DELETE };

	strcpy(r.name, name);
	return run(&r);
}

static void rule(unsigned int ops, unsigned int times, enum s3srv_act act, unsigned int status,
		 const char *code)
{
	s3srv_rule(
		w.srv,
		&(struct s3srv_rule){
			.ops = ops, .times = times, .act = act, .status = status, .code = code });
}

static void holds(const char *name, const char *text)
{
	char buf[256];

	assert_int_equal(get(name, 0, buf, 200), strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static const char *why(void)
{
	static char text[400];

	core_lock(&w.core);
	store_why(w.s, text, sizeof(text));
	core_unlock(&w.core);
	return text;
}

/* ---- what passes ------------------------------------------------------------------------- */

/* Each of them twice, then good: every operation gets through, with the body from its start. */
static void transient(void **state)
{
	static const struct {
		enum s3srv_act act;
		unsigned int status;
		const char *code;
	} t[] = {
		{ S3SRV_STATUS, 500, "InternalError" },
		{ S3SRV_STATUS, 500, "" },
		{ S3SRV_STATUS, 502, "" },
		{ S3SRV_STATUS, 503, "ServiceUnavailable" },
		{ S3SRV_STATUS, 504, "" },
		{ S3SRV_STATUS, 400, "RequestTimeout" },
		{ S3SRV_STATUS, 400, "BadDigest" },
		{ S3SRV_HTML, 503, "" },
		{ S3SRV_HTML, 404, "" },
		{ S3SRV_HTML, 412, "" },
		{ S3SRV_HTML, 409, "" },
		{ S3SRV_RESET, 0, "" },
	};
	struct store_entry e[4];
	char name[32];

	(void)state;
	for (unsigned int i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct s3srv_counts before = s3srv_counts(w.srv), after;

		snprintf(name, sizeof(name), "t/%u", i);
		s3srv_clear(w.srv);
		for (unsigned int op = 1; op < S3SRV_ANY; op *= 2)
			rule(op, 2, t[i].act, t[i].status, t[i].code);
		assert_int_equal(put(name, "what was written"), 0);
		holds(name, "what was written");
		assert_int_equal(list(e, 4), 1);
		assert_int_equal(del(name), 0);
		after = s3srv_counts(w.srv);
		assert_in_range(after.puts - before.puts, 3, 5);
		assert_in_range(after.gets - before.gets, 3, 5);
		assert_in_range(after.lists - before.lists, 3, 5);
		assert_in_range(after.deletes - before.deletes, 3, 5);
	}
}

/* A conflict says that somebody is at it, not that he got it. */
static void conflict(void **state)
{
	(void)state;
	rule(S3SRV_PUT, 2, S3SRV_STATUS, 409, "ConditionalRequestConflict");
	assert_int_equal(put("c", "mine"), 0);
	holds("c", "mine");
	s3srv_clear(w.srv);
	rule(S3SRV_PUT, 0, S3SRV_STATUS, 409, "ConditionalRequestConflict");
	assert_int_equal(put("d", "mine"), -EIO);
	s3srv_clear(w.srv);
	assert_int_equal(put("c", "other"), -EEXIST);
}

/* The object was made and the answer was lost: the next try meets it. */
static void lost_answers(void **state)
{
	(void)state;
	rule(S3SRV_PUT, 1, S3SRV_LATE_STATUS, 500, "InternalError");
	assert_int_equal(put("l/1", "mine"), -EEXIST);
	holds("l/1", "mine");
	s3srv_clear(w.srv);
	s3srv_rule(w.srv,
		   &(struct s3srv_rule){
			   .ops = S3SRV_PUT, .name = "l/2", .times = 1, .act = S3SRV_LATE_RESET });
	assert_int_equal(put("l/2", "mine"), -EEXIST);
	holds("l/2", "mine");
	s3srv_clear(w.srv);
	rule(S3SRV_DELETE, 1, S3SRV_LATE_STATUS, 500, "");
	assert_int_equal(del("l/1"), 0);
}

/* ---- answers that lie -------------------------------------------------------------------- */

static void bad_bodies(void **state)
{
	static const enum s3srv_act acts[] = { S3SRV_SHORT, S3SRV_LESS, S3SRV_SHIFTED, S3SRV_MORE };
	struct store_entry e[4];
	char buf[64];

	(void)state;
	assert_int_equal(put("b", "0123456789abcdef"), 0);
	for (unsigned int i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		s3srv_clear(w.srv);
		rule(S3SRV_GET, 0, acts[i], 0, "");
		assert_int_equal(get("b", 2, buf, 8), -EIO);
		assert_non_null(strstr(why(), "GET: the answer is"));
		s3srv_clear(w.srv);
		rule(S3SRV_GET, 1, acts[i], 0, "");
		assert_int_equal(get("b", 2, buf, 8), 8);
		assert_memory_equal(buf, "23456789", 8);
	}
	s3srv_clear(w.srv);
	rule(S3SRV_LIST, 1, S3SRV_SHORT, 0, "");
	assert_int_equal(list(e, 4), 1);
	assert_string_equal(e[0].name, "b");
}

static void html_for_good(void **state)
{
	struct store_entry e[4];
	char buf[64];

	(void)state;
	rule(S3SRV_ANY, 0, S3SRV_HTML, 200, "");
	assert_int_equal(put("h", "x"), -EIO);
	assert_int_equal(get("h", 0, buf, 8), -EIO);
	assert_int_equal(list(e, 4), -EIO);
	assert_non_null(strstr(why(), "no list"));
	s3srv_clear(w.srv);
	assert_int_equal(get("h", 0, buf, 8), -ENOENT);
}

/* Pages that come with an ETag, as a web server sends them with its files. */
static void pages(void **state)
{
	char buf[416];

	(void)state;
	s3srv_rule(w.srv, &(struct s3srv_rule){ .ops = S3SRV_PUT | S3SRV_DELETE,
						.act = S3SRV_HTML,
						.status = 200,
						.header = "ETag: \"5f3a-66\"" });
	assert_int_equal(put("p", "not kept"), -EIO);
	assert_int_equal(del("p"), -EIO);
	s3srv_clear(w.srv);
	assert_int_equal(get("p", 0, buf, 8), -ENOENT);
	/* and one without, shorter than what was asked for */
	rule(S3SRV_GET, 0, S3SRV_HTML, 200, "");
	assert_int_equal(get("p", 0, buf, 400), -EIO);
	/* as a file would come that is no longer than what was asked for, of whatever kind */
	for (int i = 0; i < 2; i++) {
		s3srv_clear(w.srv);
		s3srv_rule(w.srv, &(struct s3srv_rule){ .ops = S3SRV_GET,
							.act = i ? S3SRV_PAGE : S3SRV_HTML,
							.status = 200,
							.header = "ETag: \"5f3a-66\"" });
		assert_int_equal(get("p", 0, buf, 400), -EIO);
		assert_non_null(strstr(why(), i ? "not the range" : "HTML"));
	}
	/* a web server's file, in part */
	s3srv_clear(w.srv);
	s3srv_rule(w.srv, &(struct s3srv_rule){ .ops = S3SRV_GET,
						.act = S3SRV_HTML,
						.status = 206,
						.header = "Content-Range: bytes 0-101/102" });
	assert_int_equal(get("p", 0, buf, 400), -EIO);
	assert_non_null(strstr(why(), "HTML"));
	/* who does not look at ranges, and is S3 */
	s3srv_clear(w.srv);
	s3srv_rule(w.srv, &(struct s3srv_rule){ .ops = S3SRV_GET,
						.act = S3SRV_PAGE,
						.status = 200,
						.header = "ETag: \"1\"\r\nx-amz-request-id: 1" });
	assert_int_equal(get("p", 0, buf, 400), 102);
	assert_int_equal(get("p", 1, buf, 400), -EIO);
	assert_int_equal(get("p", 0, buf, 101), -EIO);
	s3srv_clear(w.srv);
	rule(S3SRV_LIST, 0, S3SRV_HTML, 403, "");
	assert_int_equal(list((struct store_entry[4]){ 0 }, 4), -EACCES);
	assert_non_null(strstr(why(), "403 with a page of HTML"));
	assert_null(strstr(why(), "s3:GetObject"));
}

/* Others' objects among ours, more than pages, do not hide them. */
static void strangers(void **state)
{
	static const uint32_t pages[] = { 1000, 3 };
	struct store_entry e[4];
	char key[32];

	(void)state;
	s3srv_plant(w.srv, "v/", "");
	for (unsigned int i = 0; i < 300; i++) {
		snprintf(key, sizeof(key), "v/A%03u", i);
		s3srv_plant(w.srv, key, "not ours");
	}
	s3srv_plant(w.srv, "v/aa copy", "not ours");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(put(i ? "ab" : "aa", "ours"), 0);
		s3srv_set_page(w.srv, pages[i]);
		assert_int_equal(list(e, 1), 1);
		assert_string_equal(e[0].name, "aa");
		assert_int_equal(list(e, 4), 1 + i);
		assert_string_equal(e[i].name, i ? "ab" : "aa");
	}
}

/* Keys of which XML cannot carry a part, some where a page ends; and a prefix that is encoded. */
static void odd_keys(void **state)
{
	static const char *const odd[] = {
		"\001a", "A\001", "A\002", "A + %41&<>\"", "A\x7f", "aa\001", "aa\037", "zz/\t",
	};
	struct store_entry e[8];
	char key[64];

	(void)state;
	store_close(w.s);
	open_store_at("/x%20+%25/%c3%bc", "");
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		snprintf(key, sizeof(key), "x +%%/\xc3\xbc/%s", odd[i]);
		s3srv_plant(w.srv, key, "not ours");
	}
	assert_int_equal(put("aa", "ours"), 0);
	assert_int_equal(put("ab/cd", "ours"), 0);
	for (int how = S3SRV_KEYS_CEPH; how <= S3SRV_KEYS_MINIO; how++) {
		s3srv_set_keys(w.srv, (enum s3srv_keys)how);
		for (unsigned int page = 1; page < 12; page++) {
			s3srv_set_page(w.srv, page);
			assert_int_equal(list(e, 8), 2);
			assert_string_equal(e[0].name, "aa");
			assert_string_equal(e[1].name, "ab/cd");
			assert_int_equal(list(e, 1), 1);
		}
	}
	/* who does not know the parameter can still say what XML has characters for */
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		snprintf(key, sizeof(key), "x +%%/\xc3\xbc/%s", odd[i]);
		s3srv_unplant(w.srv, key);
	}
	s3srv_plant(w.srv, "x +%/\xc3\xbc/A%20+ <b>", "not ours");
	s3srv_set_keys(w.srv, S3SRV_KEYS_PLAIN);
	for (unsigned int page = 1; page < 5; page++) {
		s3srv_set_page(w.srv, page);
		assert_int_equal(list(e, 8), 2);
		assert_string_equal(e[1].name, "ab/cd");
	}
}

static void beyond_the_end(void **state)
{
	struct store_req r = { .op = STORE_GET, .name = "e", .off = 100 };
	char buf[64];

	(void)state;
	s3srv_set_bare_416(w.srv, true);
	assert_int_equal(put("e", "12345"), 0);
	assert_int_equal(get("e", 5, buf, 8), 0);
	r.buf = buf;
	r.len = 8;
	assert_int_equal(run(&r), 0);
	assert_int_equal(r.size, 5);
	assert_int_equal(put("f", ""), 0);
	strcpy(r.name, "f");
	assert_int_equal(run(&r), 0);
	assert_int_equal(r.size, 0);
}

/* ---- what is set right ------------------------------------------------------------------- */

static void skew(void **state)
{
	struct s3srv_counts c;

	(void)state;
	s3srv_set_skew(w.srv, 86400);
	assert_int_equal(put("s/1", "x"), 0);
	c = s3srv_counts(w.srv);
	assert_int_equal(c.refused, 1);
	/* remembered */
	assert_int_equal(put("s/2", "x"), 0);
	assert_int_equal(s3srv_counts(w.srv).refused, 1);
	s3srv_set_skew(w.srv, -86400);
	holds("s/2", "x");
	assert_int_equal(s3srv_counts(w.srv).refused, 2);
}

static void region(void **state)
{
	(void)state;
	s3srv_set_region(w.srv, "eu-west-9");
	assert_int_equal(put("r/1", "x"), 0);
	assert_int_equal(s3srv_counts(w.srv).refused, 1);
	assert_int_equal(put("r/2", "x"), 0);
	assert_int_equal(s3srv_counts(w.srv).refused, 1);
	/* to where an endpoint that was named does not lead */
	s3srv_rule(w.srv, &(struct s3srv_rule){ .ops = S3SRV_ANY,
						.act = S3SRV_STATUS,
						.status = 301,
						.code = "PermanentRedirect",
						.header = "x-amz-bucket-region: ap-south-7" });
	assert_int_equal(put("r/3", "x"), -EACCES);
	assert_non_null(strstr(why(), "ap-south-7"));
}

/* A redirect without another region may be anybody's, and pass. */
static void redirects(void **state)
{
	static const unsigned int status[] = { 301, 302, 307, 308 };
	char name[16];

	(void)state;
	for (int i = 0; i < 8; i++) {
		struct s3srv_counts before = s3srv_counts(w.srv);

		s3srv_clear(w.srv);
		s3srv_rule(w.srv, &(struct s3srv_rule){
					  .ops = S3SRV_PUT,
					  .times = 1,
					  .act = i % 2 ? S3SRV_HTML : S3SRV_STATUS,
					  .status = status[i / 2],
					  .code = "",
					  .header = i % 2 ? "Location: http://login/?x" :
							    "x-amz-bucket-region: us-east-1" });
		snprintf(name, sizeof(name), "r/%d", i);
		assert_int_equal(put(name, "x"), 0);
		assert_int_equal(s3srv_counts(w.srv).puts - before.puts, 2);
	}
	/* all the time: it does not get better, and is not final either */
	s3srv_clear(w.srv);
	s3srv_rule(w.srv, &(struct s3srv_rule){ .ops = S3SRV_ANY,
						.act = S3SRV_HTML,
						.status = 302,
						.header = "Location: https://login.example/?x" });
	assert_int_equal(put("r", "x"), -EIO);
	assert_non_null(strstr(why(), "PUT: 302 (a redirect that S3 does not give) to "
				      "https://login.example"));
	/* S3's own, for good */
	s3srv_clear(w.srv);
	rule(S3SRV_ANY, 0, S3SRV_STATUS, 301, "PermanentRedirect");
	assert_int_equal(put("r", "x"), -EACCES);
	assert_non_null(strstr(why(), "correct endpoint= or region="));
}

/* ---- what nothing helps ------------------------------------------------------------------ */

static void refused(void **state)
{
	struct s3srv_counts before, after;
	struct store_entry e[1];

	(void)state;
	rule(S3SRV_ANY, 0, S3SRV_STATUS, 403, "AccessDenied");
	before = s3srv_counts(w.srv);
	assert_int_equal(put("x", "x"), -EACCES);
	after = s3srv_counts(w.srv);
	assert_int_equal(after.puts - before.puts, 1); /* not in a loop */
	assert_non_null(strstr(why(), "AccessDenied"));
	assert_non_null(strstr(why(), "s3:GetObject"));
	s3srv_clear(w.srv);
	rule(S3SRV_ANY, 0, S3SRV_STATUS, 404, "NoSuchBucket");
	assert_int_equal(list(e, 1), -EACCES);
	assert_int_equal(del("x"), -EACCES);
	assert_non_null(strstr(why(), "make the bucket"));
	s3srv_clear(w.srv);
	rule(S3SRV_PUT, 0, S3SRV_STATUS, 507, "");
	assert_int_equal(put("x", "x"), -ENOSPC);
}

/* What has been said of a failure is not said any more once the like of it went well. */
static void said_while_true(void **state)
{
	struct store_entry e[4];
	char buf[64];

	(void)state;
	assert_string_equal(why(), "");
	/* tried again, and good: nothing to explain */
	rule(S3SRV_ANY, 1, S3SRV_STATUS, 500, "InternalError");
	assert_int_equal(list(e, 4), 0);
	assert_string_equal(why(), "");
	s3srv_clear(w.srv);
	rule(S3SRV_PUT, 0, S3SRV_STATUS, 403, "AccessDenied");
	assert_int_equal(put("s", "x"), -EACCES);
	/* reading works, and writing still does not */
	assert_int_equal(get("s", 0, buf, 8), -ENOENT);
	assert_int_equal(list(e, 4), 0);
	assert_non_null(strstr(why(), "PUT: 403 AccessDenied"));
	/* the newest of several */
	rule(S3SRV_DELETE, 0, S3SRV_STATUS, 403, "AllAccessDisabled");
	assert_int_equal(del("s"), -EACCES);
	assert_non_null(strstr(why(), "DELETE: 403 AllAccessDisabled"));
	s3srv_clear(w.srv);
	assert_int_equal(del("s"), 0);
	assert_non_null(strstr(why(), "PUT: 403 AccessDenied"));
	assert_int_equal(put("s", "x"), 0);
	assert_string_equal(why(), "");
	/* an answer that is no success either */
	rule(S3SRV_PUT, 1, S3SRV_RESET, 0, "");
	assert_int_equal(put("s", "x"), -EEXIST);
	assert_string_equal(why(), "");
}

/* Keys that are wrong and of no kind that is renewed: at once. */
static void wrong_keys(void **state)
{
	uint64_t t = clock_mono_us(clock_system());

	(void)state;
	store_close(w.s);
	setenv("AWS_ACCESS_KEY_ID", "AKIDOFNOBODY", 1);
	open_store("");
	assert_int_equal(put("k", "x"), -EACCES);
	assert_int_equal(s3srv_counts(w.srv).puts, 1);
	assert_non_null(strstr(why(), "does not know this access key"));
	assert_true(clock_mono_us(clock_system()) - t < 2000000);
}

static void away(void **state)
{
	uint64_t t;

	(void)state;
	/* with the pauses there really are */
	store_close(w.s);
	testrand_system();
	open_store("");
	t = clock_mono_us(clock_system());
	rule(S3SRV_ANY, 0, S3SRV_STATUS, 503, "");
	assert_int_equal(put("a", "x"), -EIO);
	assert_int_equal(s3srv_counts(w.srv).puts, 6);
	/* 50 + 100 + 200 + 400 + 800 ms at most */
	assert_true(clock_mono_us(clock_system()) - t < 5000000);
}

/* ---- what is late ------------------------------------------------------------------------ */

/* A GET that hangs, before its head or within its body, is asked again elsewhere. */
static void hangs(void **state)
{
	static const enum s3srv_act acts[] = { S3SRV_HANG, S3SRV_LATE_HANG };
	uint64_t t;
	char buf[64];

	(void)state;
	assert_int_equal(put("h", "0123456789abcdef"), 0);
	for (int i = 0; i < 2; i++) {
		struct s3srv_counts before = s3srv_counts(w.srv), after;

		s3srv_clear(w.srv);
		rule(S3SRV_GET, 1, acts[i], 0, "");
		t = clock_mono_us(clock_system());
		assert_int_equal(get("h", 4, buf, 8), 8);
		assert_memory_equal(buf, "456789ab", 8);
		t = clock_mono_us(clock_system()) - t;
		assert_in_range(t, 250000, 1900000);
		after = s3srv_counts(w.srv);
		assert_int_equal(after.gets - before.gets, 2);
		assert_int_equal(after.connections - before.connections, 1);
	}
	/* both hang: cut after 2 s, and again */
	s3srv_clear(w.srv);
	rule(S3SRV_GET, 2, S3SRV_HANG, 0, "");
	t = clock_mono_us(clock_system());
	assert_int_equal(get("h", 4, buf, 8), 8);
	t = clock_mono_us(clock_system()) - t;
	assert_in_range(t, 1900000, 4500000);
}

/* ---- names that are not looked up -------------------------------------------------------- */

#define NAMED "name.test" /* is 127.0.0.1 */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int hang, hanging; /* look-ups that will, and that do */
	bool release;
} dns = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* In place of the C library's, for libcurl: a look-up hangs for 5 s at most. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **res)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	struct timespec until;

	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (!node || strcmp(node, NAMED) != 0)
		return real(node, service, hints, res);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	pthread_mutex_lock(&dns.lock);
	if (dns.hang) {
		dns.hang--;
		dns.hanging++;
		while (!dns.release &&
		       pthread_cond_timedwait(&dns.changed, &dns.lock, &until) != ETIMEDOUT)
			;
		dns.hanging--;
		pthread_cond_broadcast(&dns.changed);
	}
	pthread_mutex_unlock(&dns.lock);
	return real("127.0.0.1", service, hints, res);
}

/* The second exchange has the answer; the end of the first does not wait for its look-up. */
static void hung_lookup(void **state)
{
	uint64_t t;
	char buf[64];

	(void)state;
	store_close(w.s);
	w.host = NAMED;
	open_store("");
	s3srv_plant(w.srv, "v/h", "0123456789abcdef");
	dns.hang = 1;
	dns.release = false;
	t = clock_mono_us(clock_system());
	assert_int_equal(get("h", 4, buf, 8), 8);
	t = clock_mono_us(clock_system()) - t;
	assert_memory_equal(buf, "456789ab", 8);
	/* and the thread goes on */
	for (int i = 0; i < 4; i++)
		assert_int_equal(get("h", 4, buf, 8), 8);
	pthread_mutex_lock(&dns.lock);
	assert_int_equal(dns.hanging, 1);
	dns.release = true;
	pthread_cond_broadcast(&dns.changed);
	while (dns.hanging)
		pthread_cond_wait(&dns.changed, &dns.lock);
	pthread_mutex_unlock(&dns.lock);
	assert_in_range(t, 250000, 1900000);
}

/* ---- caps and headers -------------------------------------------------------------------- */

static void capped(void **state)
{
	size_t n = 1500000;
	char *text = malloc(n + 1), *back = malloc(n + 16);
	uint64_t t;

	(void)state;
	assert_non_null(text);
	assert_non_null(back);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)('a' + i * 7 % 26);
	text[n] = '\0';
	store_close(w.s);
	open_store("&up=3&down=2");
	t = clock_mono_us(clock_system());
	assert_int_equal(put("cap", text), 0);
	t = clock_mono_us(clock_system()) - t;
	assert_in_range(t, 400000, 1500000);
	t = clock_mono_us(clock_system());
	assert_int_equal(get("cap", 0, back, n), n);
	t = clock_mono_us(clock_system()) - t;
	assert_in_range(t, 400000, 2500000);
	assert_memory_equal(text, back, n);
	free(text);
	free(back);
}

static void speed_up(uint64_t by)
{
	store_close(w.s);
	w.fast.by = by;
	w.fast.since_us = clock_mono_us(clock_system());
}

/* Under a cap curl cannot tell slow from stuck: an answer that never comes, and one that stops. */
static void capped_and_stuck(void **state)
{
	size_t n = 600000; /* no small GET, which would be asked twice */
	char *text = malloc(n + 1), *back = malloc(n + 16);
	uint64_t t;

	(void)state;
	assert_non_null(text);
	assert_non_null(back);
	memset(text, 'x', n);
	text[n] = '\0';
	speed_up(200);
	open_store("&up=100&down=100");
	assert_int_equal(put("long", text), 0);
	rule(S3SRV_PUT, 1, S3SRV_HANG, 0, "");
	rule(S3SRV_GET, 1, S3SRV_LATE_HANG, 0, "");
	t = clock_mono_us(&w.fast.clock);
	assert_int_equal(put("stuck", "0123456789"), 0);
	assert_in_range(clock_mono_us(&w.fast.clock) - t, 60000000, 900000000);
	t = clock_mono_us(&w.fast.clock);
	assert_int_equal(get("long", 0, back, n), n);
	assert_in_range(clock_mono_us(&w.fast.clock) - t, 60000000, 900000000);
	assert_memory_equal(text, back, n);
	assert_int_equal(s3srv_counts(w.srv).puts, 3);
	assert_int_equal(s3srv_counts(w.srv).gets, 2);
	free(text);
	free(back);
}

static void headers(void **state)
{
	char head[8192];

	(void)state;
	store_close(w.s);
	open_store("&storage-class=GLACIER_IR&sse=aws:kms&sse-kms-key=arn:k&requester-pays=yes");
	assert_int_equal(put("x", "x"), 0);
	s3srv_last(w.srv, head, sizeof(head));
	assert_non_null(strstr(head, "x-amz-storage-class: GLACIER_IR"));
	assert_non_null(strstr(head, "x-amz-server-side-encryption: aws:kms"));
	assert_non_null(strstr(head, "x-amz-server-side-encryption-aws-kms-key-id: arn:k"));
	assert_non_null(strstr(head, "x-amz-request-payer: requester"));
	assert_non_null(strstr(head, "if-none-match: *"));
	assert_null(strstr(head, "Expect"));
	assert_int_equal(del("x"), 0);
	s3srv_last(w.srv, head, sizeof(head));
	assert_null(strstr(head, "storage-class"));
	assert_null(strstr(head, "if-none-match"));
	assert_non_null(strstr(head, "x-amz-request-payer: requester"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

static void write_keys(const char *path, const char *token)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fprintf(f,
			    "[default]\naws_access_key_id=%s\naws_secret_access_key=%s\n"
			    "aws_session_token=%s\n",
			    S3SRV_ACCESS, S3SRV_SECRET, token) > 0);
	assert_int_equal(fclose(f), 0);
}

/* Who renews the keys in their file need not tell us: nothing fails, nothing is started anew. */
static void expired(void **state)
{
	char *dir = tempdir_make(), path[256], more[300];
	struct s3srv_counts before;

	(void)state;
	snprintf(path, sizeof(path), "%s/keys", dir);
	snprintf(more, sizeof(more), "&credentials=%s", path);
	store_close(w.s);
	write_keys(path, "one");
	s3srv_set_token(w.srv, "one");
	open_store(more);
	assert_int_equal(put("a", "first"), 0);
	s3srv_set_token(w.srv, "two");
	write_keys(path, "two");
	before = s3srv_counts(w.srv);
	assert_int_equal(put("b", "second"), 0);
	assert_int_equal(s3srv_counts(w.srv).refused - before.refused, 1);
	/* each thread has them now */
	for (int i = 0; i < 8; i++)
		assert_int_equal(put("b", "again"), -EEXIST);
	assert_int_equal(s3srv_counts(w.srv).refused - before.refused, 1);
	tempdir_remove(dir);
}

/* One that was under way when another's refusal renewed the keys does not wait for newer ones. */
static void expired_together(void **state)
{
	struct iovec iov = { (void *)(uintptr_t) "x", 1 };
	struct store_req late = { .op = STORE_PUT, .name = "late", .iov = &iov, .niov = 1 };
	char *dir = tempdir_make(), path[256], more[300];
	bool done = false;
	uint64_t t;

	(void)state;
	snprintf(path, sizeof(path), "%s/keys", dir);
	snprintf(more, sizeof(more), "&credentials=%s", path);
	store_close(w.s);
	write_keys(path, "one");
	open_store(more);
	s3srv_set_token(w.srv, "two");
	write_keys(path, "two");
	s3srv_rule(w.srv, &(struct s3srv_rule){ .ops = S3SRV_PUT,
						.name = "late",
						.times = 1,
						.act = S3SRV_DELAY,
						.ms = 400 });
	t = clock_mono_us(clock_system());
	late.done = on_done;
	late.priv = &done;
	core_lock(&w.core);
	store_submit(w.s, &late);
	core_unlock(&w.core);
	assert_int_equal(put("soon", "x"), 0);
	core_lock(&w.core);
	while (!done)
		core_wait(&w.core, UINT64_MAX);
	core_unlock(&w.core);
	assert_int_equal(late.res, 0);
	assert_in_range(clock_mono_us(clock_system()) - t, 400000, 3000000);
	tempdir_remove(dir);
}

/* Another access key in the file is a newer one, also when the old one is not known any more. */
static void replaced(void **state)
{
	char *dir = tempdir_make(), path[256], more[300];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/keys", dir);
	snprintf(more, sizeof(more), "&credentials=%s", path);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs("[default]\naws_access_key_id=AKIDOLD\naws_secret_access_key=old\n", f) >=
		    0);
	assert_int_equal(fclose(f), 0);
	store_close(w.s);
	open_store(more);
	write_keys(path, "any");
	assert_int_equal(put("a", "x"), 0);
	tempdir_remove(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(transient),
		T(conflict),
		T(lost_answers),
		T(bad_bodies),
		T(html_for_good),
		T(beyond_the_end),
		T(skew),
		T(region),
		T(refused),
		T(wrong_keys),
		T(away),
		T(hangs),
		T(capped),
		T(headers),
		T(expired),
		T(pages),
		T(expired_together),
		T(replaced),
		T(strangers),
		T(odd_keys),
		T(said_while_true),
		T(hung_lookup),
		T(capped_and_stuck),
		T(redirects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
