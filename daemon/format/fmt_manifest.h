/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A manifest: the image of the log up to a point, as a list of runs. Its hash stands in the head.
 * The body is a sequence of sections {type, flags, length}; a reader skips one that it does not
 * know unless its flags say that it must not, so snapshots and clones can add theirs.
 */
#ifndef FORMAT_FMT_MANIFEST_H
#define FORMAT_FMT_MANIFEST_H

#include "base/buf.h"
#include "format/fmt.h"

#define FMT_MANIFEST_MAX	(16u << 20)
#define FMT_MANIFEST_MAX_RUNS	65536u
#define FMT_MANIFEST_MAX_RUN_LEN	(1ull << 32)

#define FMT_DEV_RO	(1u << 0)

/**
 * struct fmt_dev - a device of the volume
 * @id:		never reused
 * @size:	bytes, a multiple of the block size
 * @birth:	wno of its creation (0: by format)
 * @death:	wno of its removal; ~0 = lives
 */
struct fmt_dev {
	uint32_t id;
	uint32_t flags;
	char name[FMT_NAME_LEN];
	uint64_t size;
	uint64_t birth;
	uint64_t death;
};

/* Persisted. */
enum fmt_run_kind {
	FMT_RUN_EXTENTS		= 1,
	FMT_RUN_SEGMENTS	= 2,
};

/**
 * struct fmt_run_ref - a run as the manifest names it. Runs of a kind are listed oldest first: a
 * key in a later run overrides earlier ones.
 * @version, @id: its name
 * @kind:	enum fmt_run_kind; @level: 0 = delta, higher = merged
 * @len:	of the object; @hash: BLAKE2b-256 of it
 * @index_off, @index_len: of its index, so that one GET finds any block
 * @count:	records in it
 * @first_*, @last_*: key range, inclusive. Extents: device and block. Segments: 0 seg, 1 gc, and
 * seq
 * @wno_first, @wno_last: oldest and newest birth in it
 */
struct fmt_run_ref {
	uint64_t version;
	uint64_t id;
	uint8_t kind;
	uint8_t level;
	uint64_t len;
	uint8_t hash[32];
	uint64_t index_off;
	uint32_t index_len;
	uint64_t count;
	uint32_t first_dev;
	uint64_t first_lba;
	uint32_t last_dev;
	uint64_t last_lba;
	uint64_t wno_first;
	uint64_t wno_last;
};

/*
 * @replay_from, @last_wno, @chain: as in the head that names it. @mapped_blocks: with data, all
 * devices.
 */
struct fmt_manifest {
	uint64_t version;
	uint64_t id;		/* random, part of the name */
	uint64_t epoch;
	uint64_t created_us;
	uint64_t replay_from;
	uint64_t last_wno;
	uint8_t chain[FMT_HASH_LEN];
	uint64_t mapped_blocks;
	uint32_t next_dev_id;
	uint32_t nr_devs;
	uint32_t nr_runs;
	struct fmt_dev *devs;
	struct fmt_run_ref *runs;
};

/* Appends the whole object; @ret_hash is what the head will hold. -EINVAL. */
int fmt_manifest_seal(struct buf *b, const struct fmt_manifest *m, const uint8_t uuid[16],
		      const uint8_t manifest_key[FMT_KEY_LEN], uint8_t ret_hash[32]);

/*
 * @version, @id: as named by the head; @hash: as in the head, NULL = not checked. Allocates the
 * arrays; fmt_manifest_free().
 */
int fmt_manifest_open(struct fmt_manifest *ret, const void *p, size_t len, const uint8_t uuid[16],
		      uint64_t version, uint64_t id, const uint8_t *hash,
		      const uint8_t manifest_key[FMT_KEY_LEN]);

void fmt_manifest_free(struct fmt_manifest *m);

#endif
