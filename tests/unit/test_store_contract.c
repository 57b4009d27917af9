// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The contract of store.h, S1 to S5, on every implementation: the file store, the memory store, the
 * S3 store over a server of our own, and both layers over the memory store. Each test runs once per
 * kind.
 *
 *	test_store_contract s3://... [faults] [names-once] [skew=SECONDS]
 *
 * runs them on the store at a URL alone, below an empty prefix. "faults": the way there has some,
 * so that a request may fail and is asked again, as sio.c does, and a create may meet its own
 * object; what was put, and that of racing puts one wins, holds all the same. "names-once": what
 * one client has sent may arrive after it has sent more (nothing says that it may not, and the
 * volume needs no name twice), so no test does that deletes or replaces. "skew": this machine's
 * clock is so much off.
 */
#include <errno.h>
#include <pthread.h>
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
#include "lib/tempdir.h"
#include "lib/testrand.h"
#include "store/fault.h"
#include "store/file.h"
#include "store/mem.h"
#include "store/stat.h"
#include "store/store.h"
#include "store/url.h"

struct kind;

struct fixture {
	struct core core;
	const struct kind *kind;
	struct store *s; /* under test */
	struct store *inner; /* what mem_run() is for, NULL for file */
	char *dir;
	struct s3srv *srv;
};

struct kind {
	const char *name;
	void (*open)(struct fixture *x);
};

/* What the command line says. */
static struct {
	const char *url; /* NULL: nothing */
	bool faults, names_once;
	int64_t skew_us;
	unsigned int nr; /* of prefixes below it that were used */
} at;

static void open_mem(struct fixture *x)
{
	assert_int_equal(mem_new(&x->inner), 0);
	x->s = x->inner;
}

static void open_file(struct fixture *x)
{
	x->dir = tempdir_make();
	assert_int_equal(file_open(&x->s, x->dir, 0, &x->core, 4), 0);
}

static void open_fault(struct fixture *x)
{
	assert_int_equal(mem_new(&x->inner), 0);
	assert_int_equal(fault_new(&x->s, x->inner), 0);
}

static void open_stat(struct fixture *x)
{
	assert_int_equal(mem_new(&x->inner), 0);
	assert_int_equal(stat_new(&x->s, x->inner, clock_system()), 0);
}

/* Names stand behind a prefix, and a page of LIST is shorter than what is asked for. */
static void open_s3(struct fixture *x)
{
	char text[300], err[256] = "";
	struct url u;

	x->srv = s3srv_new();
	s3srv_set_page(x->srv, 7);
	setenv("AWS_ACCESS_KEY_ID", S3SRV_ACCESS, 1);
	setenv("AWS_SECRET_ACCESS_KEY", S3SRV_SECRET, 1);
	snprintf(text, sizeof(text),
		 "s3://" S3SRV_BUCKET "/vol%%201/A?endpoint=http://127.0.0.1:%u&plain-http=yes",
		 s3srv_port(x->srv));
	assert_int_equal(url_parse(&u, text, err, sizeof(err)), 0);
	assert_int_equal(url_open(&x->s, &u, 0, &x->core, clock_system(), err, sizeof(err)), 0);
}

static uint64_t mono_us(struct clock *c)
{
	(void)c;
	return clock_mono_us(clock_system());
}

static uint64_t skewed_us(struct clock *c)
{
	(void)c;
	return clock_real_us(clock_system()) + (uint64_t)at.skew_us;
}

static void open_url(struct fixture *x)
{
	static const struct clock_ops ops = { .mono_us = mono_us, .real_us = skewed_us };
	static struct clock clock = { &ops };
	char err[256] = "";
	struct url u;
	size_t n;

	assert_int_equal(url_parse(&u, at.url, err, sizeof(err)), 0);
	assert_int_equal(u.kind, URL_S3);
	n = strlen(u.s3.prefix);
	snprintf(u.s3.prefix + n, sizeof(u.s3.prefix) - n, "/%u", at.nr++);
	assert_int_equal(url_open(&x->s, &u, 0, &x->core, &clock, err, sizeof(err)), 0);
}

static const struct kind own_kinds[] = {
	{ "mem", open_mem },   { "file", open_file }, { "fault", open_fault },
	{ "stat", open_stat }, { "s3", open_s3 },
};
static const struct kind url_kind = { "url", open_url };

static void begin(struct fixture *x, const struct kind *k)
{
	memset(x, 0, sizeof(*x));
	assert_int_equal(core_init(&x->core, NULL, NULL), 0);
	x->kind = k;
	k->open(x);
}

