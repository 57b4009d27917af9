// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whose journal it is, when it was not always written as it should have been: an owner whose
 * superblock did not get to the disk is the owner still.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "format/fmt_name.h"
#include "lib/jdisk.h"
#include "lib/jworld.h"
#include "store/mem.h"
#include "volume/journal.h"
#include "volume/checkpoint.h"
#include "volume/vol.h"

/* Operations that only the journal has, and then the power goes. */
static void leave_in_ring(struct jworld *t, uint32_t n)
{
	uint32_t i;

	jworld_hold(&t->w);
	t->w.net.die_drops = true;
	for (i = 0; i < n; i++)
		jworld_write(t, 3 * i, 1 + i % 2);
	assert_int_equal(vol_flush(&t->w), 0);
	vol_cut(&t->w);
	t->w.net.hold[0] = 0;
}

/* A session whose superblock does not get to the disk. It has everything. */
static void attach_unwritable(struct jworld *t)
{
	t->w.jdisk->fail_writes = -EIO;
	assert_int_equal(vol_attach(&t->w, false), 0);
	assert_true(t->w.v->journal->state == JOURNAL_FAILED);
	vol_assert_prefix(&t->w, &t->m, t->m.ops, t->m.ops);
}

static void use_journal(struct vol *w, struct jdev *dev)
{
	w->env.journal = dev;
	w->opts.flush_local = dev;
}

/* ---- a superblock that is not written ----------------------------------------------------- */

/*
 * The image that it makes hides the fence that names the journal. (A WRITE that fails may be there
 * all the same: several seeds.)
 */
static void unwritable_then_clean(uint64_t seed)
{
	struct jworld t;

	jworld_begin(&t, seed);
	leave_in_ring(&t, 5);
	attach_unwritable(&t);
	jworld_write(&t, 200, 4);
	assert_int_equal(vol_detach(&t.w), 0);
	t.w.jdisk->fail_writes = 0;
	assert_int_equal(vol_attach(&t.w, false), 0);
	assert_true(t.w.v->journal->state == JOURNAL_ACTIVE);
	vol_assert_prefix(&t.w, &t.m, 6, 6);
	/* and what is written now is found by the next one */
	leave_in_ring(&t, 3);
	assert_int_equal(vol_attach(&t.w, false), 0);
	assert_int_equal(t.w.rec.journal_ops, 3);
	vol_assert_prefix(&t.w, &t.m, 9, 9);
	jworld_end(&t);
}

static void test_unwritable_then_clean(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 60; seed < 70; seed++)
		unwritable_then_clean(seed);
}

static void test_unwritable_then_killed(void **state)
{
	struct jworld t;
	uint32_t i;

	(void)state;
	jworld_begin(&t, 2);
	leave_in_ring(&t, 5);
	t.w.opts.checkpoint_segments = 1;
	attach_unwritable(&t);
	for (i = 0; i < 3; i++) {
		jworld_write(&t, 200 + i, 1);
		assert_int_equal(vol_flush(&t.w), 0);
		vol_settle(&t.w);
	}
	assert_true(t.w.v->head.replay_from > t.w.v->fence_seq);
	vol_cut(&t.w);
	/* twice, and the second one dies when it has got no further than its head */
	jworld_hold(&t.w);
	assert_int_equal(vol_attach(&t.w, false), -EINTR);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	t.w.jdisk->fail_writes = 0;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 8, 8);
	jworld_end(&t);
}

/* One session without the journal between: what is in the ring is in the store, and it is known. */
static void test_unwritable_for_a_while(void **state)
{
	struct jdev *dev;
	struct jworld t;

	(void)state;
	jworld_begin(&t, 3);
	dev = t.w.env.journal;
	leave_in_ring(&t, 5);
	attach_unwritable(&t);
	t.w.jdisk->fail_writes = 0;
	assert_int_equal(vol_detach(&t.w), 0);
	use_journal(&t.w, NULL);
	assert_int_equal(vol_attach(&t.w, false), 0);
	jworld_write(&t, 200, 4);
	assert_int_equal(vol_detach(&t.w), 0);
	use_journal(&t.w, dev);
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 6, 6);
	leave_in_ring(&t, 3);
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 9, 9);
	jworld_end(&t);
}

