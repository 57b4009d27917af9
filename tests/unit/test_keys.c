// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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
static const struct keys_secret pass2 = { KEYS_PASSPHRASE, "correct horsf", 13 };

static int create(struct smallworld *w, struct keyring **kr, const struct keys_secret *s)
{
	return keys_create(kr, &w->env, uuid, "vol", s, KEYS_COST_MIN, "first");
}

static void same_keys(const struct keyring *a, const struct keyring *b)
{
	assert_memory_equal(keys_uuid(a), keys_uuid(b), 16);
	assert_string_equal(keys_name(a), keys_name(b));
	assert_int_equal(keys_data_gen(a), keys_data_gen(b));
	assert_memory_equal(keys_data(a, 1), keys_data(b, 1), 32);
	for (int i = 0; i < KEYS_NR_USES; i++)
		assert_memory_equal(keys_get(a, (enum keys_use)i), keys_get(b, (enum keys_use)i),
				    32);
}

static void create_and_open(void **state)
{
	const struct keys_slot *slots;
	struct keyring *a = NULL, *b = NULL;
	struct smallworld w;
	size_t len;

	(void)state;
	testrand_seed(1);
	smallworld_init(&w);
	assert_int_equal(keys_open(&b, &w.env, &pass1), -ENOENT);
	assert_int_equal(create(&w, &a, &pass1), 0);
	assert_int_equal(keys_version(a), 1);
	assert_string_equal(keys_name(a), "vol");
	assert_memory_equal(keys_uuid(a), uuid, 16);
	assert_int_equal(keys_slots(a, &slots), 1);
	assert_string_equal(slots[0].label, "first");
	assert_int_equal(slots[0].kind, KEYS_PASSPHRASE);
	assert_int_equal(slots[0].argon_mem, 8 << 20);
	assert_null(keys_data(a, 0));
	assert_null(keys_data(a, 2));
	/* All keys differ from one another, and none lies in the object. */
	for (int i = 0; i < KEYS_NR_USES; i++) {
		const uint8_t *k = keys_get(a, (enum keys_use)i);
		const uint8_t *o = mem_object(w.mem, "keys/0000000000000001", &len);

		assert_non_null(o);
		assert_memory_not_equal(k, keys_data(a, 1), 32);
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(k, keys_get(a, (enum keys_use)j), 32);
		assert_null(memmem(o, len, k, 32));
		assert_null(memmem(o, len, keys_data(a, 1), 32));
	}
	assert_int_equal(keys_open(&b, &w.env, &pass1), 0);
	same_keys(a, b);
	keys_free(b);
	b = NULL;
	assert_int_equal(keys_open(&b, &w.env, &pass2), -EKEYREJECTED);
	assert_int_equal(keys_open(&b, &w.env, &file1), -EKEYREJECTED);
	assert_null(b);
	keys_free(a);
	keys_free(NULL);
	smallworld_end(&w);
}

static void more_slots(void **state)
{
	const struct keys_slot *slots;
	struct keyring *a = NULL, *b = NULL, *c = NULL;
	struct smallworld w;
	uint32_t id = 0;

	(void)state;
	testrand_seed(2);
	smallworld_init(&w);
	assert_int_equal(create(&w, &a, &file1), 0);
	assert_int_equal(keys_open(&b, &w.env, &file1), 0);
	assert_int_equal(keys_add(a, &w.env, &pass1, KEYS_COST_MIN, "second", &id), 0);
	assert_int_equal(id, 1);
	assert_int_equal(keys_version(a), 2);
	assert_int_equal(keys_slots(a, &slots), 2);
	assert_string_equal(slots[1].label, "second");
	/* b has not seen it: what it adds would take slots away. */
	assert_int_equal(keys_add(b, &w.env, &file2, KEYS_COST_MIN, "", &id), -EEXIST);
	assert_int_equal(keys_slots(b, &slots), 1);
	assert_int_equal(keys_open(&c, &w.env, &file1), 0);
	same_keys(a, c);
	assert_int_equal(keys_version(c), 2);
	keys_free(c);
	assert_int_equal(keys_open(&c, &w.env, &pass1), 0);
	same_keys(a, c);
	for (uint32_t i = 2; i < FMT_KEYS_MAX_SLOTS; i++) {
		assert_int_equal(keys_add(c, &w.env, &file2, KEYS_COST_MIN, NULL, &id), 0);
		assert_int_equal(id, i);
	}
	assert_int_equal(keys_add(c, &w.env, &file2, KEYS_COST_MIN, NULL, &id), -EOVERFLOW);
	keys_free(a);
	keys_free(b);
	keys_free(c);
	smallworld_end(&w);
}

