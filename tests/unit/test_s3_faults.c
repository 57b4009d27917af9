// SPDX-License-Identifier: GPL-2.0-or-later
/* The S3 store against a server that fails, lies or refuses: each fault by itself. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "lib/s3world.h"
#include "lib/testrand.h"

static struct s3world w;

static int begin(void **state)
{
	(void)state;
	s3world_begin(&w);
	return 0;
}

static int end(void **state)
{
	(void)state;
	s3world_end(&w);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

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
			s3world_rule(&w, op, 2, t[i].act, t[i].status, t[i].code);
		assert_int_equal(s3world_put(&w, name, "what was written"), 0);
		s3world_holds(&w, name, "what was written");
		assert_int_equal(s3world_list(&w, e, 4), 1);
		assert_int_equal(s3world_del(&w, name), 0);
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
	s3world_rule(&w, S3SRV_PUT, 2, S3SRV_STATUS, 409, "ConditionalRequestConflict");
	assert_int_equal(s3world_put(&w, "c", "mine"), 0);
	s3world_holds(&w, "c", "mine");
	s3srv_clear(w.srv);
	s3world_rule(&w, S3SRV_PUT, 0, S3SRV_STATUS, 409, "ConditionalRequestConflict");
	assert_int_equal(s3world_put(&w, "d", "mine"), -EIO);
	s3srv_clear(w.srv);
	assert_int_equal(s3world_put(&w, "c", "other"), -EEXIST);
}

/* The object was made and the answer was lost: the next try meets it. */
static void lost_answers(void **state)
{
	(void)state;
	s3world_rule(&w, S3SRV_PUT, 1, S3SRV_LATE_STATUS, 500, "InternalError");
	assert_int_equal(s3world_put(&w, "l/1", "mine"), -EEXIST);
	s3world_holds(&w, "l/1", "mine");
	s3srv_clear(w.srv);
	s3srv_rule(w.srv,
		   &(struct s3srv_rule){
			   .ops = S3SRV_PUT, .name = "l/2", .times = 1, .act = S3SRV_LATE_RESET });
	assert_int_equal(s3world_put(&w, "l/2", "mine"), -EEXIST);
	s3world_holds(&w, "l/2", "mine");
	s3srv_clear(w.srv);
	s3world_rule(&w, S3SRV_DELETE, 1, S3SRV_LATE_STATUS, 500, "");
	assert_int_equal(s3world_del(&w, "l/1"), 0);
}

/* ---- answers that lie -------------------------------------------------------------------- */

static void bad_bodies(void **state)
{
	static const enum s3srv_act acts[] = { S3SRV_SHORT, S3SRV_LESS, S3SRV_SHIFTED, S3SRV_MORE };
	struct store_entry e[4];
	char buf[64];

	(void)state;
	assert_int_equal(s3world_put(&w, "b", "0123456789abcdef"), 0);
	for (unsigned int i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		s3srv_clear(w.srv);
		s3world_rule(&w, S3SRV_GET, 0, acts[i], 0, "");
		assert_int_equal(s3world_get(&w, "b", 2, buf, 8), -EIO);
		assert_non_null(strstr(s3world_why(&w), "GET: the answer is"));
		s3srv_clear(w.srv);
		s3world_rule(&w, S3SRV_GET, 1, acts[i], 0, "");
		assert_int_equal(s3world_get(&w, "b", 2, buf, 8), 8);
		assert_memory_equal(buf, "23456789", 8);
	}
	s3srv_clear(w.srv);
	s3world_rule(&w, S3SRV_LIST, 1, S3SRV_SHORT, 0, "");
	assert_int_equal(s3world_list(&w, e, 4), 1);
	assert_string_equal(e[0].name, "b");
}

