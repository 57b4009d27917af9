// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The extent table's encoding. First the frames:
 *
 *	u8 codec | var dev | zig lba - (end of the previous frame) | var blocks | var stored_len /
 *	16
 *
 * then the entries:
 *
 *	u8 kind | flags << 4 | zig wno - (wno of the previous entry)
 *	DATA		zig frame - (frame of the previous DATA) | var block | var blocks
 *	ZERO, DISCARD	var dev | zig lba - (end of the previous range) | var blocks
 *	MOVE		as ZERO, then var wno - birth | var from_seq | var from_off | var from_block
 *	|
 *			var to_seq | var to_frame | var to_block		flag 1: from gc/
 *	CONTROL		var type | var length | body
 *	VOID		var count
 *
 * "previous" is 0 at first, for wno the header's wno_first. Differences are modulo 2^64. Encoder
 * and decoder share one set of rules, table_check().
 */
#include "format/fmt_table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cur.h"
#define MOVE_FROM_GC 1u

struct span {
	uint32_t dev;
	uint16_t blocks;
	uint64_t lba;
};

static int span_cmp(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->lba < y->lba ? -1 : x->lba > y->lba;
}

static bool range_ok(uint64_t lba, uint64_t blocks)
{
	return blocks && blocks <= UINT32_MAX && lba <= FMT_MAX_LBA && lba + blocks <= FMT_MAX_LBA;
}

static bool frame_ok(const struct fmt_frame *f)
{
	uint32_t raw = FMT_FRAME_STORED(f->blocks * FMT_BLOCK_SIZE);

	if (f->blocks > FMT_FRAME_MAX_BLOCKS || !range_ok(f->lba, f->blocks))
		return false;
	if (f->stored_len % FMT_FRAME_ALIGN || f->stored_len <= FMT_FRAME_HDR_LEN)
		return false;
	if (f->codec == FMT_CODEC_RAW)
		return f->stored_len == raw;
	return f->codec == FMT_CODEC_ZSTD && f->stored_len <= raw;
}

/* No block of a device may be in two frames: a frame is told from another one by what it holds. */
static int check_frames(const struct fmt_frame *f, uint32_t n)
{
	bool sorted = true, overlap = false;
	struct span *s;

	for (uint32_t i = 0; i < n; i++) {
		if (!frame_ok(&f[i]))
			return -EINVAL;
		if (i && (f[i].dev < f[i - 1].dev ||
			  (f[i].dev == f[i - 1].dev && f[i].lba < f[i - 1].lba + f[i - 1].blocks)))
			sorted = false;
	}
	if (sorted)
		return 0;
	s = malloc(n * sizeof(*s));
	if (!s)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		s[i] = (struct span){ f[i].dev, f[i].blocks, f[i].lba };
	qsort(s, n, sizeof(*s), span_cmp);
	for (uint32_t i = 1; i < n && !overlap; i++)
		overlap = s[i].dev == s[i - 1].dev && s[i].lba < s[i - 1].lba + s[i - 1].blocks;
	free(s);
	return overlap ? -EINVAL : 0;
}

/* A DATA entry: within its frame, of that frame's device and blocks, and no block named twice. */
static bool data_ok(const struct fmt_table *t, const struct fmt_entry *e, uint32_t *covered)
{
	const struct fmt_frame *f;
	uint32_t mask;

	if (e->frame >= t->nr_frames)
		return false;
	f = &t->frames[e->frame];
	if (!e->blocks || e->block >= f->blocks || e->blocks > (uint32_t)(f->blocks - e->block))
		return false;
	if (e->dev != f->dev || e->lba != f->lba + e->block)
		return false;
	mask = (uint32_t)(((1ull << e->blocks) - 1) << e->block);
	if (covered[e->frame] & mask)
		return false;
	covered[e->frame] |= mask;
	return true;
}

static bool entry_ok(const struct fmt_table *t, const struct fmt_entry *e, uint32_t *covered)
{
	switch (e->kind) {
	case FMT_E_DATA:
		return data_ok(t, e, covered);
	case FMT_E_ZERO:
	case FMT_E_DISCARD:
		return range_ok(e->lba, e->blocks);
	case FMT_E_MOVE:
		return range_ok(e->lba, e->blocks) && e->blocks <= FMT_FRAME_MAX_BLOCKS &&
		       e->birth && e->birth < e->wno && e->from_off < FMT_SEG_MAX_OFF &&
		       e->from_gc <= 1 && e->to_frame < FMT_TABLE_MAX_FRAMES &&
		       e->from_block + e->blocks <= FMT_FRAME_MAX_BLOCKS &&
		       e->to_block + e->blocks <= FMT_FRAME_MAX_BLOCKS;
	case FMT_E_CONTROL:
		return e->control && e->body_len <= FMT_CONTROL_MAX;
	case FMT_E_VOID:
		return e->blocks;
	default:
		return false;
	}
}

