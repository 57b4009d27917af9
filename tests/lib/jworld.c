// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/jworld.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/run.h"

void jworld_begin_sized(struct jworld *t, uint64_t seed, uint64_t size)
{
	memset(t, 0, sizeof(*t));
	vol_init(&t->w, seed, 1, RUN_BLOCKS * 4096ull);
	vol_journal(&t->w, size);
	model_init(&t->m, 1, RUN_BLOCKS);
	assert_int_equal(vol_attach(&t->w, false), 0);
}

void jworld_begin(struct jworld *t, uint64_t seed)
{
	jworld_begin_sized(t, seed, JWORLD_SIZE);
}

void jworld_end(struct jworld *t)
{
	vol_end(&t->w);
	model_free(&t->m);
}

void jworld_write(struct jworld *t, uint64_t lba, uint32_t n)
{
	assert_int_equal(vol_write(&t->w, 0, lba, n, model_op(&t->m, 0, lba, n, true)), 0);
}

void jworld_hold(struct vol *w)
{
	snprintf(w->net.hold, sizeof(w->net.hold), "seg/");
}

void jworld_let(struct vol *w)
{
	w->net.hold[0] = 0;
	net_release(&w->net);
}
