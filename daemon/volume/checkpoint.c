// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Checkpoints: see checkpoint.h.
 *
 * Happy path: the base map is frozen (committed batches stay in the overlay meanwhile, so reads,
 * writes and flushes go on), a worker writes all of it into runs and thaws it; then PUT of the
 * runs, of the manifest, of the head, one after the other. The state written is exactly the one at
 * replay_from. Once the head is there and is the newest, the objects of manifests before the
 * previous one are deleted: nobody who has listed the newest head or the one before needs them.
 *
 * Failure modes: no memory: given up, tried again when the next segment is applied. The store
 * fails: sio.c tries for ever. A foreign head: superseded, and nothing is deleted.
 */
#include "volume/checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/exec.h"
#include "format/fmt_name.h"
#include "volume/commit.h"
#include "volume/head.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/vol.h"

#define SWEEP_MAX   256u
#define LATE_FACTOR 4u

struct checkpoint {
	struct exec_work work;
	struct volume *v;
	bool clean;
	uint64_t since, bytes_since; /* volume.segments_since and bytes_since before it */
	int err;
	struct fmt_manifest m;
	uint8_t hash[32];
	struct buf *bodies; /* of the runs, then of the manifest */
	char (*names)[FMT_NAME_MAX];
	uint32_t nr, cap; /* objects */
	uint32_t sent;
	uint64_t mem, bytes; /* of the bodies: allocated, used */
	struct sio *put;
	struct head_op head;
	struct fmt_run_writer *w; /* the worker's */
};

static void release(struct checkpoint *c)
{
	uint32_t i;

	sio_drop(c->put);
	head_cancel(&c->head);
	for (i = 0; i < c->nr; i++)
		buf_free(&c->bodies[i]);
	c->v->ckpt_bytes -= c->mem;
	fmt_run_writer_free(c->w);
	free(c->bodies);
	free(c->names);
	free(c->m.runs);
	free(c);
}

static void end(struct checkpoint *c, int res)
{
	struct volume *v = c->v;

	v->ckpt = NULL;
	if (res) {
		v->segments_since += c->since;
		v->bytes_since += c->bytes_since;
	}
	v->ckpt_res = res;
	v->wake = true;
	release(c);
}

/*
 * ---- the worker: frozen maps -> runs -----------------------------------------------------------
 */

/* One more object at the end of bodies[], names[] and, before the manifest, m.runs[]. */
static int grow(struct checkpoint *c)
{
	uint32_t cap = c->cap ? c->cap * 2 : 8;
	void *p;

	if (c->nr < c->cap)
		return 0;
	p = realloc(c->bodies, cap * sizeof(*c->bodies));
	if (!p)
		return -ENOMEM;
	c->bodies = p;
	p = realloc(c->names, cap * sizeof(*c->names));
	if (!p)
		return -ENOMEM;
	c->names = p;
	p = realloc(c->m.runs, cap * sizeof(*c->m.runs));
	if (!p)
		return -ENOMEM;
	c->m.runs = p;
	c->cap = cap;
	return 0;
}

static int run_begin(struct checkpoint *c, enum fmt_run_kind kind)
{
	int err = grow(c);

	if (err)
		return err;
	c->w = fmt_run_writer_new(c->v->uuid, c->m.version, kind, 1, keys_get(c->v->kr, KEYS_RUN));
	return c->w ? 0 : -ENOMEM;
}

static int run_end(struct checkpoint *c)
{
	struct fmt_run_ref *ref = &c->m.runs[c->nr];
	int err;

	buf_init(&c->bodies[c->nr]);
	err = fmt_run_finish(c->w, &c->bodies[c->nr], ref);
	if (err)
		return err;
	fmt_run_writer_free(c->w);
	c->w = NULL;
	fmt_name_run(c->names[c->nr], ref->version, ref->id);
	c->nr++;
	c->m.nr_runs = c->nr;
	return 0;
}

/* Adds a record, in a run of its kind that has room. */
static int add(struct checkpoint *c, enum fmt_run_kind kind, const void *rec)
{
	int err = c->w ? 0 : run_begin(c, kind);

	if (err)
		return err;
	err = kind == FMT_RUN_EXTENTS ? fmt_run_add_extent(c->w, rec) :
					fmt_run_add_segrec(c->w, rec);
	if (err != -EFBIG)
		return err;
	err = run_end(c);
	return err ? err : add(c, kind, rec);
}

