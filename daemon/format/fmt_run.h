/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A run: sorted records in blocks of up to 64 KiB, each block a box of its own, and an index of
 * first keys (also a box) at the end, so that a reader fetches the index and then single blocks.
 *
 *	header 64 B | block 0 | block 1 | ... | index
 *
 * Each tag binds the header (volume, name, kind) and the block's number.
 */
#ifndef FORMAT_FMT_RUN_H
#define FORMAT_FMT_RUN_H

#include <stdbool.h>

#include "base/buf.h"
#include "format/fmt.h"
#include "format/fmt_manifest.h"

#define FMT_RUN_HDR_LEN		64u
#define FMT_RUN_BLOCK		65536u		/* records of one block, encoded, at most */
#define FMT_RUN_MAX_OBJECT	(256u << 20)	/* writers start another run before this */
#define FMT_RUN_MAX_BLOCKS	65536u
#define FMT_RUN_MIN_RECORD	5u		/* no record takes fewer bytes */
#define FMT_RUN_BLOCK_RECORDS	(FMT_RUN_BLOCK / FMT_RUN_MIN_RECORD)

/**
 * struct fmt_extent - blocks of a device. Sorted by (dev, lba), disjoint within a run.
 * @tomb:	reads as zero, and hides older runs; the fields of the place are 0
 * @birth:	wno of the write or discard
 * @gc, @seq:	the object that holds the data
 * @frame_off:	of the frame, from the object's first byte
 * @stored_len:	of the frame
 * @block:	first block within the frame
 * @frame_blocks: of the frame; its first LBA is @lba - @block
 * @codec:	enum fmt_codec
 */
struct fmt_extent {
	uint32_t dev;
	uint32_t blocks;
	uint64_t lba;
	uint64_t birth;
	uint64_t seq;
	uint32_t frame_off;
	uint32_t stored_len;
	uint8_t tomb;
	uint8_t gc;
	uint8_t block;
	uint8_t frame_blocks;
	uint8_t codec;
};

/* its object was deleted, or will be once this is durable */
#define FMT_SEGREC_DELETED	(1u << 0)

/**
 * struct fmt_segrec - a segment in the segment table. Sorted by (gc, seq).
 * @live_blocks: still named by the map
 * @frame_bytes: stored length of all frames
 * @hash:	of header and table (struct fmt_seg.hash)
 */
struct fmt_segrec {
	uint8_t gc;
	uint32_t flags;
	uint64_t seq;
	uint64_t epoch;
	uint32_t key_gen;
	uint32_t table_len;
	uint32_t nr_frames;
	uint32_t data_blocks;
	uint32_t live_blocks;
	uint64_t object_len;
	/* sum over frames of stored length * live blocks / blocks, rounded down */
	uint64_t live_bytes;
	uint64_t wno_first;
	uint64_t wno_last;
	uint64_t created_us;
	uint8_t salt[FMT_SALT_LEN];
	uint8_t hash[FMT_HASH_LEN];
};

/* ---- writing ----------------------------------------------------------------------------- */

struct fmt_run_writer;

/*
 * A writer of one run object of @kind, named (@version, random id). @run_key, @uuid: copied. NULL
 * only without memory.
 */
struct fmt_run_writer *fmt_run_writer_new(const uint8_t uuid[16], uint64_t version,
					  enum fmt_run_kind kind, uint8_t level,
					  const uint8_t run_key[FMT_KEY_LEN]);
void fmt_run_writer_free(struct fmt_run_writer *w);

/*
 * Appends a record. In ascending, disjoint order. -EINVAL: order or a field; -EFBIG: the object has
 * reached FMT_RUN_MAX_OBJECT / 2: finish it and go on in another run; -ENOMEM.
 */
int fmt_run_add_extent(struct fmt_run_writer *w, const struct fmt_extent *x);
int fmt_run_add_segrec(struct fmt_run_writer *w, const struct fmt_segrec *s);

/*
 * Ends the run: the object's bytes are moved to @out (an empty buf), @ret is how the manifest names
 * it.
 */
int fmt_run_finish(struct fmt_run_writer *w, struct buf *out, struct fmt_run_ref *ret);

/* ---- reading ----------------------------------------------------------------------------- */

struct fmt_run_block {
	uint64_t off;		/* in the object */
	uint32_t len;		/* sealed */
	uint32_t count;		/* records */
	uint32_t first_dev;
	uint64_t first_lba;
};

struct fmt_run_index {
	struct fmt_run_ref ref;
	uint8_t hdr[FMT_RUN_HDR_LEN];
	uint32_t nr_blocks;
	struct fmt_run_block *blocks;
};

/* Opens the index, the bytes [ref->index_off, + index_len) of the object. fmt_run_index_free(). */
int fmt_run_index_open(struct fmt_run_index *ret, const struct fmt_run_ref *ref,
		       const uint8_t uuid[16], const void *p, size_t len,
		       const uint8_t run_key[FMT_KEY_LEN]);
void fmt_run_index_free(struct fmt_run_index *x);

/*
 * Opens block @n, its sealed bytes, into @ret (room for blocks[n].count; at most
 * FMT_RUN_BLOCK_RECORDS). The kind must be that of the run.
 */
int fmt_run_extents_open(struct fmt_extent *ret, const struct fmt_run_index *x, uint32_t n,
			 const void *p, size_t len, const uint8_t run_key[FMT_KEY_LEN]);
int fmt_run_segrecs_open(struct fmt_segrec *ret, const struct fmt_run_index *x, uint32_t n,
			 const void *p, size_t len, const uint8_t run_key[FMT_KEY_LEN]);

/*
 * Checks a whole object (length, hash, header) and opens its index: for a reader that has all of
 * it. Then block n is at p + blocks[n].off.
 */
int fmt_run_open(struct fmt_run_index *ret, const struct fmt_run_ref *ref, const uint8_t uuid[16],
		 const void *p, size_t len, const uint8_t run_key[FMT_KEY_LEN]);

#endif
