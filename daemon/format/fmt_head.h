/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The head: the root of the volume's image, one object per version, create-only. The newest is the
 * first of LIST head/. Prefix, version and a box; the tag binds volume and version.
 */
#ifndef FORMAT_FMT_HEAD_H
#define FORMAT_FMT_HEAD_H

#include <stdbool.h>

#include "format/fmt.h"

#define FMT_HEAD_LEN	472u	/* every head is as long */
#define FMT_HEAD_MAX_WINDOW	4096u

/* Persisted. */
enum fmt_journal_state {
	FMT_JOURNAL_NONE	= 0,
	FMT_JOURNAL_OPEN	= 1,
	FMT_JOURNAL_CLEAN	= 2,
};

/* written by a clean detach: nothing follows replay_from - 1 */
#define FMT_HEAD_CLEAN	(1u << 0)

/**
 * struct fmt_head - host form
 * @version:	1, 2, 3...
 * @epoch:	of its writer: raised by every attach
 * @nonce:	of its writer
 * @window:	W: no writer has a seq >= lowest unacknowledged + W under way; constant from format
 * @flags:	FMT_HEAD_*
 * @keys_version: an older keys object than this must not be accepted
 * @manifest_version, @manifest_id: its name; 0, 0 = none yet. @manifest_hash: BLAKE2b-256 of the
 * object
 * @replay_from: first seq that the manifest does not hold
 * @chain:	hash of the object applied before @replay_from (zeros: none)
 * @last_wno:	last number the manifest holds
 * @floor:	a seq below it that is not in the segment table was deleted, not lost
 * @gc_floor:	the same for gc/
 * @journal, @journal_state, @journal_host: the writer's journal
 * @host:	of the writer, for messages
 * @image_journal: journal of the manifest's writer (zeros: none)
 * @journal_host_id: which machine @journal_host is (zeros: not said)
 * @journal_epoch, @journal_pos: how far @journal had got when this was made: the newest epoch on
 *		its disk, and the position up to which records were durable
 */
struct fmt_head {
	uint64_t version;
	uint64_t epoch;
	uint8_t nonce[FMT_NONCE_LEN];
	uint32_t window;
	uint32_t flags;
	uint64_t keys_version;
	uint64_t manifest_version;
	uint64_t manifest_id;
	uint8_t manifest_hash[32];
	uint64_t replay_from;
	uint8_t chain[FMT_HASH_LEN];
	uint64_t last_wno;
	uint64_t floor;
	uint64_t gc_floor;
	uint64_t created_us;
	uint8_t journal[FMT_UUID_LEN];
	uint32_t journal_state;
	char journal_host[FMT_NAME_LEN];
	char host[FMT_NAME_LEN];
	uint8_t image_journal[FMT_UUID_LEN];
	uint8_t journal_host_id[16];
	uint64_t journal_epoch;
	uint64_t journal_pos;
};

/* -EINVAL: a field is out of range. */
int fmt_head_seal(uint8_t out[FMT_HEAD_LEN], const struct fmt_head *h, const uint8_t uuid[16],
		  const uint8_t head_key[FMT_KEY_LEN]);

/* @version as the name said. */
int fmt_head_open(struct fmt_head *ret, const void *p, size_t len, const uint8_t uuid[16],
		  uint64_t version, const uint8_t head_key[FMT_KEY_LEN]);

#endif
