// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fetches: see fetch.h.
 *
 * Happy path: GET of one range, one worker opens each frame straight into its slot, the entries are
 * READY. Failure modes: the store fails: sio.c tries for ever, the READ waits. The object is
 * missing or short: if a newer owner is there, it is his to delete, and somebody's late fence may
 * be in its place: we are superseded (rival.h). Else, or if a frame does not authenticate: that
 * frame is fetched once more on its own; if it is damaged again its READs get -EBADMSG and a notice
 * names object, range and place. No byte of a frame is looked at before its tag was right.
 */
#include "volume/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format/fmt_name.h"
#include "volume/codec.h"
#include "volume/dead.h"
#include "volume/jfetch.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/read.h"
#include "volume/rival.h"
#include "volume/vol.h"
#include "volume/worker.h"

struct fetch {
	struct list_head link; /* volume.fetches or .aheads until started, then volume.fetching */
	struct worker_job job;
	struct volume *v;
	struct fmt_segkey key;
	char name[FMT_NAME_MAX];
	uint64_t off;
	uint32_t len;
	struct sio *get;
	struct rival rival; /* the object was not there */
	uint32_t seg; /* index in the table */
	bool ahead; /* read ahead */
	uint32_t nr;
	struct fetch_frame frames[];
};

static int by_place(const void *x, const void *y)
{
	const struct fetch_frame *a = x, *b = y;

	if (a->ent->seg != b->ent->seg)
		return a->ent->seg < b->ent->seg ? -1 : 1;
	return a->ent->pos < b->ent->pos ? -1 : a->ent->pos > b->ent->pos;
}

/* How many of @f[0..n) go into one GET of at most @max bytes. */
static uint32_t joined(const struct fetch_frame *f, uint32_t n, uint32_t max)
{
	uint64_t start = f->f.off, end = start + f->f.stored_len;
	uint32_t i;

	for (i = 1; i < n && f[i].ent->seg == f->ent->seg; i++) {
		uint64_t to = f[i].f.off + f[i].f.stored_len;

		if (f[i].f.off > end + FETCH_MAX_GAP || to - start > max)
			break;
		end = to;
	}
	return i;
}

static struct fetch *plan(struct volume *v, const struct fetch_frame *f, uint32_t n)
{
	struct fetch *x = calloc(1, sizeof(*x) + n * sizeof(*f));
	const struct fmt_segrec *rec = &v->segs.ents[f->ent->seg].rec;
	const uint8_t *kdata = keys_data(v->kr, rec->key_gen);

	if (!x)
		return NULL;
	x->v = v;
	x->seg = f->ent->seg;
	x->nr = n;
	memcpy(x->frames, f, n * sizeof(*f));
	x->off = f->f.off;
	x->len = f[n - 1].f.off + f[n - 1].f.stored_len - x->off;
	if (rec->gc)
		fmt_name_gc(x->name, rec->seq);
	else
		fmt_name_seg(x->name, rec->seq);
	if (kdata)
		fmt_segkey_init(&x->key, rec->gc ? FMT_SEG_GC : FMT_SEG_DATA, v->uuid, rec->seq,
				rec->epoch, rec->salt, kdata);
	list_init(&x->link);
	return x;
}

static int plan_all(struct volume *v, struct fetch_frame *frames, uint32_t n, uint32_t max,
		    struct list_head *ret)
{
	struct list_head planned;
	struct fetch *x, *tmp;
	uint32_t i, part;

	list_init(&planned);
	qsort(frames, n, sizeof(*frames), by_place);
	for (i = 0; i < n; i += part) {
		part = joined(frames + i, n - i, max);
		x = plan(v, frames + i, part);
		if (!x)
			goto fail;
		list_add_tail(&x->link, &planned);
	}
	list_splice_tail(&planned, ret);
	return 0;
fail:
	list_for_each_entry_safe(x, tmp, &planned, link)
		free(x);
	return -ENOMEM;
}

int fetch_prepare(struct volume *v, struct fetch_frame *frames, uint32_t n)
{
	return plan_all(v, frames, n, FETCH_MAX_LEN, &v->fetches);
}

