// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the engine writes, read by tests/format/reader.py, which knows docs/format.md and none of
 * the daemon's code: after a clean detach, with a log to replay, and with segments of two data
 * keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "lib/export.h"
#include "lib/run.h"
#include "lib/tempdir.h"
#include "lib/testrand.h"
#include "lib/vol.h"
#include "volume/keys.h"

#define READER "/usr/bin/python3 tests/format/reader.py"

/* The key file of vol_init(). */
static const uint8_t key[32] = "a key file for tests, 32 bytes.";

static uint8_t *contents(struct vol *w, uint32_t dev, size_t blocks)
{
	uint8_t *p = malloc(blocks * 4096);

	assert_non_null(p);
	for (size_t lba = 0; lba < blocks; lba += 64)
		assert_int_equal(vol_read(w, dev, lba, 64, p + lba * 4096), 0);
	return p;
}

static void read_by_script(const char *dir, uint32_t dev, const uint8_t *want, size_t blocks)
{
	char cmd[1024], out[512];
	uint8_t *got;
	size_t len = 0;
	int rc;

	snprintf(out, sizeof(out), "%s/out", dir);
	snprintf(cmd, sizeof(cmd), READER " %s/vol --key-file %s/key %u %s > %s/list", dir, dir,
		 dev, out, dir);
	rc = system(cmd);
	if (!WIFEXITED(rc) || WEXITSTATUS(rc))
		fail_msg("%s: status %d", cmd, rc);
	got = export_read(out, &len);
	assert_non_null(got);
	assert_int_equal(len, blocks * 4096);
	assert_memory_equal(got, want, len);
	free(got);
}

/* Fresh folder, the store's objects, both devices compared with what the volume itself said. */
static void check(struct vol *w, uint8_t *const want[2])
{
	char *dir = tempdir_make(), path[512];

	snprintf(path, sizeof(path), "%s/vol", dir);
	export_to(w->mem, path);
	snprintf(path, sizeof(path), "%s/key", dir);
	export_write(path, key, sizeof(key));
	for (uint32_t dev = 0; dev < 2; dev++)
		read_by_script(dir, dev, want[dev], RUN_BLOCKS);
	tempdir_remove(dir);
}

/* A new data key, which the volume uses from its next start on. */
static void rotate(struct vol *w)
{
	static const struct keys_secret secret = { KEYS_KEYFILE, key, sizeof(key) };
	uint32_t gen, n;

	keys_free(w->kr);
	assert_int_equal(keys_open(&w->kr, &w->env, &secret), 0);
	assert_int_equal(keys_rotate(w->kr, &w->env, &gen), 0);
	assert_int_equal(gen, 2);
	assert_int_equal(keys_sweep(w->kr, &w->env, &n), 0);
	assert_int_equal(n, 1);
}

static void engine_and_reader(void **state)
{
	uint8_t *want[2];
	struct run r;

	(void)state;
	run_begin(&r, 4711, 2);
	for (int part = 0; part < 3; part++) {
		for (int i = 0; i < 400; i++)
			run_op(&r);
		assert_int_equal(vol_flush(&r.w), 0);
		vol_assert_prefix(&r.w, &r.m, r.m.ops, r.m.ops);
		for (uint32_t dev = 0; dev < 2; dev++)
			want[dev] = contents(&r.w, dev, RUN_BLOCKS);
		if (part == 1) {
			assert_int_equal(vol_detach(&r.w), 0);
			check(&r.w, want);
			rotate(&r.w);
			assert_int_equal(vol_attach(&r.w, false), 0);
		} else {
			/* The daemon dies: head in use, segments behind the manifest. */
			vol_settle(&r.w);
			vol_kill(&r.w);
			check(&r.w, want);
			assert_int_equal(vol_attach(&r.w, false), 0);
		}
		r.w.durable = r.m.ops;
		free(want[0]);
		free(want[1]);
	}
	run_end(&r);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(engine_and_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