static void html_for_good(void **state)
{
	struct store_entry e[4];
	char buf[64];

	(void)state;
	s3world_rule(&w, S3SRV_ANY, 0, S3SRV_HTML, 200, "");
	assert_int_equal(s3world_put(&w, "h", "x"), -EIO);
	assert_int_equal(s3world_get(&w, "h", 0, buf, 8), -EIO);
	assert_int_equal(s3world_list(&w, e, 4), -EIO);
	assert_non_null(strstr(s3world_why(&w), "no list"));
	s3srv_clear(w.srv);
	assert_int_equal(s3world_get(&w, "h", 0, buf, 8), -ENOENT);
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
	assert_int_equal(s3world_put(&w, "p", "not kept"), -EIO);
	assert_int_equal(s3world_del(&w, "p"), -EIO);
	s3srv_clear(w.srv);
	assert_int_equal(s3world_get(&w, "p", 0, buf, 8), -ENOENT);
	/* and one without, shorter than what was asked for */
	s3world_rule(&w, S3SRV_GET, 0, S3SRV_HTML, 200, "");
	assert_int_equal(s3world_get(&w, "p", 0, buf, 400), -EIO);
	/* as a file would come that is no longer than what was asked for, of whatever kind */
	for (int i = 0; i < 2; i++) {
		s3srv_clear(w.srv);
		s3srv_rule(w.srv, &(struct s3srv_rule){ .ops = S3SRV_GET,
							.act = i ? S3SRV_PAGE : S3SRV_HTML,
							.status = 200,
							.header = "ETag: \"5f3a-66\"" });
		assert_int_equal(s3world_get(&w, "p", 0, buf, 400), -EIO);
		assert_non_null(strstr(s3world_why(&w), i ? "not the range" : "HTML"));
	}
	/* a web server's file, in part */
	s3srv_clear(w.srv);
	s3srv_rule(w.srv, &(struct s3srv_rule){ .ops = S3SRV_GET,
						.act = S3SRV_HTML,
						.status = 206,
						.header = "Content-Range: bytes 0-101/102" });
	assert_int_equal(s3world_get(&w, "p", 0, buf, 400), -EIO);
	assert_non_null(strstr(s3world_why(&w), "HTML"));
	/* who does not look at ranges, and is S3 */
	s3srv_clear(w.srv);
	s3srv_rule(w.srv, &(struct s3srv_rule){ .ops = S3SRV_GET,
						.act = S3SRV_PAGE,
						.status = 200,
						.header = "ETag: \"1\"\r\nx-amz-request-id: 1" });
	assert_int_equal(s3world_get(&w, "p", 0, buf, 400), 102);
	assert_int_equal(s3world_get(&w, "p", 1, buf, 400), -EIO);
	assert_int_equal(s3world_get(&w, "p", 0, buf, 101), -EIO);
	s3srv_clear(w.srv);
	s3world_rule(&w, S3SRV_LIST, 0, S3SRV_HTML, 403, "");
	assert_int_equal(s3world_list(&w, (struct store_entry[4]){ 0 }, 4), -EACCES);
	assert_non_null(strstr(s3world_why(&w), "403 with a page of HTML"));
	assert_null(strstr(s3world_why(&w), "s3:GetObject"));
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
		assert_int_equal(s3world_put(&w, i ? "ab" : "aa", "ours"), 0);
		s3srv_set_page(w.srv, pages[i]);
		assert_int_equal(s3world_list(&w, e, 1), 1);
		assert_string_equal(e[0].name, "aa");
		assert_int_equal(s3world_list(&w, e, 4), 1 + i);
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
	s3world_open(&w, "/x%20+%25/%c3%bc", "");
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		snprintf(key, sizeof(key), "x +%%/\xc3\xbc/%s", odd[i]);
		s3srv_plant(w.srv, key, "not ours");
	}
	assert_int_equal(s3world_put(&w, "aa", "ours"), 0);
	assert_int_equal(s3world_put(&w, "ab/cd", "ours"), 0);
	for (int how = S3LISTING_CEPH; how <= S3LISTING_MINIO; how++) {
		s3srv_set_keys(w.srv, (enum s3listing_keys)how);
		for (unsigned int page = 1; page < 12; page++) {
			s3srv_set_page(w.srv, page);
			assert_int_equal(s3world_list(&w, e, 8), 2);
			assert_string_equal(e[0].name, "aa");
			assert_string_equal(e[1].name, "ab/cd");
			assert_int_equal(s3world_list(&w, e, 1), 1);
		}
	}
	/* who does not know the parameter can still say what XML has characters for */
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		snprintf(key, sizeof(key), "x +%%/\xc3\xbc/%s", odd[i]);
		s3srv_unplant(w.srv, key);
	}
	s3srv_plant(w.srv, "x +%/\xc3\xbc/A%20+ <b>", "not ours");
	s3srv_set_keys(w.srv, S3LISTING_PLAIN);
	for (unsigned int page = 1; page < 5; page++) {
		s3srv_set_page(w.srv, page);
		assert_int_equal(s3world_list(&w, e, 8), 2);
		assert_string_equal(e[1].name, "ab/cd");
	}
}

