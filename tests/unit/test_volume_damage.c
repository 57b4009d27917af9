// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Damaged, missing and older objects; a store that is full or does not answer; too little memory.
 * What is refused, what is lost, and that nothing else is.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/fmt_name.h"
#include "format/fmt_seg.h"
#include "format/fmt_run.h"
#include "lib/jdisk.h"
#include "lib/run.h"
#include "lib/testrand.h"
#include "store/mem.h"
#include "volume/vol.h"

#define RUN_KIND_OFF 56 /* in a run's header: docs/format.md */
#define SIZE	     (RUN_BLOCKS * 4096ull)

struct fixture {
	struct vol w;
	struct model m;
};

/* A volume with @segments flushed segments of one 8-block write each, attached. */
static void begin(struct fixture *f, uint32_t segments)
{
	uint32_t i;

	memset(f, 0, sizeof(*f));
	vol_init(&f->w, 20, 1, SIZE);
	f->w.opts.checkpoint_segments = 1000;
	model_init(&f->m, 1, RUN_BLOCKS);
	assert_int_equal(vol_attach(&f->w, false), 0);
	for (i = 0; i < segments; i++) {
		assert_int_equal(vol_write(&f->w, 0, i * 8, 8, model_op(&f->m, 0, i * 8, 8, true)),
				 0);
		assert_int_equal(vol_flush(&f->w), 0);
	}
}

static void end(struct fixture *f)
{
	vol_end(&f->w);
	model_free(&f->m);
}

static void on_list(struct store_req *r)
{
	(void)r;
}

#define LAST (~0u)

/* The name of the n-th object (0 first) whose name begins with @prefix. */
static void nth(struct vol *w, const char *prefix, uint32_t n, char *name)
{
	struct store_entry ents[64];
	struct store_req r = { .op = STORE_LIST, .ents = ents, .max_ents = 64, .done = on_list };

	snprintf(r.name, sizeof(r.name), "%s", prefix);
	store_submit(w->mem, &r);
	while (mem_run(w->mem))
		;
	if (n == LAST)
		n = r.res - 1;
	assert_true(r.res > (ssize_t)n);
	snprintf(name, FMT_NAME_MAX, "%s", ents[n].name);
}

static void flip(struct vol *w, const char *name, uint64_t at)
{
	size_t len;
	uint8_t *p = mem_object(w->mem, name, &len);

	assert_non_null(p);
	p[at % len] ^= 1u << (at % 8);
}

static void cut(struct vol *w, const char *name, size_t less)
{
	size_t len;
	uint8_t *p = mem_object(w->mem, name, &len), *copy;

	assert_true(p && len > less);
	copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, p, len);
	assert_int_equal(mem_set(w->mem, name, copy, len - less), 0);
	free(copy);
}

/* Another host's attach to what the store holds now. */
static int attach_elsewhere(struct fixture *f, uint32_t min, uint32_t max)
{
	struct vol o;
	int err;

	vol_clone(&o, &f->w);
	err = vol_attach(&o, false);
	if (!err)
		vol_assert_prefix(&o, &f->m, min, max);
	else if (!o.notices)
		fail_msg("error %d without a word", err);
	vol_end(&o);
	return err;
}

/* ---- reading --------------------------------------------------------------------------------- */

/*
 * A frame is damaged: -EBADMSG for reads that need it, and only for those; another try is made
 * first.
 */
