// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Checkpoints: see checkpoint.h.
 *
 * Happy path: the base map is frozen (committed batches stay in the overlay meanwhile, so reads,
 * writes and flushes go on), a worker writes what has changed into runs and thaws it; then PUT of
 * the runs, of the manifest, of the head, one after the other. The state that the manifest's runs
 * tell together is exactly the one at replay_from. Once the head is there and is the newest, what
 * only manifests before the previous one name is deleted: nobody who has listed the newest head or
 * the one before needs it. So are segments of which this image, not today's map, needs nothing
 * (dead.h).
 *
 * Failure modes: no memory: given up, tried again when the next segment is applied; what has
 * changed since the newest manifest is still listed. The store fails: sio.c tries for ever. A
 * foreign head: superseded, and nothing is deleted.
 */
#include "volume/checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/exec.h"
#include "volume/commit.h"
#include "volume/dead.h"
#include "volume/head.h"
#include "volume/imgwrite.h"
#include "volume/jreplay.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/sweep.h"
#include "volume/vol.h"
#include "volume/volume_rekey.h"

#define FREE_BYTES (256u << 10) /* deltas up to here are never too many bytes */
#define MAP_SHARE  4u /* of the memory: a map up to here is loaded whole to be written anew */

struct checkpoint {
	struct exec_work work;
	struct volume *v;
	bool clean;
	uint64_t since; /* volume.segments_since before it */
	uint32_t gen;
	uint32_t nr_gone; /* whose records all_segs leaves out */
	int err;
	struct imgwrite x;
	uint32_t sent; /* of x.bodies */
	uint64_t mem; /* of the bodies */
	struct sio *put;
	struct head_op head;
};

static void release(struct checkpoint *c)
{
	sio_drop(c->put);
	head_cancel(&c->head);
	c->v->ckpt_bytes -= c->mem;
	imgwrite_free(&c->x);
	free(c);
}

static void end(struct checkpoint *c, int res)
{
	struct volume *v = c->v;

	v->ckpt = NULL;
	if (res) {
		v->segments_since += c->since;
		basemap_give_back(v);
	}
	v->ckpt_res = res;
	v->wake = true;
	release(c);
}

static void run(struct exec_work *w)
{
	struct checkpoint *c = container_of(w, struct checkpoint, work);

	c->err = imgwrite_run(&c->x);
}

/* ---- the objects --------------------------------------------------------------------------- */

static void put_next(struct checkpoint *c);

static void on_head(struct head_op *op)
{
	struct checkpoint *c = op->priv;
	struct fmt_manifest *m = &c->x.m;
	struct volume *v = c->v;

	if (!vol_serving(v)) {
		end(c, -ESTALE);
		return;
	}
	if (op->res == -ENOMEM || op->res == -EAGAIN) {
		end(c, -ENOMEM);
		volume_retry(v);
		return;
	}
	if (op->res) {
		end(c, -ESTALE);
		volume_superseded(v, "another head was made");
		return;
	}
	v->st.manifests++;
	free(v->image[1].runs);
	v->image[1] = v->image[0];
	v->image[0] = (struct vol_image){ m->version, m->id, m->runs, m->nr_runs };
	m->runs = NULL;
	v->saved_wno = m->last_wno;
	v->segs.saved_gen = c->gen;
	basemap_saved(v, m->last_wno);
	if (c->x.all_extents) /* and all of that is in memory */
		runs_free(&v->runs);
	v->segs.nr_gone -= c->nr_gone;
	v->segs.nr_dropped += c->nr_gone;
	sweep_start(v);
	dead_add(v, c->x.dead, c->x.nr_dead);
	end(c, 0);
	checkpoint_due(v);
}