/* What the WRITE that failed left behind is not taken for a record when the ring goes on. */
static void test_failed_group_is_left_behind(void **state)
{
	struct jdev *dev;
	struct jworld t;
	uint32_t seed;

	(void)state;
	for (seed = 10; seed < 30; seed++) {
		jworld_begin(&t, seed);
		dev = t.w.env.journal;
		jworld_write(&t, 1, 1);
		assert_int_equal(vol_flush(&t.w), 0);
		t.w.jdisk->fail_writes = -EIO;
		jworld_write(&t, 2, 1);
		assert_int_equal(vol_flush(&t.w), 0);
		assert_true(t.w.v->journal->state == JOURNAL_FAILED);
		t.w.jdisk->fail_writes = 0;
		assert_int_equal(vol_detach(&t.w), 0);
		use_journal(&t.w, NULL);
		assert_int_equal(vol_attach(&t.w, false), 0);
		assert_int_equal(vol_detach(&t.w), 0);
		use_journal(&t.w, dev);
		assert_int_equal(vol_attach(&t.w, false), 0);
		assert_int_equal(t.w.v->journal->nr_refs, 0);
		vol_assert_prefix(&t.w, &t.m, 2, 2);
		leave_in_ring(&t, 2);
		assert_int_equal(vol_attach(&t.w, false), 0);
		vol_assert_prefix(&t.w, &t.m, 4, 4);
		jworld_end(&t);
	}
}

/* ---- whose machine it is ------------------------------------------------------------------ */

/* Two machines called the same: what is given up by the one is not the other's. */
static void test_equal_host_names(void **state)
{
	struct jdev *dev;
	struct jworld t;
	struct vol b;

	(void)state;
	jworld_begin(&t, 31);
	assert_int_equal(vol_detach(&t.w), 0);
	memset(t.w.opts.host_id, 0x11, sizeof(t.w.opts.host_id));
	assert_int_equal(vol_attach(&t.w, false), 0);
	leave_in_ring(&t, 3);
	vol_share(&b, &t.w);
	snprintf(b.opts.host, sizeof(b.opts.host), "%s", t.w.opts.host);
	memset(b.opts.host_id, 0x22, sizeof(b.opts.host_id));
	b.opts.takeover = true; /* the lease apart */
	b.opts.abandon_journal = true;
	assert_int_equal(vol_attach(&b, false), -ENOMEDIUM);
	assert_non_null(strstr(b.notice, "'a' (another machine)"));
	assert_non_null(strstr(b.notice, "--accept-loss"));
	vol_end(&b);
	/* a machine that was given another name is the same machine */
	dev = t.w.env.journal;
	use_journal(&t.w, NULL);
	snprintf(t.w.opts.host, sizeof(t.w.opts.host), "renamed");
	t.w.opts.accept_loss = true;
	assert_int_equal(vol_attach(&t.w, false), -ENOMEDIUM);
	t.w.opts.accept_loss = false;
	t.w.opts.abandon_journal = true;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_kill(&t.w);
	use_journal(&t.w, dev);
	jworld_end(&t);
}

/* ---- who else has the volume --------------------------------------------------------------- */