/* An entry's priv is the fetch that has it, as long as that is only planned ahead. */
static void own(struct fetch *x, struct fetch *owner)
{
	uint32_t i;

	for (i = 0; i < x->nr; i++)
		x->frames[i].ent->priv = owner;
}

int fetch_ahead(struct volume *v, struct fetch_frame *frames, uint32_t n)
{
	struct list_head planned;
	struct fetch *x;
	int err;

	list_init(&planned);
	err = plan_all(v, frames, n, FETCH_AHEAD_LEN, &planned);
	if (err)
		return err;
	list_for_each_entry(x, &planned, link) {
		x->ahead = true;
		own(x, x);
	}
	list_splice_tail(&planned, &v->aheads);
	return 0;
}

void fetch_promote(struct volume *v, struct cache_ent *e)
{
	struct fetch *x = e->priv;

	if (!x)
		return;
	own(x, NULL);
	x->ahead = false;
	list_del(&x->link);
	list_add_tail(&x->link, &v->fetches);
}

static void fetch_free(struct fetch *x)
{
	list_del(&x->link);
	fmt_segkey_wipe(&x->key);
	sio_drop(x->get);
	rival_cancel(&x->rival);
	free(x);
}

static bool any_of(const struct list_head *fetches, uint32_t seg)
{
	const struct fetch *x;

	list_for_each_entry(x, fetches, link)
		if (x->seg == seg)
			return true;
	return false;
}

bool fetch_wants(const struct volume *v, uint32_t seg)
{
	return any_of(&v->fetching, seg) || any_of(&v->fetches, seg) || any_of(&v->aheads, seg);
}

static void damaged(struct volume *v, const struct fetch *x, const struct fetch_frame *f)
{
	v->st.corrupt_frames++;
	notice_say(&v->env, NOTICE_ERR,
		   "object %s bytes %llu+%u: %s; device %u blocks %llu+%u cannot be read", x->name,
		   (unsigned long long)f->f.off, f->f.stored_len,
		   f->err == -ENOENT  ? "the object is missing" :
		   f->err == -ENODATA ? "the object is too short" :
					"damaged",
		   f->f.dev, (unsigned long long)f->f.lba, f->f.blocks);
}

static void account(struct fetch *x)
{
	x->v->fetch_bytes += x->len;
	if (!x->ahead)
		return;
	x->v->ahead_bytes += x->len;
	x->v->nr_aheads++;
}

static void unaccount(struct fetch *x)
{
	x->v->fetch_bytes -= x->len;
	if (!x->ahead)
		return;
	x->v->ahead_bytes -= x->len;
	x->v->nr_aheads--;
}

static void settle(struct fetch *x, struct fetch_frame *f)
{
	struct volume *v = x->v;

	if (f->err && vol_serving(v)) {
		if (++f->tries < FETCH_TRIES && !fetch_prepare(v, f, 1))
			return;
		damaged(v, x, f);
	}
	read_loaded(v, f->ent, f->err ? -EBADMSG : 0);
}

static void decode_run(struct worker_job *j)
{
	struct fetch *x = container_of(j, struct fetch, job);
	uint32_t i;

	for (i = 0; i < x->nr; i++) {
		struct fetch_frame *f = &x->frames[i];
		uint64_t at = f->f.off - x->off;

		if (x->get->res < 0)
			f->err = (int)x->get->res;
		else if (at + f->f.stored_len > (uint64_t)x->get->res)
			f->err = -ENODATA;
		else
			f->err = codec_open(j->codec, &x->key, &f->f, (uint8_t *)x->get->body + at,
					    f->f.stored_len, x->v->arena.data + cache_off(f->ent));
	}
}

/*
 * ---- memory of large GETs ---------------------------------------------------------------------
 *
 * Of one that has ended for the next one: new memory costs a page fault every 4 KiB, and a stream
 * would have as many as it has pages.
 */

static bool is_large(const struct fetch *x)
{
	return x->len > FETCH_AHEAD_LEN / 2 && x->len <= FETCH_AHEAD_LEN;
}

