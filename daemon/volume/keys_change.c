// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changing a volume's keys: a slot more, a slot less, a new data key. See keys.h.
 *
 * A change is one create-only PUT: the object of the next version, made from all of the one before,
 * so of two changes at a time one fails and the newest object always has every data key that was
 * ever used. As with heads, being the creator of a version does not mean that there is no later
 * one: the list is looked at afterwards. What is left to do after it (deleting older objects,
 * telling a daemon) may be cut short anywhere: the next change does it.
 *
 * No head is made here: heads are the owner's, and one of anybody else's would end him. His next
 * one names the keys version (recover.c, checkpoint.c, volume_rekey.c).
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "format/fmt_head.h"
#include "format/fmt_name.h"
#include "volume/keyring.h"
#include "volume/volume.h"

#define LIST_PAGE 64u
#define LOOKS_MAX 16 /* at keys objects that go away under our eyes */

/* What a version is made for: a slot more unless one of these is said. */
struct change {
	uint32_t slot; /* added or removed */
	bool remove, rotate;
};

/* The keyring as the next version would have it; its gens are the keyring's. */
static struct fmt_keys next_version(const struct keyring *kr, const struct volume_env *env)
{
	struct fmt_keys k = kr->k;

	k.version++;
	k.created_us = clock_real_us(env->clock);
	return k;
}

/* ---- has it been done? ---------------------------------------------------------------------- */

static const struct fmt_slot *find_slot(const struct fmt_keys *k, uint32_t id)
{
	for (uint32_t i = 0; i < k->nr_slots; i++)
		if (k->slots[i].id == id)
			return &k->slots[i];
	return NULL;
}

/* Does @now have what @k was made for? */
static bool has_change(const struct fmt_keys *now, const struct fmt_keys *k,
		       const struct change *what)
{
	const struct fmt_slot *s = find_slot(now, what->slot);
	uint32_t n = k->nr_gens;

	if (what->rotate)
		return now->nr_gens >= n &&
		       !memcmp(now->gens[n - 1].wrapped, k->gens[n - 1].wrapped, FMT_KEYS_WRAPPED);
	if (what->remove)
		return !s;
	return s && !memcmp(s->wrapped, find_slot(k, what->slot)->wrapped, FMT_KEYS_WRAPPED);
}

/* Keys object @version. -ENOENT: it is gone. The caller frees @ret. [waits] */
static int get(struct keyring *kr, struct sio_ctx *c, uint64_t version, struct fmt_keys *ret)
{
	char name[FMT_NAME_MAX];
	struct sio *s = NULL;
	ssize_t n;
	int rc;

	fmt_name_keys(name, version);
	n = keyring_request(sio_get(c, name, 0, FMT_KEYS_MAX_LEN), &s);
	if (n < 0)
		return (int)n;
	rc = fmt_keys_decode(ret, s->body, (size_t)n, version);
	if (!rc) {
		rc = fmt_keys_verify(ret, s->body, (size_t)n, kr->s->master);
		if (rc)
			fmt_keys_free(ret);
	}
	sio_drop(s);
	return rc;
}

/*
 * Version k->version was created by us. A PUT that was long under way may have come when that
 * version had come and gone: others had made it, and a later one, and deleted it. Then ours is an
 * old object that nobody reads, and nothing was done. Who made a later one out of ours has the
 * change in it. [waits]
 */
static int confirm(struct keyring *kr, struct sio_ctx *c, const struct fmt_keys *k,
		   const struct change *what)
{
	char name[FMT_NAME_MAX];
	int rc = -ENOENT;

	for (int i = 0; i < LOOKS_MAX && rc == -ENOENT; i++) {
		uint64_t newest;
		struct fmt_keys now;
		bool done;

		rc = keyring_newest(c, &newest);
		if (rc || newest <= k->version)
			return rc;
		rc = get(kr, c, newest, &now);
		if (rc)
			continue;
		done = has_change(&now, k, what);
		fmt_keys_free(&now);
		if (done)
			return 0;
		/* what is left of it by an error, the next change deletes */
		fmt_name_keys(name, k->version);
		keyring_request(sio_new(c, STORE_DELETE, name), NULL);
		return -EEXIST;
	}
	return rc;
}

