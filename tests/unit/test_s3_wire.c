// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the S3 store says it sent, against what a server in trouble has got; what that has told.
 *
 * sleeps: 9 s
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/core.h"
#include "lib/s3srv.h"
#include "store/stat.h"
#include "store/store.h"
#include "store/url.h"
#include "store/wire.h"

static struct core core;
static struct s3srv *srv;
static struct store *s;

static void open_store(const char *endpoint, const char *more)
{
	struct store *inner;
	char text[400], err[256] = "";
	struct url u;

	snprintf(text, sizeof(text), "s3://" S3SRV_BUCKET "/v?%s%s", endpoint, more);
	assert_int_equal(url_parse(&u, text, err, sizeof(err)), 0);
	assert_int_equal(url_open(&inner, &u, 0, &core, clock_system(), err, sizeof(err)), 0);
	assert_int_equal(stat_new(&s, inner, clock_system()), 0);
}

static int begin(void **state)
{
	char endpoint[100];

	(void)state;
	setenv("AWS_ACCESS_KEY_ID", S3SRV_ACCESS, 1);
	setenv("AWS_SECRET_ACCESS_KEY", S3SRV_SECRET, 1);
	assert_int_equal(core_init(&core, NULL, NULL), 0);
	srv = s3srv_new();
	snprintf(endpoint, sizeof(endpoint), "endpoint=http://127.0.0.1:%u&plain-http=yes",
		 s3srv_port(srv));
	open_store(endpoint, "");
	return 0;
}

static int end(void **state)
{
	(void)state;
	store_close(s);
	s3srv_free(srv);
	core_destroy(&core);
	return 0;
}

static void on_done(struct store_req *r)
{
	*(bool *)r->priv = true;
}

static ssize_t run(enum store_op op, const char *name, void *buf, size_t len)
{
	static struct store_entry ents[8];
	struct iovec iov = { buf, len };
	bool done = false;
	struct store_req r = { .op = op,
			       .iov = &iov,
			       .niov = 1,
			       .buf = buf,
			       .len = op == STORE_GET ? len : 0,
			       .ents = ents,
			       .max_ents = 8,
			       .done = on_done,
			       .priv = &done };

	strcpy(r.name, name);
	core_lock(&core);
	store_submit(s, &r);
	while (!done)
		core_wait(&core, UINT64_MAX);
	core_unlock(&core);
	return r.res;
}

static void rule(unsigned int ops, unsigned int times, enum s3srv_act act, unsigned int status,
		 const char *code)
{
	s3srv_rule(
		srv,
		&(struct s3srv_rule){
			.ops = ops, .times = times, .act = act, .status = status, .code = code });
}

static struct wire look(void)
{
	struct wire wire;

	core_lock(&core);
	assert_true(store_wire(s, &wire));
	core_unlock(&core);
	return wire;
}

static uint64_t sum(const uint64_t *v)
{
	uint64_t n = 0;

	for (int i = 0; i < WIRE_NR_CAUSES; i++)
		n += v[i];
	return n;
}

/* wire.h's equation, for @answered requests of @o, nothing being under way. */
static void adds_up(const struct wire_op *o, uint64_t answered)
{
	assert_int_equal(o->attempts, answered + sum(o->retried) + sum(o->errors) + o->hedges);
}

static void counted(void **state)
{
	struct stat_usage all, hour;
	struct s3srv_counts c;
	char buf[1000] = "";
	struct wire wire;

	(void)state;
	assert_int_equal(run(STORE_PUT, "a", buf, 1000), 0);
	assert_int_equal(run(STORE_PUT, "a", buf, 1000), -EEXIST);
	assert_int_equal(run(STORE_GET, "a", buf, 600), 600);
	assert_int_equal(run(STORE_GET, "none", buf, 600), -ENOENT);
	assert_int_equal(run(STORE_LIST, "", NULL, 0), 1);
	assert_int_equal(run(STORE_DELETE, "a", NULL, 0), 0);
	wire = look();
	c = s3srv_counts(srv);
	assert_string_equal(wire.host, "127.0.0.1");
	adds_up(&wire.op[STORE_PUT], 2);
	adds_up(&wire.op[STORE_GET], 2);
	adds_up(&wire.op[STORE_LIST], 1);
	adds_up(&wire.op[STORE_DELETE], 1);
	for (int i = 0; i < STORE_NR_OPS; i++) {
		assert_int_equal(sum(wire.op[i].retried) + sum(wire.op[i].errors), 0);
		assert_int_equal(wire.op[i].us.n, wire.op[i].attempts);
		assert_true(wire.op[i].us.max > 0);
	}
	assert_int_equal(wire.op[STORE_PUT].bytes_up, c.bytes_in);
	assert_int_equal(wire.op[STORE_PUT].bytes_up, 2000);
	assert_int_equal(wire.op[STORE_GET].bytes_up + wire.op[STORE_LIST].bytes_up, 0);
	assert_in_range(wire.op[STORE_GET].bytes_down, 601, 1600); /* and the words of a 404 */
	assert_true(wire.op[STORE_LIST].bytes_down > 50);
	core_lock(&core);
	stat_usage(s, &all, &hour);
	core_unlock(&core);
	assert_true(all.wire);
	assert_int_equal(all.requests[STORE_PUT], 2);
	assert_int_equal(hour.requests[STORE_GET], 2);
	assert_int_equal(hour.bytes_up, 2000);
}