/* Another host has taken over, and serves: it is not stopped for a journal that is of no use. */
static void takeover_finds_out(bool images)
{
	struct jworld t;
	struct vol b;
	uint32_t i;

	jworld_begin(&t, 50 + images);
	leave_in_ring(&t, 3);
	vol_share(&b, &t.w);
	b.opts.accept_loss = true;
	b.opts.checkpoint_segments = images ? 1 : 64;
	assert_int_equal(vol_attach(&b, false), 0);
	for (i = 0; i < 3; i++) {
		assert_int_equal(vol_write(&b, 0, 9, 1, 7), 0);
		assert_int_equal(vol_flush(&b), 0);
	}
	assert_int_equal(b.v->head.manifest_version > 2, images);
	t.w.opts.takeover = true;
	t.w.opts.accept_loss = true;
	assert_int_equal(vol_attach(&t.w, false), -EUCLEAN);
	assert_int_equal(vol_write(&b, 0, 10, 1, 7), 0);
	assert_int_equal(vol_flush(&b), 0);
	assert_int_equal(vol_detach(&b), 0);
	assert_false(b.superseded);
	vol_end(&b);
	jworld_end(&t);
}

static void test_takeover_finds_out(void **state)
{
	(void)state;
	takeover_finds_out(false);
	takeover_finds_out(true);
}

/* It does not stop anybody for a log that is damaged either, and says what it is. */
static void test_takeover_of_damage(void **state)
{
	char name[FMT_NAME_MAX];
	struct jworld t;
	struct vol b;
	size_t len;

	(void)state;
	jworld_begin(&t, 52);
	leave_in_ring(&t, 3);
	vol_share(&b, &t.w);
	b.opts.accept_loss = true;
	assert_int_equal(vol_attach(&b, false), 0);
	assert_int_equal(vol_write(&b, 0, 9, 1, 7), 0);
	assert_int_equal(vol_flush(&b), 0);
	fmt_name_seg(name, b.v->commit_seq);
	mem_object(t.w.mem, name, &len)[100] ^= 1;
	t.w.opts.takeover = true;
	t.w.opts.accept_loss = true;
	assert_int_equal(vol_attach(&t.w, false), -EBADMSG);
	assert_int_equal(vol_write(&b, 0, 10, 1, 7), 0);
	assert_int_equal(vol_flush(&b), 0);
	assert_false(b.superseded);
	vol_end(&b);
	jworld_end(&t);
}

static int (*real_wait)(void *ctx, const bool *done);
static struct vol *owner;

/* Once the log is being read, its owner deletes what is dead of it. */
static int wait_for_deletion(void *ctx, const bool *done)
{
	struct vol *w = ctx, *b = owner;

	while (b && !w->net.nr_held)
		if (!vol_step(w))
			break;
	if (b && w->net.nr_held) {
		owner = NULL;
		assert_int_equal(checkpoint_start(b->v, false), 0);
		vol_settle(b);
		assert_true(b->v->st.deleted_segments >= 2);
		w->net.hold[0] = 0;
		net_release(&w->net);
	}
	return real_wait(ctx, done);
}

/* What the owner deletes while the log is looked at was not lost: it is looked at again. */
static void test_takeover_meets_deletion(void **state)
{
	struct jworld t;
	struct vol b;
	uint32_t i;

	(void)state;
	jworld_begin(&t, 53);
	leave_in_ring(&t, 3);
	vol_share(&b, &t.w);
	b.opts.accept_loss = true;
	assert_int_equal(vol_attach(&b, false), 0);
	for (i = 0; i < 3; i++) {
		assert_int_equal(vol_write(&b, 0, 9, 1, 7), 0);
		assert_int_equal(vol_flush(&b), 0);
	}
	vol_settle(&b);
	owner = &b;
	real_wait = t.w.env.wait;
	t.w.env.wait = wait_for_deletion;
	snprintf(t.w.net.hold, sizeof(t.w.net.hold), "seg/");
	t.w.net.hold_op = STORE_GET;
	t.w.opts.takeover = true;
	t.w.opts.accept_loss = true;
	assert_int_equal(vol_attach(&t.w, false), -EUCLEAN);
	assert_null(owner);
	t.w.env.wait = real_wait;
	assert_int_equal(vol_write(&b, 0, 10, 1, 7), 0);
	assert_int_equal(vol_flush(&b), 0);
	assert_false(b.superseded);
	vol_end(&b);
	jworld_end(&t);
}

