// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs: the container. What a record looks like is in fmt_runrec.c.
 *
 * Every box of a run, its blocks and its index, has as AAD the 64 header bytes, the block's number
 * (the index: all ones) and the number of records. The header is the same for everybody who knows
 * the manifest's entry, so a reader that fetches only index and blocks has it without a GET.
 */
#include "format/fmt_run.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "format/fmt_runrec.h"

#define INDEX_NO     UINT32_MAX
#define WRITER_LIMIT (FMT_RUN_MAX_OBJECT / 2)

struct run_hdr {
	struct fmt_prefix prefix;
	le64 version;
	le64 id;
	uint8_t kind;
	uint8_t level;
	uint8_t rsvd[6]; /* 0 */
};
static_assert(sizeof(struct run_hdr) == FMT_RUN_HDR_LEN, "run header");

struct index_disk {
	le64 off;
	le32 len;
	le32 count;
	le32 first_dev;
	le32 rsvd; /* 0 */
	le64 first_lba;
};
static_assert(sizeof(struct index_disk) == 32, "run index");

struct box_aad {
	struct run_hdr hdr;
	le32 no;
	le32 count;
};
static_assert(sizeof(struct box_aad) == 72, "run AAD");

struct fmt_run_writer {
	struct run_hdr hdr;
	uint8_t key[FMT_KEY_LEN];
	struct buf out; /* sealed */
	struct buf block; /* records of the open block */
	struct buf index;
	struct fmt_run_ref ref;
	struct fmt_runrec_state state; /* of the open block */
	uint32_t block_count;
	uint32_t nr_blocks;
	uint32_t block_dev; /* first key of the open block */
	uint64_t block_lba;
	uint32_t end_dev; /* the next record may begin here */
	uint64_t end_lba;
};

static void run_hdr(struct run_hdr *h, const struct fmt_run_ref *r, const uint8_t uuid[16])
{
	memset(h, 0, sizeof(*h));
	fmt_prefix_init(&h->prefix, FMT_KIND_RUN, uuid);
	h->version = le_64(r->version);
	h->id = le_64(r->id);
	h->kind = r->kind;
	h->level = r->level;
}

static void box_aad(struct box_aad *a, const void *hdr, uint32_t no, uint32_t count)
{
	memcpy(&a->hdr, hdr, sizeof(a->hdr));
	a->no = le_32(no);
	a->count = le_32(count);
}

struct fmt_run_writer *fmt_run_writer_new(const uint8_t uuid[16], uint64_t version,
					  enum fmt_run_kind kind, uint8_t level,
					  const uint8_t run_key[FMT_KEY_LEN])
{
	struct fmt_run_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->ref.version = version;
	randombytes_buf(&w->ref.id, sizeof(w->ref.id));
	w->ref.kind = (uint8_t)kind;
	w->ref.level = level;
	w->ref.wno_first = UINT64_MAX;
	memcpy(w->key, run_key, FMT_KEY_LEN);
	run_hdr(&w->hdr, &w->ref, uuid);
	buf_put(&w->out, &w->hdr, sizeof(w->hdr));
	return w;
}

void fmt_run_writer_free(struct fmt_run_writer *w)
{
	if (!w)
		return;
	buf_free(&w->out);
	buf_free(&w->block);
	buf_free(&w->index);
	sodium_memzero(w->key, sizeof(w->key));
	free(w);
}

/* Seals @src as box @no behind what is there. */
static int put_box(struct fmt_run_writer *w, uint32_t no, uint32_t count, const struct buf *src)
{
	struct box_aad aad;
	uint8_t *p;

	p = buf_extend(&w->out, FMT_BOX_OVERHEAD + src->len);
	if (!p)
		return -ENOMEM;
	box_aad(&aad, &w->hdr, no, count);
	fmt_box_seal(p, w->key, &aad, sizeof(aad), src->data, src->len);
	return 0;
}

