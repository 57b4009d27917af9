// SPDX-License-Identifier: GPL-2.0-or-later
/* The fault and stat layers beyond the contract, and store URLs. */
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
#include "lib/tempdir.h"
#include "store/fault.h"
#include "store/mem.h"
#include "store/stat.h"
#include "store/url.h"

struct call {
	struct store_req r;
	unsigned int done;
};

static void on_done(struct store_req *r)
{
	((struct call *)r->priv)->done++;
}

static void start(struct store *s, struct call *c, enum store_op op, const char *name, void *buf,
		  size_t len)
{
	static struct iovec iov;

	memset(c, 0, sizeof(*c));
	c->r.op = op;
	strcpy(c->r.name, name);
	c->r.done = on_done;
	c->r.priv = c;
	if (op == STORE_PUT) {
		iov = (struct iovec){ buf, len };
		c->r.iov = &iov;
		c->r.niov = 1;
	} else {
		c->r.buf = buf;
		c->r.len = len;
	}
	store_submit(s, &c->r);
}

static ssize_t run(struct store *s, struct store *mem, struct call *c, enum store_op op,
		   const char *name, void *buf, size_t len)
{
	start(s, c, op, name, buf, len);
	assert_int_equal(c->done, 0);
	mem_run(mem);
	assert_int_equal(c->done, 1);
	return c->r.res;
}

static void faults(void **state)
{
	struct fault_rule r = { .kind = FAULT_ERROR,
				.ops = 1u << STORE_PUT,
				.prefix = "seg/",
				.skip = 1,
				.count = 2,
				.err = -ENOSPC };
	struct store *mem = NULL, *f = NULL;
	struct call c, d;
	char buf[16] = "hello";
	size_t len;

	(void)state;
	assert_int_equal(mem_new(&mem), 0);
	assert_int_equal(fault_new(&f, mem), 0);

	/* The second and third PUT of seg/ fail, others and other names do not. */
	assert_int_equal(fault_add(f, &r), 0);
	assert_int_equal(run(f, mem, &c, STORE_PUT, "seg/1", buf, 5), 0);
	for (int i = 0; i < 2; i++) {
		start(f, &c, STORE_PUT, "seg/2", buf, 5);
		assert_false(mem_run(mem));
		assert_int_equal(c.done, 0);
		assert_true(fault_run(f));
		assert_int_equal(c.r.res, -ENOSPC);
	}
	assert_null(mem_object(mem, "seg/2", &len));
	assert_int_equal(run(f, mem, &c, STORE_PUT, "head/1", buf, 5), 0);
	assert_int_equal(run(f, mem, &c, STORE_PUT, "seg/2", buf, 5), 0);
	assert_int_equal(fault_hits(f), 2);
	assert_false(fault_run(f));
	fault_clear(f);

	/* Done, but the answer is lost. */
	r = (struct fault_rule){ .kind = FAULT_LOST, .ops = ~0u, .count = 1, .err = -ETIMEDOUT };
	assert_int_equal(fault_add(f, &r), 0);
	assert_int_equal(run(f, mem, &c, STORE_PUT, "seg/3", buf, 5), -ETIMEDOUT);
	assert_non_null(mem_object(mem, "seg/3", &len));
	assert_int_equal(run(f, mem, &c, STORE_PUT, "seg/3", buf, 5), -EEXIST);
	fault_clear(f);

	/* Held back while another one passes. */
	r = (struct fault_rule){ .kind = FAULT_HOLD, .ops = ~0u, .prefix = "seg/4" };
	assert_int_equal(fault_add(f, &r), 0);
	start(f, &c, STORE_PUT, "seg/4", buf, 5);
	assert_int_equal(run(f, mem, &d, STORE_PUT, "seg/5", buf, 5), 0);
	assert_int_equal(fault_held(f), 1);
	assert_null(mem_object(mem, "seg/4", &len));
	fault_clear(f);
	assert_true(fault_release(f));
	assert_false(fault_release(f));
	assert_int_equal(c.done, 0);
	assert_true(mem_run(mem));
	assert_int_equal(c.done, 1);
	assert_int_equal(c.r.res, 0);

	/* Short reads, and wrong ones. */
	r = (struct fault_rule){ .kind = FAULT_SHORT, .ops = 1u << STORE_GET, .count = 1 };
	r.arg = 2;
	assert_int_equal(fault_add(f, &r), 0);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(run(f, mem, &c, STORE_GET, "seg/1", buf, sizeof(buf)), 2);
	assert_int_equal(c.r.size, 5);
	assert_string_equal(buf, "he");
	r = (struct fault_rule){ .kind = FAULT_CORRUPT, .ops = 1u << STORE_GET, .arg = 8 };
	fault_clear(f);
	assert_int_equal(fault_add(f, &r), 0);
	assert_int_equal(run(f, mem, &c, STORE_GET, "seg/1", buf, sizeof(buf)), 5);
	assert_string_equal(buf, "hdllo");
	store_close(f);
	store_close(mem);
}

