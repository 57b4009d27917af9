// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * zerofs probe's engine: on stores that keep to store.h all is well and nothing is left; on one
 * that breaks a promise just that row says so; whatever happens, what can be removed is removed.
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
#include "lib/tempdir.h"
#include "store/fault.h"
#include "store/file.h"
#include "store/mem.h"
#include "store/trial.h"

#define PUTS	(1u << STORE_PUT)
#define GETS	(1u << STORE_GET)
#define LISTS	(1u << STORE_LIST)
#define DELETES (1u << STORE_DELETE)
#define BODY	(64u << 10)

static const struct trial_opts some = {
	.samples = 7,
	.ms = 0,
	.rounds = 3,
	.object_bytes = BODY,
	.parallel = 4,
};

/* A store in memory, one that lies before it, and somebody else's object. */
struct fix {
	struct store *mem, *f;
	struct trial_report r;
	uint32_t waits, stop_after; /* 0: never */
	uint64_t before;
};

static void wait_mem(void *ctx, const bool *done)
{
	struct fix *x = ctx;

	x->waits++;
	while (!*done)
		assert_true(fault_run(x->f) || mem_run(x->mem));
}

static bool stopped(void *ctx)
{
	const struct fix *x = ctx;

	return x->stop_after && x->waits >= x->stop_after;
}

static void begin(struct fix *x)
{
	memset(x, 0, sizeof(*x));
	assert_int_equal(mem_new(&x->mem), 0);
	assert_int_equal(fault_new(&x->f, x->mem), 0);
	assert_int_equal(mem_set(x->mem, "head/ffff", "not ours", 8), 0);
	assert_int_equal(mem_set(x->mem, "trial/0/x", "nor this", 8), 0);
	x->before = mem_bytes(x->mem);
}

static void add(struct fix *x, enum fault_kind kind, unsigned int ops, const char *part, int err,
		uint32_t skip, uint32_t count, uint64_t arg)
{
	struct fault_rule r = {
		.kind = kind, .ops = ops, .skip = skip, .count = count, .err = err, .arg = arg
	};

	snprintf(r.part, sizeof(r.part), "%s", part);
	assert_int_equal(fault_add(x->f, &r), 0);
}

static void run(struct fix *x, const struct trial_opts *o)
{
	const struct trial_env env = { .store = x->f,
				       .clock = clock_system(),
				       .wait = wait_mem,
				       .stopped = stopped,
				       .ctx = x };

	trial_begin(&x->r);
	assert_int_equal(trial_run(&x->r, &env, o), 0);
	assert_int_equal(mem_pending(x->mem), 0);
}

static const struct trial_row *row(const struct trial_report *r, const char *name)
{
	for (uint32_t i = 0; i < r->nr_rows; i++)
		if (!strcmp(r->rows[i].name, name))
			return &r->rows[i];
	return NULL;
}

static void say(const struct trial_report *r)
{
	for (uint32_t i = 0; i < r->nr_rows; i++)
		print_message("%-18s %s  %s\n", r->rows[i].name,
			      trial_result_name(r->rows[i].result), r->rows[i].text);
}

/* Row @name, and none but that, is @result and says @text; NULL: no row is worse than PASS. */
static void only(const struct trial_report *r, const char *name, enum trial_result result,
		 const char *text)
{
	bool found = !name;

	say(r);
	for (uint32_t i = 0; i < r->nr_rows; i++) {
		if (name && !strcmp(r->rows[i].name, name)) {
			found = true;
			assert_int_equal(r->rows[i].result, result);
			if (!strstr(r->rows[i].text, text))
				fail_msg("'%s' is not in '%s'", text, r->rows[i].text);
		} else {
			assert_true(r->rows[i].result <= TRIAL_PASS);
		}
	}
	assert_true(found);
	assert_int_equal(r->verdict, name ? result : TRIAL_PASS);
}

/* Nothing but what was there before. */
static void end(struct fix *x)
{
	size_t len;

	assert_int_equal(x->r.left, 0);
	assert_int_equal(mem_bytes(x->mem), x->before);
	assert_memory_equal(mem_object(x->mem, "head/ffff", &len), "not ours", 8);
	assert_memory_equal(mem_object(x->mem, "trial/0/x", &len), "nor this", 8);
	store_close(x->f);
	store_close(x->mem);
}