static int flush_block(struct fmt_run_writer *w)
{
	struct index_disk x = {
		.off = le_64(w->out.len),
		.len = le_32((uint32_t)(w->block.len + FMT_BOX_OVERHEAD)),
		.count = le_32(w->block_count),
		.first_dev = le_32(w->block_dev),
		.first_lba = le_64(w->block_lba),
	};
	int rc = put_box(w, w->nr_blocks, w->block_count, &w->block);

	if (rc)
		return rc;
	buf_put(&w->index, &x, sizeof(x));
	w->nr_blocks++;
	w->block_count = 0;
	buf_reset(&w->block);
	return buf_err(&w->index);
}

/* Is the key in order, and is there room? Then notes it. */
static int begin_record(struct fmt_run_writer *w, uint32_t dev, uint64_t lba)
{
	if (buf_err(&w->out))
		return buf_err(&w->out);
	if (w->ref.count && (dev < w->end_dev || (dev == w->end_dev && lba < w->end_lba)))
		return -EINVAL;
	if (w->out.len + w->block.len >= WRITER_LIMIT || w->nr_blocks >= FMT_RUN_MAX_BLOCKS - 1)
		return -EFBIG;
	return 0;
}

static void end_record(struct fmt_run_writer *w, uint32_t dev, uint64_t lba, uint64_t n)
{
	if (!w->ref.count) {
		w->ref.first_dev = dev;
		w->ref.first_lba = lba;
	}
	if (!w->block_count) {
		w->block_dev = dev;
		w->block_lba = lba;
	}
	w->block_count++;
	w->ref.count++;
	w->ref.last_dev = dev;
	w->ref.last_lba = lba + n - 1;
	w->end_dev = dev;
	w->end_lba = lba + n;
}

static void note_wno(struct fmt_run_ref *r, uint64_t first, uint64_t last)
{
	if (first < r->wno_first)
		r->wno_first = first;
	if (last > r->wno_last)
		r->wno_last = last;
}

int fmt_run_add_extent(struct fmt_run_writer *w, const struct fmt_extent *x)
{
	struct fmt_runrec_state saved;
	size_t len;
	int rc;

	if (w->ref.kind != FMT_RUN_EXTENTS || !fmt_runrec_extent_ok(x))
		return -EINVAL;
	rc = begin_record(w, x->dev, x->lba);
	if (rc)
		return rc;
	if (!w->block_count)
		fmt_runrec_begin(&w->state);
	saved = w->state;
	len = w->block.len;
	fmt_runrec_put_extent(&w->block, &w->state, x);
	if (w->block.len > FMT_RUN_BLOCK) {
		w->block.len = len;
		w->state = saved;
		rc = flush_block(w);
		if (rc)
			return rc;
		fmt_runrec_begin(&w->state);
		fmt_runrec_put_extent(&w->block, &w->state, x);
	}
	rc = buf_err(&w->block);
	if (rc)
		return rc;
	end_record(w, x->dev, x->lba, x->blocks);
	note_wno(&w->ref, x->birth, x->birth);
	return 0;
}

int fmt_run_add_segrec(struct fmt_run_writer *w, const struct fmt_segrec *s)
{
	int rc;

	if (w->ref.kind != FMT_RUN_SEGMENTS || !fmt_runrec_segrec_ok(s))
		return -EINVAL;
	rc = begin_record(w, s->gc, s->seq);
	if (rc)
		return rc;
	if (w->block.len + FMT_RUNREC_SEGREC_LEN > FMT_RUN_BLOCK) {
		rc = flush_block(w);
		if (rc)
			return rc;
	}
	fmt_runrec_put_segrec(&w->block, s);
	rc = buf_err(&w->block);
	if (rc)
		return rc;
	end_record(w, s->gc, s->seq, 1);
	note_wno(&w->ref, s->wno_first, s->wno_last);
	return 0;
}

int fmt_run_finish(struct fmt_run_writer *w, struct buf *out, struct fmt_run_ref *ret)
{
	int rc;

	if (!w->ref.count)
		return -EINVAL;
	if (w->block_count) {
		rc = flush_block(w);
		if (rc)
			return rc;
	}
	w->ref.index_off = w->out.len;
	rc = put_box(w, INDEX_NO, w->nr_blocks, &w->index);
	if (rc)
		return rc;
	w->ref.index_len = (uint32_t)(w->out.len - w->ref.index_off);
	w->ref.len = w->out.len;
	fmt_hash32(w->ref.hash, w->out.data, w->out.len);
	*ret = w->ref;
	*out = w->out;
	buf_init(&w->out);
	return 0;
}