static int add_leaf(struct checkpoint *c, uint32_t dev, uint64_t no, const struct emap_leaf *l)
{
	const struct segtab *t = &c->v->segs;
	uint32_t i;
	int err = 0;

	for (i = 0; i < l->nr && !err; i++) {
		const struct emap_ext *e = &l->ext[i];
		struct fmt_extent x = {
			.dev = dev,
			.blocks = e->nblocks,
			.lba = (no << EMAP_LEAF_SHIFT) + e->start,
			.birth = e->wno,
			.seq = t->ents[e->owner].rec.seq,
			.gc = t->ents[e->owner].rec.gc,
			.frame_off = e->pos,
			.stored_len = e->stored,
			.block = e->delta,
			.frame_blocks = e->fblocks,
			.codec = e->codec,
		};

		err = add(c, FMT_RUN_EXTENTS, &x);
	}
	return err;
}

static int write_runs(struct checkpoint *c)
{
	struct volume *v = c->v;
	struct emap_leaf *l;
	uint32_t i;
	uint64_t no;
	int err = 0;

	for (i = 0; i < v->segs.nr && !err; i++)
		err = add(c, FMT_RUN_SEGMENTS, &v->segs.ents[i].rec);
	if (!err && c->w)
		err = run_end(c);
	for (i = 0; i < v->base.nr_devs && !err; i++)
		for (no = 0; !err && (l = emap_next_leaf(&v->base.devs[i], &no)); no++)
			err = add_leaf(c, v->base.devs[i].id, no, l);
	if (!err && c->w)
		err = run_end(c);
	return err;
}

static void run(struct exec_work *w)
{
	struct checkpoint *c = container_of(w, struct checkpoint, work);

	c->err = write_runs(c);
	if (!c->err)
		c->err = grow(c);
	if (c->err)
		return;
	buf_init(&c->bodies[c->nr]);
	c->err = fmt_manifest_seal(&c->bodies[c->nr], &c->m, c->v->uuid,
				   keys_get(c->v->kr, KEYS_MANIFEST), c->hash);
	fmt_name_manifest(c->names[c->nr], c->m.version, c->m.id);
	c->nr++;
}

/* ---- the objects --------------------------------------------------------------------------- */

static void put_next(struct checkpoint *c);

static struct volume *volume_of(const struct sio *s)
{
	return container_of(s->ctx, struct volume, sio);
}

static void sweep_start(struct sio *s, void (*done)(struct sio *s))
{
	volume_of(s)->sweeps++;
	s->done = done;
	sio_start(s, VOL_TRIES);
}

static void sweep_end(struct sio *s)
{
	struct volume *v = volume_of(s);

	sio_drop(s);
	if (!--v->sweeps)
		v->wake = true;
}

static bool in_image(const struct vol_image *img, const char *name)
{
	uint32_t i;

	for (i = 0; i < img->nr; i++)
		if (!strcmp(img->names[i], name))
			return true;
	return false;
}

/*
 * True if @name is of a manifest before the previous one, and no manifest that anybody needs names
 * it.
 */
static bool is_old(const struct volume *v, const char *name)
{
	uint64_t version, id;

	if (fmt_name_parse_manifest(name, &version, &id) && fmt_name_parse_run(name, &version, &id))
		return false;
	return version < v->image[1].version && !in_image(&v->image[0], name) &&
	       !in_image(&v->image[1], name);
}

static void on_old(struct sio *s)
{
	struct volume *v = volume_of(s);
	ssize_t i;

	for (i = 0; vol_serving(v) && i < s->res; i++) {
		const char *name = sio_entries(s)[i].name;
		struct sio *d = is_old(v, name) ? sio_new(s->ctx, STORE_DELETE, name) : NULL;

		if (d)
			sweep_start(d, sweep_end);
	}
	sweep_end(s);
}

/*
 * Deletes the objects of manifests before the previous one, and what checkpoints that did not end
 * have left there. The oldest come first in a list, so what does not fit in one is found by the
 * next checkpoint.
 */