static void already_there(void **state)
{
	struct keyring *a = NULL, *b = NULL;
	struct smallworld w;

	(void)state;
	testrand_seed(3);
	smallworld_init(&w);
	assert_int_equal(create(&w, &a, &file1), 0);
	/* A format that did not end, and one that did. */
	assert_int_equal(create(&w, &b, &file1), -ENOTEMPTY);
	assert_int_equal(mem_set(w.mem, "head/fffffffffffffffe", "x", 1), 0);
	assert_int_equal(create(&w, &b, &file1), -EEXIST);
	assert_int_equal(mem_drop(w.mem, "head/fffffffffffffffe"), 0);
	assert_int_equal(keys_discard(a, &w.env), 0);
	keys_free(a);
	assert_int_equal(create(&w, &a, &file2), 0);
	keys_free(a);
	smallworld_end(&w);
}

static void bad_arguments(void **state)
{
	static const struct keys_secret bad[] = {
		{ KEYS_PASSPHRASE, "", 0 },
		{ KEYS_KEYFILE, "short", 5 },
		{ 3, "xxxxxxxxxxxxxxxxxx", 18 },
		{ KEYS_PASSPHRASE, "x", KEYS_PASSPHRASE_MAX + 1 },
		{ KEYS_KEYFILE, "x", KEYS_KEYFILE_MAX + 1 },
	};
	struct keyring *kr = NULL;
	enum keys_cost cost;
	struct smallworld w;
	char label[64];

	(void)state;
	smallworld_init(&w);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(create(&w, &kr, &bad[i]), -EINVAL);
		assert_int_equal(keys_open(&kr, &w.env, &bad[i]), -EINVAL);
	}
	memset(label, 'x', sizeof(label));
	label[63] = '\0';
	assert_int_equal(keys_create(&kr, &w.env, uuid, "vol", &file1, KEYS_COST_MIN, label),
			 -EINVAL);
	label[KEYS_LABEL_LEN - 1] = '\0';
	assert_int_equal(keys_create(&kr, &w.env, uuid, "vol", &pass1, (enum keys_cost)9, label),
			 -EINVAL);
	assert_int_equal(mem_bytes(w.mem), 0);
	assert_int_equal(keys_cost_parse("min", &cost), 0);
	assert_int_equal(cost, KEYS_COST_MIN);
	assert_int_equal(keys_cost_parse("sensitive", &cost), 0);
	assert_int_equal(cost, KEYS_COST_SENSITIVE);
	assert_int_equal(keys_cost_parse("minimal", &cost), -EINVAL);
	smallworld_end(&w);
}

/* The store fails at each request of each operation, or says so though it did it. */
static void store_errors(void **state)
{
	static const enum fault_kind how[] = { FAULT_ERROR, FAULT_LOST };
	struct keyring *kr = NULL;
	struct smallworld w;
	uint32_t id;

	(void)state;
	for (unsigned int h = 0; h < 2; h++) {
		for (uint32_t skip = 0; skip < 8; skip++) {
			struct fault_rule r = {
				.kind = how[h], .ops = ~0u, .skip = skip, .count = 1, .err = -EIO
			};
			int rc;

			smallworld_init(&w);
			assert_int_equal(fault_add(w.fault, &r), 0);
			rc = create(&w, &kr, &file1);
			assert_true(!rc || rc == -EIO);
			assert_int_equal(rc == 0, skip >= 3);
			if (!rc) {
				rc = keys_add(kr, &w.env, &file2, KEYS_COST_MIN, "", &id);
				assert_true(!rc || rc == -EIO);
				keys_free(kr);
				rc = keys_open(&kr, &w.env, &file1);
				assert_true(!rc || rc == -EIO);
				if (!rc)
					keys_free(kr);
			}
			smallworld_end(&w);
		}
	}
}

/* The wait is cut short at any point: nothing leaks, nothing is touched later. */
static int steps_left;

static int wait_some(void *ctx, const bool *done)
{
	struct smallworld *w = ctx;

	while (!*done) {
		if (!steps_left)
			return -EINTR;
		steps_left--;
		assert_true(smallworld_step(w));
	}
	return 0;
}

static void interrupted(void **state)
{
	struct keyring *kr = NULL;
	struct smallworld w;
	bool whole = false;

	(void)state;
	for (int n = 0; !whole; n++) {
		int rc;

		smallworld_init(&w);
		w.env.wait = wait_some;
		steps_left = n;
		rc = create(&w, &kr, &file1);
		if (!rc) {
			keys_free(kr);
			rc = keys_open(&kr, &w.env, &file1);
		}
		assert_true(!rc || rc == -EINTR);
		whole = !rc;
		if (!rc)
			keys_free(kr);
		smallworld_end(&w);
		assert_true(n < 20);
	}
}

static int open_damaged(void *ctx, const void *p, size_t len)
{
	struct smallworld *w = ctx;
	struct keyring *kr = NULL;
	int rc;

	assert_int_equal(mem_set(w->mem, "keys/0000000000000001", p, len), 0);
	rc = keys_open(&kr, &w->env, &file1);
	if (!rc)
		keys_free(kr);
	return rc;
}