/*
 * Blocks follow each other without a gap, begin in ascending order, and hold @ref->count records.
 */
static int check_index(const struct fmt_run_index *x)
{
	uint64_t off = FMT_RUN_HDR_LEN, count = 0;

	for (uint32_t i = 0; i < x->nr_blocks; i++) {
		const struct fmt_run_block *b = &x->blocks[i], *prev = b - 1;

		if (b->off != off || b->len <= FMT_BOX_OVERHEAD ||
		    b->len > FMT_BOX_OVERHEAD + FMT_RUN_BLOCK || !b->count ||
		    b->count > FMT_RUN_BLOCK_RECORDS)
			return -EBADMSG;
		if (i && (b->first_dev < prev->first_dev ||
			  (b->first_dev == prev->first_dev && b->first_lba <= prev->first_lba)))
			return -EBADMSG;
		off += b->len;
		count += b->count;
	}
	if (off != x->ref.index_off || count != x->ref.count ||
	    x->blocks[0].first_dev != x->ref.first_dev ||
	    x->blocks[0].first_lba != x->ref.first_lba)
		return -EBADMSG;
	return 0;
}

static int decode_index(struct fmt_run_index *x, const uint8_t *raw)
{
	for (uint32_t i = 0; i < x->nr_blocks; i++) {
		struct index_disk d;

		memcpy(&d, raw + i * sizeof(d), sizeof(d));
		x->blocks[i] = (struct fmt_run_block){
			.off = le_cpu64(d.off),
			.len = le_cpu32(d.len),
			.count = le_cpu32(d.count),
			.first_dev = le_cpu32(d.first_dev),
			.first_lba = le_cpu64(d.first_lba),
		};
		if (le_cpu32(d.rsvd))
			return -EBADMSG;
	}
	return check_index(x);
}

int fmt_run_index_open(struct fmt_run_index *ret, const struct fmt_run_ref *ref,
		       const uint8_t uuid[16], const void *p, size_t len,
		       const uint8_t run_key[FMT_KEY_LEN])
{
	struct fmt_run_index x = { .ref = *ref };
	struct run_hdr hdr;
	struct box_aad aad;
	size_t raw_len;
	uint8_t *raw;
	int rc = -ENOMEM;

	if (len != ref->index_len || len < FMT_BOX_OVERHEAD + sizeof(struct index_disk))
		return -EBADMSG;
	raw_len = len - FMT_BOX_OVERHEAD;
	if (raw_len % sizeof(struct index_disk) ||
	    raw_len / sizeof(struct index_disk) > FMT_RUN_MAX_BLOCKS)
		return -EBADMSG;
	x.nr_blocks = (uint32_t)(raw_len / sizeof(struct index_disk));
	run_hdr(&hdr, ref, uuid);
	memcpy(x.hdr, &hdr, sizeof(hdr));
	raw = malloc(raw_len);
	x.blocks = calloc(x.nr_blocks, sizeof(*x.blocks));
	if (raw && x.blocks) {
		box_aad(&aad, &hdr, INDEX_NO, x.nr_blocks);
		rc = fmt_box_open(raw, run_key, &aad, sizeof(aad), p, len);
		if (!rc)
			rc = decode_index(&x, raw);
	}
	free(raw);
	if (rc)
		fmt_run_index_free(&x);
	else
		*ret = x;
	return rc;
}

void fmt_run_index_free(struct fmt_run_index *x)
{
	free(x->blocks);
	x->blocks = NULL;
	x->nr_blocks = 0;
}

/* Opens block @n into fresh memory. */
static int open_block(uint8_t **ret, size_t *ret_len, const struct fmt_run_index *x, uint32_t n,
		      enum fmt_run_kind kind, const void *p, size_t len,
		      const uint8_t run_key[FMT_KEY_LEN])
{
	struct box_aad aad;
	uint8_t *raw;
	int rc;

	if (x->ref.kind != kind || n >= x->nr_blocks)
		return -EINVAL;
	if (len != x->blocks[n].len)
		return -EBADMSG;
	raw = malloc(len - FMT_BOX_OVERHEAD);
	if (!raw)
		return -ENOMEM;
	box_aad(&aad, x->hdr, n, x->blocks[n].count);
	rc = fmt_box_open(raw, run_key, &aad, sizeof(aad), p, len);
	if (rc) {
		free(raw);
		return rc;
	}
	*ret = raw;
	*ret_len = len - FMT_BOX_OVERHEAD;
	return 0;
}

