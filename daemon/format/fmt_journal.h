/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local journal on its disk: two copies of a superblock, then a ring of records. docs/format.md
 * describes every byte.
 *
 * A *position* is a logical byte offset that only grows; it lies at ring_off + position % ring_len.
 * A record is a multiple of 4096 bytes and never crosses the ring's end: a pad record fills what is
 * left of a lap. Each record names the hash of the one before it, and is valid only at its own
 * position.
 *
 * Cryptography: the 192-byte header is the AAD of the table, the table holds a tag for each block
 * of payload. XChaCha20-Poly1305 under KEYS_JOURNAL; nonce = the header's 16 random bytes || u64
 * index, index 0 for the table and 1 + block for the payload. The random bytes are drawn anew for
 * each attempt to write a record, so no two texts ever share a nonce.
 */
#ifndef FORMAT_FMT_JOURNAL_H
#define FORMAT_FMT_JOURNAL_H

#include <stdbool.h>

#include "format/fmt.h"

#define FMT_JOURNAL_BLOCK	4096u
#define FMT_JOURNAL_SB_LEN	4096u	/* copy 0 at offset 0, copy 1 at 4096 */
#define FMT_JOURNAL_RING_OFF	65536u
#define FMT_JOURNAL_MIN_SIZE	(64ull << 20)	/* of all; a multiple of 4096 */
#define FMT_JOURNAL_HDR_LEN	192u
#define FMT_JOURNAL_MAX_BLOCKS	256u	/* of payload in one record: 1 MiB; one WRITE always fits */
#define FMT_JOURNAL_MAX_OPS	256u
#define FMT_JOURNAL_OP_LEN	32u

/* Bytes of the part before the payload: header, table, zeros to a multiple of 4096. */
#define FMT_JOURNAL_HEAD_LEN(ops, blocks)                                                          \
	((FMT_JOURNAL_HDR_LEN + (ops) * FMT_JOURNAL_OP_LEN + (blocks) * FMT_TAG_LEN +              \
	  FMT_JOURNAL_BLOCK - 1) /                                                                 \
	 FMT_JOURNAL_BLOCK * FMT_JOURNAL_BLOCK)
#define FMT_JOURNAL_MAX_LEN                                                                        \
	(FMT_JOURNAL_HEAD_LEN(FMT_JOURNAL_MAX_OPS, FMT_JOURNAL_MAX_BLOCKS) +                       \
	 FMT_JOURNAL_MAX_BLOCKS * FMT_JOURNAL_BLOCK)

/* Persisted. */
enum fmt_journal_type {
	FMT_JOURNAL_OPS		= 1,
	FMT_JOURNAL_PAD		= 2,	/* nothing: the next record begins a lap */
	FMT_JOURNAL_SEALED	= 3,	/* reserved: frames as they lie in segments */
};

/* Persisted. */
enum fmt_journal_op_kind {
	FMT_JOURNAL_WRITE	= 1,
	FMT_JOURNAL_DISCARD	= 2,
	FMT_JOURNAL_ZEROES	= 3,
};

#define FMT_JOURNAL_NOUNMAP	(1u << 0)

/**
 * struct fmt_journal_sb - superblock, host form
 * @generation:	the copy with the higher one counts; each write raises it, and goes to the copy that
 *		does not count
 * @journal:	UUID of the journal
 * @size:	of file or partition as used
 * @start:	position of the oldest record that is needed; @start_prev: hash of the record before
 *		it (zeros: none)
 * @start_wno:	operations up to this number are in the store
 * @epoch:	of the last owner that found this journal to go on with the log
 * @clean:	everything is in the store, there is no record from @start on
 * @host:	that made it, for messages
 */
struct fmt_journal_sb {
	uint64_t generation;
	uint8_t journal[FMT_UUID_LEN];
	uint64_t size;
	uint64_t start;
	uint8_t start_prev[FMT_HASH_LEN];
	uint64_t start_wno;
	uint64_t epoch;
	uint64_t created_us;
	uint64_t saved_us;
	bool clean;
	char host[FMT_NAME_LEN];
};