static void beyond_the_end(void **state)
{
	struct store_req r = { .op = STORE_GET, .name = "e", .off = 100 };
	char buf[64];

	(void)state;
	s3srv_set_bare_416(w.srv, true);
	assert_int_equal(s3world_put(&w, "e", "12345"), 0);
	assert_int_equal(s3world_get(&w, "e", 5, buf, 8), 0);
	r.buf = buf;
	r.len = 8;
	assert_int_equal(s3world_run(&w, &r), 0);
	assert_int_equal(r.size, 5);
	assert_int_equal(s3world_put(&w, "f", ""), 0);
	strcpy(r.name, "f");
	assert_int_equal(s3world_run(&w, &r), 0);
	assert_int_equal(r.size, 0);
}

/* ---- what is set right ------------------------------------------------------------------- */

static void skew(void **state)
{
	struct s3srv_counts c;

	(void)state;
	s3srv_set_skew(w.srv, 86400);
	assert_int_equal(s3world_put(&w, "s/1", "x"), 0);
	c = s3srv_counts(w.srv);
	assert_int_equal(c.refused, 1);
	/* remembered */
	assert_int_equal(s3world_put(&w, "s/2", "x"), 0);
	assert_int_equal(s3srv_counts(w.srv).refused, 1);
	s3srv_set_skew(w.srv, -86400);
	s3world_holds(&w, "s/2", "x");
	assert_int_equal(s3srv_counts(w.srv).refused, 2);
}

static void region(void **state)
{
	(void)state;
	s3srv_set_region(w.srv, "eu-west-9");
	assert_int_equal(s3world_put(&w, "r/1", "x"), 0);
	assert_int_equal(s3srv_counts(w.srv).refused, 1);
	assert_int_equal(s3world_put(&w, "r/2", "x"), 0);
	assert_int_equal(s3srv_counts(w.srv).refused, 1);
	/* to where an endpoint that was named does not lead */
	s3srv_rule(w.srv, &(struct s3srv_rule){ .ops = S3SRV_ANY,
						.act = S3SRV_STATUS,
						.status = 301,
						.code = "PermanentRedirect",
						.header = "x-amz-bucket-region: ap-south-7" });
	assert_int_equal(s3world_put(&w, "r/3", "x"), -EACCES);
	assert_non_null(strstr(s3world_why(&w), "ap-south-7"));
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
		assert_int_equal(s3world_put(&w, name, "x"), 0);
		assert_int_equal(s3srv_counts(w.srv).puts - before.puts, 2);
	}
	/* all the time: it does not get better, and is not final either */
	s3srv_clear(w.srv);
	s3srv_rule(w.srv, &(struct s3srv_rule){ .ops = S3SRV_ANY,
						.act = S3SRV_HTML,
						.status = 302,
						.header = "Location: https://login.example/?x" });
	assert_int_equal(s3world_put(&w, "r", "x"), -EIO);
	assert_non_null(strstr(s3world_why(&w), "PUT: 302 (a redirect that S3 does not give) to "
						"https://login.example"));
	/* S3's own, for good */
	s3srv_clear(w.srv);
	s3world_rule(&w, S3SRV_ANY, 0, S3SRV_STATUS, 301, "PermanentRedirect");
	assert_int_equal(s3world_put(&w, "r", "x"), -EACCES);
	assert_non_null(strstr(s3world_why(&w), "correct endpoint= or region="));
}

/* ---- what nothing helps ------------------------------------------------------------------ */

