// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Attaching when the world has moved on: an owner that writes while another attaches, a host
 * that comes back after another has written, a daemon that dies before the kernel has been told
 * what its predecessor's arena was worth.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/fmt_arena.h"
#include "lib/run.h"
#include "store/fault.h"
#include "store/mem.h"
#include "volume/keys.h"
#include "volume/vol.h"

#define SIZE (RUN_BLOCKS * 4096ull)

static void write_one(struct vol *w, struct model *m, uint64_t lba)
{
	assert_int_equal(vol_write(w, 0, lba, 1, model_op(m, 0, lba, 1, true)), 0);
}

static void begin(struct vol *w, struct model *m, uint64_t seed)
{
	vol_init(w, seed, 1, SIZE);
	w->opts.checkpoint_segments = 1000;
	model_init(m, 1, RUN_BLOCKS);
	assert_int_equal(vol_attach(w, false), 0);
}

/* ---- an owner that does not stop ------------------------------------------------------------- */

static struct {
	struct vol *owner;
	struct model *m;
	uint32_t at, writes;
	bool done;
} busy;

/* Once the @at-th GET of the one that attaches has reached the store, the owner flushes writes. */
static int busy_wait(void *ctx, const bool *done)
{
	struct vol *w = ctx;
	uint32_t i;

	while (!*done) {
		assert_true(vol_step(w));
		if (busy.done || w->net.gets < busy.at)
			continue;
		busy.done = true;
		for (i = 0; i < busy.writes; i++) {
			write_one(busy.owner, busy.m, i);
			assert_int_equal(vol_flush(busy.owner), 0);
		}
	}
	return 0;
}

/*
 * The old owner goes on while the new one walks the log. A slot that was free when it was
 * fetched may be taken by the time the new owner finds objects behind it: nothing is lost then.
 */
static void test_owner_goes_on(void **state)
{
	struct vol a, b;
	struct model m;
	uint32_t i;

	(void)state;
	for (busy.writes = 1; busy.writes < 40; busy.writes += 12) {
		for (busy.at = 1; busy.at < 54; busy.at++) {
			begin(&a, &m, 700 + busy.at);
			for (i = 0; i < 20; i++) {
				write_one(&a, &m, 100 + i);
				assert_int_equal(vol_flush(&a), 0);
			}
			vol_share(&b, &a);
			busy.owner = &a;
			busy.m = &m;
			busy.done = false;
			b.env.wait = busy_wait;
			assert_int_equal(vol_attach(&b, false), 0);
			vol_assert_prefix(&b, &m, m.ops, m.ops);
			vol_end(&b);
			vol_end(&a);
			model_free(&m);
		}
		assert_true(busy.done);
	}
}

/* ---- a host that comes back ------------------------------------------------------------------ */

/*
 * A host's daemon dies with acknowledged writes in its arena, another host takes the volume
 * over and writes: when the first one serves again, those writes are gone and its openers hold
 * what is not there any more. It must never say that all is there, however often it dies while
 * it finds out.
 */
static void test_back_after_another(void **state)
{
	struct vol a, b;
	struct model m;
	uint32_t i;

	(void)state;
	begin(&a, &m, 1);
	write_one(&a, &m, 1);
	assert_int_equal(vol_flush(&a), 0);
	write_one(&a, &m, 2);
	vol_kill(&a);

	vol_share(&b, &a);
	assert_int_equal(vol_attach(&b, false), 0);
	vol_assert_prefix(&b, &m, 1, 1);
	model_cut(&m, 1);
	write_one(&b, &m, 3);
	assert_int_equal(vol_detach(&b), 0);

	a.untold = true;
	for (i = 0; i < 3; i++) {
		assert_int_equal(vol_attach(&a, i != 1), 0);
		assert_true(a.rec.foreign);
		assert_false(a.rec.adopted);
		vol_assert_prefix(&a, &m, 2, 2);
		vol_kill(&a);
	}
	/* the kernel is told; from then on it is a volume like any other */
	assert_int_equal(vol_attach(&a, true), 0);
	assert_true(a.rec.foreign);
	volume_resumed(a.v);
	write_one(&a, &m, 4);
	vol_kill(&a);
	assert_int_equal(vol_attach(&a, true), 0);
	assert_false(a.rec.foreign);
	assert_true(a.rec.adopted);
	vol_assert_prefix(&a, &m, 3, 3);
	vol_end(&b);
	vol_end(&a);
	model_free(&m);
}