static void test_good(void **state)
{
	struct trial_opts o = some;
	struct fix x;

	(void)state;
	begin(&x);
	o.ms = 200;
	/* so that they are few: a store in memory is fast */
	o.object_bytes = 32u << 20;
	run(&x, &o);
	only(&x.r, NULL, TRIAL_PASS, "");
	assert_false(x.r.stopped);
	for (int op = 0; op < STORE_NR_OPS; op++) {
		assert_int_equal(x.r.latency[op].samples, some.samples);
		assert_int_equal(x.r.latency[op].failed, 0);
		assert_true(x.r.latency[op].p50_us <= x.r.latency[op].p99_us);
		assert_true(x.r.requests[op] > some.samples);
	}
	assert_true(x.r.up.bytes && x.r.up.bytes % o.object_bytes == 0 && x.r.up.us);
	assert_true(x.r.down.bytes && x.r.down.bytes % o.object_bytes == 0 && x.r.down.us);
	assert_true(x.r.bytes_up > x.r.up.bytes && x.r.bytes_up < TRIAL_BYTES_MAX + (64u << 20));
	assert_true(x.r.bytes_down > x.r.down.bytes &&
		    x.r.bytes_down < TRIAL_BYTES_MAX + (64u << 20));
	end(&x);
}

/* Figures cost most: they are not taken of a store that fails. */
static void bad(struct fix *x, const char *name, const char *text)
{
	run(x, &some);
	only(&x->r, name, TRIAL_FAIL, text);
	assert_null(row(&x->r, "put-latency"));
	end(x);
}

static void test_creates_twice(void **state)
{
	struct fix x;

	(void)state;
	begin(&x);
	add(&x, FAULT_REPLACE, PUTS, "/k", 0, 0, 0, 0);
	bad(&x, "create-only", "overwritten the first");
	/* says yes and does nothing */
	begin(&x);
	add(&x, FAULT_ERROR, PUTS, "/k", 0, 1, 0, 0);
	bad(&x, "create-only", "nothing was written");
	/* says no and does it all the same */
	begin(&x);
	add(&x, FAULT_REPLACE, PUTS, "/k", -EEXIST, 1, 1, 0);
	bad(&x, "create-only", "and yet it has changed");
	/* refuses what it does not know */
	begin(&x);
	add(&x, FAULT_ERROR, PUTS, "/k", -EACCES, 1, 0, 0);
	bad(&x, "create-only", "no permission");
}

static void test_race(void **state)
{
	struct fix x;

	(void)state;
	/* create-only as long as they do not race */
	begin(&x);
	add(&x, FAULT_REPLACE, PUTS, "/r/1", 0, 0, 0, 0);
	bad(&x, "race", "both told");
	/* the first of them is told a lie */
	begin(&x);
	add(&x, FAULT_ERROR, PUTS, "/r/2", 0, 0, 1, 0);
	bad(&x, "race", "both told");
	/* one makes it, is told so, and another's bytes are there */
	begin(&x);
	add(&x, FAULT_LOST, PUTS, "/r/0", -EEXIST, 0, 1, 0);
	add(&x, FAULT_ERROR, PUTS, "/r/0", 0, 1, 1, 0);
	bad(&x, "race", "another's");
	begin(&x);
	add(&x, FAULT_CORRUPT, GETS, "/r/0", 0, 0, 1, 8 * 100);
	bad(&x, "race", "none of those");
	/* An answer that was lost and asked for anew is no lie. */
	begin(&x);
	add(&x, FAULT_LOST, PUTS, "/r/", -EEXIST, 0, 1, 0);
	add(&x, FAULT_LOST, PUTS, "/w/", -EEXIST, 0, 0, 0);
	add(&x, FAULT_LOST, PUTS, "/o/", -EEXIST, 3, 2, 0);
	run(&x, &some);
	only(&x.r, NULL, TRIAL_PASS, "");
	end(&x);
}

static void test_read_after_write(void **state)
{
	struct fix x;

	(void)state;
	begin(&x);
	add(&x, FAULT_LOST, GETS, "/w/3", -ENOENT, 0, 0, 0);
	bad(&x, "read-after-write", "not there");
	begin(&x);
	add(&x, FAULT_CORRUPT, GETS, "/w/3", 0, 0, 0, 8 * 4095);
	bad(&x, "read-after-write", "not what had been written");
	begin(&x);
	add(&x, FAULT_SHORT, GETS, "/w/7", 0, 0, 0, 4095);
	bad(&x, "read-after-write", "not what had been written");
	/* somebody was there before, and it is said to be ours */
	begin(&x);
	add(&x, FAULT_ERROR, PUTS, "/w/0", -EEXIST, 0, 0, 0);
	bad(&x, "read-after-write", "not there");
}