static void refused(void **state)
{
	struct s3srv_counts before, after;
	struct store_entry e[1];

	(void)state;
	s3world_rule(&w, S3SRV_ANY, 0, S3SRV_STATUS, 403, "AccessDenied");
	before = s3srv_counts(w.srv);
	assert_int_equal(s3world_put(&w, "x", "x"), -EACCES);
	after = s3srv_counts(w.srv);
	assert_int_equal(after.puts - before.puts, 1); /* not in a loop */
	assert_non_null(strstr(s3world_why(&w), "AccessDenied"));
	assert_non_null(strstr(s3world_why(&w), "s3:GetObject"));
	s3srv_clear(w.srv);
	s3world_rule(&w, S3SRV_ANY, 0, S3SRV_STATUS, 404, "NoSuchBucket");
	assert_int_equal(s3world_list(&w, e, 1), -EACCES);
	assert_int_equal(s3world_del(&w, "x"), -EACCES);
	assert_non_null(strstr(s3world_why(&w), "make the bucket"));
	s3srv_clear(w.srv);
	s3world_rule(&w, S3SRV_PUT, 0, S3SRV_STATUS, 507, "");
	assert_int_equal(s3world_put(&w, "x", "x"), -ENOSPC);
}

/* What has been said of a failure is not said any more once the like of it went well. */
static void said_while_true(void **state)
{
	struct store_entry e[4];
	char buf[64];

	(void)state;
	assert_string_equal(s3world_why(&w), "");
	/* tried again, and good: nothing to explain */
	s3world_rule(&w, S3SRV_ANY, 1, S3SRV_STATUS, 500, "InternalError");
	assert_int_equal(s3world_list(&w, e, 4), 0);
	assert_string_equal(s3world_why(&w), "");
	s3srv_clear(w.srv);
	s3world_rule(&w, S3SRV_PUT, 0, S3SRV_STATUS, 403, "AccessDenied");
	assert_int_equal(s3world_put(&w, "s", "x"), -EACCES);
	/* reading works, and writing still does not */
	assert_int_equal(s3world_get(&w, "s", 0, buf, 8), -ENOENT);
	assert_int_equal(s3world_list(&w, e, 4), 0);
	assert_non_null(strstr(s3world_why(&w), "PUT: 403 AccessDenied"));
	/* the newest of several */
	s3world_rule(&w, S3SRV_DELETE, 0, S3SRV_STATUS, 403, "AllAccessDisabled");
	assert_int_equal(s3world_del(&w, "s"), -EACCES);
	assert_non_null(strstr(s3world_why(&w), "DELETE: 403 AllAccessDisabled"));
	s3srv_clear(w.srv);
	assert_int_equal(s3world_del(&w, "s"), 0);
	assert_non_null(strstr(s3world_why(&w), "PUT: 403 AccessDenied"));
	assert_int_equal(s3world_put(&w, "s", "x"), 0);
	assert_string_equal(s3world_why(&w), "");
	/* an answer that is no success either */
	s3world_rule(&w, S3SRV_PUT, 1, S3SRV_RESET, 0, "");
	assert_int_equal(s3world_put(&w, "s", "x"), -EEXIST);
	assert_string_equal(s3world_why(&w), "");
}

/* Keys that are wrong and of no kind that is renewed: at once. */
static void wrong_keys(void **state)
{
	uint64_t t = clock_mono_us(clock_system());

	(void)state;
	store_close(w.s);
	setenv("AWS_ACCESS_KEY_ID", "AKIDOFNOBODY", 1);
	s3world_open(&w, "/v", "");
	assert_int_equal(s3world_put(&w, "k", "x"), -EACCES);
	assert_int_equal(s3srv_counts(w.srv).puts, 1);
	assert_non_null(strstr(s3world_why(&w), "does not know this access key"));
	assert_true(clock_mono_us(clock_system()) - t < 2000000);
}

static void away(void **state)
{
	uint64_t t;

	(void)state;
	/* with the pauses there really are */
	store_close(w.s);
	testrand_system();
	s3world_open(&w, "/v", "");
	t = clock_mono_us(clock_system());
	s3world_rule(&w, S3SRV_ANY, 0, S3SRV_STATUS, 503, "");
	assert_int_equal(s3world_put(&w, "a", "x"), -EIO);
	assert_int_equal(s3srv_counts(w.srv).puts, 6);
	/* 50 + 100 + 200 + 400 + 800 ms at most */
	assert_true(clock_mono_us(clock_system()) - t < 5000000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(transient), T(conflict),  T(lost_answers), T(bad_bodies),	 T(html_for_good),
		T(pages),     T(strangers), T(odd_keys),     T(beyond_the_end),	 T(skew),
		T(region),    T(redirects), T(refused),	     T(said_while_true), T(wrong_keys),
		T(away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