static void test_frame_damaged(void **state)
{
	uint8_t buf[32 * 4096];
	struct volume_stats s;
	char name[FMT_NAME_MAX];
	struct fixture f;

	(void)state;
	begin(&f, 4);
	vol_kill(&f.w);
	assert_int_equal(vol_attach(&f.w, false), 0);
	/* after the first fence: the third segment, blocks 16..23 */
	nth(&f.w, "seg/", 3, name);
	flip(&f.w, name, 6000);
	vol_settle(&f.w); /* GETs that the attach has lost interest in */
	f.w.net.gets = 0;
	assert_int_equal(vol_read(&f.w, 0, 16, 8, buf), -EBADMSG);
	assert_int_equal(f.w.net.gets, 2);
	assert_non_null(strstr(f.w.notice, name));
	assert_int_equal(vol_read(&f.w, 0, 23, 2, buf), -EBADMSG);
	assert_int_equal(vol_read(&f.w, 0, 0, 16, buf), 0);
	assert_int_equal(vol_read(&f.w, 0, 24, 8, buf), 0);
	volume_get_stats(f.w.v, &s);
	assert_int_equal(s.corrupt_frames, 2);
	/* overwritten, it is whole again */
	assert_int_equal(vol_write(&f.w, 0, 16, 8, model_op(&f.m, 0, 16, 8, true)), 0);
	assert_int_equal(vol_flush(&f.w), 0);
	vol_assert_prefix(&f.w, &f.m, f.m.ops, f.m.ops);
	end(&f);
}

/* Two frames of one GET, one of them damaged: the other is read. */
static void test_one_of_two_frames(void **state)
{
	uint8_t buf[16 * 4096];
	struct fixture f;
	char name[FMT_NAME_MAX];
	size_t len;

	(void)state;
	begin(&f, 0);
	/* odd: does not compress; two frames of 8 */
	assert_int_equal(vol_write(&f.w, 0, 0, 16, 1), 0);
	assert_int_equal(vol_flush(&f.w), 0);
	nth(&f.w, "seg/", 1, name);
	assert_non_null(mem_object(f.w.mem, name, &len));
	flip(&f.w, name, len - 5000);
	f.w.net.gets = 0;
	assert_int_equal(vol_read(&f.w, 0, 0, 16, buf), -EBADMSG);
	assert_int_equal(f.w.net.gets, 2);
	assert_int_equal(vol_read(&f.w, 0, 0, 8, buf), 0);
	assert_int_equal(f.w.net.gets, 2);
	assert_int_equal(model_stamp(buf, 0, 0), 1);
	end(&f);
}

/* The object is gone, or too short. */
static void test_object_missing_or_short(void **state)
{
	uint8_t buf[8 * 4096];
	char name[FMT_NAME_MAX];
	struct fixture f;

	(void)state;
	begin(&f, 3);
	nth(&f.w, "seg/", 1, name);
	assert_int_equal(mem_drop(f.w.mem, name), 0);
	nth(&f.w, "seg/", 2, name);
	cut(&f.w, name, 1000);
	assert_int_equal(vol_read(&f.w, 0, 0, 8, buf), -EBADMSG);
	assert_int_equal(vol_read(&f.w, 0, 8, 8, buf), 0);
	assert_int_equal(vol_read(&f.w, 0, 16, 8, buf), -EBADMSG);
	end(&f);
}

/* A store that does not answer: the READ waits, and is answered when it does. */
static void test_read_waits(void **state)
{
	struct vol_io x = { .heap = false };
	struct volume_stats s;
	struct fixture f;
	uint64_t began;
	uint32_t i;

	(void)state;
	begin(&f, 1);
	f.w.net.refuse_gets = -ETIMEDOUT;
	began = clock_mono_us(f.w.env.clock);
	vol_submit(&x, &f.w, IO_READ, 0, 0, 0, 8, 0);
	for (i = 0; i < 60; i++)
		vol_step(&f.w);
	assert_false(x.done);
	volume_get_stats(f.w.v, &s);
	assert_int_equal(s.store_errno, ETIMEDOUT);
	assert_in_range(s.store_outage_us, 1, clock_mono_us(f.w.env.clock) - began);
	assert_true(s.store_retries > 3);
	assert_int_equal(vol_write(&f.w, 0, 100, 1, 2), 0); /* others are not held up */
	assert_int_equal(vol_flush(&f.w), 0);
	f.w.net.refuse_gets = 0;
	assert_int_equal(vol_wait(&x), 0);
	volume_release(f.w.v, &x.io);
	volume_get_stats(f.w.v, &s);
	assert_int_equal(s.store_errno, 0);
	end(&f);
}

/* ---- attaching ------------------------------------------------------------------------------- */

/* Every bit that matters of every object: refused, or without effect; never another state. */
/*
 * The run of segments; those of extents are looked at when a leaf is wanted (test_volume_leaves.c).
 */
