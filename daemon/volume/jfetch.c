// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * READs of what lies only in the journal: see jfetch.h.
 *
 * Happy path: blocks of one record are one read; a worker decrypts it, and each block is copied to
 * its place in the cache. Failure modes: the device fails, or the record is not what was written:
 * -EBADMSG for the READs that need it, and a notice. The record is
 * pinned meanwhile, so the ring does not write over it even when its numbers are in the store.
 */
#include "volume/jfetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "volume/journal.h"
#include "volume/jread.h"
#include "volume/notice.h"
#include "volume/read.h"
#include "volume/vol.h"

struct jfetch {
	struct list_head link; /* volume.jfetches until started, then volume.jfetching */
	struct journal_pin pin; /* of the record */
	uint32_t len;
	uint32_t nr;
	struct jfetch_block blocks[];
};

static int by_pos(const void *x, const void *y)
{
	const struct jfetch_block *a = x, *b = y;

	return a->pos < b->pos ? -1 : a->pos > b->pos;
}

static void drop(struct jfetch *x)
{
	list_del(&x->pin.link);
	free(x);
}

int jfetch_prepare(struct volume *v, const struct jfetch_block *blocks, uint32_t n)
{
	struct jfetch_block *sorted = malloc((n + 1) * sizeof(*sorted));
	struct list_head planned;
	struct jfetch *x, *tmp;
	uint32_t i, part;

	list_init(&planned);
	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, blocks, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_pos);
	for (i = 0; i < n; i += part) {
		uint64_t pos = 0;
		uint32_t len = 0;

		/* an overlay extent keeps its record: it is there */
		journal_find(v->journal, sorted[i].pos, &pos, &len);
		for (part = 1; i + part < n && sorted[i + part].pos < pos + len;)
			part++;
		x = calloc(1, sizeof(*x) + part * sizeof(*blocks));
		if (!x)
			goto fail;
		x->pin.pos = pos;
		list_add_tail(&x->pin.link, &v->journal->pins);
		x->len = len;
		x->nr = part;
		memcpy(x->blocks, sorted + i, part * sizeof(*blocks));
		list_add_tail(&x->link, &planned);
	}
	free(sorted);
	list_splice_tail(&planned, &v->jfetches);
	return 0;
fail:
	free(sorted);
	list_for_each_entry_safe(x, tmp, &planned, link)
		drop(x);
	return -ENOMEM;
}

static bool has(const struct jfetch_block *blocks, uint32_t n, const struct cache_ent *ent)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (blocks[i].ent == ent)
			return true;
	return false;
}

void jfetch_unprepare(struct volume *v, const struct jfetch_block *blocks, uint32_t n)
{
	struct jfetch *x, *tmp;

	list_for_each_entry_safe(x, tmp, &v->jfetches, link) {
		if (!has(blocks, n, x->blocks[0].ent))
			continue;
		list_del(&x->link);
		drop(x);
	}
}

/* On the worker. */
static void copy(struct jread *r)
{
	const struct jfetch *x = r->priv;
	uint64_t from = r->pos + FMT_JOURNAL_HEAD_LEN(r->rec.nr_ops, r->rec.nr_blocks);
	uint32_t i;

	for (i = 0; i < x->nr; i++) {
		uint64_t at = x->blocks[i].pos - from;

		if (x->blocks[i].pos < from || at >= (uint64_t)r->rec.nr_blocks << IO_BLOCK_SHIFT) {
			r->err = -EBADMSG;
			return;
		}
		memcpy(r->v->arena.data + cache_off(x->blocks[i].ent), r->payload + at,
		       IO_BLOCK_SIZE);
	}
}

static void on_done(struct jread *r)
{
	struct jfetch *x = r->priv;
	struct volume *v = r->v;
	int err = r->err;
	uint32_t i;

	if (err) {
		v->st.corrupt_frames++;
		notice_say(&v->env, NOTICE_ERR,
			   "journal: the record at position %llu cannot be read (%s)",
			   (unsigned long long)r->pos, notice_errno(err));
	}
	for (i = 0; i < x->nr; i++)
		read_loaded(v, x->blocks[i].ent, err ? -EBADMSG : 0);
	list_del(&x->link);
	drop(x);
	volume_room(v);
}

void jfetch_pump(struct volume *v)
{
	while (!list_empty(&v->jfetches)) {
		struct jfetch *x = list_first_entry(&v->jfetches, struct jfetch, link);

		/* one goes in any case: what this host's disk has does not wait for the store */
		if (!list_empty(&v->jfetching) &&
		    v->fetch_bytes + jread_memory(x->len) > v->fetch_cap)
			return;
		if (jread_start(v, x->pin.pos, x->len, copy, on_done, x)) {
			volume_retry(v);
			return;
		}
		list_del(&x->link);
		list_add_tail(&x->link, &v->jfetching);
	}
}

void jfetch_free_all(struct volume *v)
{
	uint32_t i;

	list_splice_tail(&v->jfetching, &v->jfetches);
	while (!list_empty(&v->jfetches)) {
		struct jfetch *x = list_first_entry(&v->jfetches, struct jfetch, link);

		for (i = 0; i < x->nr; i++)
			read_forget(x->blocks[i].ent);
		list_del(&x->link);
		drop(x);
	}
}