static void limit_and_clone(void **state)
{
	struct store *mem = NULL, *copy = NULL;
	struct call c;
	char buf[16] = "0123456789";
	size_t len = 0;

	(void)state;
	assert_int_equal(mem_new(&mem), 0);
	mem_set_limit(mem, 15);
	assert_int_equal(run(mem, mem, &c, STORE_PUT, "a", buf, 10), 0);
	assert_int_equal(run(mem, mem, &c, STORE_PUT, "b", buf, 6), -ENOSPC);
	assert_int_equal(run(mem, mem, &c, STORE_PUT, "b", buf, 5), 0);
	assert_int_equal(mem_bytes(mem), 15);
	assert_int_equal(mem_clone(mem, &copy), 0);
	assert_int_equal(run(mem, mem, &c, STORE_DELETE, "a", NULL, 0), 0);
	assert_int_equal(mem_bytes(mem), 5);
	assert_non_null(mem_object(copy, "a", &len));
	assert_int_equal(len, 10);
	assert_int_equal(mem_drop(copy, "zz"), -ENOENT);
	start(mem, &c, STORE_DELETE, "b", NULL, 0);
	assert_int_equal(mem_pending(mem), 1);
	assert_int_equal(mem_bytes(mem), 5);
	assert_true(mem_run(mem));
	assert_int_equal(mem_pending(mem), 0);
	store_close(mem);
	store_close(copy);
}

static uint64_t now_us;

static uint64_t fake_now(struct clock *c)
{
	(void)c;
	return now_us;
}

static void counting(void **state)
{
	static const struct clock_ops ops = { .mono_us = fake_now, .real_us = fake_now };
	struct clock clock = { &ops };
	const struct stat_op *o;
	struct store *mem = NULL, *s = NULL;
	struct call c, d;
	char buf[100] = "";

	(void)state;
	assert_int_equal(mem_new(&mem), 0);
	assert_int_equal(stat_new(&s, mem, &clock), 0);
	o = stat_get(s)->op;
	for (int i = 0; i < 99; i++) {
		char name[16];

		snprintf(name, sizeof(name), "a/%d", i);
		start(s, &c, STORE_PUT, name, buf, 100);
		assert_int_equal(o[STORE_PUT].inflight, 1);
		now_us += 100;
		assert_true(mem_run(mem));
	}
	start(s, &c, STORE_PUT, "a/0", buf, 100);
	start(s, &d, STORE_GET, "a/1", buf, 60);
	now_us += 50000;
	assert_true(mem_run(mem));
	assert_true(mem_run(mem));
	assert_int_equal(o[STORE_PUT].requests, 100);
	assert_int_equal(o[STORE_PUT].bytes, 9900);
	assert_int_equal(o[STORE_PUT].answers, 1);
	assert_int_equal(o[STORE_PUT].errors, 0);
	assert_int_equal(o[STORE_PUT].inflight, 0);
	assert_int_equal(o[STORE_PUT].inflight_max, 1);
	assert_int_equal(o[STORE_PUT].us.sum, 99 * 100 + 50000);
	assert_int_equal(o[STORE_PUT].us.max, 50000);
	assert_int_equal(o[STORE_GET].bytes, 60);
	/* all but one in the bucket [96, 112) */
	assert_int_equal(hist_quantile(&o[STORE_PUT].us, 500), 103);
	assert_int_equal(hist_quantile(&o[STORE_PUT].us, 990), 111);
	assert_int_equal(hist_quantile(&o[STORE_PUT].us, 1000), 50000);
	assert_int_equal(hist_quantile(&o[STORE_LIST].us, 500), 0);
	assert_int_equal(run(s, mem, &c, STORE_GET, "none", buf, 60), -ENOENT);
	assert_int_equal(o[STORE_GET].answers, 1);
	mem_set_limit(mem, 0);
	assert_int_equal(run(s, mem, &c, STORE_PUT, "b", buf, 1), -ENOSPC);
	assert_int_equal(o[STORE_PUT].errors, 1);
	assert_string_equal(stat_op_name(STORE_LIST), "list");
	store_close(s); /* and mem with it */
}

#define MINUTE 60000000ull