static void segment_run(struct vol *w, char name[FMT_NAME_MAX])
{
	const uint8_t *p;
	uint32_t i;
	size_t len;

	for (i = 0;; i++) {
		nth(w, "run/", i, name);
		p = mem_object(w->mem, name, &len);
		assert_non_null(p);
		if (p[RUN_KIND_OFF] == FMT_RUN_SEGMENTS)
			return;
	}
}

static void test_flipped_objects(void **state)
{
	static const char *const prefixes[] = { "head/", "manifest/", "run/", "seg/" };
	struct fixture f;
	uint32_t i, n;
	int err;

	(void)state;
	begin(&f, 3);
	assert_int_equal(vol_detach(&f.w), 0); /* a manifest with runs ... */
	assert_int_equal(vol_attach(&f.w, false), 0);
	for (i = 3; i < 6; i++) { /* ... and segments behind it */
		assert_int_equal(vol_write(&f.w, 0, i * 8, 8, model_op(&f.m, 0, i * 8, 8, true)),
				 0);
		assert_int_equal(vol_flush(&f.w), 0);
	}
	assert_int_equal(attach_elsewhere(&f, 6, 6), 0);
	for (i = 0; i < 4; i++) {
		for (n = 0; n < 40; n++) {
			struct vol saved = f.w;
			char name[FMT_NAME_MAX];
			uint64_t at = testrand_below(FMT_SEG_HDR_LEN);

			assert_int_equal(mem_clone(saved.mem, &f.w.mem), 0);
			/* head/ and manifest/: the newest; seg/: one that is replayed */
			if (i == 2)
				segment_run(&f.w, name);
			else
				nth(&f.w, prefixes[i], i == 0 ? 0 : i == 3 ? 6 : 1, name);
			if (n == 0)
				cut(&f.w, name, 1);
			else if (n == 1)
				assert_int_equal(mem_drop(f.w.mem, name), 0);
			else
				flip(&f.w, name, at);
			err = attach_elsewhere(&f, 6, 6);
			if (n == 1)
				/* without the newest head the epoch of the last fence tells */
				assert_int_equal(err, i == 0 ? -ESTALE : -ENODATA);
			else
				assert_true(err == -EBADMSG || err == -EPROTONOSUPPORT);
			store_close(f.w.mem);
			f.w.mem = saved.mem;
		}
	}
	end(&f);
}

/*
 * A segment in the middle of the log is missing: refused, by its successors' word or by the
 * window's rule.
 */
static void test_missing_segment(void **state)
{
	static const uint32_t which[] = { 1, 2, 10, 22, 23 };
	struct fixture f;
	uint32_t i;

	(void)state;
	begin(&f, 24);
	for (i = 0; i < 5; i++) {
		struct vol saved = f.w;
		char name[FMT_NAME_MAX];

		assert_int_equal(mem_clone(saved.mem, &f.w.mem), 0);
		nth(&f.w, "seg/", which[i], name);
		assert_int_equal(mem_drop(f.w.mem, name), 0);
		assert_int_equal(attach_elsewhere(&f, 0, 0), -ENODATA);
		store_close(f.w.mem);
		f.w.mem = saved.mem;
	}
	/* W in a row: what is left lies beyond the window, and only the window's rule can tell */
	for (i = 0; i < 16; i++) {
		char name[FMT_NAME_MAX];

		nth(&f.w, "seg/", 3, name);
		assert_int_equal(mem_drop(f.w.mem, name), 0);
	}
	assert_int_equal(attach_elsewhere(&f, 0, 0), -ENODATA);
	end(&f);
}

/*
 * What this host has seen: an older head, a shorter log, another log, are refused; nothing is
 * overwritten.
 */