/*
 * The same without the state folder: what the kernel knows is as old as its arena, which says whose
 * it was.
 */
static void test_back_without_state(void **state)
{
	struct vol a, b;
	struct model m;
	uint32_t i;

	(void)state;
	begin(&a, &m, 3);
	write_one(&a, &m, 1);
	assert_int_equal(vol_flush(&a), 0);
	write_one(&a, &m, 2);
	/* nobody else has written, and its own processes may die as they adopt, and as they seal */
	a.untold = true;
	for (i = 0; i < 4; i++) {
		vol_kill(&a);
		a.file_len = 0;
		assert_int_equal(vol_attach(&a, true), 0);
		assert_false(a.rec.foreign);
		assert_true(a.rec.adopted);
		if (i == 2)
			assert_int_equal(vol_flush(&a), 0);
		vol_assert_prefix(&a, &m, 2, 2);
	}
	volume_resumed(a.v);
	write_one(&a, &m, 3);
	vol_kill(&a);
	a.file_len = 0;

	vol_share(&b, &a);
	assert_int_equal(vol_attach(&b, false), 0);
	model_cut(&m, 2);
	write_one(&b, &m, 4);
	assert_int_equal(vol_detach(&b), 0);

	for (i = 0; i < 2; i++) {
		assert_int_equal(vol_attach(&a, true), 0);
		assert_true(a.rec.foreign);
		assert_false(a.rec.adopted);
		vol_assert_prefix(&a, &m, 3, 3);
		vol_kill(&a);
		a.file_len = 0;
	}
	/* nor does anybody know it without the arena */
	assert_int_equal(vol_attach(&a, false), 0);
	assert_true(a.rec.foreign);
	vol_end(&b);
	vol_end(&a);
	model_free(&m);
}

/* Another host has looked, and not written: the log goes on, and all is there. */
static void test_back_after_a_look(void **state)
{
	struct vol a, b;
	struct model m;

	(void)state;
	begin(&a, &m, 2);
	write_one(&a, &m, 1);
	assert_int_equal(vol_flush(&a), 0);
	write_one(&a, &m, 2);
	vol_kill(&a);
	vol_share(&b, &a);
	assert_int_equal(vol_attach(&b, false), 0);
	assert_int_equal(vol_detach(&b), 0);
	assert_int_equal(vol_attach(&a, true), 0);
	assert_true(a.rec.adopted);
	assert_false(a.rec.foreign);
	vol_assert_prefix(&a, &m, 2, 2);
	vol_end(&b);
	vol_end(&a);
	model_free(&m);
}

/* ---- a damaged index ------------------------------------------------------------------- */

static struct fmt_arena_entry *entry_of(struct vol *w, uint64_t lba)
{
	struct fmt_arena_entry *e =
		(struct fmt_arena_entry *)((uint8_t *)w->arena + FMT_ARENA_HDR_LEN);
	uint32_t i;

	for (i = 0; i < 4096; i++)
		if (e[i].valid && le_cpu64(e[i].lba) == lba)
			return &e[i];
	fail_msg("no entry of block %llu", (unsigned long long)lba);
	return NULL;
}

enum damage { ROT, TWICE, ZEROED, SHARED };

