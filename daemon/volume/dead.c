// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Dead segments: see dead.h.
 *
 * Happy path: a checkpoint's head is durable; what its image calls deleted comes in here and is
 * deleted, a few at a time; then the table knows that the object is gone, and a later rewriting of
 * the table drops the record. Failure modes: a DELETE fails: a pause, then one at a time until one
 * succeeds. A fetch still wants a frame of the object: its turn comes when the fetch has ended.
 * Something of the map was lost: nothing is deleted by this process any more. Superseded: neither.
 */
#include "volume/dead.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "format/fmt_name.h"
#include "volume/fetch.h"
#include "volume/notice.h"
#include "volume/vol.h"

#define OUTGROWN_MIN 256u

static struct volume *volume_of(const struct sio *s)
{
	return container_of(s->ctx, struct volume, sio);
}

int dead_reserve(struct volume *v, uint32_t n)
{
	struct dead *d = &v->dead;
	uint32_t need = d->nr + d->nr_busy + d->nr_ended + n, *p;

	if (need <= d->cap)
		return 0;
	need += need / 2;
	p = realloc(d->seg, need * sizeof(*p));
	if (!p)
		return -ENOMEM;
	d->seg = p;
	d->cap = need;
	return 0;
}

void dead_add(struct volume *v, const uint32_t *seg, uint32_t n)
{
	struct dead *d = &v->dead;
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct segtab_ent *e = &v->segs.ents[seg[i]];

		/* it has turned out since not to be dead: the next image says so */
		if (e->unsure)
			continue;
		e->rec.flags |= FMT_SEGREC_DELETED;
		d->seg[d->nr++] = seg[i];
	}
	dead_pump(v);
}

int dead_load(struct volume *v)
{
	struct segtab *t = &v->segs;
	uint32_t i, n = 0;
	int err;

	for (i = 0; i < t->nr; i++) {
		const struct fmt_segrec *r = &t->ents[i].rec;

		if (!(r->flags & FMT_SEGREC_DELETED))
			continue;
		if (r->live_blocks || r->seq >= v->head.floor)
			return -EBADMSG;
		n++;
	}
	err = dead_reserve(v, n);
	for (i = 0; !err && i < t->nr; i++)
		if (t->ents[i].rec.flags & FMT_SEGREC_DELETED)
			v->dead.seg[v->dead.nr++] = i;
	return err;
}

/* ---- one object ------------------------------------------------------------------------------ */

static void failed(struct volume *v, uint32_t i, int err)
{
	struct dead *d = &v->dead;

	/* others have their turn first */
	d->seg[d->nr++] = i;
	if (d->nr > 1) {
		d->seg[d->nr - 1] = d->seg[0];
		d->seg[0] = i;
	}
	d->pause_us = !d->pause_us		       ? DEAD_PAUSE_MIN :
		      d->pause_us < DEAD_PAUSE_MAX / 2 ? 2 * d->pause_us :
							 DEAD_PAUSE_MAX;
	d->retry_us = clock_mono_us(v->env.clock) + d->pause_us;
	if (!sio_is_final(err) || d->told)
		return;
	d->told = true;
	notice_say(&v->env, NOTICE_WARN,
		   "store: %s; objects that are not needed any more cannot be deleted",
		   notice_errno(err));
}

static void gone(struct volume *v, uint32_t i)
{
	/* unless it has turned out meanwhile that it is not dead */
	if (!(v->segs.ents[i].rec.flags & FMT_SEGREC_DELETED))
		return;
	segtab_gone(&v->segs, i);
	v->st.deleted_segments++;
	v->st.deleted_bytes += v->segs.ents[i].rec.object_len;
}

static void not_busy(struct dead *d, uint32_t i)
{
	uint32_t k;

	for (k = 0; d->busy[k] != i; k++)
		;
	d->busy[k] = d->busy[--d->nr_busy];
}

static void on_delete(struct sio *s)
{
	struct volume *v = volume_of(s);
	struct dead *d = &v->dead;
	uint32_t i = (uint32_t)(uintptr_t)s->priv;
	int err = s->res == -ENOENT ? 0 : (int)s->res;

	sio_drop(s);
	not_busy(d, i);
	v->wake = true;
	if (!vol_serving(v))
		return;
	if (err) {
		failed(v, i, err);
	} else {
		d->pause_us = 0;
		d->ended[d->nr_ended++] = i;
	}
	dead_pump(v);
}

