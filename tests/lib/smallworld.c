// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/smallworld.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/fault.h"
#include "store/mem.h"

static uint64_t tick(struct clock *c)
{
	return container_of(c, struct smallworld, clock)->now_us += 1000;
}

bool smallworld_step(struct smallworld *w)
{
	return inline_run(&w->exec) || mem_run(w->mem) || fault_run(w->fault);
}

static int wait_for(void *ctx, const bool *done)
{
	struct smallworld *w = ctx;

	while (!*done) {
		if (w->stop)
			return -EINTR;
		if (!smallworld_step(w))
			fail_msg("waiting for what nobody does");
	}
	return 0;
}

static void notice(void *ctx, int level, const char *msg)
{
	(void)ctx;
	(void)level;
	(void)msg;
}

static void init(struct smallworld *w)
{
	static const struct clock_ops ops = { .mono_us = tick, .real_us = tick };

	w->clock.ops = &ops;
	w->now_us = 1700000000ull * 1000000;
	inline_init(&w->exec);
	assert_int_equal(fault_new(&w->fault, w->mem), 0);
	w->env.clock = &w->clock;
	w->env.exec = &w->exec.exec;
	w->env.store = w->fault;
	w->env.wait = wait_for;
	w->env.notice = notice;
	w->env.ctx = w;
}

void smallworld_init(struct smallworld *w)
{
	memset(w, 0, sizeof(*w));
	assert_int_equal(mem_new(&w->mem), 0);
	init(w);
}

void smallworld_clone(struct smallworld *w, const struct smallworld *from)
{
	memset(w, 0, sizeof(*w));
	assert_int_equal(mem_clone(from->mem, &w->mem), 0);
	init(w);
}

void smallworld_end(struct smallworld *w)
{
	while (smallworld_step(w))
		;
	store_close(w->fault);
	store_close(w->mem);
}
