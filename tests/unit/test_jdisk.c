// SPDX-License-Identifier: GPL-2.0-or-later
/* The simulator's disk: what it promises, and that it does the harm it is there for. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/jdisk.h"
#include "lib/testrand.h"

#define SIZE   (1u << 20)
#define NR     16
#define SECTOR 512

struct job {
	struct jdev_req r;
	int done, prepared, prepare_err;
	uint8_t fill;
	struct jdisk *d; /* submit another one when answered */
};

static uint8_t mem[NR][2 * JDEV_BLOCK] __attribute__((aligned(JDEV_BLOCK)));
static struct job jobs[NR];
static unsigned int order[NR], nr_done;

static void done(struct jdev_req *r)
{
	struct job *j = container_of(r, struct job, r);

	j->done++;
	if (nr_done < NR)
		order[nr_done] = (unsigned int)(j - jobs);
	nr_done++;
	if (j->d) {
		struct jdisk *d = j->d;

		j->d = NULL;
		jdev_submit(&d->dev, r);
	}
}

static int prepare(struct jdev_req *r)
{
	struct job *j = container_of(r, struct job, r);

	j->prepared++;
	memset(r->buf, j->fill, r->len);
	return j->prepare_err;
}

static void begin(struct jdisk *d, uint64_t seed)
{
	testrand_seed(seed);
	memset(jobs, 0, sizeof(jobs));
	memset(mem, 0, sizeof(mem));
	nr_done = 0;
	jdisk_init(d, SIZE);
}

/* Job @i: @op on the two blocks that are its own. */
static void go(struct jdisk *d, unsigned int i, enum jdev_op op, uint8_t fill)
{
	struct job *j = &jobs[i];

	j->fill = fill;
	j->r = (struct jdev_req){ .op = op,
				  .off = i * 2 * JDEV_BLOCK,
				  .buf = mem[i],
				  .len = 2 * JDEV_BLOCK,
				  .prepare = op == JDEV_WRITE ? prepare : NULL,
				  .res = 1,
				  .done = done };
	jdev_submit(&d->dev, &j->r);
}

static void run_all(struct jdisk *d)
{
	while (jdisk_run(d))
		;
}

static void round_trip(void **state)
{
	struct jdisk_copy *c;
	struct jdisk d;
	bool shuffled = false;

	(void)state;
	begin(&d, 1);
	for (unsigned int i = 0; i < NR; i++)
		go(&d, i, JDEV_WRITE, (uint8_t)(i + 1));
	assert_int_equal(nr_done, 0);
	assert_int_equal(jobs[3].prepared, 0);
	run_all(&d);
	assert_int_equal(nr_done, NR);
	for (unsigned int i = 0; i < NR; i++) {
		assert_true(jobs[i].done == 1 && jobs[i].prepared == 1 && !jobs[i].r.res);
		shuffled |= order[i] != i;
	}
	assert_true(shuffled);
	assert_int_equal(d.writes, NR);
	assert_int_equal(d.bytes_written, NR * 2 * JDEV_BLOCK);
	c = jdisk_save(&d);
	jobs[2].prepare_err = -ENOMEM;
	go(&d, 2, JDEV_WRITE, 99);
	run_all(&d);
	assert_int_equal(jobs[2].r.res, -ENOMEM);
	*jdisk_at(&d, 7 * 2 * JDEV_BLOCK) = 99;
	for (int back = 0; back < 3; back++) {
		memset(mem, 0xff, sizeof(mem));
		for (unsigned int i = 0; i < NR; i++)
			go(&d, i, JDEV_READ, 0);
		run_all(&d);
		for (unsigned int i = 0; i < NR; i++) {
			assert_int_equal(jobs[i].r.res, 0);
			assert_int_equal(mem[i][0], back == 2		? 0 :
						    i == 7 && back == 0 ? 99 :
									  i + 1);
			assert_int_equal(mem[i][2 * JDEV_BLOCK - 1], back == 2 ? 0 : i + 1);
		}
		jdisk_restore(&d, back ? NULL : c);
	}
	jdisk_copy_free(c);
	jdisk_copy_free(NULL);
	jdev_close(&d.dev);
	jdisk_free(&d);
}

/* What lies in job @i's blocks: sectors that are old (0), new (@fill), or neither. */
static void count(struct jdisk *d, unsigned int i, uint8_t fill, unsigned int n[3])
{
	uint8_t zero[SECTOR] = { 0 }, full[SECTOR];

	memset(full, fill, sizeof(full));
	n[0] = n[1] = n[2] = 0;
	for (uint64_t at = 0; at < 2 * JDEV_BLOCK; at += SECTOR) {
		const uint8_t *p = jdisk_at(d, i * 2 * JDEV_BLOCK + at);

		n[!memcmp(p, zero, SECTOR) ? 0 : !memcmp(p, full, SECTOR) ? 1 : 2]++;
	}
}