/* Damages the record of block @lba. SHARED: it is sound, and names the memory of the one before. */
static void damage(struct vol *w, enum damage how, uint64_t lba)
{
	struct fmt_arena_entry *e = entry_of(w, lba);
	struct fmt_arena_rec r = { .wno = le_cpu64(e->wno),
				   .lba = lba,
				   .off = le_cpu64(entry_of(w, lba - 1)->off),
				   .dev = le_cpu32(e->dev),
				   .blocks = le_cpu32(e->blocks),
				   .op = e->op };

	if (how == ROT)
		((uint8_t *)e)[10] ^= 4;
	else if (how == TWICE)
		memcpy(e + 100, e, sizeof(*e));
	else if (how == ZEROED)
		memset(e, 0, sizeof(*e));
	else
		fmt_arena_set(e, &r);
}

/*
 * A record is damaged: the whole index is given up, and still is when the daemon that found out
 * died before it could say so: while it recovered (the store was away), or after. Records 10 to 12
 * are there; behind the last one no number is missing that would tell.
 */
static void damaged(enum damage how, uint64_t lba, bool store_away)
{
	struct vol w;
	struct model m;
	uint64_t acked;
	uint32_t i;

	begin(&w, &m, 3);
	write_one(&w, &m, 1);
	assert_int_equal(vol_flush(&w), 0);
	for (i = 0; i < 3; i++)
		write_one(&w, &m, 10 + i);
	acked = w.v->last_wno;
	vol_kill(&w);
	damage(&w, how, lba);
	w.net.refuse_puts = store_away ? -ETIMEDOUT : 0;
	w.stop_after = store_away ? 500 : 0;
	for (i = 0; i < 2; i++) {
		if (store_away) {
			assert_int_equal(vol_attach(&w, true), -EINTR);
			continue;
		}
		assert_int_equal(vol_attach(&w, true), 0);
		assert_false(w.rec.adopted && w.rec.recovered_wno >= acked);
		vol_kill(&w);
	}
	w.net.refuse_puts = 0;
	w.stop_after = 0;
	assert_int_equal(vol_attach(&w, true), 0);
	assert_false(w.rec.adopted && w.rec.recovered_wno >= acked);
	vol_assert_prefix(&w, &m, 1, 1);
	vol_end(&w);
	model_free(&m);
}

static void test_damaged_index(void **state)
{
	(void)state;
	damaged(ROT, 11, false);
	damaged(ROT, 11, true);
	damaged(TWICE, 11, false);
	damaged(TWICE, 11, true);
	damaged(ZEROED, 11, false);
	damaged(ZEROED, 11, true);
	damaged(ROT, 12, false);
	damaged(ROT, 12, true);
	damaged(SHARED, 11, false);
	damaged(SHARED, 12, true);
}

/* ---- a store that is away -------------------------------------------------------------------- */

static struct {
	uint64_t back_us; /* when the store answers again */
	unsigned int seen; /* steps at which the volume said that the store is away */
} away;

static int away_wait(void *ctx, const bool *done)
{
	struct vol *w = ctx;
	struct volume_stats s;

	while (!*done) {
		if (w->now >= away.back_us) {
			w->net.refuse_pm = 0;
			w->net.refuse_puts = 0;
			w->net.refuse_gets = 0;
		}
		assert_true(vol_step(w));
		volume_get_stats(w->v, &s);
		if (s.store_errno == ETIMEDOUT && s.store_outage_us)
			away.seen++;
	}
	return 0;
}

enum what { ALL, PUTS, GETS };

/*
 * However long the store is away, the volume comes up when it is back, and says so once; what the
 * arena held is adopted.
 */