/* Each cause, twice, then good: three attempts, and two of them of that cause. */
static void causes(void **state)
{
	static const struct {
		enum s3srv_act act;
		unsigned int status;
		const char *code;
		enum wire_cause cause;
	} t[] = {
		{ S3SRV_STATUS, 503, "SlowDown", WIRE_THROTTLED },
		{ S3SRV_STATUS, 503, "", WIRE_THROTTLED },
		{ S3SRV_STATUS, 429, "", WIRE_THROTTLED },
		{ S3SRV_STATUS, 500, "InternalError", WIRE_SERVER },
		{ S3SRV_STATUS, 504, "", WIRE_SERVER },
		{ S3SRV_STATUS, 400, "RequestTimeout", WIRE_TIMEOUT },
		{ S3SRV_STATUS, 409, "OperationAborted", WIRE_OTHER },
		{ S3SRV_HTML, 200, "", WIRE_OTHER },
		{ S3SRV_RESET, 0, "", WIRE_NETWORK },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct wire before = look(), after;
		struct s3srv_counts seen = s3srv_counts(srv);
		const struct wire_op *a, *b;
		char name[16], buf[100] = "";

		snprintf(name, sizeof(name), "c/%u", i);
		s3srv_clear(srv);
		rule(S3SRV_PUT, 2, t[i].act, t[i].status, t[i].code);
		assert_int_equal(run(STORE_PUT, name, buf, 100), 0);
		after = look();
		a = &after.op[STORE_PUT];
		b = &before.op[STORE_PUT];
		/* curl repeats by itself what broke on a connection that had been used before */
		if (t[i].act != S3SRV_RESET) {
			assert_int_equal(a->attempts - b->attempts, 3);
			assert_int_equal(s3srv_counts(srv).puts - seen.puts, 3);
			assert_int_equal(a->bytes_up - b->bytes_up, 300);
			assert_int_equal(a->retried[t[i].cause] - b->retried[t[i].cause], 2);
			assert_int_equal(sum(a->retried) - sum(b->retried), 2);
		} else {
			assert_true(a->retried[t[i].cause] > b->retried[t[i].cause]);
			assert_int_equal(sum(a->retried) - sum(b->retried),
					 a->retried[t[i].cause] - b->retried[t[i].cause]);
		}
		adds_up(a, i + 1);
	}
	assert_int_equal(sum(look().op[STORE_PUT].errors), 0);
}

/* What ends with an error is one, of the last attempt's cause; the tries before were retried. */
static void errors(void **state)
{
	char buf[10] = "";
	struct wire wire;

	(void)state;
	rule(S3SRV_PUT, 0, S3SRV_STATUS, 500, "");
	assert_int_equal(run(STORE_PUT, "a", buf, 10), -EIO);
	rule(S3SRV_GET, 0, S3SRV_STATUS, 403, "AccessDenied");
	assert_int_equal(run(STORE_GET, "a", buf, 10), -EACCES);
	wire = look();
	assert_int_equal(wire.op[STORE_PUT].attempts, 6);
	assert_int_equal(wire.op[STORE_PUT].retried[WIRE_SERVER], 5);
	assert_int_equal(wire.op[STORE_PUT].errors[WIRE_SERVER], 1);
	assert_int_equal(wire.op[STORE_GET].attempts, 1);
	assert_int_equal(wire.op[STORE_GET].errors[WIRE_AUTH], 1);
	adds_up(&wire.op[STORE_PUT], 0);
	adds_up(&wire.op[STORE_GET], 0);
}

/* A clock that is wrong is set right, and costs one attempt. */
static void skewed(void **state)
{
	struct wire wire;
	char buf[10] = "";

	(void)state;
	s3srv_set_skew(srv, 7200);
	assert_int_equal(run(STORE_PUT, "a", buf, 10), 0);
	wire = look();
	assert_int_equal(wire.op[STORE_PUT].attempts, 2);
	assert_int_equal(wire.op[STORE_PUT].retried[WIRE_AUTH], 1);
	adds_up(&wire.op[STORE_PUT], 1);
}