static void end(struct fixture *x)
{
	store_close(x->s);
	if (x->kind->open == open_fault)
		store_close(x->inner);
	if (x->srv)
		s3srv_free(x->srv);
	core_destroy(&x->core);
	tempdir_remove(x->dir);
}

/* ---- one request, waited for ----------------------------------------------------------------- */

struct call {
	struct store_req r;
	struct fixture *x;
	bool done;
};

static void on_done(struct store_req *r)
{
	struct call *c = r->priv;

	assert_true(core_held(&c->x->core));
	assert_false(c->done);
	c->done = true;
}

static void start(struct fixture *x, struct call *c, enum store_op op, const char *name)
{
	memset(c, 0, sizeof(*c));
	c->x = x;
	c->r.op = op;
	strcpy(c->r.name, name);
	c->r.done = on_done;
	c->r.priv = c;
}

#define TRIES_MAX 60u /* with the store's own tries in each */

/* Whether it is to be asked again, by a client of a store that is in trouble. */
static bool has_failed(const struct store_req *r)
{
	if (!at.faults || r->res >= 0)
		return false;
	return r->res != (r->op == STORE_PUT ? -EEXIST : -ENOENT);
}

static void finish(struct fixture *x, struct call *c)
{
	core_lock(&x->core);
	for (unsigned int i = 0; i < TRIES_MAX; i++) {
		c->done = false;
		store_submit(x->s, &c->r);
		assert_false(c->done); /* never from within the call */
		while (!c->done) {
			if (x->inner)
				mem_run(x->inner);
			else
				core_wait(&x->core, UINT64_MAX);
		}
		if (!has_failed(&c->r))
			break;
	}
	core_unlock(&x->core);
}

static ssize_t put(struct fixture *x, const char *name, const void *p, size_t len)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = len };
	struct call c;

	start(x, &c, STORE_PUT, name);
	c.r.iov = &iov;
	c.r.niov = 1;
	finish(x, &c);
	return c.r.res;
}

static ssize_t get(struct fixture *x, const char *name, uint64_t off, void *p, size_t len,
		   uint64_t *size)
{
	struct call c;

	start(x, &c, STORE_GET, name);
	c.r.off = off;
	c.r.buf = p;
	c.r.len = len;
	finish(x, &c);
	if (size)
		*size = c.r.size;
	return c.r.res;
}

/* It is there with just these bytes, and nothing else of that name had been. */
static void create(struct fixture *x, const char *name, const void *p, size_t len)
{
	ssize_t rc = put(x, name, p, len);
	uint64_t size;
	void *back;

	if (!rc)
		return;
	assert_true(at.faults);
	assert_int_equal(rc, -EEXIST);
	back = malloc(len + 1);
	assert_non_null(back);
	assert_int_equal(get(x, name, 0, back, len + 1, &size), len);
	assert_int_equal(size, len);
	if (len)
		assert_memory_equal(back, p, len);
	free(back);
}

static ssize_t list(struct fixture *x, const char *prefix, const char *after, struct store_entry *e,
		    uint32_t max)
{
	struct call c;

	start(x, &c, STORE_LIST, prefix);
	strcpy(c.r.after, after);
	c.r.ents = e;
	c.r.max_ents = max;
	finish(x, &c);
	return c.r.res;
}

static ssize_t del(struct fixture *x, const char *name)
{
	struct call c;

	start(x, &c, STORE_DELETE, name);
	finish(x, &c);
	return c.r.res;
}

/* ---- the tests --------------------------------------------------------------------------- */

static void put_get(struct fixture *x)
{
	char buf[32];
	uint64_t size = 0;

	assert_int_equal(get(x, "seg/0/1", 0, buf, sizeof(buf), NULL), -ENOENT);
	create(x, "seg/0/1", "hello, world", 12);
	assert_int_equal(get(x, "seg/0/1", 0, buf, sizeof(buf), &size), 12);
	assert_int_equal(size, 12);
	assert_memory_equal(buf, "hello, world", 12);
	/* Ranges: inside, over the end, beyond it, nothing. */
	assert_int_equal(get(x, "seg/0/1", 7, buf, 3, &size), 3);
	assert_memory_equal(buf, "wor", 3);
	assert_int_equal(size, 12);
	assert_int_equal(get(x, "seg/0/1", 10, buf, 30, NULL), 2);
	assert_int_equal(get(x, "seg/0/1", 12, buf, 30, NULL), 0);
	assert_int_equal(get(x, "seg/0/1", 1ull << 40, buf, 30, &size), 0);
	assert_int_equal(size, 12);
	assert_int_equal(get(x, "seg/0/1", 3, NULL, 0, &size), 0);
	assert_int_equal(size, 12);
	/* What is a folder somewhere is no object. */
	assert_int_equal(get(x, "seg/0", 0, buf, 30, NULL), -ENOENT);
	assert_int_equal(get(x, "seg/0/1/2", 0, buf, 30, NULL), -ENOENT);
}