static void comes_back(enum what what)
{
	struct vol w;
	struct model m;

	begin(&w, &m, 5 + what);
	write_one(&w, &m, 1);
	assert_int_equal(vol_flush(&w), 0);
	write_one(&w, &m, 2);
	vol_kill(&w);
	away.back_us = w.now + 3600000000ull;
	away.seen = 0;
	w.net.refuse_pm = what == ALL ? 1000 : 0;
	w.net.refuse_puts = what == PUTS ? -ETIMEDOUT : 0;
	w.net.refuse_gets = what == GETS ? -ETIMEDOUT : 0;
	w.env.wait = away_wait;
	w.notices = 0;
	assert_int_equal(vol_attach(&w, true), 0);
	assert_true(w.now >= away.back_us);
	assert_true(away.seen > 800); /* a try every 4 s */
	assert_int_equal(w.notices, 2);
	assert_non_null(strstr(w.notice, "works again"));
	assert_true(w.rec.adopted);
	vol_assert_prefix(&w, &m, 2, 2);
	vol_end(&w);
	model_free(&m);
}

static void test_store_comes_back(void **state)
{
	(void)state;
	comes_back(ALL);
	comes_back(PUTS);
	comes_back(GETS);
}

/* What waiting does not mend ends it at once. */
static void test_store_refuses(void **state)
{
	static const int errs[] = { -EACCES, -EROFS };
	struct vol w;
	struct model m;
	uint64_t t0;
	uint32_t i;

	(void)state;
	begin(&w, &m, 9);
	write_one(&w, &m, 1);
	vol_kill(&w);
	t0 = w.now;
	for (i = 0; i < 4; i++) {
		w.net.refuse_puts = i < 2 ? errs[i] : 0;
		w.net.refuse_gets = i < 2 ? 0 : errs[i - 2];
		assert_int_equal(vol_attach(&w, true), errs[i & 1]);
		assert_int_equal(w.now, t0);
	}
	w.net.refuse_gets = 0;
	assert_int_equal(vol_attach(&w, true), 0);
	assert_true(w.rec.adopted);
	vol_assert_prefix(&w, &m, 1, 1);
	vol_end(&w);
	model_free(&m);
}

static void listed(struct store_req *r)
{
	(void)r;
}

/* ---- a store that lets a name be created twice ----------------------------------------------- */

static unsigned int objects(struct vol *w, const char *prefix)
{
	struct store_entry ents[16];
	struct store_req r = { .op = STORE_LIST, .ents = ents, .max_ents = 16, .done = listed };

	strcpy(r.name, prefix);
	store_submit(w->mem, &r);
	mem_run(w->mem);
	assert_true(r.res >= 0);
	return (unsigned int)r.res;
}

/* Refused before anything is written, at the first attach of a volume's life and at later ones. */
static void no_fence(bool overwrites, bool first)
{
	struct vol w;
	struct model m;
	unsigned int heads;

	vol_init(&w, 20, 1, SIZE);
	model_init(&m, 1, RUN_BLOCKS);
	if (!first) {
		assert_int_equal(vol_attach(&w, false), 0);
		write_one(&w, &m, 1);
		assert_int_equal(vol_flush(&w), 0);
		vol_kill(&w);
	} else {
		/* as one that an older version has formatted */
		assert_int_equal(mem_drop(w.mem, "probe"), 0);
	}
	heads = objects(&w, "head/");
	w.net.overwrites = overwrites;
	w.net.says_yes = !overwrites;
	assert_int_equal(vol_attach(&w, false), -EOPNOTSUPP);
	assert_non_null(strstr(w.notice, "twice"));
	assert_int_equal(objects(&w, "head/"), heads);
	w.opts.no_fencing = true;
	assert_int_equal(vol_attach(&w, false), 0);
	assert_non_null(strstr(w.notice, "--unsafe-no-fencing"));
	vol_assert_prefix(&w, &m, m.ops, m.ops);
	vol_end(&w);
	model_free(&m);
}

static void test_no_create_only(void **state)
{
	(void)state;
	no_fence(false, true);
	no_fence(false, false);
	no_fence(true, true);
	no_fence(true, false);
}