struct seen {
	unsigned int whole, none, mixed, garbage, unreadable;
};

static struct seen deaths(bool power, bool unreadable)
{
	struct seen s = { 0 };

	for (uint64_t seed = 0; seed < 50; seed++) {
		struct jdisk d;
		unsigned int n[3];

		begin(&d, seed);
		d.unreadable = unreadable;
		go(&d, 0, JDEV_WRITE, 1);
		go(&d, 1, JDEV_WRITE, 2);
		run_all(&d);
		for (unsigned int i = 2; i < NR; i++)
			go(&d, i, i % 4 ? JDEV_WRITE : JDEV_READ, (uint8_t)(i + 1));
		jobs[2].d = &d;
		if (power)
			jdisk_cut(&d);
		else
			jdisk_die(&d);
		assert_int_equal(nr_done, 2);
		assert_false(jdisk_run(&d));
		/* What had ended is there, what was never written is not touched. */
		count(&d, 0, 1, n);
		assert_int_equal(n[1], 16);
		count(&d, 1, 2, n);
		assert_int_equal(n[1], 16);
		for (unsigned int i = 2; i < NR; i++) {
			count(&d, i, (uint8_t)(i + 1), n);
			assert_true(i % 4 || n[0] == 16);
			s.none += i % 4 && n[0] == 16;
			s.whole += n[1] == 16;
			s.mixed += n[0] && n[1];
			s.garbage += n[2];
		}
		for (unsigned int i = 32; i < SIZE / JDEV_BLOCK; i++)
			assert_null(d.blocks[i]);
		/* The dead hear of it, but reach nothing any more. */
		jobs[2].fill = 200;
		assert_int_equal(jdisk_drop(&d), NR - 2 + 1);
		assert_int_equal(jobs[2].done, 2);
		assert_int_equal(jobs[2].r.res, -EIO);
		count(&d, 2, 200, n);
		assert_int_equal(n[1], 0);
		jdisk_revive(&d);
		for (unsigned int i = 2; i < NR; i++) {
			go(&d, i, JDEV_READ, 0);
			run_all(&d);
			s.unreadable += jobs[i].r.res == -EIO;
			/* Written anew, it can be read. */
			go(&d, i, JDEV_WRITE, 1);
			run_all(&d);
			go(&d, i, JDEV_READ, 0);
			run_all(&d);
			assert_int_equal(jobs[i].r.res, 0);
		}
		jdisk_free(&d);
	}
	return s;
}

static void power_cut(void **state)
{
	struct seen s = deaths(true, false);

	(void)state;
	assert_true(s.whole && s.none && s.mixed && s.garbage);
	assert_int_equal(s.unreadable, 0);
	s = deaths(true, true);
	assert_true(s.unreadable);
}

static void death(void **state)
{
	struct seen s = deaths(false, true);

	(void)state;
	assert_true(s.whole && s.none && s.mixed);
	assert_int_equal(s.garbage + s.unreadable, 0);
}

static void failing(void **state)
{
	unsigned int lost = 0, bad = 0, torn = 0, n[3];

	(void)state;
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct jdisk d;

		begin(&d, seed);
		d.fail_writes = -ENOSPC;
		d.fail_writes_skip = 3;
		for (unsigned int i = 0; i < NR; i++)
			go(&d, i, JDEV_WRITE, (uint8_t)(i + 1));
		run_all(&d);
		assert_int_equal(d.writes, 3);
		for (unsigned int i = 0; i < NR; i++) {
			const struct job *j = &jobs[order[i]];

			count(&d, order[i], (uint8_t)(order[i] + 1), n);
			if (i < 3)
				assert_true(!j->r.res && n[1] == 16);
			else if (i == 3)
				assert_int_equal(j->r.res, -ENOSPC);
			/* Said to be there or not, what was under way then need not be. */
			torn += i >= 3 && n[1] && n[1] < 16;
			lost += i > 3 && !j->r.res && n[1] < 16;
			bad += i > 3 && j->r.res == -EIO && n[1] == 16;
		}
		d.fail_writes = 0;
		d.fail_reads = -EIO;
		go(&d, 0, JDEV_READ, 0);
		run_all(&d);
		assert_int_equal(jobs[0].r.res, -EIO);
		d.gone = true;
		go(&d, 0, JDEV_READ, 0);
		go(&d, 1, JDEV_WRITE, 77);
		run_all(&d);
		assert_true(jobs[0].r.res == -ENODEV && jobs[1].r.res == -ENODEV);
		count(&d, 1, 77, n);
		assert_int_equal(n[1], 0);
		jdisk_free(&d);
	}
	assert_true(lost && bad && torn);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(power_cut),
		cmocka_unit_test(death),
		cmocka_unit_test(failing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
