// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The keyring.
 *
 * Opening: LIST keys/, GET the newest, try every slot of the secret's kind (on a worker: Argon2id
 * takes its time and memory), check the MAC of the whole with the master that came out, unwrap the
 * data keys, derive the rest. Until the MAC has been checked nothing but the slots is used.
 *
 * Secrets live in sodium_malloc() memory: locked, not in core dumps, zeroed when freed. What a
 * worker holds is its own, so that a wait that is cut short leaves nothing behind that the worker
 * could miss.
 */
#include "volume/keys.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/exec.h"
#include "format/fmt_keys.h"
#include "format/fmt_name.h"
#include "volume/notice.h"
#include "volume/sio.h"
#include "volume/volume.h"

#define LIST_PAGE     64u
#define KEYFILE_LABEL "zerofs keyfile"

static_assert(KEYS_LABEL_LEN == FMT_KEYS_LABEL, "label");
static_assert(VOLUME_NAME_LEN == FMT_NAME_LEN, "name");

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
};

/*
 * Key derivation under way. Owned by whoever is still interested: the waiter, or once that has
 * given up (@dropped) the worker's completion.
 */
struct derive {
	struct exec_work work;
	bool done;
	bool dropped;
	int err;
	enum keys_secret_kind kind;
	size_t len;
	uint8_t uuid[16];
	uint32_t nr;
	struct fmt_slot slots[FMT_KEYS_MAX_SLOTS];
	bool wrap; /* wrap the master in slots[0] rather than find it */
	uint8_t *locked; /* master, key-encryption key, then the secret's bytes */
};

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

/* ---- derivation -------------------------------------------------------------------------- */

static uint8_t *derive_master(struct derive *d)
{
	return d->locked;
}

static uint8_t *derive_kek(struct derive *d)
{
	return d->locked + FMT_KEY_LEN;
}

static const uint8_t *derive_secret(struct derive *d)
{
	return d->locked + 2 * FMT_KEY_LEN;
}

static void derive_free(struct derive *d)
{
	if (!d)
		return;
	sodium_free(d->locked);
	free(d);
}

/* The key-encryption key that the secret gives in slot @s. */
static int make_kek(struct derive *d, const struct fmt_slot *s)
{
	crypto_generichash_state st;

	if (d->kind == KEYS_PASSPHRASE)
		return crypto_pwhash(derive_kek(d), FMT_KEY_LEN, (const char *)derive_secret(d),
				     d->len, s->salt, s->ops, (size_t)s->mem,
				     crypto_pwhash_ALG_ARGON2ID13) ?
			       -ENOMEM :
			       0;
	crypto_generichash_init(&st, s->salt, sizeof(s->salt), FMT_KEY_LEN);
	crypto_generichash_update(&st, (const uint8_t *)KEYFILE_LABEL, sizeof(KEYFILE_LABEL));
	crypto_generichash_update(&st, derive_secret(d), d->len);
	crypto_generichash_final(&st, derive_kek(d), FMT_KEY_LEN);
	sodium_memzero(&st, sizeof(st));
	return 0;
}

static void derive_run(struct exec_work *w)
{
	struct derive *d = container_of(w, struct derive, work);
	const uint8_t type = d->kind == KEYS_PASSPHRASE ? FMT_SLOT_PASSPHRASE : FMT_SLOT_KEYFILE;
	int rc = -EKEYREJECTED;

	for (uint32_t i = 0; i < d->nr && rc == -EKEYREJECTED; i++) {
		if (d->slots[i].type != type)
			continue;
		rc = make_kek(d, &d->slots[i]);
		if (rc)
			break;
		if (d->wrap)
			fmt_keys_wrap_slot(&d->slots[i], d->uuid, derive_kek(d), derive_master(d));
		else
			rc = fmt_keys_unwrap_slot(derive_master(d), &d->slots[i], d->uuid,
						  derive_kek(d));
	}
	d->err = rc;
}