static void test_older_image(void **state)
{
	struct store *early, *late;
	struct fixture f;
	char name[FMT_NAME_MAX];
	uint64_t bytes;

	(void)state;
	begin(&f, 2);
	assert_int_equal(vol_detach(&f.w), 0);
	assert_int_equal(mem_clone(f.w.mem, &early), 0);
	assert_int_equal(vol_attach(&f.w, false), 0);
	assert_int_equal(vol_write(&f.w, 0, 30, 8, model_op(&f.m, 0, 30, 8, true)), 0);
	assert_int_equal(vol_detach(&f.w), 0);

	late = f.w.mem;
	f.w.mem = f.w.net.mem = early;
	bytes = mem_bytes(early);
	assert_int_equal(vol_attach(&f.w, false), -ESTALE);
	assert_int_equal(mem_bytes(early), bytes);
	f.w.mem = f.w.net.mem = late;
	store_close(early);

	/* the end of the log is gone: another host cannot know, this one does */
	assert_int_equal(vol_attach(&f.w, false), 0);
	assert_int_equal(vol_write(&f.w, 0, 40, 8, model_op(&f.m, 0, 40, 8, true)), 0);
	assert_int_equal(vol_flush(&f.w), 0);
	vol_kill(&f.w);
	assert_int_equal(vol_attach(&f.w, false), 0); /* remembers the log up to its fence */
	vol_kill(&f.w);
	nth(&f.w, "seg/", LAST, name);
	assert_int_equal(mem_drop(f.w.mem, name), 0);
	nth(&f.w, "seg/", LAST, name);
	assert_int_equal(mem_drop(f.w.mem, name), 0);
	assert_int_equal(attach_elsewhere(&f, 3, 3), 0);
	assert_int_equal(vol_attach(&f.w, false), -ENODATA);
	end(&f);
}

/*
 * An object of another history in its place: right keys, right slot, right epoch, and yet it does
 * not follow.
 */
static void test_forked_object(void **state)
{
	struct fixture f;
	char name[FMT_NAME_MAX];
	struct vol fork;
	uint8_t *p;
	uint32_t i;
	size_t len;

	(void)state;
	begin(&f, 1);
	vol_kill(&f.w);
	vol_clone(&fork, &f.w);
	assert_int_equal(vol_attach(&f.w, false), 0);
	assert_int_equal(vol_attach(&fork, false), 0);
	for (i = 0; i < 3; i++) {
		assert_int_equal(vol_write(&f.w, 0, 50 + i, 1, model_op(&f.m, 0, 50 + i, 1, true)),
				 0);
		assert_int_equal(vol_flush(&f.w), 0);
		assert_int_equal(vol_write(&fork, 0, 60 + i, 1, 99), 0);
		assert_int_equal(vol_flush(&fork), 0);
	}
	nth(&f.w, "seg/", LAST, name);
	p = mem_object(fork.mem, name, &len);
	assert_non_null(p);
	assert_int_equal(mem_set(f.w.mem, name, p, len), 0);
	assert_int_equal(attach_elsewhere(&f, 0, 0), -EBADMSG);
	vol_end(&fork);
	end(&f);
}

/*
 * ---- checkpoints
 * ---------------------------------------------------------------------------------
 */

static uint32_t count(struct vol *w, const char *prefix)
{
	struct store_entry ents[64];
	struct store_req r = { .op = STORE_LIST, .ents = ents, .max_ents = 64, .done = on_list };

	snprintf(r.name, sizeof(r.name), "%s", prefix);
	store_submit(w->mem, &r);
	mem_run(w->mem);
	return r.res;
}

/*
 * A manifest every so many segments; what is replayed is little; the newest manifest and the one
 * before are there, older ones are not. With the default of 64 segments.
 */
static void test_checkpoints(void **state)
{
	struct volume_stats s;
	struct fixture f;
	uint32_t i;

	(void)state;
	begin(&f, 0);
	assert_int_equal(vol_detach(&f.w), 0);
	f.w.opts.checkpoint_segments = 64;
	assert_int_equal(vol_attach(&f.w, false), 0);
	for (i = 0; i < 300; i++) {
		uint64_t lba = testrand_below(RUN_BLOCKS - 8);

		assert_int_equal(vol_write(&f.w, 0, lba, 8, model_op(&f.m, 0, lba, 8, true)), 0);
		assert_int_equal(vol_flush(&f.w), 0);
	}
	vol_settle(&f.w);
	volume_get_stats(f.w.v, &s);
	assert_int_equal(s.segments_committed, 300);
	assert_int_equal(s.manifests, 4);
	assert_int_equal(count(&f.w, "manifest/"), 2);
	assert_int_equal(count(&f.w, "run/"), 8); /* a delta of each kind every time */
	vol_kill(&f.w);
	assert_int_equal(vol_attach(&f.w, false), 0);
	assert_int_equal(f.w.rec.segments_replayed, 300 - 4 * 64);
	vol_assert_prefix(&f.w, &f.m, 300, 300);
	end(&f);
}

