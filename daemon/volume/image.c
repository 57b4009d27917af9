// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Loading an image: see image.h. Nothing of an object is used before its hash (from the head,
 * through the manifest) and its tags were right; extents must lie on devices that exist and in
 * segments that the table has.
 */
#include "volume/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format/fmt_name.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/vol.h"

#define FIRST_READ (256u << 10)

/*
 * A whole object, @max bytes at most. The sio's body and res; *ret is set even on errors. [waits]
 */
static int get_whole(struct volume *v, const char *name, uint64_t len, uint64_t max,
		     struct sio **ret)
{
	int err;

	for (;;) {
		struct sio *s = sio_get(&v->sio, name, 0, len);

		*ret = s;
		if (!s)
			return -ENOMEM;
		sio_start(s, SIO_PATIENT);
		err = sio_wait(s);
		if (err || s->res < 0)
			return err ? err : (int)s->res;
		if (s->req.size <= len)
			return (uint64_t)s->res == s->req.size ? 0 : -EBADMSG;
		if (s->req.size > max)
			return -EBADMSG;
		len = s->req.size;
		sio_drop(s);
	}
}

static int name_devices(struct volume *v, const struct fmt_manifest *m)
{
	uint32_t i, n = 0;
	int err;

	v->devs = calloc(m->nr_devs + 1, sizeof(*v->devs));
	v->fdevs = calloc(m->nr_devs + 1, sizeof(*v->fdevs));
	if (!v->devs || !v->fdevs)
		return -ENOMEM;
	for (i = 0; i < m->nr_devs; i++) {
		const struct fmt_dev *f = &m->devs[i];
		struct volume_dev *d = &v->devs[n];

		if (f->death != ~0ull || n == VOLUME_MAX_DEVS)
			return -EPROTONOSUPPORT;
		v->fdevs[n++] = *f;
		d->id = f->id;
		d->size = f->size;
		d->ro = f->flags & FMT_DEV_RO;
		memcpy(d->name, f->name, sizeof(d->name));
		err = emap_add_dev(&v->base, d->id, d->size >> IO_BLOCK_SHIFT);
		if (!err)
			err = emap_add_dev(&v->overlay, d->id, d->size >> IO_BLOCK_SHIFT);
		if (err)
			return err == -EEXIST ? -EBADMSG : err;
	}
	v->nr_devs = n;
	v->next_dev_id = m->next_dev_id;
	return 0;
}

static int set_part(struct volume *v, struct emap_dev *d, const struct fmt_extent *x, uint32_t seg,
		    uint32_t skip, uint32_t n)
{
	struct emap_ext e = {
		.kind = EMAP_FRAME,
		.nblocks = n,
		.delta = x->block + skip,
		.fblocks = x->frame_blocks,
		.codec = x->codec,
		.owner = seg,
		.pos = x->frame_off,
		.stored = x->stored_len,
		.wno = x->birth,
	};
	int err = emap_reserve(&v->base, d, x->lba + skip, n, true);

	if (!err)
		emap_set(&v->base, d, x->lba + skip, &e);
	return err;
}

static int load_extent(struct volume *v, const struct fmt_extent *x)
{
	struct emap_dev *d = emap_dev(&v->base, x->dev);
	uint32_t seg, skip = 0;
	int err;

	if (!d || x->lba + x->blocks > d->nblocks)
		return -EBADMSG;
	if (x->tomb) {
		err = emap_reserve(&v->base, d, x->lba, x->blocks, false);
		if (!err)
			emap_punch(&v->base, d, x->lba, x->blocks);
		return err;
	}
	if (x->gc)
		return -EPROTONOSUPPORT;
	seg = segtab_find(&v->segs, x->seq);
	if (seg == ~0u || (uint64_t)x->frame_off + x->stored_len > v->segs.ents[seg].rec.object_len)
		return -EBADMSG;
	while (skip < x->blocks) {
		uint32_t room = EMAP_LEAF_BLOCKS - ((x->lba + skip) & (EMAP_LEAF_BLOCKS - 1));
		uint32_t n = x->blocks - skip < room ? x->blocks - skip : room;

		err = set_part(v, d, x, seg, skip, n);
		if (err)
			return err;
		skip += n;
	}
	return 0;
}