static void make_head(struct checkpoint *c)
{
	const struct fmt_manifest *m = &c->x.m;
	struct volume *v = c->v;
	struct fmt_head *h = &c->head.h;

	*h = v->head;
	h->version = m->version;
	h->flags = c->clean ? FMT_HEAD_CLEAN : 0;
	memcpy(h->image_journal, h->journal, sizeof(h->image_journal));
	jreplay_note(v, h);
	if (c->clean && h->journal_state == FMT_JOURNAL_OPEN)
		h->journal_state = FMT_JOURNAL_CLEAN;
	h->keys_version = keys_version(v->kr);
	h->manifest_version = m->version;
	h->manifest_id = m->id;
	memcpy(h->manifest_hash, c->x.hash, sizeof(h->manifest_hash));
	h->replay_from = m->replay_from;
	memcpy(h->chain, m->chain, sizeof(h->chain));
	h->last_wno = m->last_wno;
	if (h->floor < c->x.floor)
		h->floor = c->x.floor;
	h->created_us = m->created_us;
	c->head.v = v;
	c->head.done = on_head;
	c->head.priv = c;
	head_create(&c->head, SIO_FOR_EVER);
}

static void on_put(struct sio *s)
{
	struct checkpoint *c = s->priv;

	/*
	 * -EEXIST: 64 random bits are in the name, so it is what we tried to put; readers check its
	 * hash
	 */
	sio_drop(s);
	c->put = NULL;
	buf_free(&c->x.bodies[c->sent]);
	c->sent++;
	put_next(c);
}

static void put_next(struct checkpoint *c)
{
	struct volume *v = c->v;
	struct sio *s;

	if (!vol_serving(v)) {
		end(c, -ESTALE);
		return;
	}
	if (c->sent == c->x.nr) {
		make_head(c);
		return;
	}
	s = sio_new(&v->sio, STORE_PUT, c->x.names[c->sent]);
	if (!s) {
		end(c, -ENOMEM);
		volume_retry(v);
		return;
	}
	s->iov = (struct iovec){ c->x.bodies[c->sent].data, c->x.bodies[c->sent].len };
	s->req.iov = &s->iov;
	s->req.niov = 1;
	s->done = on_put;
	s->priv = c;
	c->put = s;
	sio_start(s, SIO_FOR_EVER);
}

static void complete(struct exec_work *w)
{
	struct checkpoint *c = container_of(w, struct checkpoint, work);
	struct volume *v = c->v;
	uint32_t i;

	v->frozen = false;
	v->ckpt_bytes -= c->mem;
	c->mem = 0;
	free(c->x.leaves);
	c->x.leaves = NULL;
	for (i = 0; i < c->x.nr; i++)
		c->mem += c->x.bodies[i].cap;
	c->mem += c->x.cap_dead * sizeof(*c->x.dead);
	v->ckpt_bytes += c->mem;
	if (!c->err)
		c->err = dead_reserve(v, c->x.nr_dead);
	if (c->err) {
		if (c->err != -ENOMEM)
			notice_say(&v->env, NOTICE_ERR, "the map cannot be written: %s",
				   notice_errno(c->err));
		end(c, c->err);
	} else {
		put_next(c);
	}
	if (vol_serving(v)) {
		dead_pump(v);
		commit_apply(v);
	}
}

/*
 * Have the deltas of this kind become too many, or more bytes than what they are deltas to? Then
 * all is written anew. At the end of a session that is put off: who ends wants to be gone.
 */
static bool outgrown(const struct volume *v, enum fmt_run_kind kind, bool clean)
{
	const struct vol_image *img = &v->image[0];
	uint64_t delta = 0, base = FREE_BYTES;
	uint32_t i, nr = 0;

	for (i = 0; i < img->nr_runs; i++) {
		if (img->runs[i].kind != kind)
			continue;
		if (img->runs[i].level) {
			base += img->runs[i].len;
			continue;
		}
		delta += img->runs[i].len;
		nr++;
	}
	return nr >= (clean ? 2 : 1) * CHECKPOINT_RUNS || (!clean && delta > base);
}

/*
 * Can the whole map be written? What is not in memory is loaded if it fits, and this checkpoint is
 * one more delta. Not where something was lost: the old runs are what a repair would begin with.
 */