/* [waits] */
static int put(struct keyring *kr, const struct volume_env *env, const struct fmt_keys *k,
	       const struct change *what)
{
	struct sio_ctx c;
	int rc;

	sio_ctx_init(&c, env);
	c.quiet = true;
	rc = keyring_put(&c, k, kr->s->master);
	return rc ? rc : confirm(kr, &c, k, what);
}

/* ---- changes -------------------------------------------------------------------------------- */

int keys_add(struct keyring *kr, const struct volume_env *env, const struct keys_secret *secret,
	     enum keys_cost cost, const char *label, uint32_t *ret_id)
{
	struct fmt_keys k = next_version(kr, env);
	struct fmt_slot *s;
	int rc = keys_secret_check(secret);

	if (rc)
		return rc;
	if (k.nr_slots == FMT_KEYS_MAX_SLOTS)
		return -EOVERFLOW;
	s = &k.slots[k.nr_slots];
	rc = keyring_init_slot(s, k.next_slot, secret->kind, cost, label, k.created_us);
	if (!rc)
		rc = keyring_wrap_slot(s, env, kr, secret);
	if (rc)
		return rc;
	k.nr_slots++;
	k.next_slot++;
	rc = put(kr, env, &k, &(struct change){ .slot = s->id });
	if (rc)
		return rc;
	kr->k = k;
	keyring_fill_slots(kr);
	*ret_id = s->id;
	return 0;
}

int keys_remove(struct keyring *kr, const struct volume_env *env, uint32_t id)
{
	struct fmt_keys k = next_version(kr, env);
	uint32_t i;
	int rc;

	for (i = 0; i < k.nr_slots && k.slots[i].id != id; i++)
		;
	if (i == k.nr_slots)
		return id < k.next_slot ? -EALREADY : -ENXIO;
	if (id == kr->opened || k.nr_slots == 1)
		return -EBUSY;
	k.nr_slots--;
	memmove(&k.slots[i], &k.slots[i + 1], (k.nr_slots - i) * sizeof(k.slots[0]));
	memset(&k.slots[k.nr_slots], 0, sizeof(k.slots[0]));
	rc = put(kr, env, &k, &(struct change){ .slot = id, .remove = true });
	if (rc)
		return rc;
	kr->k = k;
	keyring_fill_slots(kr);
	return 0;
}

int keys_rotate(struct keyring *kr, const struct volume_env *env, uint32_t *ret_gen)
{
	struct fmt_keys k = next_version(kr, env);
	uint32_t n = k.nr_gens;
	uint8_t *data;
	int rc;

	if (n == FMT_KEYS_MAX_GENS || k.gens[n - 1].gen == UINT32_MAX)
		return -EOVERFLOW;
	k.gens = calloc(n + 1, sizeof(*k.gens));
	data = sodium_allocarray(n + 1, FMT_KEY_LEN);
	if (!k.gens || !data) {
		rc = -ENOMEM;
		goto err;
	}
	memcpy(k.gens, kr->k.gens, n * sizeof(*k.gens));
	memcpy(data, kr->data, (size_t)n * FMT_KEY_LEN);
	k.gens[n].gen = k.gens[n - 1].gen + 1;
	k.gens[n].created_us = k.created_us;
	randombytes_buf(data + (size_t)n * FMT_KEY_LEN, FMT_KEY_LEN);
	fmt_keys_wrap_gen(&k.gens[n], k.uuid, kr->s->master, data + (size_t)n * FMT_KEY_LEN);
	k.nr_gens++;
	rc = put(kr, env, &k, &(struct change){ .rotate = true });
	if (rc)
		goto err;
	fmt_keys_free(&kr->k);
	sodium_free(kr->data);
	kr->k = k;
	kr->data = data;
	*ret_gen = k.gens[n].gen;
	return 0;
err:
	free(k.gens);
	sodium_free(data);
	return rc;
}

/* ---- what is older ------------------------------------------------------------------------- */

