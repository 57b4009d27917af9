// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/vol.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "format/fmt_journal.h"
#include "lib/jdisk.h"
#include "lib/testrand.h"
#include "store/mem.h"
#include "volume/keys.h"
#include "volume/vol.h"

#define STUCK 2000000u /* steps after which a wait is taken for a deadlock */

/* ---- the environment --------------------------------------------------------------------- */

static uint64_t mono(struct clock *c)
{
	return container_of(c, struct vol, clock)->now;
}

static uint64_t real(struct clock *c)
{
	return 1700000000000000ull + mono(c);
}

static ssize_t disk_read(struct disk *d, const char *name, void *buf, size_t len)
{
	struct vol *w = container_of(d, struct vol, disk);

	(void)name;
	if (!w->file_len)
		return -ENOENT;
	memcpy(buf, w->file, w->file_len < len ? w->file_len : len);
	return w->file_len;
}

static int disk_replace(struct disk *d, const char *name, const void *buf, size_t len)
{
	struct vol *w = container_of(d, struct vol, disk);

	(void)name;
	if (w->disk_err)
		return w->disk_err;
	assert_true(len && len <= sizeof(w->file));
	memcpy(w->file, buf, len);
	w->file_len = len;
	return 0;
}

static int wait_for(void *ctx, const bool *done)
{
	struct vol *w = ctx;
	uint32_t steps = 0;

	while (!*done) {
		if (w->stop_after && ++steps > w->stop_after)
			return -EINTR;
		if (w->beside && testrand_below(2))
			vol_step(w->beside);
		if (!vol_step(w) && !*done)
			return -EINTR;
	}
	return 0;
}

static void post_buf(void *ctx, uint32_t id, uint64_t off, uint32_t len)
{
	struct vol *w = ctx;

	(void)id;
	assert_true(w->nr_posts < VOL_MAX_POSTS);
	assert_true(len >= (4u << 20));
	w->posts[w->nr_posts++] = (struct vol_post){ off, off + len };
	/* the kernel may scribble on it from now on */
	memset((uint8_t *)w->arena + w->data_off + off, 0xa5, 4096);
}

static void superseded(void *ctx)
{
	((struct vol *)ctx)->superseded = true;
}

static void notice(void *ctx, int level, const char *msg)
{
	struct vol *w = ctx;

	(void)level;
	w->notices++;
	snprintf(w->notice, sizeof(w->notice), "%s", msg);
	if (getenv("ZEROFS_TEST_NOTICES") && *getenv("ZEROFS_TEST_NOTICES"))
		print_message("notice: %s\n", msg);
}

static void env_init(struct vol *w)
{
	static const struct clock_ops clock_ops = { .mono_us = mono, .real_us = real };
	static const struct disk_ops disk_ops = { disk_read, disk_replace };

	w->clock.ops = &clock_ops;
	w->disk.ops = &disk_ops;
	w->now = 1000000;
	list_init(&w->ios);
	w->check = true;
	inline_init(&w->exec);
	net_init(&w->net, w->mem);
	w->env = (struct volume_env){
		.clock = &w->clock,
		.disk = &w->disk,
		.exec = &w->exec.exec,
		.store = &w->net.store,
		.wait = wait_for,
		.post_buf = post_buf,
		.superseded = superseded,
		.notice = notice,
		.ctx = w,
	};
	volume_opts_init(&w->opts);
	w->opts.memory = 144u << 20;
	w->opts.segment_bytes = 256u << 10;
	w->opts.write_queues = VOL_QUEUES;
	snprintf(w->opts.host, sizeof(w->opts.host), "a");
}

void vol_init(struct vol *w, uint64_t seed, uint32_t nr_devs, uint64_t dev_size)
{
	static const uint8_t key[32] = "a key file for tests, 32 bytes.";
	struct keys_secret secret = { KEYS_KEYFILE, key, sizeof(key) };
	struct volume_format f = { .name = "test", .nr_devs = nr_devs, .dev_size = dev_size };

	memset(w, 0, sizeof(*w));
	testrand_seed(seed);
	memset(f.uuid, 0x42, sizeof(f.uuid));
	assert_int_equal(mem_new(&w->mem), 0);
	w->own_mem = true;
	env_init(w);
	assert_int_equal(
		keys_create(&w->kr, &w->env, f.uuid, f.name, &secret, KEYS_COST_MIN, "test"), 0);
	w->own_kr = true;
	assert_int_equal(volume_format(&w->env, w->kr, &f), 0);
}

