/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a host remembers of a volume, in its state folder: the newest image it has seen, so that an
 * older one is refused. 128 B, replaced atomically at each head, and once a minute while a journal
 * is written.
 */
#ifndef FORMAT_FMT_STATE_H
#define FORMAT_FMT_STATE_H

#include "format/fmt.h"

#define FMT_STATE_LEN	128u
#define FMT_STATE_TAG_LEN	4u

struct fmt_state {
	uint64_t head_version;	/* highest head seen */
	uint64_t epoch;		/* of this host's last process that told its kernel what it found */
	uint64_t keys_version;	/* highest keys object seen */
	uint64_t commit_seq;	/* last commit point seen: seq and hash of that object (0: none) */
	uint8_t commit_hash[FMT_HASH_LEN];
	uint64_t commit_wno;
	uint64_t saved_us;
	/* as in a head (fmt_head.h), of the journal whose UUID begins with the tag */
	uint64_t journal_epoch;
	uint64_t journal_pos;
	uint8_t journal_tag[FMT_STATE_TAG_LEN];
};

void fmt_state_encode(uint8_t out[FMT_STATE_LEN], const struct fmt_state *s,
		      const uint8_t uuid[16]);
int fmt_state_decode(struct fmt_state *ret, const void *p, size_t len, const uint8_t uuid[16]);

#endif