static void create_only(struct fixture *x)
{
	char buf[8] = "";

	create(x, "head/1", "first", 5);
	assert_int_equal(put(x, "head/1", "second", 6), -EEXIST);
	assert_int_equal(put(x, "head/1", "first", 5), -EEXIST);
	assert_int_equal(get(x, "head/1", 0, buf, sizeof(buf), NULL), 5);
	assert_string_equal(buf, "first");
}

static ssize_t replace(struct fixture *x, const char *name, const void *p, size_t len)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = len };
	struct call c;

	start(x, &c, STORE_PUT, name);
	c.r.iov = &iov;
	c.r.niov = 1;
	c.r.replace = true;
	finish(x, &c);
	return c.r.res;
}

static void replacing(struct fixture *x)
{
	struct store_entry e[4];
	char buf[32] = "";
	uint64_t size;

	assert_int_equal(replace(x, "lease", "the first one", 13), 0);
	assert_int_equal(get(x, "lease", 0, buf, sizeof(buf), &size), 13);
	assert_int_equal(replace(x, "lease", "second", 6), 0);
	assert_int_equal(get(x, "lease", 0, buf, sizeof(buf), &size), 6);
	assert_int_equal(size, 6);
	assert_memory_equal(buf, "second", 6);
	assert_int_equal(replace(x, "lease", "", 0), 0);
	assert_int_equal(get(x, "lease", 0, buf, sizeof(buf), &size), 0);
	assert_int_equal(list(x, "", "", e, 4), 1);
	/* creating it is refused all the same */
	assert_int_equal(put(x, "lease", "third", 5), -EEXIST);
	assert_int_equal(del(x, "lease"), 0);
	create(x, "lease", "third", 5);
	create(x, "a/b/c", "1", 1);
	assert_int_equal(replace(x, "a/b/c", "22", 2), 0);
	assert_int_equal(get(x, "a/b/c", 0, buf, sizeof(buf), &size), 2);
}

static void delete (struct fixture *x)
{
	struct store_entry e[4];

	assert_int_equal(del(x, "a/b/c/d"), 0);
	create(x, "a/b/c/d", "1", 1);
	create(x, "a/e", "2", 1);
	assert_int_equal(del(x, "a/b/c/d"), 0);
	assert_int_equal(del(x, "a/b/c/d"), 0);
	assert_int_equal(get(x, "a/b/c/d", 0, NULL, 0, NULL), -ENOENT);
	assert_int_equal(list(x, "", "", e, 4), 1);
	assert_string_equal(e[0].name, "a/e");
	/* The name is free again, folder and all. */
	create(x, "a/b/c/d", "3", 1);
	assert_int_equal(get(x, "a/b/c/d", 0, NULL, 0, NULL), 0);
	assert_int_equal(del(x, "a/b"), 0);
	assert_int_equal(list(x, "", "", e, 4), 2);
}