/*
 * The store fails for a while in the middle of a checkpoint: it goes on, and flushes do not wait
 * for it.
 */
static void test_checkpoint_outage(void **state)
{
	struct volume_stats s;
	struct fixture f;
	uint32_t i;

	(void)state;
	begin(&f, 0);
	assert_int_equal(vol_detach(&f.w), 0);
	f.w.opts.checkpoint_segments = 4;
	assert_int_equal(vol_attach(&f.w, false), 0);
	snprintf(f.w.net.hold, sizeof(f.w.net.hold), "run/");
	for (i = 0; i < 20; i++) {
		assert_int_equal(vol_write(&f.w, 0, i, 1, model_op(&f.m, 0, i, 1, true)), 0);
		assert_int_equal(vol_flush(&f.w), 0);
	}
	volume_get_stats(f.w.v, &s);
	assert_int_equal(s.manifests, 0);
	assert_int_equal(f.w.net.nr_held, 1);
	f.w.net.hold[0] = 0;
	net_release(&f.w.net);
	vol_settle(&f.w);
	volume_get_stats(f.w.v, &s);
	assert_true(s.manifests >= 2);
	vol_assert_store(&f.w, &f.m, 20, 20);
	end(&f);
}

/*
 * ---- a store that is full, or away -------------------------------------------------------------
 */

/* No space: the FLUSH waits and is told once; then there is space. */
static void test_enospc(void **state)
{
	struct vol_io x = { .heap = false };
	struct volume_stats s;
	struct fixture f;
	unsigned int notices;
	uint32_t i;

	(void)state;
	begin(&f, 1);
	mem_set_limit(f.w.mem, mem_bytes(f.w.mem) + 10);
	assert_int_equal(vol_write(&f.w, 0, 50, 4, model_op(&f.m, 0, 50, 4, true)), 0);
	notices = f.w.notices;
	vol_submit(&x, &f.w, IO_FLUSH, 0, 0, 0, 0, 2);
	for (i = 0; i < 100; i++)
		assert_true(vol_step(&f.w));
	assert_false(x.done);
	assert_int_equal(f.w.notices, notices + 1);
	assert_non_null(strstr(f.w.notice, "No space left on device"));
	volume_get_stats(f.w.v, &s);
	assert_int_equal(s.store_errno, ENOSPC);
	assert_int_equal(s.flushes_waiting, 1);
	vol_assert_store(&f.w, &f.m, 1, 1);
	vol_assert_prefix(&f.w, &f.m, 2, 2); /* reads go on, new writes too */
	assert_int_equal(vol_write(&f.w, 0, 60, 4, model_op(&f.m, 0, 60, 4, true)), 0);
	mem_set_limit(f.w.mem, ~0ull);
	assert_int_equal(vol_wait(&x), 0);
	assert_int_equal(f.w.notices, notices + 2);
	vol_assert_store(&f.w, &f.m, 2, 3);
	volume_get_stats(f.w.v, &s);
	assert_int_equal(s.store_errno, 0);
	end(&f);
}

/*
 * The store is away under full write load: memory stays bounded, the kernel starves, nothing fails,
 * all comes back.
 */