/*
 * Is a decoded record where the index says its block is: from the block's first key up to the next
 * one's?
 */
static bool in_block(const struct fmt_run_index *x, uint32_t n, bool first, uint32_t dev,
		     uint64_t lba, uint64_t count)
{
	const struct fmt_run_block *b = &x->blocks[n], *next = b + 1;

	if (first && (dev != b->first_dev || lba != b->first_lba))
		return false;
	if (n + 1 == x->nr_blocks)
		return dev < x->ref.last_dev ||
		       (dev == x->ref.last_dev && lba + count - 1 <= x->ref.last_lba);
	return dev < next->first_dev || (dev == next->first_dev && lba + count <= next->first_lba);
}

int fmt_run_extents_open(struct fmt_extent *ret, const struct fmt_run_index *x, uint32_t n,
			 const void *p, size_t len, const uint8_t run_key[FMT_KEY_LEN])
{
	struct fmt_runrec_state st;
	size_t raw_len = 0;
	uint8_t *raw;
	struct cur c;
	int rc = open_block(&raw, &raw_len, x, n, FMT_RUN_EXTENTS, p, len, run_key);

	if (rc)
		return rc;
	cur_init(&c, raw, raw_len);
	fmt_runrec_begin(&st);
	for (uint32_t i = 0; i < x->blocks[n].count && !rc; i++) {
		fmt_runrec_get_extent(&c, &st, &ret[i]);
		if (cur_err(&c) || !fmt_runrec_extent_ok(&ret[i]) ||
		    !in_block(x, n, !i, ret[i].dev, ret[i].lba, ret[i].blocks))
			rc = -EBADMSG;
	}
	if (!rc && cur_left(&c))
		rc = -EBADMSG;
	free(raw);
	return rc;
}

int fmt_run_segrecs_open(struct fmt_segrec *ret, const struct fmt_run_index *x, uint32_t n,
			 const void *p, size_t len, const uint8_t run_key[FMT_KEY_LEN])
{
	size_t raw_len = 0;
	uint8_t *raw;
	struct cur c;
	int rc = open_block(&raw, &raw_len, x, n, FMT_RUN_SEGMENTS, p, len, run_key);

	if (rc)
		return rc;
	cur_init(&c, raw, raw_len);
	for (uint32_t i = 0; i < x->blocks[n].count && !rc; i++) {
		fmt_runrec_get_segrec(&c, &ret[i]);
		if (cur_err(&c) || !fmt_runrec_segrec_ok(&ret[i]) ||
		    !in_block(x, n, !i, ret[i].gc, ret[i].seq, 1) ||
		    (i && ret[i].gc == ret[i - 1].gc && ret[i].seq <= ret[i - 1].seq) ||
		    (i && ret[i].gc < ret[i - 1].gc))
			rc = -EBADMSG;
	}
	if (!rc && cur_left(&c))
		rc = -EBADMSG;
	free(raw);
	return rc;
}

int fmt_run_open(struct fmt_run_index *ret, const struct fmt_run_ref *ref, const uint8_t uuid[16],
		 const void *p, size_t len, const uint8_t run_key[FMT_KEY_LEN])
{
	uint8_t hash[32];
	struct run_hdr hdr;

	if (len != ref->len || len < FMT_RUN_HDR_LEN || ref->index_off > len ||
	    ref->index_len != len - ref->index_off)
		return -EBADMSG;
	fmt_hash32(hash, p, len);
	if (memcmp(hash, ref->hash, sizeof(hash)))
		return -EBADMSG;
	run_hdr(&hdr, ref, uuid);
	if (memcmp(&hdr, p, sizeof(hdr)))
		return -EBADMSG;
	return fmt_run_index_open(ret, ref, uuid, (const uint8_t *)p + ref->index_off,
				  ref->index_len, run_key);
}