struct fmt_journal_op {
	uint64_t wno;
	uint64_t lba;
	uint32_t dev;
	uint32_t blocks;	/* WRITE: 1..256, that many blocks of payload; else 1..2^32 - 1 */
	uint8_t kind;		/* enum fmt_journal_op_kind */
	uint8_t flags;		/* FMT_JOURNAL_NOUNMAP, with ZEROES */
};

/**
 * struct fmt_journal_rec - record header, host form
 * @len:	of the whole record
 * @pos:	its position
 * @first, @last: numbers that it speaks for: those of its ops, which ascend, and between them
 *		numbers that were never acknowledged. PAD: 0
 * @flushed_to:	operations up to this number were durable in journal or store before this was
 *		written
 * @store_to:	... in the store: never beyond @flushed_to
 * @nr_ops, @nr_blocks: of table and payload
 * @prev:	hash of the record before it
 * @hash:	of this one, set by seal, peek and open: BLAKE2b-128 of the 192 bytes
 */
struct fmt_journal_rec {
	uint8_t type;		/* enum fmt_journal_type */
	uint32_t len;
	uint8_t journal[FMT_UUID_LEN];
	uint64_t pos;
	uint64_t epoch;
	uint64_t first, last;
	uint64_t flushed_to;
	uint64_t store_to;
	uint32_t nr_ops, nr_blocks;
	uint64_t created_us;
	uint8_t prev[FMT_HASH_LEN];
	uint8_t hash[FMT_HASH_LEN];
};

/* FMT_JOURNAL_SB_LEN bytes. -EINVAL: a field is out of range. */
int fmt_journal_sb_seal(uint8_t out[FMT_JOURNAL_SB_LEN], const struct fmt_journal_sb *s,
			const uint8_t uuid[16], const uint8_t key[FMT_KEY_LEN]);

/*
 * @uuid NULL: whatever volume's (then *ret_uuid says whose); @key NULL: the checksum alone is
 * checked, for `zerofs journal show` without a secret. -EBADMSG; -EPROTONOSUPPORT; -ENODATA: all
 * zeros, never formatted.
 */
int fmt_journal_sb_open(struct fmt_journal_sb *ret, const void *p, size_t len, const uint8_t *uuid,
			uint8_t ret_uuid[16], const uint8_t *key);

/*
 * Makes a record in @out, r->len bytes, aligned or not: header, table, encrypted payload. @blocks:
 * nr_blocks pointers to 4096 bytes each, in the order of the ops. Sets r->len (PAD: as the caller
 * set it; only the first 4096 bytes are made, and are all that must be written), r->hash.
 * -EINVAL: what breaks the format's rules. Any thread.
 */
int fmt_journal_seal(uint8_t *out, struct fmt_journal_rec *r, const struct fmt_journal_op *ops,
		     const uint8_t *const *blocks, const uint8_t uuid[16],
		     const uint8_t key[FMT_KEY_LEN]);

/*
 * A header, from the first 192 bytes of what may be anything: checks the checksum over them, all
 * ranges, volume and journal, and that it stands at @pos. Not authenticated yet. -EBADMSG also for
 * "no record here".
 */
int fmt_journal_peek(struct fmt_journal_rec *ret, const void *p, size_t len, const uint8_t uuid[16],
		     const uint8_t journal[16], uint64_t pos);

/*
 * A whole record of @len bytes at @p (len as peek said): authenticates header and table, fills
 * @ops (room for nr_ops), and checks the tag of every block of payload. With @payload not NULL the
 * blocks are decrypted to it (nr_blocks * 4096 bytes). Of a PAD the first 4096 bytes are enough.
 * -EBADMSG: torn, rotten or forged; nothing of it counts.
 */
int fmt_journal_open(struct fmt_journal_rec *ret, struct fmt_journal_op *ops, uint8_t *payload,
		     const void *p, size_t len, const uint8_t uuid[16], const uint8_t journal[16],
		     uint64_t pos, const uint8_t key[FMT_KEY_LEN]);

#endif