/* Looks at all objects older than the keyring, oldest first; with @del deletes them. [waits] */
static int older(struct keyring *kr, const struct volume_env *env, bool del, uint32_t *ret_nr)
{
	char after[STORE_NAME_MAX] = "";
	struct sio_ctx c;
	ssize_t n;

	*ret_nr = 0;
	sio_ctx_init(&c, env);
	c.quiet = true;
	do {
		struct sio *s = NULL;
		ssize_t rc = 0;

		n = keyring_request(sio_list(&c, FMT_PREFIX_KEYS, after, LIST_PAGE), &s);
		if (n < 0)
			return (int)n;
		for (ssize_t i = 0; i < n && !rc; i++) {
			const char *name = sio_entries(s)[i].name;
			uint64_t version;

			memcpy(after, name, strlen(name) + 1);
			if (fmt_name_parse_keys(name, &version) || version >= kr->k.version)
				continue;
			rc = del ? keyring_request(sio_new(&c, STORE_DELETE, name), NULL) : 0;
			if (rc == -ENOENT)
				rc = 0;
			*ret_nr += !rc;
		}
		sio_drop(s);
		if (rc)
			return (int)rc;
	} while (n == LIST_PAGE);
	return 0;
}

int keys_older(struct keyring *kr, const struct volume_env *env, uint32_t *ret_nr)
{
	return older(kr, env, false, ret_nr);
}

int keys_sweep(struct keyring *kr, const struct volume_env *env, uint32_t *ret_nr)
{
	return older(kr, env, true, ret_nr);
}

int keys_allowed(struct keyring *kr, const struct volume_env *env)
{
	char name[FMT_NAME_MAX];
	uint64_t version = 0;
	struct sio *s = NULL;
	struct fmt_head h;
	struct sio_ctx c;
	ssize_t n;
	int rc;

	sio_ctx_init(&c, env);
	c.quiet = true;
	n = keyring_request(sio_list(&c, FMT_PREFIX_HEAD, "", 1), &s);
	if (n <= 0) {
		sio_drop(s);
		return (int)n;
	}
	rc = fmt_name_parse_head(sio_entries(s)[0].name, &version) ? -EBADMSG : 0;
	sio_drop(s);
	if (rc)
		return rc;
	s = NULL;
	fmt_name_head(name, version);
	n = keyring_request(sio_get(&c, name, 0, FMT_HEAD_LEN + 1), &s);
	if (n < 0)
		return (int)n;
	rc = fmt_head_open(&h, s->body, (size_t)n, kr->k.uuid, version, kr->s->use[KEYS_HEAD]);
	sio_drop(s);
	if (!rc && h.keys_version > kr->k.version)
		rc = -ESTALE;
	return rc;
}

/*
 * ---- while the volume is served ---------------------------------------------------------------
 */

int keys_adopt(struct keyring *kr, const void *p, size_t len, uint64_t version)
{
	uint8_t *data = NULL;
	struct fmt_keys k;
	int rc = fmt_keys_decode(&k, p, len, version);

	if (rc)
		return rc;
	if (version < kr->k.version)
		rc = -ESTALE;
	else if (memcmp(k.uuid, kr->k.uuid, sizeof(k.uuid)) != 0)
		rc = -EBADMSG;
	if (!rc)
		rc = fmt_keys_verify(&k, p, len, kr->s->master);
	/* What was ever encrypted stays readable. */
	if (!rc && k.nr_gens < kr->k.nr_gens)
		rc = -EBADMSG;
	if (!rc)
		rc = keyring_unwrap(&data, kr, &k);
	if (!rc && sodium_memcmp(data, kr->data, (size_t)kr->k.nr_gens * FMT_KEY_LEN) != 0) {
		sodium_free(data);
		rc = -EBADMSG;
	}
	if (rc) {
		fmt_keys_free(&k);
		return rc;
	}
	fmt_keys_free(&kr->k);
	sodium_free(kr->data);
	kr->k = k;
	kr->data = data;
	keyring_fill_slots(kr);
	return 0;
}