/* ---- an older copy of the disk ------------------------------------------------------------- */

/* Writes and flushes one block at a time. */
static void flushed(struct jworld *t, uint32_t n)
{
	while (n--) {
		jworld_write(t, 10 * n, 2);
		assert_int_equal(vol_flush(&t->w), 0);
	}
}

/* With @now on the journal's disk everything is there; ends the world. */
static void end_with(struct jworld *t, struct jdisk_copy *then, struct jdisk_copy *now)
{
	jdisk_restore(t->w.jdisk, now);
	assert_int_equal(vol_attach(&t->w, false), 0);
	vol_assert_prefix(&t->w, &t->m, t->m.ops, t->m.ops);
	jdisk_copy_free(then);
	jdisk_copy_free(now);
	jworld_end(t);
}

/* Nobody but the store knows that there was more: its head does. */
static void test_older_than_the_head(void **state)
{
	struct jdisk_copy *then, *now;
	struct jworld t;

	(void)state;
	jworld_begin(&t, 40);
	flushed(&t, 2);
	then = jdisk_save(t.w.jdisk);
	assert_int_equal(vol_detach(&t.w), 0);
	t.w.opts.checkpoint_segments = 1;
	assert_int_equal(vol_attach(&t.w, false), 0);
	flushed(&t, 3);
	vol_advance(&t.w, 3000000);
	vol_settle(&t.w);
	assert_true(t.w.v->head.journal_pos > 0);
	jworld_hold(&t.w);
	t.w.net.die_drops = true;
	flushed(&t, 2);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	now = jdisk_save(t.w.jdisk);
	jdisk_restore(t.w.jdisk, then);
	t.w.file_len = 0;
	assert_int_equal(vol_attach(&t.w, false), -ENOMEDIUM);
	assert_non_null(strstr(t.w.notice, "holds less than it once held"));
	end_with(&t, then, now);
}

/* The store is away, no head is made: this host knows it, to the minute. */
static void test_older_than_remembered(void **state)
{
	struct jdisk_copy *then, *now;
	struct jworld t;

	(void)state;
	jworld_begin(&t, 41);
	jworld_hold(&t.w);
	t.w.net.die_drops = true;
	flushed(&t, 2);
	then = jdisk_save(t.w.jdisk);
	flushed(&t, 3);
	vol_advance(&t.w, 61000000);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	now = jdisk_save(t.w.jdisk);
	jdisk_restore(t.w.jdisk, then);
	t.w.opts.accept_loss = true; /* another host's word */
	assert_int_equal(vol_attach(&t.w, false), -ENOMEDIUM);
	assert_non_null(strstr(t.w.notice, "--abandon-journal"));
	t.w.opts.accept_loss = false;
	end_with(&t, then, now);
}

/* A state folder that cannot be written while the store is away: said once, and it goes on. */
static void test_cannot_be_remembered(void **state)
{
	unsigned int notices;
	struct jworld t;
	uint32_t i;

	(void)state;
	jworld_begin(&t, 46);
	jworld_hold(&t.w);
	vol_advance(&t.w, 0);
	notices = t.w.notices;
	t.w.disk_err = -ENOSPC;
	for (i = 0; i < 3; i++) {
		flushed(&t, 1);
		vol_advance(&t.w, 61000000);
	}
	assert_int_equal(t.w.notices, notices + 1);
	assert_non_null(strstr(t.w.notice, "state folder: No space"));
	t.w.disk_err = 0;
	flushed(&t, 1);
	vol_advance(&t.w, 61000000);
	assert_int_equal(t.w.v->seen.journal_pos, t.w.v->journal->head);
	jworld_end(&t);
}