static void sweep(struct volume *v)
{
	static const char *const prefixes[] = { FMT_PREFIX_MANIFEST, FMT_PREFIX_RUN };
	uint32_t i;

	for (i = 0; i < 2; i++) {
		struct sio *s = sio_list(&v->sio, prefixes[i], "", SWEEP_MAX);

		if (s)
			sweep_start(s, on_old);
	}
}

static void on_head(struct head_op *op)
{
	struct checkpoint *c = op->priv;
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
	free(v->image[1].names);
	v->image[1] = v->image[0];
	v->image[0] = (struct vol_image){ c->m.version, c->names, c->nr, c->bytes };
	c->names = NULL;
	sweep(v);
	end(c, 0);
	checkpoint_due(v);
}

static void make_head(struct checkpoint *c)
{
	struct volume *v = c->v;
	struct fmt_head *h = &c->head.h;

	*h = v->head;
	h->version = c->m.version;
	h->flags = c->clean ? FMT_HEAD_CLEAN : 0;
	if (c->clean && h->journal_state == FMT_JOURNAL_OPEN)
		h->journal_state = FMT_JOURNAL_CLEAN;
	h->manifest_version = c->m.version;
	h->manifest_id = c->m.id;
	memcpy(h->manifest_hash, c->hash, sizeof(h->manifest_hash));
	h->replay_from = c->m.replay_from;
	memcpy(h->chain, c->m.chain, sizeof(h->chain));
	h->last_wno = c->m.last_wno;
	h->created_us = c->m.created_us;
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
	buf_free(&c->bodies[c->sent]);
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
	if (c->sent == c->nr) {
		make_head(c);
		return;
	}
	s = sio_new(&v->sio, STORE_PUT, c->names[c->sent]);
	if (!s) {
		end(c, -ENOMEM);
		volume_retry(v);
		return;
	}
	s->iov = (struct iovec){ c->bodies[c->sent].data, c->bodies[c->sent].len };
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
	for (i = 0; i < c->nr; i++) {
		c->mem += c->bodies[i].cap;
		c->bytes += c->bodies[i].len;
	}
	v->ckpt_bytes += c->mem;
	if (c->err) {
		if (c->err != -ENOMEM)
			notice_say(&v->env, NOTICE_ERR, "the map cannot be written: %s",
				   notice_errno(c->err));
		end(c, c->err);
	} else {
		put_next(c);
	}
	if (vol_serving(v))
		commit_apply(v);
}

int checkpoint_start(struct volume *v, bool clean)
{
	struct checkpoint *c;

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
	c->m = (struct fmt_manifest){
		.version = v->head.version + 1,
		.epoch = v->epoch,
		.created_us = clock_real_us(v->env.clock),
		.replay_from = v->replay_from,
		.last_wno = v->applied_wno,
		.mapped_blocks = v->base.blocks,
		.next_dev_id = v->next_dev_id,
		.nr_devs = v->nr_devs,
		.devs = v->fdevs,
	};
	randombytes_buf(&c->m.id, sizeof(c->m.id));
	memcpy(c->m.chain, v->replay_chain, sizeof(c->m.chain));
	c->work.run = run;
	c->work.complete = complete;
	c->since = v->segments_since;
	c->bytes_since = v->bytes_since;
	v->ckpt = c;
	v->frozen = true;
	v->segments_since = 0;
	v->bytes_since = 0;
	exec_submit(v->env.exec, &c->work);
	return 0;
}

/*
 * Every so many segments; but while these are small against the image that would be written again
 * (many flushes of little), only every LATE_FACTOR times as many.
 */
static bool is_due(const struct volume *v)
{
	uint64_t many = v->o.checkpoint_segments;

	return v->segments_since >= many * LATE_FACTOR ||
	       (v->segments_since >= many && v->bytes_since >= v->image[0].bytes / LATE_FACTOR);
}

void checkpoint_due(struct volume *v)
{
	if (vol_serving(v) && !v->ckpt && is_due(v) && checkpoint_start(v, false) == -ENOMEM)
		volume_retry(v);
}

void checkpoint_free(struct volume *v)
{
	uint32_t i;

	if (v->ckpt)
		release(v->ckpt);
	v->ckpt = NULL;
	for (i = 0; i < 2; i++) {
		free(v->image[i].names);
		v->image[i] = (struct vol_image){ 0 };
	}
}
