// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An extent record:
 *
 *	u8 flags: 1 tombstone, 2 in gc/, codec << 4
 *	var dev - (previous dev) | var lba - (end of the previous record; 0 on a new device)
 *	var blocks | zig birth - (previous birth)
 * and unless it is a tombstone
 *	zig seq - (previous seq) | zig frame_off - (end of the previous frame)
 *	var stored_len / 16 | var block | var frame_blocks
 *
 * A segment record is a struct of fixed size.
 */
#include "format/fmt_runrec.h"

#include <errno.h>
#include <string.h>

#include "format/fmt_frame.h"
#include "format/fmt_seg.h"

#define F_TOMB 1u
#define F_GC   2u

struct segrec_disk {
	uint8_t gc;
	uint8_t rsvd0[3]; /* 0 */
	le32 flags;
	le64 seq;
	le64 epoch;
	le32 key_gen;
	le32 table_len;
	le32 nr_frames;
	le32 data_blocks;
	le32 live_blocks;
	le32 rsvd1; /* 0 */
	le64 object_len;
	le64 live_bytes;
	le64 wno_first;
	le64 wno_last;
	le64 created_us;
	uint8_t salt[FMT_SALT_LEN];
	uint8_t hash[FMT_HASH_LEN];
	le64 rsvd2; /* 0 */
};
static_assert(sizeof(struct segrec_disk) == FMT_RUNREC_SEGREC_LEN, "segment record");

void fmt_runrec_begin(struct fmt_runrec_state *s)
{
	memset(s, 0, sizeof(*s));
}

bool fmt_runrec_extent_ok(const struct fmt_extent *x)
{
	uint32_t raw = FMT_FRAME_STORED(x->frame_blocks * FMT_BLOCK_SIZE);

	if (!x->blocks || x->lba > FMT_MAX_LBA || x->lba + x->blocks > FMT_MAX_LBA || !x->birth ||
	    x->tomb > 1 || x->gc > 1)
		return false;
	if (x->tomb)
		return !x->gc && !x->seq && !x->frame_off && !x->stored_len && !x->block &&
		       !x->frame_blocks && !x->codec;
	if (x->frame_blocks > FMT_FRAME_MAX_BLOCKS || x->block >= x->frame_blocks ||
	    x->blocks > (uint32_t)(x->frame_blocks - x->block) || x->lba < x->block)
		return false;
	if (x->stored_len % FMT_FRAME_ALIGN || x->stored_len <= FMT_FRAME_HDR_LEN ||
	    x->stored_len > raw || (x->codec == FMT_CODEC_RAW && x->stored_len != raw) ||
	    x->codec >= FMT_NR_CODECS)
		return false;
	return x->frame_off >= FMT_SEG_HDR_LEN + FMT_TAG_LEN &&
	       (uint64_t)x->frame_off + x->stored_len + FMT_SEG_FOOTER_LEN <= FMT_SEG_MAX_OBJECT;
}

bool fmt_runrec_segrec_ok(const struct fmt_segrec *r)
{
	return r->gc <= 1 && !(r->flags & ~FMT_SEGREC_DELETED) && r->epoch && r->key_gen &&
	       r->wno_first && r->wno_first <= r->wno_last && r->live_blocks <= r->data_blocks &&
	       r->object_len <= FMT_SEG_MAX_OBJECT && r->live_bytes <= r->object_len &&
	       r->table_len >= FMT_TAG_LEN && r->nr_frames <= FMT_TABLE_MAX_FRAMES &&
	       (uint64_t)FMT_SEG_HDR_LEN + r->table_len + FMT_SEG_FOOTER_LEN <= r->object_len;
}

void fmt_runrec_put_extent(struct buf *b, struct fmt_runrec_state *s, const struct fmt_extent *x)
{
	unsigned int flags = (x->tomb ? F_TOMB : 0) | (x->gc ? F_GC : 0) | x->codec << 4;

	if (x->dev != s->dev)
		s->lba_end = 0;
	buf_put_u8(b, (uint8_t)flags);
	buf_put_var(b, x->dev - s->dev);
	buf_put_var(b, x->lba - s->lba_end);
	buf_put_var(b, x->blocks);
	buf_put_zig(b, (int64_t)(x->birth - s->birth));
	s->dev = x->dev;
	s->lba_end = x->lba + x->blocks;
	s->birth = x->birth;
	if (x->tomb)
		return;
	buf_put_zig(b, (int64_t)(x->seq - s->seq));
	buf_put_zig(b, (int64_t)(x->frame_off - s->frame_end));
	buf_put_var(b, x->stored_len / FMT_FRAME_ALIGN);
	buf_put_var(b, x->block);
	buf_put_var(b, x->frame_blocks);
	s->seq = x->seq;
	s->frame_end = (uint64_t)x->frame_off + x->stored_len;
}

