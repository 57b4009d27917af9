// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The volume as its users see it (volume.h): set-up, requests in, time, detach, figures. The work
 * is done by the files that vol.h lists.
 */
#include "volume/volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "volume/ahead.h"
#include "volume/batch.h"
#include "volume/checkpoint.h"
#include "volume/codec.h"
#include "volume/commit.h"
#include "volume/contact.h"
#include "volume/dead.h"
#include "volume/fetch.h"
#include "volume/journal.h"
#include "volume/keys.h"
#include "volume/lease.h"
#include "volume/notice.h"
#include "volume/read.h"
#include "volume/recover.h"
#include "volume/volume_rekey.h"
#include "volume/seal.h"
#include "volume/seen.h"
#include "volume/spill.h"
#include "volume/uploader.h"
#include "volume/vol.h"
#include "volume/worker.h"
#include "volume/write.h"

#define RETRY_US	100000u /* after a failed allocation */
#define MAX_ZERO_BLOCKS (1u << 20) /* what one batch's table surely holds */
#define EXTENTS_SPARE	4u
#define MIN_SEGMENT	(64u << 10)
#define MAX_SEGMENT	(64u << 20)
#define MIB		(1ull << 20)

void volume_opts_init(struct volume_opts *o)
{
	*o = (struct volume_opts){
		.memory = 1ull << 30,
		.segment_bytes = 8u << 20,
		.segment_age_ms = 2000,
		.frame_bytes = 32u << 10,
		.zstd_level = 1,
		.checkpoint_segments = 64,
		.write_queues = 4,
		.read_ahead = 8u << 20,
	};
}

static int opts_check(const struct volume_opts *o)
{
	if (o->segment_bytes < MIN_SEGMENT || o->segment_bytes > MAX_SEGMENT ||
	    o->frame_bytes < FMT_BLOCK_SIZE ||
	    o->frame_bytes > FMT_FRAME_MAX_BLOCKS * FMT_BLOCK_SIZE ||
	    (o->frame_bytes & (o->frame_bytes - 1)) || o->zstd_level < 0 || o->zstd_level > 19 ||
	    !o->checkpoint_segments || o->write_queues > ARENA_MAX_QUEUES)
		return -EINVAL;
	return 0;
}

/*
 * Memory that is not the arena's: two segments at their worst, some fetches, codecs, and a share
 * for the maps.
 */
static uint64_t reserve_of(const struct volume_opts *o, uint64_t *ret_sealed, uint64_t *ret_fetch)
{
	uint64_t sealed = 2 * ((uint64_t)o->segment_bytes + (1u << 20)) + o->segment_bytes / 4;
	uint64_t journal = o->flush_local ? JOURNAL_MEMORY : 0;

	if (sealed < o->memory / 8)
		sealed = o->memory / 8;
	*ret_sealed = sealed;
	*ret_fetch = o->memory / 32 < (4u << 20) ? 4u << 20 : o->memory / 32;
	return sealed + *ret_fetch + journal + VOL_CODECS * CODEC_MEMORY + o->memory / 16;
}

static uint32_t queues(const struct volume_opts *o)
{
	return o->write_queues ? o->write_queues : 4;
}

static int plan(const struct volume_opts *o, struct fmt_arena *geo, uint64_t *ret_need)
{
	uint64_t sealed, fetch, reserve = reserve_of(o, &sealed, &fetch);

	return arena_plan(geo, o->memory, reserve, 2 * queues(o) + EXTENTS_SPARE, ret_need);
}

int volume_opts_check(const struct volume_env *env, const struct volume_opts *o)
{
	struct volume_opts least = *o;
	struct fmt_arena geo;
	uint64_t need;
	int err = opts_check(o);

	if (err || !plan(o, &geo, &need))
		return err;
	/* what is reserved grows with the memory, though by less than that */
	while (plan(&least, &geo, &need))
		least.memory = (need + MIB - 1) / MIB * MIB;
	notice_say(env, NOTICE_ERR, "memory: %llu MiB is too little, %llu MiB is the least",
		   (unsigned long long)(o->memory / MIB), (unsigned long long)(least.memory / MIB));
	return -ERANGE;
}