/* All that is there goes. */
static void empty(struct vol *w)
{
	struct store_entry ents[16];
	struct store_req r = { .op = STORE_LIST, .ents = ents, .max_ents = 16, .done = listed };

	store_submit(w->mem, &r);
	mem_run(w->mem);
	for (ssize_t i = 0; i < r.res; i++)
		assert_int_equal(mem_drop(w->mem, ents[i].name), 0);
	assert_int_equal(mem_bytes(w->mem), 0);
}

/*
 * A store that creates twice gets no volume: nothing is left there, and it is said why. With
 * consent it does, and an attach needs the same.
 */
static void no_fence_format(enum fault_kind kind)
{
	static const uint8_t key[32] = "a key file for tests, 32 bytes.";
	const struct keys_secret secret = { KEYS_KEYFILE, key, sizeof(key) };
	const struct fault_rule lie = { .kind = kind, .ops = 1u << STORE_PUT };
	struct volume_format f = { .name = "t", .nr_devs = 1, .dev_size = SIZE, .uuid = { 7 } };
	struct keyring *kr;
	struct store *fault;
	struct vol w;

	vol_init(&w, 22, 1, SIZE);
	empty(&w);
	assert_int_equal(fault_new(&fault, &w.net.store), 0);
	assert_int_equal(fault_add(fault, &lie), 0);
	w.env.store = fault;
	for (int consent = 0; consent < 2; consent++) {
		assert_int_equal(keys_create(&kr, &w.env, f.uuid, "t", &secret, KEYS_COST_MIN, "t"),
				 0);
		f.no_fencing = consent;
		assert_int_equal(volume_format(&w.env, kr, &f), consent ? 0 : -EOPNOTSUPP);
		assert_non_null(strstr(w.notice, "twice"));
		assert_int_equal(objects(&w, "head/"), consent);
		if (!consent) {
			assert_int_equal(objects(&w, "keys/"), 1);
			assert_int_equal(keys_discard(kr, &w.env), 0);
			assert_int_equal(mem_bytes(w.mem), 0);
			keys_free(kr);
		}
	}
	keys_free(w.kr);
	w.kr = kr;
	assert_int_equal(vol_attach(&w, false), -EOPNOTSUPP);
	w.opts.no_fencing = true;
	assert_int_equal(vol_attach(&w, false), 0);
	vol_end(&w);
	store_close(fault);
}

static void test_no_create_only_format(void **state)
{
	(void)state;
	no_fence_format(FAULT_REPLACE);
	no_fence_format(FAULT_LOST); /* and the answer is 0 */
}

/* A store that fails in the middle of it is an error at once: nobody would try again. */
static void test_format_store_fails(void **state)
{
	static const uint8_t key[32] = "a key file for tests, 32 bytes.";
	const struct keys_secret secret = { KEYS_KEYFILE, key, sizeof(key) };
	const struct fault_rule r = {
		.kind = FAULT_LOST, .ops = 1u << STORE_PUT, .prefix = "probe", .err = -EIO
	};
	const struct volume_format f = { .nr_devs = 1, .dev_size = SIZE, .uuid = { 7 } };
	struct keyring *kr;
	struct store *fault;
	struct vol w;

	(void)state;
	vol_init(&w, 23, 1, SIZE);
	empty(&w);
	assert_int_equal(fault_new(&fault, &w.net.store), 0);
	assert_int_equal(fault_add(fault, &r), 0);
	w.env.store = fault;
	assert_int_equal(keys_create(&kr, &w.env, f.uuid, "t", &secret, KEYS_COST_MIN, "t"), 0);
	assert_int_equal(volume_format(&w.env, kr, &f), -EIO);
	assert_int_equal(objects(&w, "head/"), 0);
	keys_free(kr);
	vol_end(&w);
	store_close(fault);
}

