// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Loading an image: see image.h. Nothing of an object is used before its hash (from the head,
 * through the manifest) or the tag of its index was right. Of extents only the indexes are loaded
 * (leaves.c does the rest), so what an attach costs does not depend on how much the volume holds.
 */
#include "volume/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format/fmt_name.h"
#include "volume/dead.h"
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

/* ---- runs: as many at once as the store takes ------------------------------------------------ */

/* The index of a run of extents, or all of a run of segment records. */
static struct sio *run_get(struct volume *v, const struct fmt_run_ref *r)
{
	bool index = r->kind == FMT_RUN_EXTENTS;
	char name[FMT_NAME_MAX];
	struct sio *s;

	fmt_name_run(name, r->version, r->id);
	s = sio_get(&v->sio, name, index ? r->index_off : 0, index ? r->index_len : r->len);
	if (s)
		sio_start(s, SIO_PATIENT);
	return s;
}

static int load_segrecs(struct volume *v, const struct fmt_run_index *x, const uint8_t *object)
{
	uint32_t i, k;
	int err = 0;

	for (i = 0; i < x->nr_blocks && !err; i++) {
		const struct fmt_run_block *b = &x->blocks[i];
		struct fmt_segrec *recs = calloc(b->count + 1, sizeof(*recs));

		if (!recs)
			return -ENOMEM;
		err = fmt_run_segrecs_open(recs, x, i, object + b->off, b->len,
					   keys_get(v->kr, KEYS_RUN));
		for (k = 0; k < b->count && !err; k++)
			err = recs[k].gc ? -EPROTONOSUPPORT : segtab_load(&v->segs, &recs[k]);
		free(recs);
	}
	return err;
}

static int take_run(struct volume *v, const struct fmt_run_ref *r, const struct sio *s)
{
	struct fmt_run_index x;
	int err;

	if (s->res < 0)
		return (int)s->res;
	if (s->req.size != r->len)
		return -EBADMSG;
	if (r->kind == FMT_RUN_EXTENTS) {
		err = fmt_run_index_open(&x, r, v->uuid, s->body, s->res,
					 keys_get(v->kr, KEYS_RUN));
		if (err)
			return err;
		v->runs.x[v->runs.nr++] = x;
		v->runs.bytes += sizeof(x) + x.nr_blocks * sizeof(*x.blocks);
		return 0;
	}
	err = fmt_run_open(&x, r, v->uuid, s->body, s->res, keys_get(v->kr, KEYS_RUN));
	if (err)
		return err;
	err = load_segrecs(v, &x, s->body);
	fmt_run_index_free(&x);
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

/* Oldest first, with up to LEAVES_GETS under way. [waits] */
static int load_runs(struct volume *v, const struct fmt_manifest *m)
{
	struct sio **gets = calloc(m->nr_runs + 1, sizeof(struct sio *));
	uint32_t i, sent = 0;
	int err = 0;

	v->runs.x = calloc(m->nr_runs + 1, sizeof(*v->runs.x));
	if (!gets || !v->runs.x)
		err = -ENOMEM;
	for (i = 0; i < m->nr_runs && !err; i++) {
		for (; sent < m->nr_runs && sent < i + LEAVES_GETS && !err; sent++) {
			gets[sent] = run_get(v, &m->runs[sent]);
			err = gets[sent] ? 0 : -ENOMEM;
		}
		if (!err)
			err = sio_wait(gets[i]);
		if (!err) {
			err = take_run(v, &m->runs[i], gets[i]);
			complain(v, gets[i]->req.name, err);
		}
		sio_drop(gets[i]);
		gets[i] = NULL;
	}
	for (i = 0; gets && i < sent; i++)
		sio_drop(gets[i]);
	free(gets);
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
	if (!err)
		err = name_devices(v, &m);
	complain(v, name, err);
	if (!err)
		err = load_runs(v, &m);
	if (!err) {
		err = dead_load(v);
		complain(v, name, err);
	}
	v->leaves.complete = !v->runs.nr;
	v->mapped_blocks = m.mapped_blocks;
	v->image[0] = (struct vol_image){ m.version, m.id, m.runs, m.nr_runs };
	v->saved_wno = m.last_wno;
	m.runs = NULL;
	fmt_manifest_free(&m);
	return err;
}