static void test_list(void **state)
{
	struct fix x;

	(void)state;
	begin(&x);
	add(&x, FAULT_FORGET, LISTS, "/l/", 0, 4, 1, 0);
	bad(&x, "list-after-write", "does not show");
	begin(&x);
	add(&x, FAULT_ORDER, LISTS, "/o/", 0, 0, 1, 0);
	bad(&x, "list-order", "order of bytes");
	begin(&x);
	add(&x, FAULT_FORGET, LISTS, "/o/", 0, 0, 1, 0);
	bad(&x, "list-order", "leaves names out");
	begin(&x);
	add(&x, FAULT_AFTER, LISTS, "/o/", 0, 2, 0, 0);
	bad(&x, "list-pages", "repeats some");
	begin(&x);
	add(&x, FAULT_FORGET, LISTS, "/o/", 0, 2, 1, 0);
	bad(&x, "list-pages", "too early");
	begin(&x);
	add(&x, FAULT_AFTER, LISTS, "/o/", 0, 5, 0, 0);
	bad(&x, "list-pages", "begins at a wrong one");
	/* a store that takes no notice of the prefix */
	begin(&x);
	add(&x, FAULT_LOST, LISTS, "", 1, 0, 1, 0);
	bad(&x, "reach", "nobody has used");
}

static void test_range(void **state)
{
	struct fix x;

	(void)state;
	for (uint32_t i = 1; i < 9; i++) {
		begin(&x);
		add(&x, FAULT_SHIFT, GETS, "/g", 0, i, 1, 1);
		/* beyond the end a byte more makes no difference */
		if (i == 6 || i == 7) {
			run(&x, &some);
			only(&x.r, NULL, TRIAL_PASS, "");
			end(&x);
		} else {
			bad(&x, "ranged-get", "other bytes");
		}
	}
	begin(&x);
	add(&x, FAULT_ERROR, GETS, "/g", -EIO, 3, 1, 0);
	bad(&x, "ranged-get", "GET: ");
}

static void test_delete(void **state)
{
	struct fix x;

	(void)state;
	begin(&x);
	add(&x, FAULT_ERROR, DELETES, "/d/", 0, 0, 1, 0);
	bad(&x, "delete", "still there");
	begin(&x);
	add(&x, FAULT_LOST, DELETES, "/d/", -EACCES, 1, 1, 0);
	bad(&x, "delete", "no permission");
	begin(&x);
	add(&x, FAULT_LOST, LISTS, "/d/", 1, 0, 1, 0);
	bad(&x, "delete", "was deleted");
}

static void test_warnings(void **state)
{
	struct fix x;

	(void)state;
	begin(&x);
	add(&x, FAULT_ERROR, PUTS, "/p", 0, 1, 0, 0);
	run(&x, &some);
	only(&x.r, "replace", TRIAL_WARN, "has not been");
	end(&x);
	begin(&x);
	add(&x, FAULT_ERROR, GETS, "/s/", -EIO, 2, 1, 0);
	run(&x, &some);
	only(&x.r, "get-latency", TRIAL_WARN, "1 of 7 failed");
	assert_int_equal(x.r.latency[STORE_GET].samples, 6);
	end(&x);
}

/* The first thing that does not work ends it, and so does a store that has broken down. */
static void test_down(void **state)
{
	struct fix x;

	(void)state;
	begin(&x);
	add(&x, FAULT_ERROR, LISTS, "", -EACCES, 0, 0, 0);
	bad(&x, "reach", "no permission");
	assert_int_equal(x.r.nr_rows, 1);
	assert_int_equal(x.r.requests[STORE_PUT], 0);
	begin(&x);
	add(&x, FAULT_ERROR, PUTS, "", -EROFS, 0, 0, 0);
	bad(&x, "read-after-write", "read-only");
	/* the disk fills up at the twentieth object */
	begin(&x);
	add(&x, FAULT_ERROR, PUTS, "", -ENOSPC, 20, 0, 0);
	run(&x, &some);
	assert_int_equal(x.r.verdict, TRIAL_FAIL);
	assert_non_null(strstr(row(&x.r, "race")->text, "full"));
	assert_null(row(&x.r, "delete"));
	end(&x);
}

