/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects of the log: segments, gc objects and fences.
 *
 *	header 288 B | table, sealed | frames | footer 16 B
 *
 * The header is authenticated by a keyed MAC in every object, and holds a hash of the sealed table:
 * the hash of the header alone (struct fmt_seg.hash) therefore stands for both. prev_hash chains it
 * to the previous *applied* object, fences included. A fence is header and footer only.
 *
 * Making one: fmt_segkey_salt(), fmt_segkey_init(), fmt_frame_seal() each frame (any order, any
 * thread), fmt_seg_seal() for header and table, fmt_seg_footer() over everything before it.
 */
#ifndef FORMAT_FMT_SEGMENT_H
#define FORMAT_FMT_SEGMENT_H

#include "base/buf.h"
#include "format/fmt.h"
#include "format/fmt_table.h"

#define FMT_SEG_HDR_LEN		288u
#define FMT_SEG_NUMBER_BITS	63	/* seq and wno: sums with small numbers do not wrap */
#define FMT_SEG_FOOTER_LEN	16u
#define FMT_SEG_MAX_OBJECT	FMT_SEG_MAX_OFF
#define FMT_FENCE_LEN		(FMT_SEG_HDR_LEN + FMT_SEG_FOOTER_LEN)

/**
 * struct fmt_seg - a segment's header, host form
 * @type:	enum fmt_seg_type
 * @key_gen:	generation of the data key (not for a fence: 0)
 * @epoch:	of its writer
 * @seq:	its slot; a gc object's own number
 * @nonce:	the writer's: tells a lost response from somebody else's object
 * @wno_first, @wno_last: log records in it, >= 1. Fence: 0 and the last wno known before it. gc:
 *		oldest and newest birth
 * @resume_at:	fence: the log goes on in this slot. Data: every object of the log in a lower slot
 *		was durable when this one was made (0: not said), so that the loss of one shows
 * @resume_wno:	fence: and with this number
 * @journal:	fence: the owner's journal, or zeros
 * @created_us:	wall clock, for people
 * @prev_hash:	hash of the object applied before this one; gc: zeros
 * @table_len, @nr_frames, @nr_entries, @data_blocks, @object_len, @table_hash: set by
 *		fmt_seg_seal()
 * @hash:	of the 288 B; set by fmt_seg_seal() and fmt_seg_header_open()
 */
struct fmt_seg {
	uint8_t uuid[FMT_UUID_LEN];
	uint8_t type;
	uint32_t key_gen;
	uint64_t epoch;
	uint64_t seq;
	uint8_t nonce[FMT_NONCE_LEN];
	uint8_t salt[FMT_SALT_LEN];
	uint64_t wno_first;
	uint64_t wno_last;
	uint64_t resume_at;
	uint64_t resume_wno;
	uint8_t journal[FMT_UUID_LEN];
	uint64_t created_us;
	uint8_t prev_hash[FMT_HASH_LEN];

	uint32_t table_len;	/* sealed, with its tag */
	uint32_t nr_frames;
	uint32_t nr_entries;
	uint32_t data_blocks;	/* blocks in all frames */
	uint64_t object_len;
	uint8_t table_hash[FMT_HASH_LEN];
	uint8_t hash[FMT_HASH_LEN];
};

/* Where the first frame lies. */
static inline uint64_t fmt_seg_frames_off(const struct fmt_seg *s)
{
	return FMT_SEG_HDR_LEN + (uint64_t)s->table_len;
}

/*
 * Appends header and sealed table to @b. @k must have been made from the same type, volume, seq,
 * epoch and salt, and must not have sealed a table before. A fence: @t and @k NULL. -EINVAL as
 * fmt_table_encode(). The caller then puts: @b, the frames in table order, the footer.
 */
int fmt_seg_seal(struct buf *b, struct fmt_seg *s, const struct fmt_table *t,
		 const struct fmt_segkey *k, const uint8_t header_key[FMT_KEY_LEN]);

/* Sets the offsets of @t's frames as they lie in @s, once sealed. */
void fmt_seg_frame_offsets(const struct fmt_seg *s, struct fmt_table *t);

/* Makes the footer from the CRC32C (base/crc32c.h) of all bytes before it. */
void fmt_seg_footer(uint8_t out[FMT_SEG_FOOTER_LEN], uint32_t crc);

/*
 * Authenticates and decodes a header from the first FMT_SEG_HDR_LEN of @len bytes. @uuid, @type_gc
 * (is it from gc/?) and @seq are what the name said: -EBADMSG if the object is another one.
 */
int fmt_seg_header_open(struct fmt_seg *ret, const void *p, size_t len, const uint8_t uuid[16],
			int type_gc, uint64_t seq, const uint8_t header_key[FMT_KEY_LEN]);

/* The key of an object whose header was opened. */
void fmt_seg_key(struct fmt_segkey *k, const struct fmt_seg *s, const uint8_t kdata[FMT_KEY_LEN]);

/*
 * Opens the table, the @s->table_len bytes at @p behind the header (@len: how many there are;
 * fewer:
 * -EBADMSG). Not for a fence.
 */
int fmt_seg_table_open(struct fmt_table *ret, const struct fmt_seg *s, const struct fmt_segkey *k,
		       const void *p, size_t len);

/* Checks a whole object's length, footer and CRC32C against its opened header. */
int fmt_seg_check(const struct fmt_seg *s, const void *p, size_t len);

#endif