void fmt_runrec_get_extent(struct cur *c, struct fmt_runrec_state *s, struct fmt_extent *x)
{
	uint8_t flags = cur_u8(c);
	uint32_t delta;
	uint64_t off;

	memset(x, 0, sizeof(*x));
	if (flags & 0xf & ~(F_TOMB | F_GC))
		c->err = -EBADMSG;
	x->tomb = !!(flags & F_TOMB);
	x->gc = !!(flags & F_GC);
	x->codec = flags >> 4;
	delta = (uint32_t)cur_var_max(c, UINT32_MAX - s->dev);
	if (delta)
		s->lba_end = 0;
	x->dev = s->dev + delta;
	x->lba = s->lba_end + cur_var_max(c, FMT_MAX_LBA);
	x->blocks = (uint32_t)cur_var_max(c, UINT32_MAX);
	x->birth = s->birth + (uint64_t)cur_zig(c);
	s->dev = x->dev;
	s->lba_end = x->lba + x->blocks;
	s->birth = x->birth;
	if (x->tomb)
		return;
	x->seq = s->seq + (uint64_t)cur_zig(c);
	off = s->frame_end + (uint64_t)cur_zig(c);
	if (off > FMT_SEG_MAX_OBJECT)
		c->err = -EBADMSG;
	x->frame_off = (uint32_t)off;
	x->stored_len =
		(uint32_t)cur_var_max(c, FMT_FRAME_MAX_STORED / FMT_FRAME_ALIGN) * FMT_FRAME_ALIGN;
	x->block = (uint8_t)cur_var_max(c, FMT_FRAME_MAX_BLOCKS);
	x->frame_blocks = (uint8_t)cur_var_max(c, FMT_FRAME_MAX_BLOCKS);
	s->seq = x->seq;
	s->frame_end = off + x->stored_len;
}

void fmt_runrec_put_segrec(struct buf *b, const struct fmt_segrec *r)
{
	struct segrec_disk d = {
		.gc = r->gc,
		.flags = le_32(r->flags),
		.seq = le_64(r->seq),
		.epoch = le_64(r->epoch),
		.key_gen = le_32(r->key_gen),
		.table_len = le_32(r->table_len),
		.nr_frames = le_32(r->nr_frames),
		.data_blocks = le_32(r->data_blocks),
		.live_blocks = le_32(r->live_blocks),
		.object_len = le_64(r->object_len),
		.live_bytes = le_64(r->live_bytes),
		.wno_first = le_64(r->wno_first),
		.wno_last = le_64(r->wno_last),
		.created_us = le_64(r->created_us),
	};

	memcpy(d.salt, r->salt, sizeof(d.salt));
	memcpy(d.hash, r->hash, sizeof(d.hash));
	buf_put(b, &d, sizeof(d));
}

void fmt_runrec_get_segrec(struct cur *c, struct fmt_segrec *r)
{
	const struct segrec_disk *d = (const void *)cur_bytes(c, sizeof(*d));

	memset(r, 0, sizeof(*r));
	if (!d)
		return;
	if (!fmt_is_zero(d->rsvd0, sizeof(d->rsvd0)) || le_cpu32(d->rsvd1) || le_cpu64(d->rsvd2))
		c->err = -EBADMSG;
	r->gc = d->gc;
	r->flags = le_cpu32(d->flags);
	r->seq = le_cpu64(d->seq);
	r->epoch = le_cpu64(d->epoch);
	r->key_gen = le_cpu32(d->key_gen);
	r->table_len = le_cpu32(d->table_len);
	r->nr_frames = le_cpu32(d->nr_frames);
	r->data_blocks = le_cpu32(d->data_blocks);
	r->live_blocks = le_cpu32(d->live_blocks);
	r->object_len = le_cpu64(d->object_len);
	r->live_bytes = le_cpu64(d->live_bytes);
	r->wno_first = le_cpu64(d->wno_first);
	r->wno_last = le_cpu64(d->wno_last);
	r->created_us = le_cpu64(d->created_us);
	memcpy(r->salt, d->salt, sizeof(r->salt));
	memcpy(r->hash, d->hash, sizeof(r->hash));
}
