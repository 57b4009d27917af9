// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keys removed and rotated: what opens afterwards and what does not, two who change at a time, a
 * change that is cut short at any request.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/fmt_head.h"
#include "format/fmt_keys.h"
#include "format/fmt_name.h"
#include "lib/hostile.h"
#include "lib/smallworld.h"
#include "lib/testrand.h"
#include "store/fault.h"
#include "store/mem.h"
#include "volume/keys.h"

static const uint8_t uuid[16] = { 1, 2, 3 };
static const struct keys_secret file1 = { KEYS_KEYFILE, "0123456789abcdef file one", 25 };
static const struct keys_secret file2 = { KEYS_KEYFILE, "0123456789abcdef file two", 25 };
static const struct keys_secret pass1 = { KEYS_PASSPHRASE, "correct horse", 13 };

/* A volume with key 0 (file1) and key 1 (file2), opened with file1. */
static struct keyring *two_keys(struct smallworld *w)
{
	struct keyring *kr = NULL;
	uint32_t id = 0;

	testrand_seed(1);
	smallworld_init(w);
	assert_int_equal(keys_create(&kr, &w->env, uuid, "vol", &file1, KEYS_COST_MIN, "first"), 0);
	assert_int_equal(keys_add(kr, &w->env, &file2, KEYS_COST_MIN, "second", &id), 0);
	assert_int_equal(id, 1);
	return kr;
}

static bool there(struct smallworld *w, uint64_t version)
{
	char name[FMT_NAME_MAX];
	size_t len;

	fmt_name_keys(name, version);
	return mem_object(w->mem, name, &len);
}

static int opens(struct smallworld *w, const struct keys_secret *s)
{
	struct keyring *kr = NULL;
	int rc = keys_open(&kr, &w->env, s);

	keys_free(kr);
	return rc;
}

