// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The uploader: see uploader.h.
 *
 * Happy path: READY -> PUT -> DURABLE. Failure modes: an error is retried for ever by sio.c, same
 * name, same bytes.
 * -EEXIST: the slot is taken, by our own lost answer or by somebody else; the object's header tells
 * which. Our nonce: success. Anything else, even what does not authenticate: the slot is not ours,
 * and nothing beyond it can ever be acknowledged: superseded.
 */
#include "volume/uploader.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "format/fmt_name.h"
#include "volume/batch.h"
#include "volume/commit.h"
#include "volume/keys.h"
#include "volume/sio.h"
#include "volume/vol.h"

static void start_put(struct batch *b);

/* Is the object in the batch's slot the one that we tried to put there? */
static bool is_ours(const struct batch *b, const struct sio *get)
{
	struct fmt_seg s;

	if (get->res < (ssize_t)FMT_SEG_HDR_LEN)
		return false;
	if (fmt_seg_header_open(&s, get->body, get->res, b->v->uuid, 0, b->seq,
				keys_get(b->v->kr, KEYS_HEADER)))
		return false;
	return !memcmp(s.nonce, b->v->nonce, sizeof(s.nonce)) &&
	       !memcmp(s.hash, b->seg.hash, sizeof(s.hash));
}

static void on_look(struct sio *g)
{
	struct batch *b = g->priv;
	bool ours = is_ours(b, g), gone = g->res == -ENOENT;

	sio_drop(g);
	b->put = NULL;
	if (!vol_serving(b->v))
		return;
	if (ours) {
		commit_durable(b);
		return;
	}
	if (gone) {
		/* a create-only store would not do that; the next try will tell */
		b->state = BATCH_READY;
		volume_retry(b->v);
		return;
	}
	volume_superseded(b->v, "a segment's place is taken");
}

static void look(struct batch *b)
{
	char name[FMT_NAME_MAX];
	struct sio *g;

	fmt_name_seg(name, b->seq);
	g = sio_get(&b->v->sio, name, 0, FMT_SEG_HDR_LEN);
	if (!g) {
		b->state = BATCH_READY;
		volume_retry(b->v);
		return;
	}
	g->done = on_look;
	g->priv = b;
	b->put = g;
	sio_start(g, SIO_FOR_EVER);
}

static void on_put(struct sio *s)
{
	struct batch *b = s->priv;
	ssize_t res = s->res;

	sio_drop(s);
	b->put = NULL;
	if (!vol_serving(b->v))
		return;
	if (res == -EEXIST)
		look(b);
	else
		commit_durable(b);
}

static void start_put(struct batch *b)
{
	char name[FMT_NAME_MAX];
	struct sio *s;

	fmt_name_seg(name, b->seq);
	s = sio_new(&b->v->sio, STORE_PUT, name);
	if (!s) {
		volume_retry(b->v);
		return;
	}
	s->req.iov = b->iov;
	s->req.niov = b->nr_chunks + 2;
	s->done = on_put;
	s->priv = b;
	b->put = s;
	b->state = BATCH_PUT;
	if (!b->sent_us)
		b->sent_us = clock_mono_us(b->v->env.clock);
	sio_start(s, SIO_FOR_EVER);
}

void uploader_pump(struct volume *v)
{
	uint32_t puts = 0;
	struct batch *b;

	if (!vol_serving(v))
		return;
	list_for_each_entry(b, &v->batches, link)
		puts += b->state == BATCH_PUT;
	list_for_each_entry(b, &v->batches, link) {
		if (puts >= VOL_PUTS || b->seq >= v->lowest_seq + v->window)
			return;
		if (b->state != BATCH_READY)
			continue;
		start_put(b);
		puts++;
	}
}