void fetch_trim(struct volume *v)
{
	while (v->nr_bodies &&
	       v->fetch_bytes + (uint64_t)v->nr_bodies * FETCH_AHEAD_LEN > v->fetch_cap)
		free(v->bodies[--v->nr_bodies]);
}

static void free_bodies(struct volume *v)
{
	while (v->nr_bodies)
		free(v->bodies[--v->nr_bodies]);
}

static struct sio *new_get(struct fetch *x)
{
	struct volume *v = x->v;
	void *body;

	if (!is_large(x))
		return sio_get(&v->sio, x->name, x->off, x->len);
	body = v->nr_bodies ? v->bodies[--v->nr_bodies] : malloc(FETCH_AHEAD_LEN);
	return body ? sio_get_into(&v->sio, x->name, x->off, x->len, body) : NULL;
}

/* The GET has ended, and its bytes are not needed any more. */
static void keep_body(struct fetch *x)
{
	struct volume *v = x->v;

	if (!is_large(x) || v->no_ahead || v->nr_bodies == VOL_BODIES)
		return;
	v->bodies[v->nr_bodies++] = sio_take_body(x->get);
	fetch_trim(v);
}

static void decode_complete(struct worker_job *j)
{
	struct fetch *x = container_of(j, struct fetch, job);
	struct volume *v = x->v;
	uint32_t i;

	unaccount(x);
	for (i = 0; i < x->nr; i++)
		settle(x, &x->frames[i]);
	keep_body(x);
	fetch_free(x);
	fetch_pump(v);
	dead_pump(v); /* it may have waited for this */
	volume_room(v);
}

static void decode(struct fetch *x)
{
	x->job.run = decode_run;
	x->job.complete = decode_complete;
	worker_decode(x->v, &x->job);
}

static void on_rival(struct rival *r)
{
	decode(r->priv);
}

/* The bytes are not there: whose is the volume? No memory to ask: it is fetched again. */
static void missing(struct fetch *x)
{
	struct volume *v = x->v;

	x->rival = (struct rival){ .v = v, .done = on_rival, .priv = x };
	if (!rival_look(&x->rival))
		return;
	sio_drop(x->get);
	x->get = NULL;
	unaccount(x);
	x->ahead = false;
	list_del(&x->link);
	list_add(&x->link, &v->fetches);
	volume_retry(v);
}

static void on_get(struct sio *g)
{
	struct fetch *x = g->priv;
	bool there = g->res >= 0 ? (uint64_t)g->res >= x->len : g->res != -ENOENT;

	if (!there && vol_serving(x->v))
		missing(x);
	else
		decode(x);
}

static uint64_t end_of(const struct fetch *x)
{
	return x->off + x->len;
}

/* Two that wait for memory: one GET? A frame that is fetched once more goes on its own. */
static bool may_join(const struct fetch *x, const struct fetch *y)
{
	uint64_t from = x->off < y->off ? x->off : y->off;
	uint64_t to = end_of(x) > end_of(y) ? end_of(x) : end_of(y);

	return x->seg == y->seg && !x->frames[0].tries && !y->frames[0].tries &&
	       to - from <= FETCH_MAX_LEN && to - from <= x->len + y->len + FETCH_MAX_GAP;
}

/* One in the place of @x for the frames of both; NULL: no memory, and both stay. */
static struct fetch *join(struct volume *v, struct fetch *x, struct fetch *y)
{
	struct fetch_frame *f = malloc((x->nr + y->nr) * sizeof(*f));
	struct fetch *z = NULL;

	if (f) {
		memcpy(f, x->frames, x->nr * sizeof(*f));
		memcpy(f + x->nr, y->frames, y->nr * sizeof(*f));
		qsort(f, x->nr + y->nr, sizeof(*f), by_place);
		z = plan(v, f, x->nr + y->nr);
	}
	free(f);
	if (!z)
		return NULL;
	list_add(&z->link, &x->link);
	fetch_free(x);
	fetch_free(y);
	return z;
}

/* The first that waits, with all that can be joined to it. */
static struct fetch *first_joined(struct volume *v)
{
	struct fetch *x = list_first_entry(&v->fetches, struct fetch, link), *y, *z;

again:
	list_for_each_entry(y, &v->fetches, link) {
		if (y == x || !may_join(x, y))
			continue;
		z = join(v, x, y);
		if (!z)
			break;
		x = z;
		goto again;
	}
	return x;
}