/* The same settings and time, but for what is local. */
static void other_host(struct vol *w, const struct vol *from, const char *name)
{
	w->opts = from->opts;
	w->opts.flush_local = false;
	snprintf(w->opts.host, sizeof(w->opts.host), "%s", name);
	w->now = from->now;
	w->kr = from->kr;
}

void vol_clone(struct vol *w, struct vol *from)
{
	memset(w, 0, sizeof(*w));
	assert_int_equal(mem_clone(from->mem, &w->mem), 0);
	w->own_mem = true;
	env_init(w);
	other_host(w, from, "observer");
	w->opts.accept_loss = true;
}

void vol_share(struct vol *w, struct vol *from)
{
	memset(w, 0, sizeof(*w));
	w->mem = from->mem;
	env_init(w);
	other_host(w, from, "b");
}

void vol_journal(struct vol *w, uint64_t size)
{
	struct fmt_journal_sb sb = { .generation = 1, .size = size };

	w->jdisk = malloc(sizeof(*w->jdisk));
	assert_non_null(w->jdisk);
	w->own_jdisk = true;
	jdisk_init(w->jdisk, size);
	memset(sb.journal, 0x77, sizeof(sb.journal));
	assert_int_equal(fmt_journal_sb_seal(jdisk_at(w->jdisk, 0), &sb, keys_uuid(w->kr),
					     keys_get(w->kr, KEYS_JOURNAL)),
			 0);
	w->env.journal = &w->jdisk->dev;
	w->opts.flush_local = true;
}

static void arena_drop(struct vol *w)
{
	if (w->arena)
		munmap(w->arena, w->arena_len);
	w->arena = NULL;
}

void vol_end(struct vol *w)
{
	if (w->v)
		vol_kill(w);
	arena_drop(w);
	if (w->own_jdisk) {
		jdisk_free(w->jdisk);
		free(w->jdisk);
	}
	if (w->own_kr)
		keys_free(w->kr);
	net_end(&w->net);
	if (w->own_mem)
		store_close(w->mem);
}