/* Numbers: within the header's range; in a data segment ascending, none twice across records. */
static bool wno_ok(const struct fmt_entry *e, uint64_t *floor, enum fmt_seg_type type,
		   uint64_t first, uint64_t last)
{
	if (e->wno < first || e->wno > last)
		return false;
	if (type == FMT_SEG_GC)
		return true;
	if (e->wno < *floor)
		return false;
	*floor = e->wno;
	if (e->kind == FMT_E_VOID) {
		if (e->blocks - 1 > last - e->wno)
			return false;
		*floor = e->wno + e->blocks;
	}
	return true;
}

static int table_check(const struct fmt_table *t, enum fmt_seg_type type, uint64_t first,
		       uint64_t last)
{
	uint64_t floor = first;
	uint32_t *covered;
	int rc;

	if (type != FMT_SEG_DATA && type != FMT_SEG_GC)
		return -EINVAL;
	if (!first || first > last)
		return -EINVAL;
	if (t->nr_frames > FMT_TABLE_MAX_FRAMES || t->nr_entries > FMT_TABLE_MAX_ENTRIES)
		return -EINVAL;
	rc = check_frames(t->frames, t->nr_frames);
	if (rc)
		return rc;
	covered = calloc(t->nr_frames + 1, sizeof(*covered));
	if (!covered)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->nr_entries && !rc; i++) {
		const struct fmt_entry *e = &t->entries[i];

		if (!wno_ok(e, &floor, type, first, last) || !entry_ok(t, e, covered) ||
		    (type == FMT_SEG_GC && e->kind != FMT_E_DATA))
			rc = -EINVAL;
	}
	free(covered);
	return rc;
}

static int64_t diff(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b);
}

/* What differences are taken from. */
struct state {
	uint64_t wno;
	uint64_t lba_end; /* of the previous frame, then of the previous range */
	uint64_t frame;
};

static void encode_frame(struct buf *b, const struct fmt_frame *f, struct state *s)
{
	buf_put_u8(b, f->codec);
	buf_put_var(b, f->dev);
	buf_put_zig(b, diff(f->lba, s->lba_end));
	buf_put_var(b, f->blocks);
	buf_put_var(b, f->stored_len / FMT_FRAME_ALIGN);
	s->lba_end = f->lba + f->blocks;
}

static void encode_range(struct buf *b, const struct fmt_entry *e, struct state *s)
{
	buf_put_var(b, e->dev);
	buf_put_zig(b, diff(e->lba, s->lba_end));
	buf_put_var(b, e->blocks);
	s->lba_end = e->lba + e->blocks;
}

static void encode_entry(struct buf *b, const struct fmt_entry *e, struct state *s)
{
	unsigned int flags = e->kind == FMT_E_MOVE && e->from_gc ? MOVE_FROM_GC : 0;

	buf_put_u8(b, (uint8_t)(e->kind | flags << 4));
	buf_put_zig(b, diff(e->wno, s->wno));
	s->wno = e->wno;
	switch (e->kind) {
	case FMT_E_DATA:
		buf_put_zig(b, diff(e->frame, s->frame));
		buf_put_var(b, e->block);
		buf_put_var(b, e->blocks);
		s->frame = e->frame;
		break;
	case FMT_E_ZERO:
	case FMT_E_DISCARD:
		encode_range(b, e, s);
		break;
	case FMT_E_MOVE:
		encode_range(b, e, s);
		buf_put_var(b, e->wno - e->birth);
		buf_put_var(b, e->from_seq);
		buf_put_var(b, e->from_off);
		buf_put_var(b, e->from_block);
		buf_put_var(b, e->to_seq);
		buf_put_var(b, e->to_frame);
		buf_put_var(b, e->to_block);
		break;
	case FMT_E_CONTROL:
		buf_put_var(b, e->control);
		buf_put_var(b, e->body_len);
		buf_put(b, e->body, e->body_len);
		break;
	case FMT_E_VOID:
		buf_put_var(b, e->blocks);
		break;
	}
}

int fmt_table_encode(struct buf *b, const struct fmt_table *t, enum fmt_seg_type type,
		     uint64_t wno_first, uint64_t wno_last)
{
	struct state s = { .wno = wno_first };
	size_t start = b->len;
	int rc = table_check(t, type, wno_first, wno_last);

	if (rc)
		return rc;
	for (uint32_t i = 0; i < t->nr_frames; i++)
		encode_frame(b, &t->frames[i], &s);
	s.lba_end = 0;
	for (uint32_t i = 0; i < t->nr_entries; i++)
		encode_entry(b, &t->entries[i], &s);
	rc = buf_err(b);
	if (!rc && b->len - start > FMT_TABLE_MAX_BYTES)
		rc = -EINVAL;
	return rc;
}

static void decode_frame(struct cur *c, struct fmt_frame *f, struct state *s, uint64_t *off)
{
	f->codec = cur_u8(c);
	f->dev = (uint32_t)cur_var_max(c, UINT32_MAX);
	f->lba = s->lba_end + (uint64_t)cur_zig(c);
	f->blocks = (uint16_t)cur_var_max(c, FMT_FRAME_MAX_BLOCKS);
	f->stored_len =
		(uint32_t)cur_var_max(c, FMT_FRAME_MAX_STORED / FMT_FRAME_ALIGN) * FMT_FRAME_ALIGN;
	f->off = *off;
	*off += f->stored_len;
	s->lba_end = f->lba + f->blocks;
}