static void hedged(void **state)
{
	struct wire wire;
	char buf[100] = "";

	(void)state;
	assert_int_equal(run(STORE_PUT, "h", buf, 100), 0);
	rule(S3SRV_GET, 1, S3SRV_HANG, 0, "");
	assert_int_equal(run(STORE_GET, "h", buf, 100), 100);
	wire = look();
	assert_int_equal(wire.op[STORE_GET].attempts, 2);
	assert_int_equal(wire.op[STORE_GET].hedges, 1);
	assert_int_equal(wire.op[STORE_GET].hedges_won, 1);
	assert_int_equal(sum(wire.op[STORE_GET].retried), 0);
	assert_int_equal(wire.op[STORE_GET].bytes_down, 100);
	adds_up(&wire.op[STORE_GET], 1);
	/* the first is late and answers all the same, before the second */
	s3srv_clear(srv);
	s3srv_rule(srv, &(struct s3srv_rule){
				.ops = S3SRV_GET, .times = 1, .act = S3SRV_DELAY, .ms = 600 });
	s3srv_rule(srv, &(struct s3srv_rule){
				.ops = S3SRV_GET, .times = 1, .act = S3SRV_HANG, .skip = 0 });
	assert_int_equal(run(STORE_GET, "h", buf, 100), 100);
	wire = look();
	assert_int_equal(wire.op[STORE_GET].attempts, 4);
	assert_int_equal(wire.op[STORE_GET].hedges, 2);
	assert_int_equal(wire.op[STORE_GET].hedges_won, 1);
	adds_up(&wire.op[STORE_GET], 2);
	/* both hang and are cut: one is the hedge, the other is tried again */
	s3srv_clear(srv);
	rule(S3SRV_GET, 2, S3SRV_HANG, 0, "");
	assert_int_equal(run(STORE_GET, "h", buf, 100), 100);
	wire = look();
	assert_int_equal(wire.op[STORE_GET].retried[WIRE_TIMEOUT], 1);
	adds_up(&wire.op[STORE_GET], 3);
}

/* Each page of a list is a request. */
static void pages(void **state)
{
	struct wire wire;
	char name[16], buf[1] = "";

	(void)state;
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "p/%d", i);
		assert_int_equal(run(STORE_PUT, name, buf, 1), 0);
	}
	s3srv_set_page(srv, 2);
	assert_int_equal(run(STORE_LIST, "p/", NULL, 0), 5);
	wire = look();
	assert_int_equal(wire.op[STORE_LIST].attempts, 3);
	assert_int_equal(s3srv_counts(srv).lists, 3);
	adds_up(&wire.op[STORE_LIST], 3);
}

/* Without a server: attempts, all failed, of the network. */
static void away(void **state)
{
	struct wire wire;
	char buf[1] = "";

	(void)state;
	store_close(s);
	open_store("endpoint=http://localhost:9&plain-http=yes&style=path", "");
	assert_int_equal(run(STORE_PUT, "a", buf, 1), -ETIMEDOUT);
	wire = look();
	assert_int_equal(wire.op[STORE_PUT].attempts, 6);
	assert_int_equal(wire.op[STORE_PUT].retried[WIRE_NETWORK], 5);
	assert_int_equal(wire.op[STORE_PUT].errors[WIRE_NETWORK], 1);
	assert_int_equal(wire.op[STORE_PUT].bytes_up, 0);
}

static void hosts(void **state)
{
	(void)state;
	store_close(s);
	open_store("region=eu-central-1", "");
	assert_string_equal(look().host, "s3.eu-central-1.amazonaws.com");
	store_close(s);
	open_store("endpoint=https://acc.r2.cloudflarestorage.com:443&region=auto",
		   "&style=virtual");
	assert_string_equal(look().host, "acc.r2.cloudflarestorage.com");
}

/* ---- what the store tells of itself beside its answers ----------------------------------- */

static struct store_facts facts_now(void)
{
	struct store_facts f;

	core_lock(&core);
	store_facts(s, &f);
	core_unlock(&core);
	return f;
}

/* A PUT whose answer says that the body has the CRC32C @sum. */
static void put_confirmed(const char *name, const char *sum)
{
	char line[80], body[] = "123456789";

	snprintf(line, sizeof(line), "x-amz-checksum-crc32c: %s", sum);
	s3srv_rule(srv, &(struct s3srv_rule){
				.ops = S3SRV_PUT, .times = 1, .act = S3SRV_DELAY, .header = line });
	assert_int_equal(run(STORE_PUT, name, body, 9), 0);
	s3srv_clear(srv);
}

static void facts(void **state)
{
	struct store_facts f = facts_now();
	char buf[16] = "x";

	(void)state;
	assert_false(f.has_clock || f.has_sums);
	s3srv_set_skew(srv, -600); /* less than what it refuses */
	assert_int_equal(run(STORE_PUT, "1", buf, 1), 0);
	f = facts_now();
	assert_true(f.has_clock && f.has_sums && !f.sums);
	/* whole seconds, and a slow machine */
	assert_in_range(f.skew_us + 630000000, 0, 60000000);
	put_confirmed("2", "4waSgw=="); /* 0xe3069283, as RFC 3720 has it */
	assert_true(facts_now().sums);
	put_confirmed("3", "4waSgA==");
	assert_false(facts_now().sums);
	/* a GET's Date may be old when it ends */
	s3srv_set_skew(srv, 300);
	assert_int_equal(run(STORE_GET, "1", buf, 1), 1);
	assert_true(facts_now().skew_us < 0);
	assert_int_equal(run(STORE_LIST, "", NULL, 0), 3);
	assert_true(facts_now().skew_us > 270000000);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	static const struct CMUnitTest tests[] = {
		T(counted), T(causes), T(errors), T(skewed), T(hedged),
		T(pages),   T(away),   T(hosts),  T(facts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