static void damaged(void **state)
{
	struct keyring *kr = NULL;
	struct smallworld w;
	uint8_t *p, *copy;
	size_t len = 0;

	(void)state;
	testrand_seed(5);
	smallworld_init(&w);
	assert_int_equal(create(&w, &kr, &file1), 0);
	keys_free(kr);
	p = mem_object(w.mem, "keys/0000000000000001", &len);
	assert_non_null(p);
	copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, p, len);
	hostile_check(copy, len, open_damaged, &w);
	free(copy);
	smallworld_end(&w);
}

/* One who can write but has no key: a right checksum does not help. */
static void forged(void **state)
{
	struct keyring *kr = NULL;
	struct smallworld w;
	struct fmt_keys k;
	struct buf b = BUF_INIT;
	static const uint8_t other_master[32] = { 1 };
	uint8_t *p;
	size_t len = 0;

	(void)state;
	testrand_seed(6);
	smallworld_init(&w);
	assert_int_equal(create(&w, &kr, &file1), 0);
	keys_free(kr);
	p = mem_object(w.mem, "keys/0000000000000001", &len);
	assert_int_equal(fmt_keys_decode(&k, p, len, 1), 0);
	assert_int_equal(fmt_keys_verify(&k, p, len, other_master), -EBADMSG);
	/*
	 * The same slots under a new name of the volume, then as version 2, then with the data
	 * key's number changed.
	 */
	strcpy(k.name, "mallory");
	assert_int_equal(fmt_keys_encode(&b, &k, other_master), 0);
	assert_int_equal(open_damaged(&w, b.data, b.len), -EBADMSG);
	buf_reset(&b);
	k.version = 2;
	assert_int_equal(fmt_keys_encode(&b, &k, other_master), 0);
	assert_int_equal(mem_set(w.mem, "keys/0000000000000002", b.data, b.len), 0);
	assert_int_equal(keys_open(&kr, &w.env, &file1), -EBADMSG);
	assert_int_equal(mem_drop(w.mem, "keys/0000000000000002"), 0);
	/* An object under another version's name. */
	p = mem_object(w.mem, "keys/0000000000000001", &len);
	assert_int_equal(mem_set(w.mem, "keys/0000000000000003", p, len), 0);
	assert_int_equal(keys_open(&kr, &w.env, &file1), -EBADMSG);
	/* A slot of another volume. */
	assert_int_equal(mem_drop(w.mem, "keys/0000000000000003"), 0);
	k.uuid[0] ^= 1;
	k.version = 1;
	buf_reset(&b);
	assert_int_equal(fmt_keys_encode(&b, &k, other_master), 0);
	assert_int_equal(open_damaged(&w, b.data, b.len), -EKEYREJECTED);
	/* Costs that would keep a reader busy for ever. */
	k.slots[0].type = FMT_SLOT_PASSPHRASE;
	k.slots[0].ops = FMT_KEYS_MAX_OPS + 1;
	k.slots[0].mem = 8 << 20;
	assert_int_equal(fmt_keys_encode(&b, &k, other_master), -EINVAL);
	fmt_keys_free(&k);
	buf_free(&b);
	smallworld_end(&w);
}

/* A newer version that cannot be read is not passed over for an older one. */
static void newest_counts(void **state)
{
	struct keyring *kr = NULL;
	struct smallworld w;
	char name[FMT_NAME_MAX];
	uint32_t id;

	(void)state;
	testrand_seed(7);
	smallworld_init(&w);
	assert_int_equal(create(&w, &kr, &file1), 0);
	/* More than one page of them, and a stranger in the folder. */
	for (uint64_t v = 2; v < 100; v++) {
		fmt_name_keys(name, v);
		assert_int_equal(mem_set(w.mem, name, "", 0), 0);
	}
	assert_int_equal(mem_set(w.mem, "keys/zzz", "junk", 4), 0);
	keys_free(kr);
	assert_int_equal(keys_open(&kr, &w.env, &file1), -EBADMSG);
	for (uint64_t v = 2; v < 100; v++) {
		fmt_name_keys(name, v);
		assert_int_equal(mem_drop(w.mem, name), 0);
	}
	assert_int_equal(keys_open(&kr, &w.env, &file1), 0);
	assert_int_equal(keys_add(kr, &w.env, &file2, KEYS_COST_MIN, "", &id), 0);
	keys_free(kr);
	assert_int_equal(keys_open(&kr, &w.env, &file2), 0);
	assert_int_equal(keys_version(kr), 2);
	keys_free(kr);
	smallworld_end(&w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_and_open), cmocka_unit_test(more_slots),
		cmocka_unit_test(already_there),   cmocka_unit_test(bad_arguments),
		cmocka_unit_test(store_errors),	   cmocka_unit_test(interrupted),
		cmocka_unit_test(damaged),	   cmocka_unit_test(forged),
		cmocka_unit_test(newest_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