static void decode_range(struct cur *c, struct fmt_entry *e, struct state *s)
{
	e->dev = (uint32_t)cur_var_max(c, UINT32_MAX);
	e->lba = s->lba_end + (uint64_t)cur_zig(c);
	e->blocks = (uint32_t)cur_var_max(c, UINT32_MAX);
	s->lba_end = e->lba + e->blocks;
}

static void decode_data(struct cur *c, struct fmt_entry *e, struct state *s,
			const struct fmt_table *t)
{
	uint64_t frame = s->frame + (uint64_t)cur_zig(c);

	e->block = (uint16_t)cur_var_max(c, FMT_FRAME_MAX_BLOCKS);
	e->blocks = (uint32_t)cur_var_max(c, FMT_FRAME_MAX_BLOCKS);
	if (frame >= t->nr_frames) {
		c->err = -EBADMSG;
		return;
	}
	e->frame = (uint32_t)frame;
	e->dev = t->frames[frame].dev;
	e->lba = t->frames[frame].lba + e->block;
	s->frame = frame;
}

static void decode_entry(struct cur *c, struct fmt_entry *e, struct state *s,
			 const struct fmt_table *t)
{
	uint8_t kind = cur_u8(c);

	e->kind = kind & 0xf;
	if (kind >> 4) {
		if (e->kind != FMT_E_MOVE || kind >> 4 != MOVE_FROM_GC)
			c->err = -EBADMSG;
		e->from_gc = 1;
	}
	e->wno = s->wno + (uint64_t)cur_zig(c);
	s->wno = e->wno;
	switch (e->kind) {
	case FMT_E_DATA:
		decode_data(c, e, s, t);
		break;
	case FMT_E_ZERO:
	case FMT_E_DISCARD:
		decode_range(c, e, s);
		break;
	case FMT_E_MOVE:
		decode_range(c, e, s);
		e->birth = e->wno - cur_var(c);
		e->from_seq = cur_var(c);
		e->from_off = cur_var(c);
		e->from_block = (uint16_t)cur_var_max(c, FMT_FRAME_MAX_BLOCKS);
		e->to_seq = cur_var(c);
		e->to_frame = (uint32_t)cur_var_max(c, FMT_TABLE_MAX_FRAMES);
		e->to_block = (uint16_t)cur_var_max(c, FMT_FRAME_MAX_BLOCKS);
		break;
	case FMT_E_CONTROL:
		e->control = (uint32_t)cur_var_max(c, UINT32_MAX);
		e->body_len = (uint32_t)cur_var_max(c, FMT_CONTROL_MAX);
		e->body = cur_bytes(c, e->body_len);
		break;
	case FMT_E_VOID:
		e->blocks = (uint32_t)cur_var_max(c, UINT32_MAX);
		break;
	default:
		c->err = -EBADMSG;
	}
}

int fmt_table_decode(struct fmt_table *ret, const void *p, size_t len, enum fmt_seg_type type,
		     uint64_t wno_first, uint64_t wno_last, uint32_t nr_frames, uint32_t nr_entries,
		     uint64_t frames_off, uint64_t frames_end)
{
	struct fmt_table t = { .nr_frames = nr_frames, .nr_entries = nr_entries };
	struct state s = { .wno = wno_first };
	uint64_t off = frames_off;
	struct cur c;
	int rc = -EBADMSG;

	/*
	 * A frame takes at least 5 bytes and an entry 3: the counts cannot ask for more than is
	 * there.
	 */
	if (len > FMT_TABLE_MAX_BYTES || nr_frames > FMT_TABLE_MAX_FRAMES ||
	    nr_entries > FMT_TABLE_MAX_ENTRIES || 5ull * nr_frames + 3ull * nr_entries > len)
		return -EBADMSG;
	t.frames = calloc(nr_frames + 1, sizeof(*t.frames));
	t.entries = calloc(nr_entries + 1, sizeof(*t.entries));
	t.bytes = malloc(len + 1);
	if (!t.frames || !t.entries || !t.bytes) {
		rc = -ENOMEM;
		goto fail;
	}
	if (len)
		memcpy(t.bytes, p, len);
	cur_init(&c, t.bytes, len);
	for (uint32_t i = 0; i < nr_frames && !cur_err(&c); i++)
		decode_frame(&c, &t.frames[i], &s, &off);
	s.lba_end = 0;
	for (uint32_t i = 0; i < nr_entries && !cur_err(&c); i++)
		decode_entry(&c, &t.entries[i], &s, &t);
	if (cur_err(&c) || cur_left(&c) || off != frames_end)
		goto fail;
	rc = table_check(&t, type, wno_first, wno_last);
	if (rc) {
		rc = rc == -EINVAL ? -EBADMSG : rc;
		goto fail;
	}
	*ret = t;
	return 0;
fail:
	fmt_table_free(&t);
	return rc;
}

void fmt_table_free(struct fmt_table *t)
{
	free(t->frames);
	free(t->entries);
	free(t->bytes);
	memset(t, 0, sizeof(*t));
}
