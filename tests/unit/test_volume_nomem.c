// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that is short for a moment costs time, and no answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/jdisk.h"
#include "lib/run.h"
#include "volume/vol.h"

static bool none_left;

/* The linker puts it before malloc() everywhere (Makefile). */
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

void *__wrap_malloc(size_t n)
{
	return none_left ? NULL : __real_malloc(n);
}

/*
 * A worker that opens a record of the journal has no memory: the READ gets its bytes all the same.
 */
static void test_read_of_the_ring(void **state)
{
	struct vol_io x = { .heap = false };
	struct emap_ext e = { .kind = EMAP_PAGE };
	struct vol w;
	uint32_t i;

	(void)state;
	vol_init(&w, 1, 1, 256u << 20);
	vol_journal(&w, 128u << 20);
	assert_int_equal(vol_attach(&w, false), 0);
	snprintf(w.net.hold, sizeof(w.net.hold), "seg/");
	for (i = 1; !w.v->st.parked; i++) {
		assert_true(i < 200);
		assert_int_equal(vol_write(&w, 0, i * 256, 256, i), 0);
	}
	vol_settle(&w);
	for (i = 0; e.kind != EMAP_JOURNAL; i++)
		assert_true(emap_find(emap_dev(&w.v->overlay, 0), i, 1, &e) || i < 256);
	vol_submit(&x, &w, IO_READ, 0, 0, i - 1, 1, 0);
	assert_false(x.done);
	while (list_empty(&w.exec.queue))
		assert_true(jdisk_run(w.jdisk));
	none_left = true;
	inline_run(&w.exec);
	none_left = false;
	assert_int_equal(vol_wait(&x), 0);
	volume_release(w.v, &x.io);
	vol_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_of_the_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
