/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The extent table of a segment: what its writes were, in wno order, and where their data lies.
 * Host form here; fmt_seg.h seals it. Frames lie in the object densely, in order, right behind
 * the table.
 */
#ifndef FORMAT_FMT_TABLE_H
#define FORMAT_FMT_TABLE_H

#include "base/buf.h"
#include "format/fmt_frame.h"

#define FMT_TABLE_MAX_FRAMES	65536u
#define FMT_TABLE_MAX_ENTRIES	(1u << 20)
#define FMT_TABLE_MAX_BYTES	(16u << 20)	/* encoded */
#define FMT_CONTROL_MAX		4096u
#define FMT_SEG_MAX_OFF		(256u << 20)	/* no object is longer */

/* Persisted. */
enum fmt_entry_kind {
	FMT_E_DATA	= 0,	/* blocks of a frame */
	FMT_E_ZERO	= 1,	/* reads as zero, space to be kept (WRITE_ZEROES with NOUNMAP) */
	FMT_E_DISCARD	= 2,	/* reads as zero */
	/* the cleaner moved blocks, if they still are where it found them */
	FMT_E_MOVE	= 3,
	FMT_E_CONTROL	= 4,	/* a device or a snapshot changed */
	FMT_E_VOID	= 5,	/* these numbers were never acknowledged */
	FMT_NR_ENTRY_KINDS = 6,
};

/**
 * struct fmt_entry - one record of the log, or a piece of one
 * @kind:	enum fmt_entry_kind
 * @wno:	its number. In a gc object: the birth of the data. VOID: the first of @blocks
 *		numbers
 * @dev:	DATA, ZERO, DISCARD, MOVE
 * @lba:	ditto. DATA: set by the decoder, must agree with the frame for the encoder
 * @blocks:	ditto, > 0. VOID: how many numbers
 * @frame:	DATA: index of the frame; @block: first block in it
 * @birth:	MOVE: wno at which the data was written
 * @from_gc:	MOVE: the old place is in gc/ rather than seg/
 * @from_seq:	MOVE: the old place: object, byte offset of the frame, block in it
 * @to_seq:	MOVE: the new place: gc object, number of the frame, block in it
 * @control:	CONTROL: enum fmt_control; @body, @body_len: its body, owned by the table's bytes
 */
struct fmt_entry {
	uint8_t kind;
	uint8_t from_gc;
	uint16_t block;
	uint32_t dev;
	uint64_t wno;
	uint64_t lba;
	uint32_t blocks;
	uint32_t frame;
	union {
		struct {
			uint64_t birth;
			uint64_t from_seq;
			uint64_t from_off;
			uint64_t to_seq;
			uint32_t to_frame;
			uint16_t from_block;
			uint16_t to_block;
		};
		struct {
			const uint8_t *body;
			uint32_t body_len;
			uint32_t control;
		};
	};
};

/* Persisted. Bodies are in docs/format.md; a reader that does not know one must stop. */
enum fmt_control {
	FMT_C_DEV_ADD		= 1,
	FMT_C_DEV_RESIZE	= 2,
	FMT_C_DEV_REMOVE	= 3,
	FMT_C_DEV_FLAGS		= 4,
	FMT_C_SNAPSHOT		= 5,	/* reserved */
	/* reserved: number and hash of a gc object that MOVEs name */
	FMT_C_GC_OBJECT		= 6,
};

struct fmt_table {
	struct fmt_frame *frames;
	uint32_t nr_frames;
	struct fmt_entry *entries;
	uint32_t nr_entries;
	uint8_t *bytes;		/* decoded tables: what control bodies point into */
};

/*
 * Appends the encoded table. -EINVAL: a rule is broken: entries of a data segment not in wno order
 * or outside [@wno_first, @wno_last], an extent outside its frame, two frames that overlap, a
 * limit. Frame offsets are not looked at: they follow from the order.
 */
int fmt_table_encode(struct buf *b, const struct fmt_table *t, enum fmt_seg_type type,
		     uint64_t wno_first, uint64_t wno_last);

/*
 * Decodes an authenticated table of @nr_frames frames and @nr_entries entries, checks the same
 * rules and that the frames fill the object's bytes [@frames_off, @frames_end) exactly. Allocates;
 * fmt_table_free() it.
 */
int fmt_table_decode(struct fmt_table *ret, const void *p, size_t len, enum fmt_seg_type type,
		     uint64_t wno_first, uint64_t wno_last, uint32_t nr_frames, uint32_t nr_entries,
		     uint64_t frames_off, uint64_t frames_end);

/* Frees the arrays of a decoded table and empties it. */
void fmt_table_free(struct fmt_table *t);

#endif