/* A copy from before the last start: nothing but the epoch tells. */
static void test_older_than_the_start(void **state)
{
	struct jdisk_copy *then, *now;
	struct jworld t;

	(void)state;
	jworld_begin(&t, 42);
	leave_in_ring(&t, 3);
	then = jdisk_save(t.w.jdisk);
	jworld_hold(&t.w);
	assert_int_equal(vol_attach(&t.w, false), -EINTR); /* the fence */
	t.w.net.hold_skip = 1;
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_advance(&t.w, 0);
	flushed(&t, 1);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	now = jdisk_save(t.w.jdisk);
	jdisk_restore(t.w.jdisk, then);
	assert_int_equal(vol_attach(&t.w, false), -ENOMEDIUM);
	end_with(&t, then, now);
}

/* Given up is what is missing, not what is there. */
static void test_older_and_given_up(void **state)
{
	struct jdisk_copy *then;
	struct jworld t;

	(void)state;
	jworld_begin(&t, 43);
	jworld_hold(&t.w);
	t.w.net.die_drops = true;
	flushed(&t, 2);
	then = jdisk_save(t.w.jdisk);
	flushed(&t, 3);
	vol_advance(&t.w, 61000000);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	jdisk_restore(t.w.jdisk, then);
	t.w.opts.abandon_journal = true;
	assert_int_equal(vol_attach(&t.w, false), 0);
	model_cut(&t.m, vol_assert_prefix(&t.w, &t.m, 2, 2));
	t.w.opts.abandon_journal = false;
	leave_in_ring(&t, 2);
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 4, 4);
	jdisk_copy_free(then);
	jworld_end(&t);
}

/* After a clean end everything is in the store: the disk may be of any age, and goes on. */
static void test_older_and_clean(void **state)
{
	struct jdisk_copy *then;
	struct jworld t;

	(void)state;
	jworld_begin(&t, 44);
	flushed(&t, 2);
	then = jdisk_save(t.w.jdisk);
	flushed(&t, 3);
	assert_int_equal(vol_detach(&t.w), 0);
	jdisk_restore(t.w.jdisk, then);
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 5, 5);
	leave_in_ring(&t, 2);
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 7, 7);
	jdisk_copy_free(then);
	jworld_end(&t);
}

/*
 * The limit: a copy that is younger than head and memory is not told from the right one. What it
 * lacks is lost; what is left is a prefix all the same.
 */
static void test_a_little_older(void **state)
{
	struct jdisk_copy *then;
	struct jworld t;

	(void)state;
	jworld_begin(&t, 45);
	jworld_hold(&t.w);
	t.w.net.die_drops = true;
	vol_advance(&t.w, 0);
	flushed(&t, 2);
	then = jdisk_save(t.w.jdisk);
	flushed(&t, 3);
	vol_cut(&t.w);
	t.w.net.hold[0] = 0;
	jdisk_restore(t.w.jdisk, then);
	assert_int_equal(vol_attach(&t.w, false), 0);
	vol_assert_prefix(&t.w, &t.m, 2, 2);
	jdisk_copy_free(then);
	jworld_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unwritable_then_clean),
		cmocka_unit_test(test_unwritable_then_killed),
		cmocka_unit_test(test_unwritable_for_a_while),
		cmocka_unit_test(test_failed_group_is_left_behind),
		cmocka_unit_test(test_equal_host_names),
		cmocka_unit_test(test_takeover_finds_out),
		cmocka_unit_test(test_takeover_of_damage),
		cmocka_unit_test(test_takeover_meets_deletion),
		cmocka_unit_test(test_older_than_the_head),
		cmocka_unit_test(test_older_than_remembered),
		cmocka_unit_test(test_cannot_be_remembered),
		cmocka_unit_test(test_older_than_the_start),
		cmocka_unit_test(test_older_and_given_up),
		cmocka_unit_test(test_older_and_clean),
		cmocka_unit_test(test_a_little_older),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
