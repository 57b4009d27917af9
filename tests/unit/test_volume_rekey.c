// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keys that change while the volume is served: what is written afterwards uses the new data key,
 * what was written before stays readable, and a head refuses the keys objects that came before.
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

#include "lib/run.h"
#include "store/mem.h"
#include "volume/keys.h"
#include "volume/vol.h"

/* The key file of vol_init(), and another one. */
static const struct keys_secret first = { KEYS_KEYFILE, "a key file for tests, 32 bytes.", 32 };
static const struct keys_secret second = { KEYS_KEYFILE, "another file for tests, 32 bytes", 32 };

struct one {
	struct vol w;
	struct model m;
};

static void begin(struct one *t, uint64_t seed)
{
	memset(t, 0, sizeof(*t));
	vol_init(&t->w, seed, 1, RUN_BLOCKS * 4096ull);
	t->w.opts.checkpoint_segments = 1000;
	model_init(&t->m, 1, RUN_BLOCKS);
	assert_int_equal(vol_attach(&t->w, false), 0);
}

static void end(struct one *t)
{
	vol_end(&t->w);
	model_free(&t->m);
}

static void write_one(struct one *t, uint64_t lba)
{
	assert_int_equal(vol_write(&t->w, 0, lba, 1, model_op(&t->m, 0, lba, 1, true)), 0);
	assert_int_equal(vol_flush(&t->w), 0);
}

static void open_again(struct vol *w, const struct keys_secret *s)
{
	struct keyring *kr = NULL;

	assert_int_equal(keys_open(&kr, &w->env, s), 0);
	if (w->own_kr)
		keys_free(w->kr);
	w->kr = kr;
	w->own_kr = true;
}

/* Another process's `zerofs key rotate`: the version it made. */
static uint64_t rotate(struct vol *w)
{
	struct keyring *kr = NULL;
	uint64_t version;
	uint32_t gen, n;

	assert_int_equal(keys_open(&kr, &w->env, &first), 0);
	assert_int_equal(keys_rotate(kr, &w->env, &gen), 0);
	assert_int_equal(keys_sweep(kr, &w->env, &n), 0);
	version = keys_version(kr);
	keys_free(kr);
	return version;
}

/* Asks until the head has it, as the command does. */
static void tell(struct vol *w, uint64_t version, struct volume_keys *k)
{
	uint32_t steps = 0;

	do {
		volume_rekey(w->v, version, k);
		assert_int_equal(k->err, 0);
		assert_true(steps++ < 10000);
	} while (k->in_head < version && vol_step(w));
	assert_int_equal(k->in_head, version);
	assert_int_equal(k->version, version);
}

static uint32_t segments_of_gen(const struct volume *v, uint32_t gen)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < v->segs.nr; i++)
		n += v->segs.ents[i].rec.key_gen == gen;
	return n;
}

static void test_rotated_while_served(void **state)
{
	struct volume_keys k;
	struct one t;
	uint64_t heads;

	(void)state;
	begin(&t, 1);
	write_one(&t, 1);
	write_one(&t, 2);
	assert_int_equal(segments_of_gen(t.w.v, 1), 2);
	heads = t.w.v->head.version;
	tell(&t.w, rotate(&t.w), &k);
	assert_int_equal(k.data_gen, 2);
	assert_int_equal(t.w.v->head.version, heads + 1);
	write_one(&t, 1);
	assert_int_equal(segments_of_gen(t.w.v, 2), 1);
	vol_assert_prefix(&t.w, &t.m, t.m.ops, t.m.ops);
	/* Asked once more it does nothing. */
	tell(&t.w, k.version, &k);
	vol_settle(&t.w);
	assert_int_equal(t.w.v->head.version, heads + 1);
	/* Both are readable to who comes later, on this host and on another. */
	vol_assert_store(&t.w, &t.m, t.m.ops, t.m.ops);
	vol_kill(&t.w);
	open_again(&t.w, &first);
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, t.m.ops, t.m.ops);
	assert_int_equal(vol_detach(&t.w), 0);
	end(&t);
}