static void arena_fresh(struct vol *w)
{
	uint64_t len;

	volume_arena_size(&w->opts, &len, &w->data_off);
	assert_true(len > 0);
	if (w->arena && w->keep_arena && w->arena_len == len)
		return;
	arena_drop(w);
	w->arena_len = len;
	w->arena = mmap(NULL, w->arena_len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(w->arena != MAP_FAILED);
}

/* Ends the volume after its requests and work have ended. */
static void let_go(struct vol *w)
{
	w->check = false;
	if (w->jdisk && !w->jdisk->dead)
		jdisk_die(w->jdisk);
	while (inline_run(&w->exec) || net_die(&w->net) || (w->jdisk && jdisk_drop(w->jdisk)))
		;
	if (w->jdisk)
		jdisk_revive(w->jdisk);
	volume_free(w->v);
	w->v = NULL;
	w->check = true;
	while (!list_empty(&w->ios)) {
		struct vol_io *x = list_first_entry(&w->ios, struct vol_io, link);

		list_del(&x->link);
		free(x);
	}
	w->pending = 0;
	w->nr_posts = 0;
	memset(w->cur, 0, sizeof(w->cur));
}

int vol_attach(struct vol *w, bool adopt)
{
	int err;

	w->superseded = false;
	err = volume_new(&w->v, &w->env, w->kr, &w->opts);
	assert_int_equal(err, 0);
	adopt = adopt && w->arena;
	if (!adopt)
		arena_fresh(w);
	assert_int_equal(volume_set_arena(w->v, w->arena, w->arena_len, adopt), 0);
	memset(&w->rec, 0, sizeof(w->rec));
	err = volume_recover(w->v, &w->rec);
	if (err) {
		let_go(w);
		return err;
	}
	volume_start(w->v);
	if (!w->untold)
		volume_resumed(w->v);
	return 0;
}

void vol_kill(struct vol *w)
{
	let_go(w);
}

void vol_cut(struct vol *w)
{
	if (w->jdisk)
		jdisk_cut(w->jdisk);
	let_go(w);
	arena_drop(w);
}

int vol_detach(struct vol *w)
{
	int err = volume_detach(w->v);

	let_go(w);
	return err;
}

/* ---- time ------------------------------------------------------------------------------ */

static void check(struct vol *w)
{
	int bad = w->check && w->v ? volume_check(w->v) : 0;

	if (bad)
		fail_msg("invariant %d", bad);
}

static bool step_now(struct vol *w)
{
	bool work = !list_empty(&w->exec.queue), net = w->net.queued;
	bool disk = w->jdisk && w->jdisk->queued;

	if (!work && !net && !disk)
		return false;
	if (disk && ((!work && !net) || testrand_below(2)))
		jdisk_run(w->jdisk);
	else if (work && (!net || testrand_below(2)))
		inline_run(&w->exec);
	else
		net_run(&w->net);
	check(w);
	return true;
}

bool vol_step(struct vol *w)
{
	uint64_t at;

	if (step_now(w))
		return true;
	if (!w->v)
		return false;
	at = volume_deadline_us(w->v);
	if (at == ~0ull)
		return false;
	if (at > w->now)
		w->now = at;
	volume_tick(w->v);
	check(w);
	return true;
}

void vol_settle(struct vol *w)
{
	while (step_now(w))
		;
}

void vol_advance(struct vol *w, uint64_t us)
{
	w->now += us;
	volume_tick(w->v);
	check(w);
}

static bool any_step(struct vol *w)
{
	return w->step ? w->step(w) : vol_step(w);
}

/* ---- requests ---------------------------------------------------------------------------- */

static void on_done(struct io_req *io)
{
	struct vol_io *x = io->priv;

	struct vol *w = x->w;

	assert_false(x->done);
	x->done = true;
	w->pending--;
	if (io->res) {
		w->failed++;
	} else if (io->op != IO_READ) {
		if (io->op != IO_FLUSH && x->op > w->acked)
			w->acked = x->op;
		if ((io->op == IO_FLUSH || (io->flags & IO_F_FUA)) && x->op > w->durable)
			w->durable = x->op;
	}
	if (w->answered)
		w->answered(x);
	if (x->heap) {
		list_del(&x->link);
		free(x);
	}
}

/* ~0: there is no place, and there will be none. */
static uint64_t alloc(struct vol *w, uint32_t queue, uint32_t nblocks)
{
	struct vol_post *c = &w->cur[queue];
	uint64_t len = (uint64_t)nblocks * IO_BLOCK_SIZE, at;
	uint32_t steps = 0;

	while (c->at + len > c->end) {
		if (w->nr_posts) {
			uint32_t i = testrand_below(w->nr_posts);

			*c = w->posts[i];
			w->posts[i] = w->posts[--w->nr_posts];
			break;
		}
		if (w->superseded)
			return ~0ull;
		volume_starved(w->v);
		if (w->nr_posts)
			continue;
		assert_true(any_step(w));
		assert_true(++steps < STUCK);
	}
	at = c->at;
	c->at += len;
	return at;
}

void vol_submit(struct vol_io *x, struct vol *w, uint8_t io_op, uint8_t flags, uint32_t dev,
		uint64_t lba, uint32_t nblocks, uint32_t op)
{
	bool heap = x->heap;
	uint32_t i;

	memset(&x->io, 0, sizeof(x->io));
	x->w = w;
	x->done = false;
	x->heap = heap;
	x->op = op;
	x->io.op = io_op;
	x->io.flags = flags;
	x->io.dev = dev;
	x->io.queue = testrand_below(VOL_QUEUES);
	x->io.lba = lba;
	x->io.nblocks = nblocks;
	x->io.segs = x->segs;
	x->io.done = on_done;
	x->io.priv = x;
	w->pending++;
	list_init(&x->link);
	if (heap)
		list_add_tail(&x->link, &w->ios);
	if (io_op == IO_WRITE) {
		x->io.buf = alloc(w, x->io.queue, nblocks);
		for (i = 0; i < nblocks && x->io.buf != ~0ull; i++)
			model_fill((uint8_t *)w->arena + w->data_off + x->io.buf + i * 4096u, op,
				   dev, lba + i);
	}
	volume_submit(w->v, &x->io);
	check(w);
}

struct vol_io *vol_io_new(void)
{
	struct vol_io *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	x->heap = true;
	return x;
}

int vol_wait(struct vol_io *x)
{
	uint32_t steps = 0;

	while (!x->done) {
		assert_true(any_step(x->w));
		assert_true(++steps < STUCK);
	}
	return x->io.res;
}

int vol_write(struct vol *w, uint32_t dev, uint64_t lba, uint32_t nblocks, uint32_t op)
{
	struct vol_io x = { .heap = false };

	vol_submit(&x, w, IO_WRITE, 0, dev, lba, nblocks, op);
	return vol_wait(&x);
}

int vol_read(struct vol *w, uint32_t dev, uint64_t lba, uint32_t nblocks, void *buf)
{
	struct vol_io x = { .heap = false };
	uint8_t *to = buf;
	uint64_t len = 0;
	uint32_t i;
	int err;

	vol_submit(&x, w, IO_READ, 0, dev, lba, nblocks, 0);
	err = vol_wait(&x);
	if (err)
		return err;
	for (i = 0; i < x.io.nsegs; i++) {
		memcpy(to + len, (uint8_t *)w->arena + w->data_off + x.segs[i].off, x.segs[i].len);
		len += x.segs[i].len;
	}
	assert_int_equal(len, (uint64_t)nblocks * IO_BLOCK_SIZE);
	volume_release(w->v, &x.io);
	check(w);
	return 0;
}

int vol_flush(struct vol *w)
{
	struct vol_io x = { .heap = false };

	vol_submit(&x, w, IO_FLUSH, 0, 0, 0, 0, 0);
	return vol_wait(&x);
}

/* ---- the oracle -------------------------------------------------------------------------- */

uint32_t *vol_stamps(struct vol *w, const struct model *m)
{
	uint32_t *stamps = calloc((size_t)m->nr_devs * m->blocks, sizeof(*stamps));
	uint8_t *buf = malloc(IO_MAX_BLOCKS * 4096u);
	uint32_t dev, i, n;
	uint64_t lba;

	assert_true(stamps && buf);
	for (dev = 0; dev < m->nr_devs; dev++) {
		for (lba = 0; lba < m->blocks; lba += n) {
			n = m->blocks - lba < IO_MAX_BLOCKS ? m->blocks - lba : IO_MAX_BLOCKS;
			assert_int_equal(vol_read(w, dev, lba, n, buf), 0);
			for (i = 0; i < n; i++)
				stamps[(size_t)dev * m->blocks + lba + i] =
					model_stamp(buf + i * 4096u, dev, lba + i);
		}
	}
	free(buf);
	return stamps;
}

uint32_t vol_assert_prefix(struct vol *w, const struct model *m, uint32_t min, uint32_t max)
{
	uint32_t *stamps = vol_stamps(w, m);
	uint32_t k = model_prefix(m, stamps, min, max);

	free(stamps);
	if (k == ~0u)
		fail_msg("not the state after any prefix of %u..%u of %u operations", min, max,
			 m->ops);
	return k;
}

uint32_t vol_assert_store(struct vol *w, const struct model *m, uint32_t min, uint32_t max)
{
	struct vol other;
	uint32_t k;

	vol_clone(&other, w);
	assert_int_equal(vol_attach(&other, false), 0);
	k = vol_assert_prefix(&other, m, min, max);
	vol_end(&other);
	return k;
}