static bool all_there(struct volume *v, bool clean)
{
	const struct vol_image *img = &v->image[0];
	uint64_t extents = 0;
	uint32_t i;

	if (v->leaves.lost)
		return false;
	for (i = 0; i < img->nr_runs; i++)
		extents += img->runs[i].kind == FMT_RUN_EXTENTS ? img->runs[i].count : 0;
	if (!clean && extents * sizeof(struct emap_ext) <= v->o.memory / MAP_SHARE)
		leaves_everything(v);
	return v->leaves.complete;
}

void checkpoint_prepare(struct volume *v)
{
	if (outgrown(v, FMT_RUN_EXTENTS, false))
		all_there(v, false);
}

/* The manifest, with the runs that stay. */
static int plan(struct checkpoint *c)
{
	struct volume *v = c->v;
	const struct vol_image *img = &v->image[0];
	struct fmt_manifest *m = &c->x.m;
	uint32_t i;

	*m = (struct fmt_manifest){
		.version = v->head.version + 1,
		.epoch = v->epoch,
		.created_us = clock_real_us(v->env.clock),
		.replay_from = v->replay_from,
		.last_wno = v->applied_wno,
		.mapped_blocks = v->mapped_blocks,
		.next_dev_id = v->next_dev_id,
		.nr_devs = v->nr_devs,
		.devs = v->fdevs,
	};
	randombytes_buf(&m->id, sizeof(m->id));
	memcpy(m->chain, v->replay_chain, sizeof(m->chain));
	c->x.v = v;
	c->x.all_extents = outgrown(v, FMT_RUN_EXTENTS, c->clean) && all_there(v, c->clean);
	c->x.all_segs = outgrown(v, FMT_RUN_SEGMENTS, c->clean) || (!c->clean && dead_outgrown(v));
	c->nr_gone = c->x.all_segs ? v->segs.nr_gone : 0;
	/* what was lost may be repaired with what is older */
	c->x.reap = !v->leaves.lost;
	m->runs = calloc(img->nr_runs + 1, sizeof(*m->runs));
	if (!m->runs)
		return -ENOMEM;
	c->x.cap_runs = img->nr_runs;
	for (i = 0; i < img->nr_runs; i++)
		if (!(img->runs[i].kind == FMT_RUN_EXTENTS ? c->x.all_extents : c->x.all_segs))
			m->runs[m->nr_runs++] = img->runs[i];
	return 0;
}

int checkpoint_start(struct volume *v, bool clean)
{
	struct checkpoint *c;
	int err;

	if (v->ckpt || v->part_applied)
		return -EBUSY;
	/*
	 * the log behind replay_from must tell which numbers this process has used: by its fence,
	 * or by a segment
	 */
	if (v->replay_from > v->fence_seq && v->applied_wno + 1 < v->own_wno)
		return -EBUSY;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->v = v;
	c->clean = clean;
	err = plan(c);
	if (!err)
		err = basemap_freeze(v, &c->x.leaves, &c->x.nr_leaves);
	if (err) {
		release(c);
		return err;
	}
	c->mem = c->x.nr_leaves * sizeof(*c->x.leaves);
	v->ckpt_bytes += c->mem;
	c->work.run = run;
	c->work.complete = complete;
	c->since = v->segments_since;
	c->gen = v->segs.gen++;
	v->ckpt = c;
	v->frozen = true;
	v->segments_since = 0;
	exec_submit(v->env.exec, &c->work);
	return 0;
}

void checkpoint_due(struct volume *v)
{
	if (vol_serving(v) && !v->ckpt &&
	    (v->segments_since >= v->o.checkpoint_segments || volume_rekey_wants_head(v)) &&
	    checkpoint_start(v, false) == -ENOMEM)
		volume_retry(v);
}

void checkpoint_free(struct volume *v)
{
	uint32_t i;

	if (v->ckpt)
		release(v->ckpt);
	v->ckpt = NULL;
	for (i = 0; i < 2; i++) {
		free(v->image[i].runs);
		v->image[i] = (struct vol_image){ 0 };
	}
}
