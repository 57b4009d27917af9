// SPDX-License-Identifier: GPL-2.0-or-later
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/core.h"
#include "base/inline.h"
#include "base/workq.h"

#define NR 1000

struct job {
	struct exec_work work;
	struct test *t;
	int ran, completed;
	bool held_in_run;
};

struct test {
	struct core core;
	unsigned int done; /* guarded by the core lock, without anything atomic */
	struct job job[NR];
	struct exec *exec;
	unsigned int again;
};

static void run(struct exec_work *w)
{
	struct job *j = container_of(w, struct job, work);

	j->ran++;
	j->held_in_run = core_held(&j->t->core);
}

static void complete(struct exec_work *w)
{
	struct job *j = container_of(w, struct job, work);

	assert_true(core_held(&j->t->core));
	j->completed++;
	j->t->done++;
	if (j->t->again) {
		j->t->again--;
		exec_submit(j->t->exec, w); /* the caller's again: may be submitted anew */
	}
}

static void threads(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	struct workq *wq = NULL;
	unsigned int ran = 0;

	(void)state;
	assert_non_null(t);
	assert_int_equal(core_init(&t->core, NULL, NULL), 0);
	assert_int_equal(workq_new(&wq, &t->core, 4, "test"), 0);
	t->exec = workq_exec(wq);
	t->again = 100;
	core_lock(&t->core);
	for (int i = 0; i < NR; i++) {
		t->job[i].t = t;
		t->job[i].work.run = run;
		t->job[i].work.complete = complete;
		exec_submit(t->exec, &t->job[i].work);
	}
	assert_in_range(workq_pending(wq), 1, NR);
	while (t->done < NR + 100)
		core_wait(&t->core, UINT64_MAX);
	core_unlock(&t->core);
	workq_free(wq);
	for (int i = 0; i < NR; i++) {
		assert_int_equal(t->job[i].ran, t->job[i].completed);
		assert_false(t->job[i].held_in_run);
		ran += (unsigned int)t->job[i].ran;
	}
	assert_int_equal(ran, NR + 100);
	core_destroy(&t->core);
	free(t);
}

/* Freeing waits for what was submitted. */
static void free_drains(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	struct workq *wq = NULL;

	(void)state;
	assert_non_null(t);
	assert_int_equal(core_init(&t->core, NULL, NULL), 0);
	assert_int_equal(workq_new(&wq, &t->core, 2, "test"), 0);
	core_lock(&t->core);
	for (int i = 0; i < NR; i++) {
		t->job[i].t = t;
		t->job[i].work.run = run;
		t->job[i].work.complete = complete;
		exec_submit(workq_exec(wq), &t->job[i].work);
	}
	core_unlock(&t->core);
	workq_free(wq);
	assert_int_equal(t->done, NR);
	assert_int_not_equal(workq_new(&wq, &t->core, 0, "test"), 0);
	workq_free(NULL);
	core_destroy(&t->core);
	free(t);
}

static void inline_complete(struct exec_work *w)
{
	container_of(w, struct job, work)->completed++;
}

static void inline_run_only(struct exec_work *w)
{
	container_of(w, struct job, work)->ran++;
}

static void without_threads(void **state)
{
	struct inline_exec ie;
	struct job j[3];

	(void)state;
	memset(j, 0, sizeof(j));
	inline_init(&ie);
	assert_false(inline_run(&ie));
	for (int i = 0; i < 3; i++) {
		j[i].work.run = inline_run_only;
		j[i].work.complete = inline_complete;
		exec_submit(&ie.exec, &j[i].work);
	}
	assert_int_equal(j[0].ran, 0);
	assert_true(inline_run(&ie));
	assert_int_equal(j[0].ran + j[0].completed, 2);
	assert_int_equal(j[1].ran, 0);
	assert_true(inline_run(&ie));
	assert_true(inline_run(&ie));
	assert_false(inline_run(&ie));
	assert_int_equal(j[2].completed, 1);
}

static void clock_runs(void **state)
{
	struct clock *c = clock_system();
	uint64_t a = clock_mono_us(c), b;

	(void)state;
	do
		b = clock_mono_us(c);
	while (b == a);
	assert_true(b > a);
	assert_true(clock_real_us(c) > 1600000000ull * 1000000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads),
		cmocka_unit_test(free_drains),
		cmocka_unit_test(without_threads),
		cmocka_unit_test(clock_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