int volume_new(struct volume **ret, const struct volume_env *env, struct keyring *kr,
	       const struct volume_opts *o)
{
	struct volume *v;
	int err = volume_opts_check(env, o);

	if (!err && o->flush_local && !env->journal)
		err = -EINVAL;
	if (err)
		return err;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->env = *env;
	v->o = *o;
	v->o.write_queues = queues(o);
	v->kr = kr;
	v->retry_us = ~0ull;
	v->pack = VOL_PACK_NONE;
	v->lease_us = ~0ull;
	memcpy(v->uuid, keys_uuid(kr), sizeof(v->uuid));
	reserve_of(o, &v->sealed_cap, &v->fetch_cap);
	sio_ctx_init(&v->sio, &v->env);
	emap_init(&v->base, NULL, NULL);
	emap_init(&v->overlay, NULL, NULL);
	segtab_init(&v->segs);
	leaves_init(v);
	list_init(&v->held);
	list_init(&v->batches);
	list_init(&v->decodes);
	list_init(&v->encodes);
	list_init(&v->flushes);
	list_init(&v->stalled);
	list_init(&v->fetches);
	list_init(&v->jfetches);
	list_init(&v->jfetching);
	list_init(&v->fetching);
	list_init(&v->aheads);
	if (env->journal)
		err = journal_new(v, env->journal);
	if (err) {
		volume_free(v);
		return err;
	}
	*ret = v;
	return 0;
}

void volume_arena_size(const struct volume_opts *o, uint64_t *ret_total, uint64_t *ret_data_off)
{
	struct fmt_arena geo = { 0 };
	uint64_t need;

	plan(o, &geo, &need);
	*ret_total = geo.total_len;
	*ret_data_off = geo.data_off;
}

int volume_set_arena(struct volume *v, void *base, uint64_t total, bool adopt)
{
	struct fmt_arena geo;
	uint64_t cache_from, need;
	int err;

	if (v->has_arena)
		return -EBUSY;
	if (adopt) {
		err = arena_adopt(&v->arena, base, total, v->uuid, &v->adopt, &v->nr_adopt,
				  &v->adopt_sound);
	} else {
		err = plan(&v->o, &geo, &need);
		if (!err)
			err = arena_init(&v->arena, base, total, &geo, v->uuid);
	}
	if (err)
		return err;
	cache_from = v->arena.geo.write_off + v->arena.geo.write_len;
	err = cache_init(&v->cache, cache_from, v->arena.geo.data_len - cache_from);
	if (err) {
		arena_free(&v->arena);
		free(v->adopt);
		v->adopt = NULL;
		return err;
	}
	ahead_init(v);
	v->has_arena = true;
	v->adopted = adopt;
	return 0;
}

int volume_recover(struct volume *v, struct volume_recovery *ret)
{
	int err;

	if (v->state != VOL_NEW || !v->has_arena)
		return -EINVAL;
	v->sio.recovering = true;
	err = recover_run(v, ret);
	v->sio.recovering = false;
	if (err)
		return err;
	lease_begin(v);
	volume_pump(v);
	commit_apply(v); /* what was replayed */
	dead_pump(v);
	checkpoint_prepare(v);
	return 0;
}

void volume_resumed(struct volume *v)
{
	const struct journal *j = v->journal;
	int err;

	if (!vol_serving(v))
		return;
	arena_told(&v->arena, v->epoch, j && j->state == JOURNAL_ACTIVE ? j->sb.epoch : 0);
	if (v->seen.epoch == v->epoch)
		return;
	v->seen.epoch = v->epoch;
	err = seen_save(v);
	if (err)
		seen_complain(v, NOTICE_WARN, err);
}

uint32_t volume_devices(struct volume *v, const struct volume_dev **ret)
{
	*ret = v->devs;
	return v->nr_devs;
}

void volume_start(struct volume *v)
{
	v->started = true;
	pace_start(v);
	volume_room(v);
}

/* ---- requests -------------------------------------------------------------------------------- */

