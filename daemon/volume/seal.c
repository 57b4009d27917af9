// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sealing: see seal.h.
 *
 * Happy path: seal_pump() takes the first cut batch if its worst case fits into sealed_cap (or
 * nothing else is sealed, so that there is always progress), draws a salt, makes chunks; workers
 * compress and encrypt straight from the arena; when all chunks are done and the batch before has
 * its header, one more worker makes table, header and footer. Failure modes: no memory anywhere:
 * what was made is thrown away, the batch goes back and is started anew, with a fresh salt, at the
 * next tick. Nothing else can fail.
 */
#include "volume/seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "volume/batch.h"
#include "volume/codec.h"
#include "volume/jload.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/spill.h"
#include "volume/uploader.h"
#include "volume/vol.h"

/* What a table entry takes in host form and encoded, at most. */
#define ENTRY_MEMORY (sizeof(struct fmt_entry) + 48)

/* Spares have what is left of the memory for sealed bytes. */
static void account(struct batch *b, uint64_t mem)
{
	struct volume *v = b->v;

	v->sealed_bytes += mem - b->mem;
	b->mem = mem;
	spares_shrink(&v->spares,
		      v->sealed_bytes < v->sealed_cap ? v->sealed_cap - v->sealed_bytes : 0);
}

static void chunk_free(struct batch *b, struct seal_chunk *c)
{
	/* one that failed, or was not begun, is longer than it says */
	if (b->v && c->len && !c->err)
		spares_give(&b->v->spares, c->out, c->len);
	else
		free(c->out);
}

void seal_free(struct batch *b)
{
	uint32_t i;

	for (i = 0; i < b->nr_chunks; i++)
		chunk_free(b, &b->chunks[i]);
	free(b->chunks);
	free(b->iov);
	free(b->loaded);
	b->loaded = NULL;
	b->chunks = NULL;
	b->nr_chunks = 0;
	b->iov = NULL;
	buf_free(&b->head);
	fmt_segkey_wipe(&b->key);
	if (b->v)
		account(b, 0);
}

static uint64_t worst_case(const struct batch *b)
{
	return b->data_bytes * (b->parked ? 2 : 1) +
	       b->nr_frames * (uint64_t)(FMT_FRAME_HDR_LEN + FMT_FRAME_ALIGN) +
	       (b->nr_pieces + (uint64_t)b->nr_frames) * ENTRY_MEMORY + 65536;
}

/* ---- chunks ------------------------------------------------------------------------------ */

/* The blocks of frame @i, which lie at @at in the buffer if the batch was parked. */
static const uint8_t *frame(const struct batch *b, uint32_t i, uint64_t at)
{
	return b->loaded ? b->loaded + at : vol_page(b->v, b->frame_page[i]);
}

static void chunk_run(struct worker_job *j)
{
	struct seal_chunk *c = container_of(j, struct seal_chunk, job);
	struct batch *b = c->b;
	const struct volume *v = b->v;
	uint64_t at = c->at;
	uint8_t *fit;
	uint32_t i;

	fit = realloc(c->out, c->cap);
	if (!fit) {
		c->err = -ENOMEM;
		return;
	}
	c->out = fit;
	for (i = c->first; i < c->first + c->nr; i++) {
		c->err = codec_seal(j->codec, v->o.zstd_level, &b->key, i, &b->frames[i],
				    frame(b, i, at), c->out + c->len);
		at += (uint64_t)b->frames[i].blocks << IO_BLOCK_SHIFT;
		if (c->err)
			return;
		c->len += b->frames[i].stored_len;
	}
	fit = realloc(c->out, c->len);
	if (fit)
		c->out = fit;
}

static void encoded(struct batch *b)
{
	struct volume *v = b->v;
	uint64_t mem = 0;
	uint32_t i;

	if (b->err) {
		b->err = 0;
		seal_free(b);
		b->state = BATCH_CUT;
		volume_retry(v);
		return;
	}
	free(b->loaded);
	b->loaded = NULL;
	for (i = 0; i < b->nr_chunks; i++)
		mem += b->chunks[i].len;
	account(b, mem + (b->nr_pieces + (uint64_t)b->nr_frames) * ENTRY_MEMORY);
	b->state = BATCH_ENCODED;
}

static void chunk_complete(struct worker_job *j)
{
	struct seal_chunk *c = container_of(j, struct seal_chunk, job);
	struct batch *b = c->b;
	struct volume *v = b->v;

	if (c->err)
		b->err = c->err;
	if (!--b->chunks_left) {
		encoded(b);
		/* its pages are not read any more: it may be parked */
		spill_pump(v);
		volume_room(v);
	}
	seal_pump(v);
}