/* The store has done a create and then said otherwise; the client's next try met it: it is ours. */
static void test_format_meets_itself(void **state)
{
	static const uint8_t key[32] = "a key file for tests, 32 bytes.";
	static const char *const prefixes[] = { "keys/", "manifest/", "head/" };
	const struct keys_secret secret = { KEYS_KEYFILE, key, sizeof(key) };
	const struct volume_format f = { .nr_devs = 1, .dev_size = SIZE, .uuid = { 7 } };
	struct keyring *kr;
	struct store *fault;
	struct vol w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		struct fault_rule r = { .kind = FAULT_LOST,
					.ops = 1u << STORE_PUT,
					.err = -EEXIST };

		snprintf(r.prefix, sizeof(r.prefix), "%s", prefixes[i]);
		vol_init(&w, 24, 1, SIZE);
		empty(&w);
		assert_int_equal(fault_new(&fault, &w.net.store), 0);
		assert_int_equal(fault_add(fault, &r), 0);
		w.env.store = fault;
		assert_int_equal(keys_create(&kr, &w.env, f.uuid, "t", &secret, KEYS_COST_MIN, "t"),
				 0);
		assert_int_equal(volume_format(&w.env, kr, &f), 0);
		fault_clear(fault);
		keys_free(w.kr);
		w.kr = kr;
		assert_int_equal(vol_attach(&w, false), 0);
		vol_end(&w);
		store_close(fault);
	}
}

/* One request an attach, beside those for the head, and one object, whatever the network does. */
static void test_probe_costs_little(void **state)
{
	struct vol w;
	unsigned int puts;
	uint32_t i;

	(void)state;
	vol_init(&w, 21, 1, SIZE);
	/* keys, probe twice, manifest, head */
	assert_int_equal(w.net.puts, 5);
	assert_int_equal(objects(&w, "probe"), 1);
	assert_int_equal(vol_attach(&w, false), 0);
	assert_int_equal(w.net.puts, 5 + 3);
	vol_kill(&w);
	/* what an older version has formatted has none */
	assert_int_equal(mem_drop(w.mem, "probe"), 0);
	for (i = 0; i < 30; i++) {
		puts = w.net.puts;
		w.net.lose_pm = i < 3 ? 0 : 200;
		assert_int_equal(vol_attach(&w, false), 0);
		/* probe, head, fence; the first attach makes the object */
		if (i < 3)
			assert_int_equal(w.net.puts - puts, i ? 3 : 4);
		assert_int_equal(objects(&w, "probe"), 1);
		vol_kill(&w);
	}
	vol_end(&w);
}

/* A state folder on a full disk: serving goes on, and what is said names the folder. */
static void test_full_state_folder(void **state)
{
	unsigned int notices;
	struct model m;
	struct vol w;

	(void)state;
	begin(&w, &m, 22);
	w.disk.where = "/the/folder";
	w.disk_err = -ENOSPC;
	write_one(&w, &m, 1);
	notices = w.notices;
	assert_int_equal(vol_detach(&w), 0);
	assert_int_equal(w.notices, notices + 1);
	assert_string_equal(w.notice, "state folder /the/folder: No space left on device");
	/* but nothing is begun that could not be remembered */
	assert_int_equal(vol_attach(&w, false), -ENOSPC);
	assert_non_null(strstr(w.notice, "/the/folder"));
	w.disk_err = 0;
	assert_int_equal(vol_attach(&w, false), 0);
	vol_assert_prefix(&w, &m, 1, 1);
	vol_end(&w);
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner_goes_on),
		cmocka_unit_test(test_back_after_another),
		cmocka_unit_test(test_back_without_state),
		cmocka_unit_test(test_back_after_a_look),
		cmocka_unit_test(test_damaged_index),
		cmocka_unit_test(test_store_comes_back),
		cmocka_unit_test(test_store_refuses),
		cmocka_unit_test(test_no_create_only),
		cmocka_unit_test(test_no_create_only_format),
		cmocka_unit_test(test_format_store_fails),
		cmocka_unit_test(test_format_meets_itself),
		cmocka_unit_test(test_probe_costs_little),
		cmocka_unit_test(test_full_state_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