static void derive_complete(struct exec_work *w)
{
	struct derive *d = container_of(w, struct derive, work);

	d->done = true;
	if (d->dropped)
		derive_free(d);
}

/* Prepares a derivation over the slots of @k (none: the caller sets them). */
static struct derive *derive_new(const struct keys_secret *secret, const struct fmt_keys *k,
				 uint32_t nr)
{
	struct derive *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->locked = sodium_malloc(2 * FMT_KEY_LEN + secret->len);
	if (!d->locked) {
		free(d);
		return NULL;
	}
	memcpy(d->locked + 2 * FMT_KEY_LEN, secret->data, secret->len);
	d->kind = secret->kind;
	d->len = secret->len;
	memcpy(d->uuid, k->uuid, sizeof(d->uuid));
	d->nr = nr;
	memcpy(d->slots, k->slots, nr * sizeof(d->slots[0]));
	d->work.run = derive_run;
	d->work.complete = derive_complete;
	return d;
}

/* Runs @d to its end. On error @d is gone. [waits] */
static int derive_wait(struct derive *d, const struct volume_env *env)
{
	int rc;

	exec_submit(env->exec, &d->work);
	rc = d->done ? 0 : env->wait(env->ctx, &d->done);
	if (!d->done) {
		d->dropped = true;
		return rc ? rc : -EINTR;
	}
	rc = d->err;
	if (rc)
		derive_free(d);
	return rc;
}

/* ---- the store --------------------------------------------------------------------------- */

/* One request, tried once; frees it unless @ret takes it. [waits] */
static ssize_t request(struct sio *s, struct sio **ret)
{
	ssize_t res;
	int rc;

	if (!s)
		return -ENOMEM;
	sio_start(s, 1);
	rc = sio_wait(s);
	res = rc ? rc : s->res;
	if (ret && res >= 0)
		*ret = s;
	else
		sio_drop(s);
	return res;
}

/* Version of the newest keys object. -ENOENT: there is none. [waits] */
static int newest(struct sio_ctx *c, uint64_t *ret)
{
	char after[STORE_NAME_MAX] = "";
	bool found = false;
	uint64_t version = 0;
	ssize_t n;

	do {
		struct sio *s = NULL;

		n = request(sio_list(c, FMT_PREFIX_KEYS, after, LIST_PAGE), &s);
		if (n < 0)
			return (int)n;
		for (ssize_t i = 0; i < n; i++) {
			const char *name = sio_entries(s)[i].name;

			if (!fmt_name_parse_keys(name, &version))
				found = true;
			memcpy(after, name, strlen(name) + 1);
		}
		sio_drop(s);
	} while (n == LIST_PAGE);
	if (!found)
		return -ENOENT;
	*ret = version;
	return 0;
}

static int put_keys(struct sio_ctx *c, const struct fmt_keys *k, const uint8_t *master)
{
	struct buf b = BUF_INIT;
	char name[FMT_NAME_MAX];
	int rc = fmt_keys_encode(&b, k, master);

	if (rc) {
		buf_free(&b);
		return rc;
	}
	fmt_name_keys(name, k->version);
	/* The request takes the bytes over. */
	return (int)request(sio_put(c, name, b.data, b.len), NULL);
}

/* Is there an object whose name begins with @prefix? [waits] */
static int any(struct sio_ctx *c, const char *prefix)
{
	return (int)request(sio_list(c, prefix, "", 1), NULL);
}

/* ---- the keyring ------------------------------------------------------------------------- */

static void fill_slots(struct keyring *kr)
{
	for (uint32_t i = 0; i < kr->k.nr_slots; i++) {
		const struct fmt_slot *f = &kr->k.slots[i];
		struct keys_slot *s = &kr->slots[i];

		s->id = f->id;
		s->kind = f->type == FMT_SLOT_PASSPHRASE ? KEYS_PASSPHRASE : KEYS_KEYFILE;
		memcpy(s->label, f->label, sizeof(s->label));
		s->argon_ops = f->ops;
		s->argon_mem = f->mem;
		s->created_us = f->created_us;
	}
}

