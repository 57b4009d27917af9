/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keys object: slots that each wrap the one master key, and generations of data keys wrapped by
 * the master. All of it under a MAC whose key comes from the master. volume/keys.h is what the rest
 * of the program uses.
 */
#ifndef FORMAT_FMT_KEYS_H
#define FORMAT_FMT_KEYS_H

#include "base/buf.h"
#include "format/fmt.h"

#define FMT_KEYS_MAX_SLOTS	16u
#define FMT_KEYS_MAX_GENS	4096u
#define FMT_KEYS_LABEL		32u
#define FMT_KEYS_MAX_LEN	(512u << 10)
#define FMT_KEYS_WRAPPED	(FMT_BOX_OVERHEAD + FMT_KEY_LEN)

/* Persisted. */
enum fmt_slot_type {
	FMT_SLOT_PASSPHRASE	= 1,	/* Argon2id */
	FMT_SLOT_KEYFILE	= 2,	/* BLAKE2b */
	FMT_SLOT_COMMAND	= 3,	/* reserved: a key command's output, as a key file */
};

/* Bounds on what a stored slot may make a reader do. */
#define FMT_KEYS_MAX_OPS	16u
#define FMT_KEYS_MAX_MEM	(1ull << 30)
#define FMT_KEYS_MIN_OPS	1u
#define FMT_KEYS_MIN_MEM	8192u

struct fmt_slot {
	uint8_t type;
	uint32_t id;		/* never reused in a volume */
	char label[FMT_KEYS_LABEL];
	uint64_t ops;		/* Argon2id passes; 0 for a key file */
	uint64_t mem;		/* Argon2id bytes; 0 for a key file */
	uint64_t created_us;
	uint8_t salt[16];
	uint8_t wrapped[FMT_KEYS_WRAPPED];
};

struct fmt_keygen {
	uint32_t gen;		/* 1, 2, 3... ascending; the last one encrypts what is new */
	uint64_t created_us;
	uint8_t wrapped[FMT_KEYS_WRAPPED];
};

struct fmt_keys {
	uint8_t uuid[FMT_UUID_LEN];
	uint64_t version;
	uint64_t created_us;
	char name[FMT_NAME_LEN];
	uint32_t next_slot;
	uint32_t nr_slots;
	uint32_t nr_gens;
	struct fmt_slot slots[FMT_KEYS_MAX_SLOTS];
	struct fmt_keygen *gens;
};

/* Appends the object. */
int fmt_keys_encode(struct buf *b, const struct fmt_keys *k, const uint8_t master[FMT_KEY_LEN]);

/*
 * Decodes and checks all but the MAC, which needs the master: until fmt_keys_verify() has said 0,
 * only slots may be used, and only to unwrap. Allocates gens; fmt_keys_free().
 */
int fmt_keys_decode(struct fmt_keys *ret, const void *p, size_t len, uint64_t version);
int fmt_keys_verify(const struct fmt_keys *k, const void *p, size_t len,
		    const uint8_t master[FMT_KEY_LEN]);
void fmt_keys_free(struct fmt_keys *k);

/*
 * Wraps the master in a slot under @kek (bound to volume, slot id, type and cost), and back:
 * -EKEYREJECTED.
 */
void fmt_keys_wrap_slot(struct fmt_slot *s, const uint8_t uuid[16], const uint8_t kek[FMT_KEY_LEN],
		   const uint8_t master[FMT_KEY_LEN]);
int fmt_keys_unwrap_slot(uint8_t master[FMT_KEY_LEN], const struct fmt_slot *s,
			 const uint8_t uuid[16], const uint8_t kek[FMT_KEY_LEN]);

/* The same for a data key under the master; -EBADMSG. */
void fmt_keys_wrap_gen(struct fmt_keygen *g, const uint8_t uuid[16],
		       const uint8_t master[FMT_KEY_LEN], const uint8_t key[FMT_KEY_LEN]);
int fmt_keys_unwrap_gen(uint8_t key[FMT_KEY_LEN], const struct fmt_keygen *g,
			const uint8_t uuid[16], const uint8_t master[FMT_KEY_LEN]);

#endif