/* The next one that nobody reads from; ~0: there is none. */
static uint32_t take(struct volume *v)
{
	struct dead *d = &v->dead;
	uint32_t k, i;

	for (k = d->nr; k-- > 0;) {
		i = d->seg[k];
		if (fetch_wants(v, i))
			continue;
		d->seg[k] = d->seg[--d->nr];
		/* the same: segtab_ent.unsure */
		if (v->segs.ents[i].rec.flags & FMT_SEGREC_DELETED)
			return i;
	}
	return ~0u;
}

/* Not where something was lost: what is older is what a repair begins with. */
static bool may_delete(const struct volume *v)
{
	return !v->leaves.lost && !v->dead.ending;
}

void dead_pump(struct volume *v)
{
	struct dead *d = &v->dead;
	char name[FMT_NAME_MAX];
	struct sio *s;
	uint32_t i;

	if (!vol_serving(v) || v->frozen)
		return;
	while (d->nr_ended)
		gone(v, d->ended[--d->nr_ended]);
	while (may_delete(v) && d->nr && d->nr_busy < (d->pause_us ? 1 : DEAD_DELETES)) {
		if (d->pause_us && clock_mono_us(v->env.clock) < d->retry_us)
			return;
		i = take(v);
		if (i == ~0u) {
			d->retry_us = clock_mono_us(v->env.clock) + d->pause_us;
			return;
		}
		fmt_name_seg(name, v->segs.ents[i].rec.seq);
		s = sio_new(&v->sio, STORE_DELETE, name);
		if (!s) {
			failed(v, i, -ENOMEM);
			return;
		}
		d->busy[d->nr_busy++] = i;
		s->done = on_delete;
		s->priv = (void *)(uintptr_t)i;
		sio_start(s, 1);
	}
}

/* ---- time ------------------------------------------------------------------------------------ */

void dead_tick(struct volume *v)
{
	struct dead *d = &v->dead;

	if (d->last_us && clock_mono_us(v->env.clock) >= d->last_us) {
		d->last_us = 0;
		v->wake = true;
	}
	if (d->pause_us)
		dead_pump(v);
}

uint64_t dead_deadline(const struct volume *v)
{
	const struct dead *d = &v->dead;
	uint64_t at = d->last_us ? d->last_us : ~0ull;

	if (d->pause_us && d->nr && !d->nr_busy && !v->frozen && may_delete(v) && d->retry_us < at)
		at = d->retry_us;
	return at;
}

void dead_last(struct volume *v)
{
	v->dead.last_us = clock_mono_us(v->env.clock) + DEAD_LAST;
	dead_pump(v);
}

bool dead_busy(const struct volume *v)
{
	const struct dead *d = &v->dead;

	return d->last_us && !d->pause_us && may_delete(v) && (d->nr || d->nr_busy);
}

bool dead_outgrown(const struct volume *v)
{
	const struct segtab *t = &v->segs;

	return t->nr_gone >= OUTGROWN_MIN && t->nr_gone >= (t->nr - t->nr_dropped) / 2;
}

void dead_free(struct volume *v)
{
	free(v->dead.seg);
	v->dead = (struct dead){ 0 };
}

/* ---- the checker ----------------------------------------------------------------------------- */

static uint32_t count(const uint32_t *at, uint32_t n, uint32_t i)
{
	uint32_t found = 0;

	while (n-- > 0)
		found += at[n] == i;
	return found;
}

int dead_check(const struct volume *v)
{
	const struct dead *d = &v->dead;
	uint32_t i, here;

	if (d->nr_busy > DEAD_DELETES)
		return 3;
	for (i = 0; i < d->nr_busy; i++)
		if (fetch_wants(v, d->busy[i]))
			return 3;
	for (i = 0; i < v->segs.nr; i++) {
		const struct segtab_ent *e = &v->segs.ents[i];
		bool deleted = e->rec.flags & FMT_SEGREC_DELETED;

		here = count(d->seg, d->nr, i) + count(d->busy, d->nr_busy, i) +
		       count(d->ended, d->nr_ended, i);
		if (here != (deleted && !e->gone) && !e->unsure)
			return 1;
		if (deleted && (e->rec.live_blocks || e->rec.seq >= v->head.floor ||
				e->rec.seq >= v->head.replay_from))
			return 2;
	}
	return 0;
}
