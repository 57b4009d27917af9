// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The keyring.
 *
 * Opening: LIST keys/, GET the newest, try every slot of the secret's kind (on a worker: Argon2id
 * takes its time and memory), check the MAC of the whole with the master that came out, unwrap the
 * data keys, derive the rest. Until the MAC has been checked nothing but the slots is used.
 *
 * An object that a LIST shows and a GET does not find was superseded and deleted in between
 * (keys_change.c): the LIST is looked at again.
 */
#include "volume/keys.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "format/fmt_name.h"
#include "volume/keyring.h"
#include "volume/notice.h"
#include "volume/volume.h"

#define RACES_MAX 8u /* keys objects that vanish under our eyes before we give up */

static_assert(VOLUME_NAME_LEN == FMT_NAME_LEN, "name");

int keys_cost_parse(const char *s, enum keys_cost *ret)
{
	static const char *const names[] = {
		[KEYS_COST_MIN] = "min",
		[KEYS_COST_INTERACTIVE] = "interactive",
		[KEYS_COST_MODERATE] = "moderate",
		[KEYS_COST_SENSITIVE] = "sensitive",
	};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(s, names[i])) {
			*ret = (enum keys_cost)i;
			return 0;
		}
	}
	return -EINVAL;
}

int keys_secret_check(const struct keys_secret *s)
{
	switch (s->kind) {
	case KEYS_PASSPHRASE:
		return s->len && s->len <= KEYS_PASSPHRASE_MAX ? 0 : -EINVAL;
	case KEYS_KEYFILE:
		return s->len >= KEYS_KEYFILE_MIN && s->len <= KEYS_KEYFILE_MAX ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

/* Is there an object whose name begins with @prefix? [waits] */
static int any(struct sio_ctx *c, const char *prefix)
{
	return (int)keyring_request(sio_list(c, prefix, "", 1), NULL);
}

/* A new volume's keys in memory: random master and data key, one slot. [waits] */
static int make_keyring(struct keyring *kr, const struct volume_env *env, const uint8_t uuid[16],
			const char *name, const struct keys_secret *secret, enum keys_cost cost,
			const char *label)
{
	uint64_t now = clock_real_us(env->clock);
	uint8_t *key;
	int rc;

	memcpy(kr->k.uuid, uuid, sizeof(kr->k.uuid));
	kr->k.version = 1;
	kr->k.created_us = now;
	kr->k.next_slot = 1;
	kr->k.nr_slots = 1;
	rc = fmt_str_put(kr->k.name, name, sizeof(kr->k.name));
	if (!rc)
		rc = keyring_init_slot(&kr->k.slots[0], 0, secret->kind, cost, label, now);
	if (rc)
		return rc;
	kr->k.gens = calloc(1, sizeof(*kr->k.gens));
	key = sodium_malloc(FMT_KEY_LEN);
	if (!kr->k.gens || !key) {
		sodium_free(key);
		return -ENOMEM;
	}
	kr->k.nr_gens = 1;
	kr->k.gens[0].gen = 1;
	kr->k.gens[0].created_us = now;
	randombytes_buf(kr->s->master, FMT_KEY_LEN);
	randombytes_buf(key, FMT_KEY_LEN);
	fmt_keys_wrap_gen(&kr->k.gens[0], uuid, kr->s->master, key);
	sodium_free(key);
	rc = keyring_wrap_slot(&kr->k.slots[0], env, kr, secret);
	return rc ? rc : keyring_fill(kr);
}

int keys_create(struct keyring **ret, const struct volume_env *env, const uint8_t uuid[16],
		const char *name, const struct keys_secret *secret, enum keys_cost cost,
		const char *label)
{
	struct keyring *kr;
	struct sio_ctx c;
	int rc = keys_secret_check(secret);

	if (rc)
		return rc;
	kr = keyring_new();
	if (!kr)
		return -ENOMEM;
	sio_ctx_init(&c, env);
	c.quiet = true;
	rc = any(&c, FMT_PREFIX_HEAD);
	if (rc > 0)
		rc = -EEXIST;
	if (!rc)
		rc = any(&c, FMT_PREFIX_KEYS);
	if (rc > 0)
		rc = -ENOTEMPTY;
	if (!rc)
		rc = make_keyring(kr, env, uuid, name, secret, cost, label);
	if (!rc)
		rc = keyring_put(&c, &kr->k, kr->s->master);
	if (rc)
		keyring_free(kr);
	else
		*ret = kr;
	return rc;
}

int keys_discard(struct keyring *kr, const struct volume_env *env)
{
	char name[FMT_NAME_MAX];
	struct sio_ctx c;

	sio_ctx_init(&c, env);
	c.quiet = true;
	fmt_name_keys(name, kr->k.version);
	return (int)keyring_request(sio_new(&c, STORE_DELETE, name), NULL);
}

/* Opens the keys object @p. [waits] */
static int open_object(struct keyring *kr, const struct volume_env *env, const void *p, size_t len,
		       uint64_t version, const struct keys_secret *secret)
{
	int rc = fmt_keys_decode(&kr->k, p, len, version);

	if (!rc)
		rc = keyring_unlock(kr, env, secret);
	if (rc)
		return rc;
	rc = fmt_keys_verify(&kr->k, p, len, kr->s->master);
	return rc ? rc : keyring_fill(kr);
}

/* Opens object @version; -ENOENT: it is gone. [waits] */
static int open_version(struct keyring *kr, const struct volume_env *env, struct sio_ctx *c,
			uint64_t version, const struct keys_secret *secret)
{
	char name[FMT_NAME_MAX];
	struct sio *s = NULL;
	ssize_t n;
	int rc;

	fmt_name_keys(name, version);
	n = keyring_request(sio_get(c, name, 0, FMT_KEYS_MAX_LEN), &s);
	if (n < 0)
		return (int)n;
	if ((uint64_t)n != s->req.size)
		rc = -EBADMSG; /* longer than any keys object */
	else
		rc = open_object(kr, env, s->body, (size_t)n, version, secret);
	sio_drop(s);
	if (rc == -EBADMSG)
		notice_say(env, NOTICE_ERR, "object %s is damaged or was forged", name);
	else if (rc == -EPROTONOSUPPORT)
		notice_say(env, NOTICE_ERR, "object %s has a later format", name);
	return rc;
}

int keys_open(struct keyring **ret, const struct volume_env *env, const struct keys_secret *secret)
{
	struct keyring *kr;
	uint64_t version = 0;
	struct sio_ctx c;
	int rc = keys_secret_check(secret);

	if (rc)
		return rc;
	kr = keyring_new();
	if (!kr)
		return -ENOMEM;
	sio_ctx_init(&c, env);
	c.quiet = true;
	for (uint32_t i = 0; i < RACES_MAX; i++) {
		rc = keyring_newest(&c, &version);
		if (rc)
			break;
		rc = open_version(kr, env, &c, version, secret);
		if (rc != -ENOENT)
			break;
	}
	if (rc)
		keyring_free(kr);
	else
		*ret = kr;
	return rc;
}

void keys_free(struct keyring *kr)
{
	keyring_free(kr);
}

uint32_t keys_slots(const struct keyring *kr, const struct keys_slot **ret)
{
	*ret = kr->slots;
	return kr->k.nr_slots;
}

const uint8_t *keys_uuid(const struct keyring *kr)
{
	return kr->k.uuid;
}

const char *keys_name(const struct keyring *kr)
{
	return kr->k.name;
}

uint64_t keys_version(const struct keyring *kr)
{
	return kr->k.version;
}

const uint8_t *keys_get(const struct keyring *kr, enum keys_use use)
{
	return kr->s->use[use];
}

const uint8_t *keys_data(const struct keyring *kr, uint32_t gen)
{
	for (uint32_t i = 0; i < kr->k.nr_gens; i++)
		if (kr->k.gens[i].gen == gen)
			return kr->data + i * FMT_KEY_LEN;
	return NULL;
}

uint32_t keys_data_gen(const struct keyring *kr)
{
	return kr->k.gens[kr->k.nr_gens - 1].gen;
}