/* False: no memory. */
static bool start(struct fetch *x)
{
	struct volume *v = x->v;

	x->get = new_get(x);
	if (!x->get) {
		volume_retry(v);
		return false;
	}
	if (x->ahead)
		own(x, NULL);
	list_del(&x->link);
	list_add_tail(&x->link, &v->fetching);
	account(x);
	fetch_trim(v);
	x->get->done = on_get;
	x->get->priv = x;
	sio_start(x->get, SIO_FOR_EVER);
	return true;
}

void fetch_pump(struct volume *v)
{
	uint64_t ahead_cap = v->fetch_cap / 4 * 3;
	struct fetch *x;

	jfetch_pump(v);
	while (!list_empty(&v->fetches)) {
		x = first_joined(v);
		/* the first in any case: it does not wait for what is read ahead */
		if (v->fetch_bytes > v->ahead_bytes && v->fetch_bytes + x->len > v->fetch_cap)
			return;
		if (!start(x))
			return;
	}
	if (v->sio.outage[STORE_GET] || !list_empty(&v->jfetches))
		return; /* the next READ, or the end of one of those, comes here again */
	while (!list_empty(&v->aheads) && v->nr_aheads < FETCH_AHEAD_NR) {
		x = list_first_entry(&v->aheads, struct fetch, link);
		if (v->ahead_bytes + x->len > ahead_cap || v->fetch_bytes + x->len > v->fetch_cap)
			return;
		if (!start(x))
			return;
	}
}

/* Nobody waits for it, and the store does not have it. */
static bool idle(const struct fetch *x)
{
	uint32_t i;

	if (x->get && (!x->ahead || x->get->state != SIO_DELAYED))
		return false;
	for (i = 0; i < x->nr; i++)
		if (x->frames[i].ent->pins)
			return false;
	return true;
}

bool fetch_shed(struct volume *v)
{
	struct list_head *lists[] = { &v->aheads, &v->fetching };
	struct fetch *x, *tmp;
	bool any = false;
	uint32_t i, k;

	for (k = 0; k < 2; k++) {
		list_for_each_entry_safe(x, tmp, lists[k], link) {
			if (!idle(x))
				continue;
			if (x->get)
				unaccount(x);
			for (i = 0; i < x->nr; i++)
				cache_failed(&v->cache, x->frames[i].ent);
			fetch_free(x);
			any = true;
		}
	}
	return any;
}

void fetch_end_ahead(struct volume *v)
{
	v->no_ahead = true;
	fetch_shed(v);
	free_bodies(v);
}

int fetch_check(const struct volume *v)
{
	const struct fetch *x;
	uint64_t bytes = 0;
	uint32_t nr = 0, i;

	list_for_each_entry(x, &v->fetching, link) {
		if (!x->ahead)
			continue;
		bytes += x->len;
		nr++;
	}
	if (bytes != v->ahead_bytes || nr != v->nr_aheads || nr > FETCH_AHEAD_NR)
		return 1;
	if (bytes > v->fetch_bytes)
		return 1;
	if (v->nr_bodies &&
	    v->fetch_bytes + (uint64_t)v->nr_bodies * FETCH_AHEAD_LEN > v->fetch_cap)
		return 1;
	list_for_each_entry(x, &v->aheads, link)
		for (i = 0; i < x->nr; i++)
			if (x->frames[i].ent->pins || x->frames[i].ent->priv != x)
				return 1;
	return 0;
}

void fetch_free_all(struct volume *v)
{
	struct fetch *x;
	uint32_t i;

	jfetch_free_all(v);
	free_bodies(v);
	list_splice_tail(&v->fetching, &v->fetches);
	list_splice_tail(&v->aheads, &v->fetches);
	while (!list_empty(&v->fetches)) {
		x = list_first_entry(&v->fetches, struct fetch, link);
		for (i = 0; i < x->nr; i++)
			read_forget(x->frames[i].ent);
		fetch_free(x);
	}
}
