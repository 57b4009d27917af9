// SPDX-License-Identifier: GPL-2.0-or-later
/* A volume's data: what was written is what is read, before and after it is in the store, and after a new start. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/testrand.h"
#include "lib/vol.h"

#define BLOCKS	3072u

/* One write, flushed; read before the flush, after it, and by a second daemon. */
static void test_smoke(void **state)
{
	struct vol w;
	struct model m;
	uint32_t op;

	(void)state;
	vol_init(&w, 1, 1, BLOCKS * 4096ull);
	model_init(&m, 1, BLOCKS);
	assert_int_equal(vol_attach(&w, false), 0);
	op = model_op(&m, 0, 100, 20, true);
	assert_int_equal(vol_write(&w, 0, 100, 20, op), 0);
	assert_int_equal(vol_assert_prefix(&w, &m, 1, 1), 1);
	assert_int_equal(vol_flush(&w), 0);
	assert_int_equal(vol_assert_prefix(&w, &m, 1, 1), 1);
	vol_kill(&w);
	assert_int_equal(vol_attach(&w, false), 0);
	assert_int_equal(vol_assert_prefix(&w, &m, 1, 1), 1);
	assert_int_equal(vol_detach(&w), 0);
	assert_int_equal(vol_attach(&w, false), 0);
	assert_int_equal(w.rec.segments_replayed, 0);
	assert_int_equal(vol_assert_prefix(&w, &m, 1, 1), 1);
	vol_end(&w);
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smoke),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
