/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a segment is called by its frames and its table: its identity and its key. */
#ifndef FORMAT_FMT_SEGKEY_H
#define FORMAT_FMT_SEGKEY_H

#include "format/fmt.h"

/* enum fmt_seg_type, persisted */
enum fmt_seg_type {
	FMT_SEG_DATA	= 1,	/* seg/: data of the log */
	FMT_SEG_GC	= 2,	/* gc/: blocks moved by the cleaner */
	FMT_SEG_FENCE	= 3,	/* seg/: a new owner; header only */
};

/* A segment's identity and key. Holds a secret: fmt_segkey_wipe() when done. */
struct fmt_segkey {
	uint8_t type;
	uint8_t uuid[FMT_UUID_LEN];
	uint64_t seq;
	uint64_t epoch;
	uint8_t key[FMT_KEY_LEN];
};

/*
 * K_seg = keyed BLAKE2b-256(@kdata, @salt || seq || epoch). For a new segment draw a fresh salt
 * with fmt_segkey_salt(): a key that has sealed one thing must never seal another under the same
 * number.
 */
void fmt_segkey_init(struct fmt_segkey *k, uint8_t type, const uint8_t uuid[16], uint64_t seq,
		     uint64_t epoch, const uint8_t salt[FMT_SALT_LEN],
		     const uint8_t kdata[FMT_KEY_LEN]);
void fmt_segkey_salt(uint8_t salt[FMT_SALT_LEN]);
void fmt_segkey_wipe(struct fmt_segkey *k);

#endif