/* Without being told the daemon goes on with what it has; the next attach takes the new ones. */
static void test_not_told(void **state)
{
	uint64_t version;
	struct one t;

	(void)state;
	begin(&t, 2);
	version = rotate(&t.w);
	write_one(&t, 1);
	assert_int_equal(segments_of_gen(t.w.v, 1), 1);
	assert_false(t.w.superseded);
	assert_int_equal(vol_detach(&t.w), 0);
	open_again(&t.w, &first);
	assert_int_equal(vol_attach(&t.w, false), 0);
	assert_int_equal(t.w.v->head.keys_version, version);
	write_one(&t, 2);
	assert_int_equal(segments_of_gen(t.w.v, 2), 1);
	vol_assert_prefix(&t.w, &t.m, t.m.ops, t.m.ops);
	end(&t);
}

/* A keys object from before a removal is put back in place of what came after: nobody serves it. */
static void test_put_back(void **state)
{
	struct keyring *kr = NULL;
	struct volume_keys k;
	uint8_t *p, *copy;
	size_t len = 0;
	struct vol b;
	struct one t;
	uint32_t id, n;

	(void)state;
	begin(&t, 3);
	write_one(&t, 1);
	assert_int_equal(keys_open(&kr, &t.w.env, &first), 0);
	assert_int_equal(keys_add(kr, &t.w.env, &second, KEYS_COST_MIN, "", &id), 0);
	p = mem_object(t.w.mem, "keys/0000000000000002", &len);
	copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, p, len);
	assert_int_equal(keys_remove(kr, &t.w.env, id), 0);
	assert_int_equal(keys_sweep(kr, &t.w.env, &n), 0);
	keys_free(kr);
	tell(&t.w, 3, &k);
	vol_settle(&t.w);
	vol_kill(&t.w);
	assert_int_equal(mem_drop(t.w.mem, "keys/0000000000000003"), 0);
	assert_int_equal(mem_set(t.w.mem, "keys/0000000000000002", copy, len), 0);
	free(copy);
	vol_clone(&b, &t.w);
	open_again(&b, &second);
	assert_int_equal(keys_allowed(b.kr, &b.env), -ESTALE);
	assert_int_equal(vol_attach(&b, false), -ESTALE);
	assert_non_null(strstr(b.notice, "keys object is older"));
	vol_end(&b);
	end(&t);
}

/* While a checkpoint is under way that began with the old keys, and while writes go on. */
static void test_beside_a_checkpoint(void **state)
{
	struct volume_keys k;
	struct one t;
	uint64_t version;

	(void)state;
	begin(&t, 4);
	t.w.v->o.checkpoint_segments = 1;
	snprintf(t.w.net.hold, sizeof(t.w.net.hold), "head/");
	for (uint64_t i = 0; i < 8; i++)
		write_one(&t, i);
	vol_settle(&t.w);
	assert_non_null(t.w.v->ckpt);
	t.w.v->o.checkpoint_segments = 1000;
	version = rotate(&t.w);
	volume_rekey(t.w.v, version, &k);
	assert_true(k.busy);
	write_one(&t, 9);
	vol_settle(&t.w);
	volume_rekey(t.w.v, version, &k);
	assert_int_equal(k.version, version);
	assert_int_not_equal(k.in_head, version);
	t.w.net.hold[0] = 0;
	net_release(&t.w.net);
	tell(&t.w, version, &k);
	write_one(&t, 10);
	vol_assert_prefix(&t.w, &t.m, t.m.ops, t.m.ops);
	vol_assert_store(&t.w, &t.m, t.m.ops, t.m.ops);
	end(&t);
}

