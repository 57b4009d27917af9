/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arena's index: what lets a restarted daemon adopt the writes an earlier one acknowledged. It
 * lies in the arena's memory file before the data region: a header of 4096 B, then 64 B entries.
 * Not in any store; little-endian all the same.
 *
 * One entry is one acknowledged WRITE, DISCARD or WRITE_ZEROES. An entry counts if and only if its
 * valid word is set and its CRC32C matches; the valid word is stored last, with release, and
 * cleared first.
 */
#ifndef FORMAT_FMT_ARENA_H
#define FORMAT_FMT_ARENA_H

#include <stdbool.h>

#include "format/fmt.h"

#define FMT_ARENA_HDR_LEN	4096u
#define FMT_ARENA_ENTRY_LEN	64u

/* Persisted. */
enum fmt_arena_op {
	FMT_ARENA_WRITE		= 1,
	FMT_ARENA_DISCARD	= 2,
	FMT_ARENA_ZEROES	= 3,
};

#define FMT_ARENA_NOUNMAP	(1u << 0)

/*
 * Geometry, in bytes from the start of the memory file; all multiples of 4096 but nr_entries.
 * @write_off: of the region that write extents are cut from, relative to @data_off; the rest of the
 * data region is cache. @extent_len: of one write extent.
 */
struct fmt_arena {
	uint64_t total_len;
	uint64_t data_off;
	uint64_t data_len;
	uint64_t index_off;	/* of entry 0 */
	uint32_t nr_entries;
	uint32_t extent_len;
	uint64_t write_off;
	uint64_t write_len;
	uint64_t epoch;		/* of the daemon that made it, for people */
	uint64_t created_us;
	uint64_t spilled;	/* as it is when made or opened: fmt_arena_spilled() */
	uint64_t owner;		/* the same: fmt_arena_set_owner() */
	uint64_t journal;	/* the same: fmt_arena_set_journal() */
};

struct fmt_arena_rec {
	uint64_t wno;
	uint64_t lba;
	uint64_t off;		/* WRITE: in the data region */
	uint32_t dev;
	uint32_t blocks;
	uint8_t op;
	uint8_t flags;
};

/* As it lies in memory; 64-byte aligned there. */
struct fmt_arena_entry {
	le64 wno;
	le64 lba;
	le64 off;
	le32 dev;
	le32 blocks;
	uint8_t op;
	uint8_t flags;
	uint8_t rsvd[18];	/* 0 */
	le32 crc;		/* CRC32C of the 52 B before it */
	uint64_t valid;		/* 0 or FMT_ARENA_VALID ^ wno, little-endian */
};
static_assert(sizeof(struct fmt_arena_entry) == FMT_ARENA_ENTRY_LEN, "arena entry");

#define FMT_ARENA_VALID	0x5a65726f41726e61ull

/* Writes the header (FMT_ARENA_HDR_LEN bytes). The entries behind it must be zero. */
void fmt_arena_init(void *hdr, const struct fmt_arena *a, const uint8_t uuid[16]);

/* Checks a header that may be anything, against the length @mapped. -EBADMSG, -EPROTONOSUPPORT. */
int fmt_arena_open(struct fmt_arena *ret, const void *hdr, size_t mapped, const uint8_t uuid[16]);

/*
 * Numbers up to here may have no entry though they are acknowledged: the journal has them;
 * FMT_ARENA_LOST: of no number it is known, and nothing of it was read. FMT_ARENA_GONE: what has no
 * entry is in no other place either, and who uses the volume has seen it. One word behind the
 * header proper, so that it is changed in one store.
 */
#define FMT_ARENA_LOST	(~0ull)
#define FMT_ARENA_GONE	(~0ull - 1)
uint64_t fmt_arena_spilled(const void *hdr);
void fmt_arena_set_spilled(void *hdr, uint64_t wno);

/*
 * The epoch of the last owner that had nothing of another host's to tell the kernel whose arena
 * this is, or had told it; 0: none has said so. A word of its own, too.
 */
void fmt_arena_set_owner(void *hdr, uint64_t epoch);

/* The epoch in the superblock of the journal that goes with the arena; 0: none does. The same. */
void fmt_arena_set_journal(void *hdr, uint64_t epoch);

/* Fills entry @e and then makes it count (store-release). One writer per entry. */
void fmt_arena_set(struct fmt_arena_entry *e, const struct fmt_arena_rec *r);
void fmt_arena_clear(struct fmt_arena_entry *e);

/*
 * 1: @ret holds a valid record of arena @a (ranges checked); 0: the entry is free; -EBADMSG: it
 * claims to be valid and is not.
 */
int fmt_arena_get(struct fmt_arena_rec *ret, const struct fmt_arena_entry *e,
		  const struct fmt_arena *a);

#endif