static const struct volume_dev *find_dev(const struct volume *v, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < v->nr_devs; i++)
		if (v->devs[i].id == id)
			return &v->devs[i];
	return NULL;
}

static int check(const struct volume *v, const struct io_req *io)
{
	const struct volume_dev *d = find_dev(v, io->dev);
	uint64_t blocks;

	if (!vol_serving(v))
		return -EIO;
	if (!d || io->op >= IO_NR_OPS)
		return -EINVAL;
	if (io->op == IO_FLUSH)
		return 0;
	blocks = d->size >> IO_BLOCK_SHIFT;
	if (!io->nblocks || io->lba >= blocks || io->nblocks > blocks - io->lba)
		return -EINVAL;
	if (io->nblocks >
	    (io->op == IO_READ || io->op == IO_WRITE ? IO_MAX_BLOCKS : MAX_ZERO_BLOCKS))
		return -EINVAL;
	return io->op != IO_READ && d->ro ? -EROFS : 0;
}

static void flush(struct volume *v, struct io_req *io)
{
	if (batch_dirty(v) && !(journal_answers(v) && contact_ok(v)))
		v->open->urgent = true;
	commit_wait(v, io, v->last_wno);
	volume_pump(v);
}

void volume_submit(struct volume *v, struct io_req *io)
{
	int err = check(v, io);

	io->res = 0;
	io->wno = 0;
	io->dur = 0;
	io->nsegs = 0;
	list_init(&io->link);
	if (err) {
		io->res = err;
		io->done(io);
		return;
	}
	v->st.ops[io->op]++;
	if (io->op != IO_READ)
		v->st.bytes[io->op] += (uint64_t)io->nblocks << IO_BLOCK_SHIFT;
	if (io->op == IO_READ)
		read_submit(v, io);
	else if (io->op == IO_FLUSH)
		flush(v, io);
	else
		write_submit(v, io);
}

void volume_release(struct volume *v, struct io_req *io)
{
	read_release(v, io);
}

void volume_starved(struct volume *v)
{
	v->st.starvations++;
	if (pace_starved(v)) {
		volume_room(v);
		return;
	}
	v->starving = true;
	if (batch_dirty(v))
		v->open->starved = true;
	volume_pump(v);
	spill_pump(v);
	volume_room(v);
}

/*
 * ---- what keeps it going ----------------------------------------------------------------------
 */

void volume_pump(struct volume *v)
{
	if (!vol_serving(v))
		return;
	if (batch_due(v, clock_mono_us(v->env.clock)) && batch_cut(v))
		volume_retry(v);
	journal_pump(v);
	seal_pump(v);
	uploader_pump(v);
}

void volume_room(struct volume *v)
{
	uint32_t ext;

	while (v->started && vol_serving(v) && pace_may_post(v) && arena_take(&v->arena, &ext)) {
		v->starving = false;
		pace_posted(v);
		v->env.post_buf(v->env.ctx, ext, arena_ext_off(&v->arena, ext),
				v->arena.geo.extent_len);
	}
	if (!vol_serving(v))
		return;
	write_resume(v);
	read_resume(v);
}

void volume_retry(struct volume *v)
{
	uint64_t at = clock_mono_us(v->env.clock) + RETRY_US;

	if (at < v->retry_us)
		v->retry_us = at;
}

