/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keyring: a volume's master key and what is derived from it or wrapped by it, in locked memory
 * that is zeroed when freed. Key derivation from a passphrase runs on env->exec.
 *
 * Threads as in volume.h: core lock held, [waits] lets go of it. keys_get() may be called from any
 * thread; what keys_data() returns is valid until the next keys_rotate() or keys_adopt().
 *
 * Errors: -EKEYREJECTED no slot takes this secret; -ENOENT no volume here; -EBADMSG the keys object
 * is damaged or forged; -EPROTONOSUPPORT made by a later version; store errors as they are; -EINTR
 * the wait was ended.
 */
#ifndef VOLUME_KEYS_H
#define VOLUME_KEYS_H

#include <stddef.h>
#include <stdint.h>

struct keyring;
struct volume_env;

enum keys_secret_kind {
	KEYS_PASSPHRASE	= 1,
	KEYS_KEYFILE	= 2,	/* the file's bytes, KEYS_KEYFILE_MIN at least */
};

#define KEYS_KEYFILE_MIN	16u
#define KEYS_KEYFILE_MAX	65536u
#define KEYS_PASSPHRASE_MAX	1024u
#define KEYS_LABEL_LEN		32u

struct keys_secret {
	enum keys_secret_kind kind;
	const void *data;	/* the caller's, until the call returns */
	size_t len;
};

/* What Argon2id costs: 8 MiB once, 64 MiB twice, 256 MiB thrice, 1 GiB four times. */
enum keys_cost {
	KEYS_COST_MIN,
	KEYS_COST_INTERACTIVE,
	KEYS_COST_MODERATE,
	KEYS_COST_SENSITIVE,
};

/* "min", "interactive", "moderate", "sensitive". -EINVAL. */
int keys_cost_parse(const char *s, enum keys_cost *ret);

/* -EINVAL: empty, too short or too long for its kind. */
int keys_secret_check(const struct keys_secret *s);

/*
 * Draws a master and a data key for a new volume and writes keys object 1 with one slot for
 * @secret. -EEXIST: there is a volume (a head) here; -ENOTEMPTY: no head, but keys: a format that
 * did not end. [waits]
 */
int keys_create(struct keyring **ret, const struct volume_env *env, const uint8_t uuid[16],
		const char *name, const struct keys_secret *secret, enum keys_cost cost,
		const char *label);

/*
 * Takes back what keys_create() wrote, when the format goes on to fail before its head is there.
 * Never on a keyring that was opened. Frees nothing. [waits]
 */
int keys_discard(struct keyring *kr, const struct volume_env *env);

/* Opens the newest keys object with @secret. [waits] */
int keys_open(struct keyring **ret, const struct volume_env *env, const struct keys_secret *secret);

/*
 * Changes. Each is a new keys object; older ones stay until keys_sweep(). -EEXIST: somebody else
 * changed the keys meanwhile, and nothing was done (open again). After another error the object may
 * be there or not; opening again tells.
 */

/* Adds a slot for @secret. -EOVERFLOW: all slots are taken. [waits] */
int keys_add(struct keyring *kr, const struct volume_env *env, const struct keys_secret *secret,
	     enum keys_cost cost, const char *label, uint32_t *ret_id);

/*
 * Removes slot @id. -EBUSY: it is the one that opened the keyring, or the last one: who has none
 * that stays would lock himself out; -EALREADY: it was removed before; -ENXIO: there never was such
 * a slot. [waits]
 */
int keys_remove(struct keyring *kr, const struct volume_env *env, uint32_t id);

/*
 * Draws a new data key, which encrypts what is new; the old ones stay. -EOVERFLOW: there are as
 * many as can be. [waits]
 */
int keys_rotate(struct keyring *kr, const struct volume_env *env, uint32_t *ret_gen);

/*
 * How many keys objects older than the keyring there are: they open with secrets that were removed
 * since. keys_sweep() deletes them; *ret_nr is right after an error too. [waits]
 */
int keys_older(struct keyring *kr, const struct volume_env *env, uint32_t *ret_nr);
int keys_sweep(struct keyring *kr, const struct volume_env *env, uint32_t *ret_nr);

/*
 * Does the newest head accept this keys object? -ESTALE: it wants a later one, which somebody has
 * taken away; 0 also if there is no head. [waits]
 */
int keys_allowed(struct keyring *kr, const struct volume_env *env);

/*
 * Takes over keys object @version of the same volume, @len bytes at @p: needs no secret, as the
 * keyring has the master. -ESTALE: it is older than the keyring; -EBADMSG, -EPROTONOSUPPORT,
 * -ENOMEM: nothing has changed.
 */
int keys_adopt(struct keyring *kr, const void *p, size_t len, uint64_t version);

void keys_free(struct keyring *kr);	/* NULL does nothing */

struct keys_slot {
	uint32_t id;
	enum keys_secret_kind kind;
	char label[KEYS_LABEL_LEN];
	uint64_t argon_ops, argon_mem;
	uint64_t created_us;
};

/* The slots, valid until the next change or keys_free(). */
uint32_t keys_slots(const struct keyring *kr, const struct keys_slot **ret);

const uint8_t *keys_uuid(const struct keyring *kr);
const char *keys_name(const struct keyring *kr);
/* of the keys object: see fmt_head.keys_version */
uint64_t keys_version(const struct keyring *kr);

/* 32-byte keys; live as long as the keyring. */
enum keys_use {
	KEYS_HEADER,	/* MAC of segment headers */
	KEYS_HEAD,
	KEYS_MANIFEST,
	KEYS_RUN,
	KEYS_JOURNAL,
	KEYS_LEASE,
	KEYS_NR_USES,
};
const uint8_t *keys_get(const struct keyring *kr, enum keys_use use);

/*
 * The data key of generation @gen, NULL if there is none; the generation that encrypts what is new.
 */
const uint8_t *keys_data(const struct keyring *kr, uint32_t gen);
uint32_t keys_data_gen(const struct keyring *kr);

#endif