static int start_chunks(struct volume *v, struct batch *b)
{
	uint32_t per = SEAL_CHUNK_BYTES >> IO_BLOCK_SHIFT, i, blocks = 0, n = 0;
	uint64_t at = 0;

	b->chunks = calloc(b->data_bytes / (SEAL_CHUNK_BYTES / 2) + 2, sizeof(*b->chunks));
	if (!b->chunks)
		return -ENOMEM;
	fmt_segkey_salt(b->seg.salt);
	b->seg.key_gen = keys_data_gen(v->kr);
	fmt_segkey_init(&b->key, FMT_SEG_DATA, v->uuid, b->seq, v->epoch, b->seg.salt,
			keys_data(v->kr, b->seg.key_gen));
	for (i = 0; i < b->nr_frames; i++) {
		struct seal_chunk *c;

		if (!n || blocks >= per) {
			b->chunks[n++] = (struct seal_chunk){ .b = b, .first = i, .at = at };
			blocks = 0;
		}
		c = &b->chunks[n - 1];
		c->nr++;
		c->cap += FMT_FRAME_STORED(b->frames[i].blocks * FMT_BLOCK_SIZE);
		blocks += b->frames[i].blocks;
		at += (uint64_t)b->frames[i].blocks << IO_BLOCK_SHIFT;
	}
	b->nr_chunks = n;
	b->chunks_left = n;
	b->state = BATCH_ENCODING;
	account(b, worst_case(b));
	for (i = 0; i < n; i++) {
		b->chunks[i].out = spares_take(&v->spares);
		b->chunks[i].job.run = chunk_run;
		b->chunks[i].job.complete = chunk_complete;
		worker_encode(v, &b->chunks[i].job);
	}
	if (!n)
		encoded(b);
	return 0;
}

/* ---- finish: table, header, footer --------------------------------------------------------- */

struct finish {
	struct exec_work work;
	struct batch *b;
	int err;
};

static int by_wno(const void *x, const void *y)
{
	const struct fmt_entry *a = x, *b = y;

	if (a->wno != b->wno)
		return a->wno < b->wno ? -1 : 1;
	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	return a->lba < b->lba ? -1 : a->lba > b->lba;
}

static uint32_t add_void(struct fmt_entry *e, const struct batch_void *bv)
{
	uint64_t at = bv->first, left = bv->last - bv->first + 1;
	uint32_t n = 0;

	for (; left; n++) {
		uint32_t part = left < UINT32_MAX ? left : UINT32_MAX;

		e[n] = (struct fmt_entry){ .kind = FMT_E_VOID, .wno = at, .blocks = part };
		at += part;
		left -= part;
	}
	return n;
}

static struct fmt_entry *make_entries(const struct batch *b, uint32_t *ret_nr)
{
	uint64_t room = b->nr_pieces + 1;
	struct fmt_entry *e;
	uint32_t i, n = 0;

	for (i = 0; i < b->nr_voids; i++)
		room += (b->voids[i].last - b->voids[i].first) / UINT32_MAX + 2;
	e = calloc(room, sizeof(*e));
	if (!e)
		return NULL;
	for (i = 0; i < b->nr_voids; i++)
		n += add_void(e + n, &b->voids[i]);
	for (i = 0; i < b->nr_pieces; i++) {
		const struct batch_piece *p = &b->pieces[i];

		e[n++] = (struct fmt_entry){ .kind = p->kind,
					     .wno = p->wno,
					     .dev = p->dev,
					     .lba = p->lba,
					     .blocks = p->blocks,
					     .frame = p->frame,
					     .block = p->block };
	}
	qsort(e, n, sizeof(*e), by_wno);
	*ret_nr = n;
	return e;
}

static void finish_run(struct exec_work *w)
{
	struct finish *f = container_of(w, struct finish, work);
	struct batch *b = f->b;
	struct fmt_table t = { .frames = b->frames, .nr_frames = b->nr_frames };
	uint32_t crc, i;

	t.entries = make_entries(b, &t.nr_entries);
	if (!t.entries) {
		f->err = -ENOMEM;
		return;
	}
	f->err = fmt_seg_seal(&b->head, &b->seg, &t, &b->key, keys_get(b->v->kr, KEYS_HEADER));
	if (!f->err)
		fmt_seg_frame_offsets(&b->seg, &t);
	free(t.entries);
	if (f->err)
		return;
	crc = crc32c(0, b->head.data, b->head.len);
	for (i = 0; i < b->nr_chunks; i++)
		crc = crc32c(crc, b->chunks[i].out, b->chunks[i].len);
	fmt_seg_footer(b->footer, crc);
	b->iov = calloc(b->nr_chunks + 2, sizeof(*b->iov));
	if (!b->iov)
		f->err = -ENOMEM;
}

