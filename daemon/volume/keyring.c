// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The keyring in memory: see keyring.h.
 *
 * Secrets live in sodium_malloc() memory: locked, not in core dumps, zeroed when freed. What a
 * worker holds is its own, so that a wait that is cut short leaves nothing behind that the worker
 * could miss.
 */
#include "volume/keyring.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/exec.h"
#include "format/fmt_name.h"
#include "volume/volume.h"

#define LIST_PAGE     64u
#define KEYFILE_LABEL "zerofs keyfile"

static_assert(KEYS_LABEL_LEN == FMT_KEYS_LABEL, "label");

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
	uint32_t opened; /* which of them the secret opened */
	bool wrap; /* wrap the master in slots[0] rather than find it */
	uint8_t *locked; /* master, key-encryption key, then the secret's bytes */
};

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
		d->opened = i;
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

int keyring_unlock(struct keyring *kr, const struct volume_env *env,
		   const struct keys_secret *secret)
{
	struct derive *d = derive_new(secret, &kr->k, kr->k.nr_slots);
	int rc;

	if (!d)
		return -ENOMEM;
	rc = derive_wait(d, env);
	if (rc)
		return rc;
	memcpy(kr->s->master, derive_master(d), FMT_KEY_LEN);
	kr->opened = d->slots[d->opened].id;
	derive_free(d);
	return 0;
}

int keyring_init_slot(struct fmt_slot *s, uint32_t id, enum keys_secret_kind kind,
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

int keyring_wrap_slot(struct fmt_slot *s, const struct volume_env *env, const struct keyring *kr,
		      const struct keys_secret *secret)
{
	struct fmt_keys one = { .nr_slots = 1 };
	struct derive *d;
	int rc;

	memcpy(one.uuid, kr->k.uuid, sizeof(one.uuid));
	one.slots[0] = *s;
	d = derive_new(secret, &one, 1);
	if (!d)
		return -ENOMEM;
	d->wrap = true;
	memcpy(derive_master(d), kr->s->master, FMT_KEY_LEN);
	rc = derive_wait(d, env);
	if (rc)
		return rc;
	*s = d->slots[0];
	derive_free(d);
	return 0;
}

/* ---- the keyring ------------------------------------------------------------------------- */

void keyring_fill_slots(struct keyring *kr)
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

int keyring_unwrap(uint8_t **ret, const struct keyring *kr, const struct fmt_keys *k)
{
	uint8_t *data = sodium_allocarray(k->nr_gens, FMT_KEY_LEN);
	int rc = 0;

	if (!data)
		return -ENOMEM;
	for (uint32_t i = 0; i < k->nr_gens && !rc; i++)
		rc = fmt_keys_unwrap_gen(data + i * FMT_KEY_LEN, &k->gens[i], k->uuid,
					 kr->s->master);
	if (rc)
		sodium_free(data);
	else
		*ret = data;
	return rc;
}

int keyring_fill(struct keyring *kr)
{
	static const char *const contexts[KEYS_NR_USES] = {
		[KEYS_HEADER] = FMT_CTX_HEADER,	    [KEYS_HEAD] = FMT_CTX_HEAD,
		[KEYS_MANIFEST] = FMT_CTX_MANIFEST, [KEYS_RUN] = FMT_CTX_RUN,
		[KEYS_JOURNAL] = FMT_CTX_JOURNAL,   [KEYS_LEASE] = FMT_CTX_LEASE,
	};

	for (unsigned int i = 0; i < KEYS_NR_USES; i++)
		fmt_kdf(kr->s->use[i], kr->s->master, contexts[i], kr->k.uuid);
	keyring_fill_slots(kr);
	return keyring_unwrap(&kr->data, kr, &kr->k);
}

struct keyring *keyring_new(void)
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

void keyring_free(struct keyring *kr)
{
	if (!kr)
		return;
	sodium_free(kr->s);
	sodium_free(kr->data);
	fmt_keys_free(&kr->k);
	free(kr);
}

/* ---- the store --------------------------------------------------------------------------- */

ssize_t keyring_request(struct sio *s, struct sio **ret)
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

int keyring_newest(struct sio_ctx *c, uint64_t *ret)
{
	char after[STORE_NAME_MAX] = "";
	bool found = false;
	uint64_t version = 0;
	ssize_t n;

	do {
		struct sio *s = NULL;

		n = keyring_request(sio_list(c, FMT_PREFIX_KEYS, after, LIST_PAGE), &s);
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

int keyring_put(struct sio_ctx *c, const struct fmt_keys *k, const uint8_t *master)
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
	return sio_create(c, name, b.data, b.len);
}