/* Bodies of no and of many pieces, some empty, larger than any one write. */
static void pieces(struct fixture *x)
{
	enum { NR = 3000 };
	static struct iovec iov[NR];
	size_t len = 0, pos = 0;
	uint8_t *all, *back;
	uint64_t size = 0;
	struct call c;

	testrand_seed(5);
	for (int i = 0; i < NR; i++)
		len += iov[i].iov_len = i % 7 ? testrand_below(3000) : 0;
	all = malloc(len);
	back = malloc(len);
	assert_non_null(all);
	assert_non_null(back);
	for (size_t i = 0; i < len; i++)
		all[i] = (uint8_t)testrand_u64();
	testrand_system(); /* the store has threads that draw too */
	for (int i = 0; i < NR; i++) {
		iov[i].iov_base = all + pos;
		pos += iov[i].iov_len;
	}
	start(x, &c, STORE_PUT, "big");
	c.r.iov = iov;
	c.r.niov = NR;
	finish(x, &c);
	if (!at.faults || c.r.res != -EEXIST)
		assert_int_equal(c.r.res, 0);
	assert_int_equal(get(x, "big", 0, back, len, &size), len);
	assert_int_equal(size, len);
	assert_memory_equal(all, back, len);
	assert_int_equal(get(x, "big", len / 2, back, 100, NULL), 100);
	assert_memory_equal(all + len / 2, back, 100);
	free(all);
	free(back);

	create(x, "empty", NULL, 0);
	assert_int_equal(get(x, "empty", 0, NULL, 0, &size), 0);
	assert_int_equal(size, 0);
	start(x, &c, STORE_PUT, "none");
	finish(x, &c);
	if (!at.faults || c.r.res != -EEXIST)
		assert_int_equal(c.r.res, 0);
	assert_int_equal(get(x, "none", 0, NULL, 0, &size), 0);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every prefix, start and page size against a sorted array. */
static void listing(struct fixture *x)
{
	static const char *const set[] = {
		"0",
		"a/0",
		"a/00",
		"a/1/2/3",
		"a/1/2/4",
		"a/1/3",
		"a/10",
		"a0",
		"ab/c",
		"b",
		"ba/a",
		"ba/b",
		"bab",
		"seg/0000000000000/000",
		"seg/0000000000000/fff",
		"seg/0000000000001/000",
		"seg/0000000000002/00a",
		"z/z/z/z/z/z/z/z/z",
		"zz",
	};
	static const char *const prefix[] = {
		"",
		"a",
		"a/",
		"a/1",
		"a/1/",
		"a/1/2",
		"a/1/2/3",
		"b",
		"ba",
		"ba/",
		"seg/",
		"seg/0000000000000/",
		"seg/00000000000",
		"c",
		"q/r/",
		"z/z/z/",
		"a/0/",
	};
	enum { NR = sizeof(set) / sizeof(set[0]) };
	const char *sorted[NR];
	struct store_entry e[NR + 1];

	memcpy(sorted, set, sizeof(set));
	qsort(sorted, NR, sizeof(sorted[0]), by_name);
	for (int i = 0; i < NR; i++)
		create(x, set[i], set[i], strlen(set[i]));
	for (size_t p = 0; p < sizeof(prefix) / sizeof(prefix[0]); p++) {
		for (int a = -1; a < NR; a += at.faults ? 5 : 1) {
			const char *after = a < 0 ? "" : sorted[a];
			uint32_t max = 1 + (uint32_t)(a + 1 + (int)p) % (NR + 1), n = 0;
			ssize_t got = list(x, prefix[p], after, e, max);

			for (int i = 0; i < NR && n < max; i++) {
				if (strncmp(sorted[i], prefix[p], strlen(prefix[p])) ||
				    strcmp(sorted[i], after) <= 0)
					continue;
				assert_true((ssize_t)n < got);
				assert_string_equal(e[n].name, sorted[i]);
				assert_int_equal(e[n].size, strlen(sorted[i]));
				n++;
			}
			assert_int_equal(got, n);
		}
	}
	/* A start that is no object, and one in a folder that is not there. */
	assert_int_equal(list(x, "seg/", "seg/0000000000000/001", e, 2), 2);
	assert_string_equal(e[0].name, "seg/0000000000000/fff");
	assert_int_equal(list(x, "seg/", "seg/0000000000001/fff", e, 2), 1);
	assert_int_equal(list(x, "", "a/1", e, 1), 1);
	assert_string_equal(e[0].name, "a/1/2/3");
	assert_int_equal(list(x, "", "zzz", e, 1), 0);
}

static void longest_name(struct fixture *x)
{
	char name[STORE_NAME_MAX];
	struct store_entry e[2];

	memset(name, 'x', sizeof(name));
	for (int i = 9; i < 250; i += 10)
		name[i] = '/';
	name[STORE_NAME_MAX - 1] = '\0';
	assert_int_equal(store_name_check(name), 0);
	create(x, name, "1", 1);
	assert_int_equal(list(x, "", "", e, 2), 1);
	assert_string_equal(e[0].name, name);
	if (!at.names_once)
		assert_int_equal(del(x, name), 0);
}

/*
 * ---- S1: of racing puts one wins ---------------------------------------------------------------
 */

struct racer {
	struct call c;
	char body[64];
	struct iovec iov;
};

static void race_once(struct fixture *x, const char *name, struct racer *r, int n)
{
	int won = 0, winner = -1, left = n;
	char buf[64];

	core_lock(&x->core);
	for (int i = 0; i < n; i++) {
		start(x, &r[i].c, STORE_PUT, name);
		snprintf(r[i].body, sizeof(r[i].body), "racer %d of %s", i, name);
		r[i].iov = (struct iovec){ r[i].body, sizeof(r[i].body) };
		r[i].c.r.iov = &r[i].iov;
		r[i].c.r.niov = 1;
		store_submit(x->s, &r[i].c.r);
	}
	while (left) {
		if (x->inner)
			mem_run(x->inner);
		else
			core_wait(&x->core, UINT64_MAX);
		left = 0;
		for (int i = 0; i < n; i++) {
			if (r[i].c.done && has_failed(&r[i].c.r)) {
				r[i].c.done = false;
				store_submit(x->s, &r[i].c.r);
			}
			left += !r[i].c.done;
		}
	}
	core_unlock(&x->core);
	for (int i = 0; i < n; i++) {
		if (!r[i].c.r.res) {
			won++;
			winner = i;
		} else {
			assert_int_equal(r[i].c.r.res, -EEXIST);
		}
	}
	assert_int_equal(get(x, name, 0, buf, sizeof(buf), NULL), sizeof(buf));
	/* He whose answer was lost has met his own. */
	for (int i = 0; i < n && at.faults && !won; i++) {
		if (!memcmp(buf, r[i].body, sizeof(buf))) {
			won++;
			winner = i;
		}
	}
	assert_int_equal(won, 1);
	assert_memory_equal(buf, r[winner].body, sizeof(buf));
}

static void racing(struct fixture *x)
{
	static struct racer r[8];
	char name[32];

	for (int i = 0; i < (at.faults ? 10 : 40); i++) {
		snprintf(name, sizeof(name), "race/%d/%d", i / 4, i);
		race_once(x, name, r, 8);
	}
}

/* Runs @test on every kind. */
static void each(void (*test)(struct fixture *x))
{
	const struct kind *kinds = at.url ? &url_kind : own_kinds;
	size_t nr = at.url ? 1 : sizeof(own_kinds) / sizeof(own_kinds[0]);

	for (size_t i = 0; i < nr; i++) {
		struct fixture x;

		begin(&x, &kinds[i]);
		test(&x);
		end(&x);
	}
}

#define EACH(test) \
	static void each_##test(void **state) \
	{ \
		(void)state; \
		each(test); \
	}
EACH(put_get)
EACH(create_only)
EACH(replacing)
EACH(delete)
EACH(pieces)
EACH(listing)
EACH(longest_name)
EACH(racing)
#define CONTRACT_ONCE \
	cmocka_unit_test(each_put_get), cmocka_unit_test(each_create_only), \
		cmocka_unit_test(each_pieces), cmocka_unit_test(each_listing), \
		cmocka_unit_test(each_longest_name), cmocka_unit_test(each_racing)
#define CONTRACT CONTRACT_ONCE, cmocka_unit_test(each_replacing), cmocka_unit_test(each_delete)

static void names(void **state)
{
	static const char *const bad[] = {
		"", "/", "/a", "a/", "a//b", "A", "a.b", "a_b", "a b", "../a", "a\n", "\xc3\xa4",
	};
	char name[STORE_NAME_MAX + 1];

	(void)state;
	assert_int_equal(store_name_check("seg/0000000000000/000"), 0);
	assert_int_equal(store_name_check("a"), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(store_name_check(bad[i]), -EINVAL);
	memset(name, 'a', sizeof(name));
	name[STORE_NAME_MAX] = '\0';
	assert_int_equal(store_name_check(name), -EINVAL);
	name[STORE_NAME_MAX - 1] = '\0';
	assert_int_equal(store_name_check(name), 0);
}

static int run_at(int argc, char **argv)
{
	static const struct CMUnitTest all[] = { CONTRACT }, once[] = { CONTRACT_ONCE };

	at.url = argv[1];
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "faults"))
			at.faults = true;
		else if (!strcmp(argv[i], "names-once"))
			at.names_once = true;
		else if (!strncmp(argv[i], "skew=", 5))
			at.skew_us = atoll(argv[i] + 5) * 1000000;
		else
			return 2;
	}
	return at.names_once ? cmocka_run_group_tests(once, NULL, NULL) :
			       cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		CONTRACT,
	};

	return argc > 1 ? run_at(argc, argv) : cmocka_run_group_tests(tests, NULL, NULL);
}