/* Derives and unwraps everything from kr->s->master and kr->k. */
static int fill_keys(struct keyring *kr)
{
	static const char *const contexts[KEYS_NR_USES] = {
		[KEYS_HEADER] = FMT_CTX_HEADER,	    [KEYS_HEAD] = FMT_CTX_HEAD,
		[KEYS_MANIFEST] = FMT_CTX_MANIFEST, [KEYS_RUN] = FMT_CTX_RUN,
		[KEYS_JOURNAL] = FMT_CTX_JOURNAL,   [KEYS_LEASE] = FMT_CTX_LEASE,
	};
	int rc = 0;

	for (unsigned int i = 0; i < KEYS_NR_USES; i++)
		fmt_kdf(kr->s->use[i], kr->s->master, contexts[i], kr->k.uuid);
	kr->data = sodium_allocarray(kr->k.nr_gens, FMT_KEY_LEN);
	if (!kr->data)
		return -ENOMEM;
	for (uint32_t i = 0; i < kr->k.nr_gens && !rc; i++)
		rc = fmt_keys_unwrap_gen(kr->data + i * FMT_KEY_LEN, &kr->k.gens[i], kr->k.uuid,
					 kr->s->master);
	fill_slots(kr);
	return rc;
}

static struct keyring *keyring_new(void)
{
	struct keyring *kr;

	if (sodium_init() < 0)
		return NULL;
	kr = calloc(1, sizeof(*kr));
	if (!kr)
		return NULL;
	kr->s = sodium_malloc(sizeof(*kr->s));
	if (!kr->s) {
		free(kr);
		return NULL;
	}
	return kr;
}

void keys_free(struct keyring *kr)
{
	if (!kr)
		return;
	sodium_free(kr->s);
	sodium_free(kr->data);
	fmt_keys_free(&kr->k);
	free(kr);
}

/* A slot for a secret of @kind, not yet wrapped. */
static int init_slot(struct fmt_slot *s, uint32_t id, enum keys_secret_kind kind,
		     enum keys_cost cost, const char *label, uint64_t now_us)
{
	static const struct {
		uint64_t ops, mem;
	} costs[] = {
		[KEYS_COST_MIN] = { 1, 8ull << 20 },
		[KEYS_COST_INTERACTIVE] = { 2, 64ull << 20 },
		[KEYS_COST_MODERATE] = { 3, 256ull << 20 },
		[KEYS_COST_SENSITIVE] = { 4, 1ull << 30 },
	};

	memset(s, 0, sizeof(*s));
	s->id = id;
	s->created_us = now_us;
	if (kind == KEYS_PASSPHRASE) {
		if ((unsigned int)cost >= sizeof(costs) / sizeof(costs[0]))
			return -EINVAL;
		s->type = FMT_SLOT_PASSPHRASE;
		s->ops = costs[cost].ops;
		s->mem = costs[cost].mem;
	} else {
		s->type = FMT_SLOT_KEYFILE;
	}
	randombytes_buf(s->salt, sizeof(s->salt));
	return fmt_str_put(s->label, label ? label : "", sizeof(s->label));
}