void volume_tick(struct volume *v)
{
	sio_tick(&v->sio);
	if (!vol_serving(v))
		return;
	if (clock_mono_us(v->env.clock) >= v->retry_us) {
		v->retry_us = ~0ull;
		leaves_pump(v);
		commit_apply(v);
		spill_pump(v);
		volume_room(v);
		worker_pump(v);
		fetch_pump(v);
		checkpoint_due(v);
	}
	lease_tick(v);
	seen_tick(v);
	if (clock_mono_us(v->env.clock) >= pace_deadline(v))
		volume_room(v);
	dead_tick(v);
	volume_pump(v);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t volume_deadline_us(const struct volume *v)
{
	uint64_t at = sio_deadline(&v->sio);

	if (!vol_serving(v))
		return at;
	at = sooner(at, batch_deadline(v));
	at = sooner(at, lease_deadline(v));
	at = sooner(at, seen_deadline(v));
	at = sooner(at, pace_deadline(v));
	at = sooner(at, dead_deadline(v));
	return sooner(at, v->retry_us);
}

void volume_superseded(struct volume *v, const char *why)
{
	if (v->state != VOL_SERVING)
		return;
	v->state = VOL_SUPERSEDED;
	v->wake = true;
	notice_say(&v->env, NOTICE_ERR,
		   "another process owns this volume (%s): nothing more is written or acknowledged",
		   why);
	if (v->env.superseded)
		v->env.superseded(v->env.ctx);
	commit_fail_waiters(v, -EIO);
	write_fail_held(v, -EIO);
	read_fail_list(&v->stalled, -EIO);
	fetch_end_ahead(v);
	leaves_fail_reads(v, -EIO);
}

/* ---- the end ------------------------------------------------------------------------------ */

/*
 * Everything that was acknowledged is in the base map, and nothing is being written, not to the
 * journal either: its device goes away without asking.
 */
static bool drained(const struct volume *v)
{
	return !batch_dirty(v) && list_empty(&v->batches) && list_empty(&v->held) && !v->ckpt &&
	       !journal_busy(v->journal);
}

int volume_wait(struct volume *v)
{
	int err;

	v->wake = false;
	volume_pump(v);
	err = v->wake ? 0 : v->env.wait(v->env.ctx, &v->wake);
	if (v->state == VOL_SUPERSEDED)
		return -ESTALE;
	return v->wake ? 0 : err ? err : -EINTR;
}

int volume_drain(struct volume *v)
{
	int err = 0;

	if (v->state == VOL_SUPERSEDED)
		return -ESTALE;
	if (v->state != VOL_SERVING)
		return -EINVAL;
	while (!err && !drained(v)) {
		if (batch_dirty(v))
			v->open->starved = true;
		err = volume_wait(v);
	}
	return err;
}

int volume_detach(struct volume *v)
{
	int err;

	fetch_end_ahead(v);
	lease_end(v, false);
	err = volume_drain(v);
	if (!err)
		err = checkpoint_start(v, true);
	while (!err && v->ckpt)
		err = volume_wait(v);
	if (!err)
		err = v->ckpt_res;
	/* what the sweep leaves, another one finds: its errors do not matter */
	while (!err && v->sweeps)
		if (volume_wait(v))
			break;
	if (!err)
		dead_last(v);
	while (!err && dead_busy(v))
		if (volume_wait(v))
			break;
	/* the head says that the journal is clean: what it still holds is in the store */
	if (!err && v->journal && journal_close(v->journal))
		notice_say(&v->env, NOTICE_WARN, "the journal could not be marked as clean");
	while (!err && lease_busy(v))
		if (volume_wait(v))
			break;
	if (!err)
		lease_end(v, true);
	while (!err && lease_busy(v))
		if (volume_wait(v))
			break;
	if (!err)
		v->state = VOL_DETACHED;
	return err;
}

void volume_ending(struct volume *v)
{
	v->dead.ending = true;
	fetch_end_ahead(v);
}

void volume_free(struct volume *v)
{
	struct batch *b, *tmp;
	uint32_t i;

	if (!v)
		return;
	fetch_free_all(v);
	leaves_free(v);
	checkpoint_free(v);
	lease_cancel(v);
	volume_rekey_free(v);
	list_for_each_entry_safe(b, tmp, &v->batches, link) {
		sio_drop(b->put);
		batch_free(b);
	}
	batch_free(v->open);
	spares_shrink(&v->spares, 0);
	for (i = 0; i < v->nr_codecs; i++)
		codec_free(v->codecs[i]);
	sio_ctx_free(&v->sio);
	cache_free(&v->cache);
	journal_free(v->journal); /* unpins extents */
	if (v->has_arena)
		arena_free(&v->arena);
	runs_free(&v->runs);
	basemap_free(v);
	dead_free(v);
	segtab_free(&v->segs);
	emap_free(&v->base);
	emap_free(&v->overlay);
	free(v->adopt);
	free(v->devs);
	free(v->fdevs);
	free(v);
}