static void set_iov(struct batch *b)
{
	uint32_t i;

	b->iov[0] = (struct iovec){ b->head.data, b->head.len };
	for (i = 0; i < b->nr_chunks; i++)
		b->iov[i + 1] = (struct iovec){ b->chunks[i].out, b->chunks[i].len };
	b->iov[b->nr_chunks + 1] = (struct iovec){ b->footer, sizeof(b->footer) };
}

/* A moving average over a few segments; two make most of the difference. */
static void learn_pack(struct volume *v, uint64_t data, uint64_t stored)
{
	uint64_t pack = stored ? data * VOL_PACK_NONE / stored : VOL_PACK_NONE;

	if (pack < VOL_PACK_NONE)
		pack = VOL_PACK_NONE;
	if (pack > VOL_PACK_MAX)
		pack = VOL_PACK_MAX;
	v->pack = (v->pack + (uint32_t)pack) / 2;
}

static void finish_complete(struct exec_work *w)
{
	struct finish *f = container_of(w, struct finish, work);
	struct batch *b = f->b;
	struct volume *v = b->v;
	uint64_t mem = b->head.len, stored;
	uint32_t i;

	if (f->err) {
		if (f->err != -ENOMEM && !b->told) {
			b->told = true;
			notice_say(&v->env, NOTICE_ERR, "segment %llu cannot be made: %s",
				   (unsigned long long)b->seq, notice_errno(f->err));
		}
		/* the key has sealed a table, perhaps: never again with it */
		seal_free(b);
		b->state = BATCH_CUT;
		volume_retry(v);
		free(f);
		return;
	}
	free(f);
	set_iov(b);
	for (i = 0; i < b->nr_chunks; i++)
		mem += b->chunks[i].len;
	account(b, mem);
	fmt_segkey_wipe(&b->key);
	memcpy(v->chain, b->seg.hash, sizeof(v->chain));
	b->state = BATCH_READY;
	v->st.segments_sealed++;
	v->st.raw_bytes_sealed += b->data_bytes;
	stored = b->seg.object_len - FMT_SEG_FOOTER_LEN - fmt_seg_frames_off(&b->seg);
	v->st.frame_bytes_sealed += stored;
	learn_pack(v, b->data_bytes, stored);
	seal_pump(v);
	uploader_pump(v);
}

static void start_finish(struct volume *v, struct batch *b)
{
	struct finish *f = calloc(1, sizeof(*f));
	struct fmt_seg *s = &b->seg;

	if (!f) {
		volume_retry(v);
		return;
	}
	memcpy(s->uuid, v->uuid, sizeof(s->uuid));
	s->type = FMT_SEG_DATA;
	s->epoch = v->epoch;
	s->seq = b->seq;
	memcpy(s->nonce, v->nonce, sizeof(s->nonce));
	s->wno_first = b->first_wno;
	s->wno_last = b->last_wno;
	s->resume_at = v->lowest_seq;
	s->created_us = clock_real_us(v->env.clock);
	memcpy(s->prev_hash, v->chain, sizeof(s->prev_hash));
	buf_reset(&b->head);
	b->state = BATCH_FINISHING;
	f->b = b;
	f->work.run = finish_run;
	f->work.complete = finish_complete;
	exec_submit(v->env.exec, &f->work);
}

/*
 * There is, for what is loaded already; and if nothing else is sealed, so that it always goes on.
 */
static bool has_room(const struct volume *v, const struct batch *b)
{
	return b->loaded || !v->sealed_bytes || v->sealed_bytes + worst_case(b) <= v->sealed_cap;
}

static int start(struct volume *v, struct batch *b)
{
	int err;

	if (!b->parked || b->loaded)
		return start_chunks(v, b);
	err = jload_start(b);
	if (!err && b->state == BATCH_LOADING)
		account(b, worst_case(b));
	return err;
}

void seal_pump(struct volume *v)
{
	bool prev_has_header = true;
	struct batch *b;

	if (!vol_serving(v))
		return;
	list_for_each_entry(b, &v->batches, link) {
		if (b->state == BATCH_CUT && has_room(v, b) && start(v, b))
			volume_retry(v);
		if (b->state == BATCH_CUT || b->state == BATCH_LOADING)
			break; /* in order: the lowest seq gets the memory */
		if (b->state == BATCH_ENCODED && prev_has_header)
			start_finish(v, b);
		prev_has_header = b->state >= BATCH_READY;
	}
}