/* Who asks how far it has come is told that it has failed, once. */
static void failed_with(struct vol *w, uint64_t version, int err)
{
	struct volume_keys k;

	volume_rekey(w->v, version, &k);
	assert_int_equal(k.err, err);
	assert_false(k.busy);
	assert_null(w->v->rekey);
}

/* What cannot be had, or is not what it should be, changes nothing. */
static void test_refused(void **state)
{
	struct volume_keys k;
	uint64_t version;
	struct one t;
	uint8_t *p;
	size_t len = 0;

	(void)state;
	begin(&t, 5);
	volume_rekey(t.w.v, 2, &k);
	assert_true(k.busy);
	vol_settle(&t.w);
	failed_with(&t.w, 2, -ENOENT);
	version = rotate(&t.w);
	p = mem_object(t.w.mem, "keys/0000000000000002", &len);
	p[200] ^= 1;
	volume_rekey(t.w.v, version, &k);
	vol_settle(&t.w);
	failed_with(&t.w, version, -EBADMSG);
	write_one(&t, 1);
	assert_int_equal(segments_of_gen(t.w.v, 1), 1);
	p[200] ^= 1;
	t.w.net.refuse_gets = -EIO;
	volume_rekey(t.w.v, version, &k);
	for (int i = 0; i < 20; i++) {
		vol_settle(&t.w);
		vol_advance(&t.w, 5000000);
	}
	failed_with(&t.w, version, -EIO);
	t.w.net.refuse_gets = 0;
	tell(&t.w, version, &k);
	/* An older one than it has is not even fetched. */
	volume_rekey(t.w.v, 1, &k);
	assert_false(k.busy);
	assert_int_equal(k.version, version);
	end(&t);
}

/* The daemon dies at any moment of it. */
static void test_killed(void **state)
{
	uint64_t version;
	bool through = false;

	(void)state;
	for (uint32_t steps = 0; !through; steps++) {
		struct volume_keys k;
		struct one t;

		begin(&t, 100 + steps);
		write_one(&t, 1);
		version = rotate(&t.w);
		for (uint32_t i = 0; i <= steps && !through; i++) {
			volume_rekey(t.w.v, version, &k);
			through = k.in_head == version;
			vol_step(&t.w);
		}
		vol_kill(&t.w);
		open_again(&t.w, &first);
		assert_int_equal(vol_attach(&t.w, true), 0);
		vol_assert_prefix(&t.w, &t.m, 1, 1);
		write_one(&t, 2);
		vol_assert_store(&t.w, &t.m, 2, 2);
		end(&t);
		assert_true(steps < 200);
	}
}

/* Rotations anywhere in random runs, with lost requests and answers. */
static void test_random(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < run_seeds(10); seed++) {
		struct volume_keys k;
		uint64_t version = 1;
		struct run r;

		run_begin(&r, 9000 + seed, 2);
		for (int i = 0; i < 600; i++) {
			run_op(&r);
			if (i % 150 == 100)
				version = rotate(&r.w);
			if (i % 10 == 0)
				volume_rekey(r.w.v, version, &k);
			if (i % 200 == 190) {
				assert_int_equal(vol_flush(&r.w), 0);
				vol_assert_prefix(&r.w, &r.m, r.m.ops, r.m.ops);
				vol_assert_store(&r.w, &r.m, r.m.ops, r.m.ops);
			}
		}
		assert_int_equal(vol_flush(&r.w), 0);
		assert_int_equal(vol_detach(&r.w), 0);
		open_again(&r.w, &first);
		assert_int_equal(keys_data_gen(r.w.kr), 5);
		assert_int_equal(vol_attach(&r.w, false), 0);
		vol_assert_prefix(&r.w, &r.m, r.m.ops, r.m.ops);
		run_end(&r);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotated_while_served),
		cmocka_unit_test(test_not_told),
		cmocka_unit_test(test_put_back),
		cmocka_unit_test(test_beside_a_checkpoint),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