static int load_segrec(struct volume *v, const struct fmt_segrec *r)
{
	if (r->gc || r->flags)
		return -EPROTONOSUPPORT;
	return segtab_load(&v->segs, r);
}

static int load_block(struct volume *v, const struct fmt_run_index *x, uint32_t no,
		      const uint8_t *object)
{
	const struct fmt_run_block *b = &x->blocks[no];
	const uint8_t *key = keys_get(v->kr, KEYS_RUN);
	bool extents = x->ref.kind == FMT_RUN_EXTENTS;
	void *recs = calloc(b->count + 1,
			    extents ? sizeof(struct fmt_extent) : sizeof(struct fmt_segrec));
	uint32_t i;
	int err;

	if (!recs)
		return -ENOMEM;
	if (extents)
		err = fmt_run_extents_open(recs, x, no, object + b->off, b->len, key);
	else
		err = fmt_run_segrecs_open(recs, x, no, object + b->off, b->len, key);
	for (i = 0; !err && i < b->count; i++)
		err = extents ? load_extent(v, (struct fmt_extent *)recs + i) :
				load_segrec(v, (struct fmt_segrec *)recs + i);
	free(recs);
	return err;
}

static int load_run(struct volume *v, const struct fmt_run_ref *ref, const char *name)
{
	struct fmt_run_index x;
	struct sio *s = NULL;
	uint32_t i;
	int err = get_whole(v, name, ref->len, FMT_RUN_MAX_OBJECT, &s);

	if (!err)
		err = fmt_run_open(&x, ref, v->uuid, s->body, s->res, keys_get(v->kr, KEYS_RUN));
	if (!err) {
		for (i = 0; !err && i < x.nr_blocks; i++)
			err = load_block(v, &x, i, s->body);
		fmt_run_index_free(&x);
	}
	sio_drop(s);
	return err;
}

static void complain(struct volume *v, const char *name, int err)
{
	if (err == -EBADMSG)
		notice_say(&v->env, NOTICE_ERR, "object %s: damaged", name);
	else if (err == -ENOENT)
		notice_say(&v->env, NOTICE_ERR, "object %s: missing", name);
	else if (err == -EPROTONOSUPPORT)
		notice_say(&v->env, NOTICE_ERR, "object %s: made by a later version", name);
}

static int load_runs(struct volume *v, const struct fmt_manifest *m)
{
	uint32_t i, kind;
	int err = 0;

	for (kind = FMT_RUN_SEGMENTS; kind >= FMT_RUN_EXTENTS && !err; kind--) {
		for (i = 0; i < m->nr_runs && !err; i++) {
			char name[FMT_NAME_MAX];

			if (m->runs[i].kind != kind)
				continue;
			fmt_name_run(name, m->runs[i].version, m->runs[i].id);
			err = load_run(v, &m->runs[i], name);
			complain(v, name, err);
		}
	}
	return err;
}

int image_load(struct volume *v, const struct fmt_head *h)
{
	char name[FMT_NAME_MAX] = "";
	struct fmt_manifest m;
	struct sio *s = NULL;
	int err;

	fmt_name_manifest(name, h->manifest_version, h->manifest_id);
	err = get_whole(v, name, FIRST_READ, FMT_MANIFEST_MAX, &s);
	if (!err)
		err = fmt_manifest_open(&m, s->body, s->res, v->uuid, h->manifest_version,
					h->manifest_id, h->manifest_hash,
					keys_get(v->kr, KEYS_MANIFEST));
	complain(v, name, err);
	sio_drop(s);
	if (err)
		return err;
	if (m.replay_from != h->replay_from || m.last_wno != h->last_wno ||
	    memcmp(m.chain, h->chain, sizeof(m.chain)))
		err = -EBADMSG;
	v->image_epoch = m.epoch;
	if (!err)
		err = name_devices(v, &m);
	complain(v, name, err);
	if (!err)
		err = load_runs(v, &m);
	if (!err) {
		if (segtab_check(&v->segs, &v->base) || v->base.blocks != m.mapped_blocks)
			err = -EBADMSG;
		complain(v, name, err);
	}
	v->image[0] = (struct vol_image){ m.version, m.id, m.runs, m.nr_runs };
	v->saved_wno = m.last_wno;
	m.runs = NULL;
	fmt_manifest_free(&m);
	return err;
}