static void test_not_removed(void **state)
{
	uint64_t lists;
	struct fix x;

	(void)state;
	/* DELETE is refused at the end */
	begin(&x);
	add(&x, FAULT_ERROR, DELETES, "/k", -EACCES, 0, 0, 0);
	run(&x, &some);
	only(&x.r, "clean-up", TRIAL_WARN, "1 objects could not be removed from trial/");
	assert_non_null(strstr(row(&x.r, "clean-up")->text, "no permission"));
	assert_int_equal(x.r.left, 1);
	x.r.left = 0;
	x.before += 4096;
	end(&x);
	/* is said to be done, and is not: LIST tells, and it is tried once more */
	begin(&x);
	add(&x, FAULT_ERROR, DELETES, "/r/", 0, 0, 2, 0);
	run(&x, &some);
	only(&x.r, NULL, TRIAL_PASS, "");
	end(&x);
	begin(&x);
	add(&x, FAULT_ERROR, DELETES, "/r/", 0, 0, 0, 0);
	run(&x, &some);
	only(&x.r, "clean-up", TRIAL_WARN, "3 objects");
	assert_non_null(strstr(row(&x.r, "clean-up")->text, "still listed"));
	x.r.left = 0;
	x.before += 3 * 4096;
	end(&x);
	/* the last LIST fails: what was written is known, and goes all the same */
	begin(&x);
	run(&x, &some);
	lists = x.r.requests[STORE_LIST];
	/* one at the end: what was written is known */
	assert_int_equal(lists, 1 + 8 + 1 + 5 + 1 + some.samples + 1);
	end(&x);
	begin(&x);
	add(&x, FAULT_ERROR, LISTS, "", -EIO, (uint32_t)lists - 1, 0, 0);
	run(&x, &some);
	only(&x.r, "clean-up", TRIAL_WARN, "no LIST said so");
	end(&x);
	/* a PUT that is carried out though its answer was an error */
	begin(&x);
	add(&x, FAULT_LOST, PUTS, "/l/", -ETIMEDOUT, 1, 1, 0);
	bad(&x, "list-after-write", "PUT");
}

/* Somebody wants it to end, at any step: then it ends soon, and nothing is left. */
static void test_stopped(void **state)
{
	struct trial_opts o = some;
	uint32_t all, n;
	struct fix x;

	(void)state;
	begin(&x);
	run(&x, &o);
	all = x.waits;
	end(&x);
	for (n = 1; n < all; n += 3) {
		begin(&x);
		x.stop_after = n;
		run(&x, &o);
		/* what is left is removed */
		if (n + 24 < all) {
			assert_true(x.r.stopped);
			assert_true(x.waits < all);
		}
		end(&x);
	}
}

/* ---- on files, with threads -------------------------------------------------------------- */

static void wait_core(void *ctx, const bool *done)
{
	while (!*done)
		core_wait(ctx, UINT64_MAX);
}

static void test_files(void **state)
{
	struct trial_opts o = some;
	struct store *s = NULL;
	struct trial_report r;
	char *path = tempdir_make();
	struct core core;
	struct trial_env env = { .clock = clock_system(), .wait = wait_core, .ctx = &core };

	(void)state;
	assert_int_equal(core_init(&core, NULL, NULL), 0);
	assert_int_equal(file_open(&s, path, 0, &core, 8), 0);
	env.store = s;
	o.ms = 200;
	o.object_bytes = 4u << 20;
	trial_begin(&r);
	core_lock(&core);
	assert_int_equal(trial_run(&r, &env, &o), 0);
	core_unlock(&core);
	only(&r, NULL, TRIAL_PASS, "");
	assert_int_equal(r.left, 0);
	assert_true(r.up.us && r.down.us);
	store_close(s);
	core_destroy(&core);
	tempdir_remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	cmocka_unit_test(test_creates_twice),
		cmocka_unit_test(test_race),	cmocka_unit_test(test_read_after_write),
		cmocka_unit_test(test_list),	cmocka_unit_test(test_range),
		cmocka_unit_test(test_delete),	cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_down),	cmocka_unit_test(test_not_removed),
		cmocka_unit_test(test_stopped), cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