static void test_memory_bounded(void **state)
{
	struct volume_stats s;
	struct fixture f;
	uint32_t i, op, lba;
	uint64_t bytes = 0;

	(void)state;
	begin(&f, 0);
	f.w.check = false;
	f.w.net.refuse_puts = -ETIMEDOUT;
	for (i = 0;; i++) {
		/* until the extents that are posted run out: then a writer would sleep */
		if (!f.w.nr_posts)
			break;
		lba = testrand_below(RUN_BLOCKS - 256);
		op = model_op(&f.m, 0, lba, 256, true);
		assert_int_equal(vol_write(&f.w, 0, lba, 256, op), 0);
		bytes += 256 * 4096u;
		volume_get_stats(f.w.v, &s);
		assert_true(s.memory_used <= s.memory_cap);
		if (i % 8 == 0)
			vol_step(&f.w);
	}
	assert_true(bytes > (16u << 20));
	volume_starved(f.w.v);
	for (i = 0; i < 2000; i++) {
		vol_step(&f.w);
		volume_get_stats(f.w.v, &s);
		assert_true(s.memory_used <= s.memory_cap);
	}
	assert_true(s.segments_inflight > 0);
	f.w.net.refuse_puts = 0;
	for (i = 0; i < 40; i++) {
		lba = testrand_below(RUN_BLOCKS - 256);
		op = model_op(&f.m, 0, lba, 256, true);
		assert_int_equal(vol_write(&f.w, 0, lba, 256, op), 0);
	}
	assert_int_equal(vol_flush(&f.w), 0);
	vol_assert_store(&f.w, &f.m, f.m.ops, f.m.ops);
	volume_get_stats(f.w.v, &s);
	assert_true(s.starvations > 0);
	assert_int_equal(s.dirty_bytes, 0);
	assert_true(s.memory_used <= s.memory_cap);
	end(&f);
}

/*
 * ---- the arena ----------------------------------------------------------------------------------
 */

/* An index that is damaged is not adopted, and what is in the store is all there is. */
static void test_arena_damaged(void **state)
{
	struct fixture f;
	uint32_t i;
	uint8_t *p;

	(void)state;
	for (i = 0; i < 3; i++) {
		begin(&f, 2);
		assert_int_equal(vol_write(&f.w, 0, 100, 4, model_op(&f.m, 0, 100, 4, true)), 0);
		assert_int_equal(vol_write(&f.w, 0, 101, 4, model_op(&f.m, 0, 101, 4, true)), 0);
		vol_kill(&f.w);
		p = f.w.arena;
		if (i == 0) { /* not an arena of this volume at all */
			p[30] ^= 1;
			assert_int_equal(volume_new(&f.w.v, &f.w.env, f.w.kr, &f.w.opts), 0);
			assert_int_equal(volume_set_arena(f.w.v, p, f.w.arena_len, true), -EBADMSG);
			volume_free(f.w.v);
			f.w.v = NULL;
			assert_int_equal(vol_attach(&f.w, false), 0);
			assert_false(f.w.rec.adopted);
		} else {
			uint32_t k, hit = 0;

			for (k = 0; k < 64 && !hit; k++) {
				struct fmt_arena_entry *e =
					(struct fmt_arena_entry *)(p + FMT_ARENA_HDR_LEN) + k;

				if (!e->valid)
					continue;
				hit = 1;
				if (i == 1)
					((uint8_t *)e)[10] ^= 4; /* rot */
				else
					memcpy(e + 100, e, sizeof(*e)); /* one number twice */
			}
			assert_int_equal(hit, 1);
			assert_int_equal(vol_attach(&f.w, true), 0);
			assert_false(f.w.rec.adopted);
			assert_int_equal(f.w.rec.recovered_wno, f.w.rec.durable_wno);
		}
		vol_assert_prefix(&f.w, &f.m, 2, 2);
		model_cut(&f.m, 2);
		assert_int_equal(vol_write(&f.w, 0, 100, 4, model_op(&f.m, 0, 100, 4, true)), 0);
		assert_int_equal(vol_flush(&f.w), 0);
		vol_assert_store(&f.w, &f.m, 3, 3);
		end(&f);
	}
}

/*
 * ---- requests and options
 * ------------------------------------------------------------------------
 */

