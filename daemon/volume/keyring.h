/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keyring in memory: what is secret, how a secret opens or makes a slot. Only keys.c and
 * keys_change.c include it; for the rest of the program it is opaque (keys.h).
 *
 * Threads: core lock held, [waits] lets go of it.
 */
#ifndef VOLUME_KEYRING_H
#define VOLUME_KEYRING_H

#include "format/fmt_keys.h"
#include "volume/keys.h"
#include "volume/sio.h"

/* In locked memory. */
struct secrets {
	uint8_t master[FMT_KEY_LEN];
	uint8_t use[KEYS_NR_USES][FMT_KEY_LEN];
};

struct keyring {
	struct secrets *s;
	uint8_t *data; /* locked: nr_gens keys of 32 B */
	struct fmt_keys k; /* as stored; nothing secret */
	struct keys_slot slots[FMT_KEYS_MAX_SLOTS];
	uint32_t opened; /* id of the slot that the secret opened, or was made for */
};

/* Empty, with its locked memory. NULL: there is none to be had. */
struct keyring *keyring_new(void);
void keyring_free(struct keyring *kr);	/* NULL does nothing */

/*
 * The data keys of @k under the keyring's master, in locked memory (sodium_free()). -ENOMEM,
 * -EBADMSG.
 */
int keyring_unwrap(uint8_t **ret, const struct keyring *kr, const struct fmt_keys *k);

/* Derives and unwraps everything from the master and kr->k, once. As keyring_unwrap(). */
int keyring_fill(struct keyring *kr);

/* What keys_slots() shows, from kr->k. */
void keyring_fill_slots(struct keyring *kr);

/*
 * Finds the slot of kr->k that @secret opens: master and opened. -EKEYREJECTED: none does. [waits]
 */
int keyring_unlock(struct keyring *kr, const struct volume_env *env,
		   const struct keys_secret *secret);

/* A slot for a secret of @kind, not yet wrapped. -EINVAL: cost or label. */
int keyring_init_slot(struct fmt_slot *s, uint32_t id, enum keys_secret_kind kind,
		      enum keys_cost cost, const char *label, uint64_t now_us);

/* Wraps the master in @s under @secret. [waits] */
int keyring_wrap_slot(struct fmt_slot *s, const struct volume_env *env, const struct keyring *kr,
		      const struct keys_secret *secret);

/*
 * One request, tried once; frees it unless @ret takes it. NULL: -ENOMEM. [waits]
 */
ssize_t keyring_request(struct sio *s, struct sio **ret);

/* Version of the newest keys object. -ENOENT: there is none. [waits] */
int keyring_newest(struct sio_ctx *c, uint64_t *ret);

/* Puts @k under its version's name. -EEXIST: somebody else has made that version. [waits] */
int keyring_put(struct sio_ctx *c, const struct fmt_keys *k, const uint8_t *master);

#endif