/* Wraps @master in @s under @secret. [waits] */
static int wrap_slot(struct fmt_slot *s, const struct volume_env *env, const uint8_t uuid[16],
		     const struct keys_secret *secret, const uint8_t *master)
{
	struct fmt_keys one = { .nr_slots = 1 };
	struct derive *d;
	int rc;

	memcpy(one.uuid, uuid, sizeof(one.uuid));
	one.slots[0] = *s;
	d = derive_new(secret, &one, 1);
	if (!d)
		return -ENOMEM;
	d->wrap = true;
	memcpy(derive_master(d), master, FMT_KEY_LEN);
	rc = derive_wait(d, env);
	if (rc)
		return rc;
	*s = d->slots[0];
	derive_free(d);
	return 0;
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
		rc = init_slot(&kr->k.slots[0], 0, secret->kind, cost, label, now);
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
	rc = wrap_slot(&kr->k.slots[0], env, uuid, secret, kr->s->master);
	return rc ? rc : fill_keys(kr);
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
		rc = put_keys(&c, &kr->k, kr->s->master);
	if (rc)
		keys_free(kr);
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
	return (int)request(sio_new(&c, STORE_DELETE, name), NULL);
}

/* Opens the keys object @p. [waits] */
static int open_object(struct keyring *kr, const struct volume_env *env, const void *p, size_t len,
		       uint64_t version, const struct keys_secret *secret)
{
	struct derive *d;
	int rc = fmt_keys_decode(&kr->k, p, len, version);

	if (rc)
		return rc;
	d = derive_new(secret, &kr->k, kr->k.nr_slots);
	if (!d)
		return -ENOMEM;
	rc = derive_wait(d, env);
	if (rc)
		return rc;
	memcpy(kr->s->master, derive_master(d), FMT_KEY_LEN);
	derive_free(d);
	rc = fmt_keys_verify(&kr->k, p, len, kr->s->master);
	return rc ? rc : fill_keys(kr);
}

int keys_open(struct keyring **ret, const struct volume_env *env, const struct keys_secret *secret)
{
	char name[FMT_NAME_MAX];
	struct sio *s = NULL;
	struct keyring *kr;
	uint64_t version = 0;
	struct sio_ctx c;
	ssize_t n;
	int rc = keys_secret_check(secret);

	if (rc)
		return rc;
	kr = keyring_new();
	if (!kr)
		return -ENOMEM;
	sio_ctx_init(&c, env);
	c.quiet = true;
	rc = newest(&c, &version);
	if (rc)
		goto out;
	fmt_name_keys(name, version);
	n = request(sio_get(&c, name, 0, FMT_KEYS_MAX_LEN), &s);
	if (n < 0)
		rc = (int)n;
	else if ((uint64_t)n != s->req.size)
		rc = -EBADMSG; /* longer than any keys object */
	else
		rc = open_object(kr, env, s->body, (size_t)n, version, secret);
	sio_drop(s);
	if (rc == -EBADMSG)
		notice_say(env, NOTICE_ERR, "object %s is damaged or was forged", name);
	else if (rc == -EPROTONOSUPPORT)
		notice_say(env, NOTICE_ERR, "object %s has a later format", name);
out:
	if (rc)
		keys_free(kr);
	else
		*ret = kr;
	return rc;
}

int keys_add(struct keyring *kr, const struct volume_env *env, const struct keys_secret *secret,
	     enum keys_cost cost, const char *label, uint32_t *ret_id)
{
	uint64_t now = clock_real_us(env->clock);
	struct fmt_keys k = kr->k; /* gens shared */
	struct fmt_slot *s;
	struct sio_ctx c;
	int rc = keys_secret_check(secret);

	if (rc)
		return rc;
	if (k.nr_slots == FMT_KEYS_MAX_SLOTS)
		return -ENOSPC;
	s = &k.slots[k.nr_slots];
	rc = init_slot(s, k.next_slot, secret->kind, cost, label, now);
	if (!rc)
		rc = wrap_slot(s, env, k.uuid, secret, kr->s->master);
	if (rc)
		return rc;
	k.nr_slots++;
	k.next_slot++;
	k.version++;
	k.created_us = now;
	sio_ctx_init(&c, env);
	c.quiet = true;
	rc = put_keys(&c, &k, kr->s->master);
	if (rc)
		return rc;
	kr->k = k;
	fill_slots(kr);
	*ret_id = s->id;
	return 0;
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