static void test_refusals(void **state)
{
	struct vol_io x = { .heap = false };
	struct volume_format again = { .name = "x", .nr_devs = 1, .dev_size = 4096 };
	struct volume *v;
	struct fixture f;

	(void)state;
	begin(&f, 1);
	assert_int_equal(volume_format(&f.w.env, f.w.kr, &again), -EEXIST);
	vol_submit(&x, &f.w, IO_READ, 0, 7, 0, 1, 0);
	assert_int_equal(vol_wait(&x), -EINVAL);
	vol_submit(&x, &f.w, IO_READ, 0, 0, RUN_BLOCKS - 1, 2, 0);
	assert_int_equal(vol_wait(&x), -EINVAL);
	vol_submit(&x, &f.w, IO_DISCARD, 0, 0, ~0ull, 2, 0);
	assert_int_equal(vol_wait(&x), -EINVAL);
	vol_submit(&x, &f.w, IO_DISCARD, 0, 0, 0, (1u << 20) + 1, 0);
	assert_int_equal(vol_wait(&x), -EINVAL);
	vol_submit(&x, &f.w, IO_READ, 0, 0, 0, 257, 0);
	assert_int_equal(vol_wait(&x), -EINVAL);
	/* a place that was never posted: the zero region, the cache */
	vol_submit(&x, &f.w, IO_WRITE, 0, 0, 0, 1, 2);
	assert_int_equal(vol_wait(&x), 0);
	x.io.buf = 0;
	x.done = false;
	f.w.pending++;
	volume_submit(f.w.v, &x.io);
	assert_int_equal(vol_wait(&x), -EINVAL);
	f.w.opts.memory = 32u << 20;
	assert_int_equal(volume_new(&v, &f.w.env, f.w.kr, &f.w.opts), -ERANGE);
	f.w.opts.memory = 144u << 20;
	f.w.opts.frame_bytes = 5000;
	assert_int_equal(volume_new(&v, &f.w.env, f.w.kr, &f.w.opts), -EINVAL);
	end(&f);
}

/* Bytes, whole MiB: the least that volume_opts_check() takes. */
static uint64_t least_memory(struct vol *w, bool journal)
{
	struct volume_opts o = w->opts;

	o.flush_local = journal;
	for (o.memory = 32u << 20; volume_opts_check(&w->env, &o); o.memory += 1u << 20)
		assert_true(o.memory < 512u << 20);
	return o.memory;
}

/* A daemon asks while somebody else still has the journal, and must not be told otherwise later. */
static void test_least_memory(void **state)
{
	struct volume *v;
	struct fixture f;
	struct jdisk d;
	char least[64];
	int i;

	(void)state;
	begin(&f, 1);
	assert_true(least_memory(&f.w, true) > least_memory(&f.w, false));
	jdisk_init(&d, 64u << 20);
	for (i = 0; i < 2; i++) {
		struct volume_env env = f.w.env;
		struct volume_opts o = f.w.opts;

		env.journal = i ? &d.dev : NULL;
		o.flush_local = i;
		o.memory = least_memory(&f.w, i);
		assert_int_equal(volume_new(&v, &env, f.w.kr, &o), 0);
		volume_free(v);
		snprintf(least, sizeof(least), " %llu MiB is the least",
			 (unsigned long long)o.memory >> 20);
		o.memory -= 1u << 20;
		assert_int_equal(volume_new(&v, &env, f.w.kr, &o), -ERANGE);
		assert_non_null(strstr(f.w.notice, least));
		o.memory = 64u << 20;
		assert_int_equal(volume_new(&v, &env, f.w.kr, &o), -ERANGE);
		assert_non_null(strstr(f.w.notice, least));
	}
	jdisk_free(&d);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_damaged),
		cmocka_unit_test(test_one_of_two_frames),
		cmocka_unit_test(test_object_missing_or_short),
		cmocka_unit_test(test_read_waits),
		cmocka_unit_test(test_flipped_objects),
		cmocka_unit_test(test_missing_segment),
		cmocka_unit_test(test_older_image),
		cmocka_unit_test(test_forked_object),
		cmocka_unit_test(test_checkpoints),
		cmocka_unit_test(test_checkpoint_outage),
		cmocka_unit_test(test_enospc),
		cmocka_unit_test(test_memory_bounded),
		cmocka_unit_test(test_arena_damaged),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_least_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