static void removed(void **state)
{
	const struct keys_slot *slots;
	struct smallworld w;
	struct keyring *kr = two_keys(&w), *other = NULL;
	uint32_t id = 0, n = 0;

	(void)state;
	assert_int_equal(keys_remove(kr, &w.env, 0), -EBUSY);
	assert_int_equal(keys_remove(kr, &w.env, 2), -ENXIO);
	assert_false(there(&w, 3));
	assert_int_equal(keys_remove(kr, &w.env, 1), 0);
	assert_int_equal(keys_version(kr), 3);
	assert_int_equal(keys_slots(kr, &slots), 1);
	assert_int_equal(slots[0].id, 0);
	assert_int_equal(opens(&w, &file2), -EKEYREJECTED);
	assert_int_equal(opens(&w, &file1), 0);
	/* What is older would still open, until it is swept. */
	assert_int_equal(keys_older(kr, &w.env, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(keys_sweep(kr, &w.env, &n), 0);
	assert_int_equal(n, 2);
	assert_false(there(&w, 1));
	assert_false(there(&w, 2));
	assert_true(there(&w, 3));
	assert_int_equal(keys_older(kr, &w.env, &n), 0);
	assert_int_equal(n, 0);
	/* Never the last one; a number is not given again. */
	assert_int_equal(keys_remove(kr, &w.env, 0), -EBUSY);
	assert_int_equal(keys_remove(kr, &w.env, 1), -EALREADY);
	assert_int_equal(keys_add(kr, &w.env, &pass1, KEYS_COST_MIN, "third", &id), 0);
	assert_int_equal(id, 2);
	/* The one in the middle of the list goes, by the one behind it. */
	assert_int_equal(keys_add(kr, &w.env, &file2, KEYS_COST_MIN, "fourth", &id), 0);
	assert_int_equal(keys_open(&other, &w.env, &file2), 0);
	assert_int_equal(keys_remove(other, &w.env, 3), -EBUSY);
	assert_int_equal(keys_remove(other, &w.env, 2), 0);
	assert_int_equal(keys_remove(other, &w.env, 0), 0);
	assert_int_equal(keys_slots(other, &slots), 1);
	assert_string_equal(slots[0].label, "fourth");
	assert_int_equal(opens(&w, &file1), -EKEYREJECTED);
	assert_int_equal(opens(&w, &pass1), -EKEYREJECTED);
	assert_int_equal(opens(&w, &file2), 0);
	assert_memory_equal(keys_data(kr, 1), keys_data(other, 1), 32);
	keys_free(kr);
	keys_free(other);
	smallworld_end(&w);
}

static void rotated(void **state)
{
	struct smallworld w;
	struct keyring *kr = two_keys(&w), *other = NULL;
	uint8_t old[32];
	uint32_t gen = 0;
	size_t len = 0;
	uint8_t *p;

	(void)state;
	memcpy(old, keys_data(kr, 1), 32);
	assert_int_equal(keys_rotate(kr, &w.env, &gen), 0);
	assert_int_equal(gen, 2);
	assert_int_equal(keys_data_gen(kr), 2);
	assert_memory_equal(keys_data(kr, 1), old, 32);
	assert_memory_not_equal(keys_data(kr, 2), old, 32);
	p = mem_object(w.mem, "keys/0000000000000003", &len);
	assert_non_null(p);
	assert_null(memmem(p, len, keys_data(kr, 2), 32));
	assert_int_equal(keys_open(&other, &w.env, &file2), 0);
	assert_int_equal(keys_data_gen(other), 2);
	assert_memory_equal(keys_data(other, 1), old, 32);
	assert_memory_equal(keys_data(other, 2), keys_data(kr, 2), 32);
	/* Slots come and go, data keys stay. */
	assert_int_equal(keys_remove(other, &w.env, 0), 0);
	for (uint32_t i = 3; i < 40; i++) {
		assert_int_equal(keys_rotate(other, &w.env, &gen), 0);
		assert_int_equal(gen, i);
	}
	keys_free(kr);
	assert_int_equal(keys_open(&kr, &w.env, &file2), 0);
	for (uint32_t i = 1; i < 40; i++)
		assert_memory_equal(keys_data(kr, i), keys_data(other, i), 32);
	keys_free(kr);
	keys_free(other);
	smallworld_end(&w);
}

/* Of two who change at a time one is told, and the other's change is whole. */
static void races(void **state)
{
	struct smallworld w;
	struct keyring *a = two_keys(&w), *b = NULL, *c = NULL;
	uint32_t gen = 0, id = 0;

	(void)state;
	assert_int_equal(keys_open(&b, &w.env, &file1), 0);
	assert_int_equal(keys_open(&c, &w.env, &file1), 0);
	assert_int_equal(keys_rotate(a, &w.env, &gen), 0);
	assert_int_equal(keys_remove(b, &w.env, 1), -EEXIST);
	assert_int_equal(keys_rotate(b, &w.env, &gen), -EEXIST);
	assert_int_equal(keys_add(c, &w.env, &pass1, KEYS_COST_MIN, "", &id), -EEXIST);
	/* Who was late has changed nothing of his own either. */
	assert_int_equal(keys_version(b), 2);
	assert_int_equal(keys_data_gen(b), 1);
	assert_null(keys_data(b, 2));
	keys_free(b);
	keys_free(c);
	assert_int_equal(keys_open(&b, &w.env, &file2), 0);
	assert_int_equal(keys_data_gen(b), 2);
	assert_int_equal(keys_remove(b, &w.env, 0), 0);
	keys_free(a);
	keys_free(b);
	smallworld_end(&w);
}

static int (*plain_wait)(void *ctx, const bool *done);

/* A PUT that arrives when its version has come and gone is carried out, and changes nothing. */
static void late(void **state)
{
	struct smallworld w;
	struct keyring *a = two_keys(&w), *b = NULL;
	uint32_t gen = 0, id = 0, n = 0;

	(void)state;
	assert_int_equal(keys_open(&b, &w.env, &file1), 0);
	assert_int_equal(keys_rotate(b, &w.env, &gen), 0);
	assert_int_equal(keys_rotate(b, &w.env, &gen), 0);
	assert_int_equal(keys_sweep(b, &w.env, &n), 0);
	assert_false(there(&w, 3));
	assert_int_equal(keys_add(a, &w.env, &pass1, KEYS_COST_MIN, "", &id), -EEXIST);
	assert_false(there(&w, 3));
	assert_int_equal(keys_remove(a, &w.env, 1), -EEXIST);
	assert_false(there(&w, 3));
	assert_int_equal(keys_rotate(a, &w.env, &gen), -EEXIST);
	assert_false(there(&w, 3));
	assert_int_equal(keys_version(a), 2);
	assert_int_equal(keys_data_gen(a), 1);
	assert_int_equal(opens(&w, &pass1), -EKEYREJECTED);
	assert_int_equal(opens(&w, &file2), 0);
	keys_free(a);
	keys_free(b);
	smallworld_end(&w);
}

/* Somebody is there as soon as version 3 is, and makes version 4 out of it. */
static int wait_overtaken(void *ctx, const bool *done)
{
	struct smallworld *w = ctx;
	struct keyring *kr = NULL;
	uint32_t gen, n;

	while (!*done) {
		assert_true(smallworld_step(w));
		if (!there(w, 3) || there(w, 4))
			continue;
		w->env.wait = plain_wait;
		assert_int_equal(keys_open(&kr, &w->env, &file1), 0);
		assert_int_equal(keys_rotate(kr, &w->env, &gen), 0);
		assert_int_equal(keys_sweep(kr, &w->env, &n), 0);
		keys_free(kr);
	}
	return 0;
}

static void overtaken(void **state)
{
	uint32_t gen = 0, id = 0;
	int what;

	(void)state;
	for (what = 0; what < 3; what++) {
		struct smallworld w;
		struct keyring *a = two_keys(&w);
		int rc;

		plain_wait = w.env.wait;
		w.env.wait = wait_overtaken;
		rc = !what     ? keys_add(a, &w.env, &pass1, KEYS_COST_MIN, "", &id) :
		     what == 1 ? keys_remove(a, &w.env, 1) :
				 keys_rotate(a, &w.env, &gen);
		w.env.wait = plain_wait;
		assert_int_equal(rc, 0);
		assert_true(there(&w, 4));
		assert_int_equal(opens(&w, &pass1), what ? -EKEYREJECTED : 0);
		assert_int_equal(opens(&w, &file2), what == 1 ? -EKEYREJECTED : 0);
		keys_free(a);
		smallworld_end(&w);
	}
}

/* A LIST shows an object that is deleted before the GET. */
static int vanish_in; /* steps until it goes */

static int wait_vanish(void *ctx, const bool *done)
{
	struct smallworld *w = ctx;

	while (!*done) {
		if (vanish_in && !--vanish_in)
			assert_int_equal(mem_drop(w->mem, "keys/0000000000000002"), 0);
		assert_true(smallworld_step(w));
	}
	return 0;
}

static void superseded_while_opening(void **state)
{
	bool gone = false;

	(void)state;
	for (int at = 1; at < 6; at++) {
		struct smallworld w;
		struct keyring *kr = two_keys(&w);

		w.env.wait = wait_vanish;
		vanish_in = at;
		/* What is left is version 1, which file1 opens as well. */
		assert_int_equal(opens(&w, &file1), 0);
		gone |= !vanish_in;
		keys_free(kr);
		smallworld_end(&w);
	}
	assert_true(gone);
}

/* The newest head says which keys objects are too old. */
static void head_decides(void **state)
{
	struct fmt_head h = { .version = 1, .epoch = 1, .window = 16, .keys_version = 2 };
	struct smallworld w;
	struct keyring *kr = two_keys(&w), *old = NULL;
	uint8_t body[FMT_HEAD_LEN];
	char name[FMT_NAME_MAX];

	(void)state;
	assert_int_equal(keys_allowed(kr, &w.env), 0);
	assert_int_equal(fmt_head_seal(body, &h, uuid, keys_get(kr, KEYS_HEAD)), 0);
	fmt_name_head(name, 1);
	assert_int_equal(mem_set(w.mem, name, body, sizeof(body)), 0);
	assert_int_equal(keys_allowed(kr, &w.env), 0);
	assert_int_equal(mem_drop(w.mem, "keys/0000000000000002"), 0);
	assert_int_equal(keys_open(&old, &w.env, &file1), 0);
	assert_int_equal(keys_version(old), 1);
	assert_int_equal(keys_allowed(old, &w.env), -ESTALE);
	body[FMT_HEAD_LEN - 1] ^= 1;
	assert_int_equal(mem_set(w.mem, name, body, sizeof(body)), 0);
	assert_int_equal(keys_allowed(kr, &w.env), -EBADMSG);
	keys_free(kr);
	keys_free(old);
	smallworld_end(&w);
}

/*
 * The store fails at any request of a removal, or says so though it did it; then the same command
 * once more, and all is as if it had never failed.
 */
static void cut_short(void **state)
{
	static const enum fault_kind how[] = { FAULT_ERROR, FAULT_LOST };
	unsigned int failed = 0;

	(void)state;
	for (uint32_t i = 0; i < 2 * 8; i++) {
		struct fault_rule r = {
			.kind = how[i % 2], .ops = ~0u, .skip = i / 2, .count = 1, .err = -EIO
		};
		struct smallworld w;
		struct keyring *kr = two_keys(&w);
		uint32_t n = 0;
		int rc;

		assert_int_equal(fault_add(w.fault, &r), 0);
		rc = keys_remove(kr, &w.env, 1);
		if (!rc)
			rc = keys_sweep(kr, &w.env, &n);
		failed += rc != 0;
		assert_true(!rc || rc == -EIO);
		fault_clear(w.fault);
		keys_free(kr);
		kr = NULL;
		assert_int_equal(keys_open(&kr, &w.env, &file1), 0);
		rc = keys_remove(kr, &w.env, 1);
		assert_true(!rc || rc == -EALREADY);
		assert_int_equal(keys_sweep(kr, &w.env, &n), 0);
		assert_int_equal(keys_version(kr), 3);
		assert_false(there(&w, 1));
		assert_false(there(&w, 2));
		assert_int_equal(opens(&w, &file2), -EKEYREJECTED);
		assert_int_equal(opens(&w, &file1), 0);
		keys_free(kr);
		smallworld_end(&w);
	}
	assert_true(failed >= 4);
}

/* ---- without the secret ------------------------------------------------------------------- */

static int adopt(struct keyring *kr, struct smallworld *w, uint64_t version)
{
	char name[FMT_NAME_MAX];
	size_t len = 0;
	uint8_t *p;

	fmt_name_keys(name, version);
	p = mem_object(w->mem, name, &len);
	assert_non_null(p);
	return keys_adopt(kr, p, len, version);
}

static struct keyring *victim;

static int adopt_damaged(void *ctx, const void *p, size_t len)
{
	(void)ctx;
	return keys_adopt(victim, p, len, 3);
}

static void adopted(void **state)
{
	static const uint8_t other_master[32] = { 1 };
	const struct keys_slot *slots;
	struct buf b = BUF_INIT;
	struct fmt_keys k;
	struct smallworld w, w2;
	struct keyring *kr = two_keys(&w), *served = NULL, *foreign = NULL;
	uint32_t gen = 0;
	size_t len = 0;
	uint8_t *p, *copy;

	(void)state;
	assert_int_equal(keys_open(&served, &w.env, &file2), 0);
	assert_int_equal(keys_rotate(kr, &w.env, &gen), 0);
	p = mem_object(w.mem, "keys/0000000000000003", &len);
	copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, p, len);
	victim = served;
	hostile_check(copy, len, adopt_damaged, NULL);
	free(copy);
	/* hostile_check() ends with what is whole */
	assert_int_equal(adopt(served, &w, 3), 0);
	assert_int_equal(keys_version(served), 3);
	assert_int_equal(keys_data_gen(served), 2);
	assert_memory_equal(keys_data(served, 1), keys_data(kr, 1), 32);
	assert_memory_equal(keys_data(served, 2), keys_data(kr, 2), 32);
	assert_int_equal(adopt(served, &w, 2), -ESTALE);
	assert_int_equal(keys_data_gen(served), 2);
	/* Its own secret may be removed under it. */
	assert_int_equal(keys_remove(kr, &w.env, 1), 0);
	assert_int_equal(adopt(served, &w, 4), 0);
	assert_int_equal(keys_slots(served, &slots), 1);
	/* One who can write but has no key: the same data keys and a slot of his. */
	p = mem_object(w.mem, "keys/0000000000000004", &len);
	assert_int_equal(fmt_keys_decode(&k, p, len, 4), 0);
	k.version = 5;
	k.slots[0].salt[0] ^= 1;
	assert_int_equal(fmt_keys_encode(&b, &k, other_master), 0);
	assert_int_equal(keys_adopt(served, b.data, b.len, 5), -EBADMSG);
	fmt_keys_free(&k);
	buf_free(&b);
	/* Another volume's, of the same UUID even. */
	smallworld_init(&w2);
	assert_int_equal(
		keys_create(&foreign, &w2.env, uuid, "vol", &file1, KEYS_COST_MIN, "first"), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(keys_rotate(foreign, &w2.env, &gen), 0);
	assert_int_equal(adopt(served, &w2, 5), -EBADMSG);
	assert_int_equal(keys_version(served), 4);
	keys_free(kr);
	keys_free(served);
	keys_free(foreign);
	smallworld_end(&w2);
	smallworld_end(&w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(removed),	cmocka_unit_test(rotated),
		cmocka_unit_test(races),	cmocka_unit_test(late),
		cmocka_unit_test(overtaken),	cmocka_unit_test(superseded_while_opening),
		cmocka_unit_test(head_decides), cmocka_unit_test(cut_short),
		cmocka_unit_test(adopted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