/* What is counted of the last hour, and how long that is, when some is older. */
static void last_hour(void **state)
{
	static const struct clock_ops ops = { .mono_us = fake_now, .real_us = fake_now };
	struct clock clock = { &ops };
	struct store *mem = NULL, *s = NULL;
	struct stat_usage all, hour;
	char buf[100] = "", name[16];
	struct call c;

	(void)state;
	now_us = 5 * MINUTE; /* the clock began before the store did */
	assert_int_equal(mem_new(&mem), 0);
	assert_int_equal(stat_new(&s, mem, &clock), 0);
	stat_usage(s, &all, &hour);
	assert_int_equal(all.us, 0);
	/* 10 bytes at once, then 100 each 20 minutes */
	assert_int_equal(run(s, mem, &c, STORE_PUT, "first", buf, 10), 0);
	for (int i = 0; i < 9; i++) {
		now_us += 20 * MINUTE;
		snprintf(name, sizeof(name), "a/%d", i);
		assert_int_equal(run(s, mem, &c, STORE_PUT, name, buf, 100), 0);
		assert_int_equal(run(s, mem, &c, STORE_GET, name, buf, 30), 30);
		stat_usage(s, &all, &hour);
		assert_false(all.wire);
		assert_int_equal(all.us, (uint64_t)(i + 1) * 20 * MINUTE);
		assert_int_equal(all.requests[STORE_PUT], i + 2);
		assert_int_equal(all.requests[STORE_LIST], 0);
		assert_int_equal(all.bytes_up, 10 + 100 * (i + 1));
		assert_int_equal(all.bytes_down, 30 * (i + 1));
		/* those at 0, 20 and 40 minutes ago, and at an hour ago to the second */
		assert_int_equal(hour.requests[STORE_PUT], i < 2 ? i + 2 : 4);
		assert_int_equal(hour.bytes_down, 30 * (i < 3 ? i + 1 : 4));
		assert_int_equal(hour.us, (i < 2 ? (uint64_t)i + 1 : 3) * 20 * MINUTE);
	}
	/* they go by, whether or not anything is asked */
	now_us += 30 * MINUTE;
	stat_usage(s, &all, &hour);
	assert_int_equal(hour.requests[STORE_PUT], 2);
	assert_int_equal(hour.us, 60 * MINUTE);
	now_us += 31 * MINUTE;
	stat_usage(s, &all, &hour);
	assert_int_equal(hour.requests[STORE_PUT], 0);
	assert_int_equal(hour.bytes_up, 0);
	assert_int_equal(hour.us, 60 * MINUTE);
	assert_int_equal(all.requests[STORE_PUT], 10);
	/* all the time something, more often than is remembered: right to a minute */
	for (int i = 0; i < 3 * 60 * 10; i++) {
		now_us += 6000000;
		assert_int_equal(run(s, mem, &c, STORE_GET, "first", buf, 10), 10);
	}
	stat_usage(s, &all, &hour);
	assert_in_range(hour.us, 59 * MINUTE, 60 * MINUTE);
	assert_in_range(hour.requests[STORE_GET], hour.us / 6000000 - 1, hour.us / 6000000 + 1);
	store_close(s);
}

static void urls(void **state)
{
	static const char *const good[][2] = {
		{ "file:///var/vol", "/var/vol" },
		{ "file:///var/vol/", "/var/vol" },
		{ "file:///a", "/a" },
		{ "file:///a b//", "/a b" },
	};
	static const char *const bad[] = {
		"",	   "/var/vol", "file:", "file:/var/vol", "file://host/vol",
		"file://", "file:///", "s3://", "nbd://x",	 "mem:x",
	};
	char err[256], big[5000];
	struct url u;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(url_parse(&u, good[i][0], err, sizeof(err)), 0);
		assert_int_equal(u.kind, URL_FILE);
		assert_string_equal(u.path, good[i][1]);
	}
	assert_int_equal(url_parse(&u, "mem:", err, sizeof(err)), 0);
	assert_int_equal(u.kind, URL_MEM);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err[0] = '\0';
		assert_int_equal(url_parse(&u, bad[i], err, sizeof(err)), -EINVAL);
		assert_true(strlen(err) > 20);
		assert_null(strchr(err, '\n'));
	}
	url_parse(&u, "gs://bucket/x", err, sizeof(err));
	assert_non_null(strstr(err, "unknown store kind"));
	memset(big, 'x', sizeof(big));
	memcpy(big, "file:///", 8);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(url_parse(&u, big, err, sizeof(err)), -EINVAL);
}

static void open_url(void **state)
{
	char *dir = tempdir_make(), text[300], err[256] = "";
	struct store *s = NULL;
	struct core core;
	struct url u;

	(void)state;
	assert_int_equal(core_init(&core, NULL, NULL), 0);
	snprintf(text, sizeof(text), "file://%s/vol", dir);
	assert_int_equal(url_parse(&u, text, err, sizeof(err)), 0);
	assert_int_equal(url_open(&s, &u, 0, &core, clock_system(), err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "no such folder"));
	assert_int_equal(url_open(&s, &u, URL_CREATE, &core, clock_system(), err, sizeof(err)), 0);
	assert_string_equal(s->ops->kind, "file");
	store_close(s);
	assert_int_equal(url_parse(&u, "mem:", err, sizeof(err)), 0);
	assert_int_equal(url_open(&s, &u, 0, &core, clock_system(), err, sizeof(err)), 0);
	store_close(s);
	core_destroy(&core);
	tempdir_remove(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults),   cmocka_unit_test(limit_and_clone),
		cmocka_unit_test(counting), cmocka_unit_test(last_hour),
		cmocka_unit_test(urls),	    cmocka_unit_test(open_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
