// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/fmt_keys.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/cur.h"

#define MAC_LEN	       32u
#define SLOT_AAD_MAGIC "zerofsSL"
#define GEN_AAD_MAGIC  "zerofsKG"

struct keys_disk {
	struct fmt_prefix prefix;
	le64 version;
	le64 created_us;
	uint8_t name[FMT_NAME_LEN];
	le32 next_slot;
	le32 nr_slots;
	le32 nr_gens;
	le32 rsvd; /* 0 */
};
static_assert(sizeof(struct keys_disk) == 136, "keys");

struct slot_disk {
	uint8_t type;
	uint8_t rsvd[3]; /* 0 */
	le32 id;
	uint8_t label[FMT_KEYS_LABEL];
	le64 ops;
	le64 mem;
	le64 created_us;
	uint8_t salt[16];
	uint8_t wrapped[FMT_KEYS_WRAPPED];
};
static_assert(sizeof(struct slot_disk) == 152, "slot");

struct gen_disk {
	le32 gen;
	le32 rsvd; /* 0 */
	le64 created_us;
	uint8_t wrapped[FMT_KEYS_WRAPPED];
};
static_assert(sizeof(struct gen_disk) == 88, "generation");

struct tail_disk {
	uint8_t mac[MAC_LEN]; /* of all before it */
	le32 crc; /* CRC32C of all before it: damage is told from a wrong key */
	le32 rsvd; /* 0 */
};
static_assert(sizeof(struct tail_disk) == 40, "tail");

struct slot_aad {
	uint8_t magic[8];
	uint8_t uuid[FMT_UUID_LEN];
	le32 type;
	le32 id;
	le64 ops;
	le64 mem;
	uint8_t salt[16];
};
static_assert(sizeof(struct slot_aad) == 64, "slot AAD");

struct gen_aad {
	uint8_t magic[8];
	uint8_t uuid[FMT_UUID_LEN];
	le32 gen;
	le32 rsvd;
};
static_assert(sizeof(struct gen_aad) == 32, "generation AAD");

static bool slot_ok(const struct fmt_slot *s)
{
	switch (s->type) {
	case FMT_SLOT_PASSPHRASE:
		return s->ops >= FMT_KEYS_MIN_OPS && s->ops <= FMT_KEYS_MAX_OPS &&
		       s->mem >= FMT_KEYS_MIN_MEM && s->mem <= FMT_KEYS_MAX_MEM;
	case FMT_SLOT_KEYFILE:
	case FMT_SLOT_COMMAND:
		return !s->ops && !s->mem;
	default:
		return false;
	}
}

static bool keys_ok(const struct fmt_keys *k)
{
	if (!k->version || !k->nr_slots || k->nr_slots > FMT_KEYS_MAX_SLOTS || !k->nr_gens ||
	    k->nr_gens > FMT_KEYS_MAX_GENS)
		return false;
	for (uint32_t i = 0; i < k->nr_slots; i++)
		if (!slot_ok(&k->slots[i]) || k->slots[i].id >= k->next_slot ||
		    (i && k->slots[i].id <= k->slots[i - 1].id))
			return false;
	for (uint32_t i = 0; i < k->nr_gens; i++)
		if (!k->gens[i].gen || (i && k->gens[i].gen <= k->gens[i - 1].gen))
			return false;
	return true;
}

static void keys_mac(uint8_t mac[MAC_LEN], const void *p, size_t len, const uint8_t uuid[16],
		     const uint8_t master[FMT_KEY_LEN])
{
	uint8_t key[FMT_KEY_LEN];

	fmt_kdf(key, master, FMT_CTX_KEYS_MAC, uuid);
	crypto_generichash(mac, MAC_LEN, p, len, key, sizeof(key));
	sodium_memzero(key, sizeof(key));
}

static int put_slot(struct buf *b, const struct fmt_slot *s)
{
	struct slot_disk d = {
		.type = s->type,
		.id = le_32(s->id),
		.ops = le_64(s->ops),
		.mem = le_64(s->mem),
		.created_us = le_64(s->created_us),
	};

	if (fmt_str_put(d.label, s->label, sizeof(d.label)))
		return -EINVAL;
	memcpy(d.salt, s->salt, sizeof(d.salt));
	memcpy(d.wrapped, s->wrapped, sizeof(d.wrapped));
	buf_put(b, &d, sizeof(d));
	return 0;
}

int fmt_keys_encode(struct buf *b, const struct fmt_keys *k, const uint8_t master[FMT_KEY_LEN])
{
	struct keys_disk d = {
		.version = le_64(k->version),
		.created_us = le_64(k->created_us),
		.next_slot = le_32(k->next_slot),
		.nr_slots = le_32(k->nr_slots),
		.nr_gens = le_32(k->nr_gens),
	};
	struct tail_disk t = { .rsvd = le_32(0) };
	size_t start = b->len;

	if (!keys_ok(k) || fmt_str_put(d.name, k->name, sizeof(d.name)))
		return -EINVAL;
	fmt_prefix_init(&d.prefix, FMT_KIND_KEYS, k->uuid);
	buf_put(b, &d, sizeof(d));
	for (uint32_t i = 0; i < k->nr_slots; i++)
		if (put_slot(b, &k->slots[i]))
			return -EINVAL;
	for (uint32_t i = 0; i < k->nr_gens; i++) {
		struct gen_disk g = {
			.gen = le_32(k->gens[i].gen),
			.created_us = le_64(k->gens[i].created_us),
		};

		memcpy(g.wrapped, k->gens[i].wrapped, sizeof(g.wrapped));
		buf_put(b, &g, sizeof(g));
	}
	if (buf_err(b))
		return buf_err(b);
	keys_mac(t.mac, b->data + start, b->len - start, k->uuid, master);
	t.crc = le_32(crc32c(crc32c(0, b->data + start, b->len - start), t.mac, MAC_LEN));
	buf_put(b, &t, sizeof(t));
	return buf_err(b);
}

static int get_slot(struct fmt_slot *s, struct cur *c)
{
	const struct slot_disk *d = (const void *)cur_bytes(c, sizeof(*d));

	if (!d || !fmt_is_zero(d->rsvd, sizeof(d->rsvd)) ||
	    fmt_str_get(s->label, d->label, sizeof(s->label)))
		return -EBADMSG;
	s->type = d->type;
	s->id = le_cpu32(d->id);
	s->ops = le_cpu64(d->ops);
	s->mem = le_cpu64(d->mem);
	s->created_us = le_cpu64(d->created_us);
	memcpy(s->salt, d->salt, sizeof(s->salt));
	memcpy(s->wrapped, d->wrapped, sizeof(s->wrapped));
	return 0;
}

static int get_gen(struct fmt_keygen *g, struct cur *c)
{
	const struct gen_disk *d = (const void *)cur_bytes(c, sizeof(*d));

	if (!d || le_cpu32(d->rsvd))
		return -EBADMSG;
	g->gen = le_cpu32(d->gen);
	g->created_us = le_cpu64(d->created_us);
	memcpy(g->wrapped, d->wrapped, sizeof(g->wrapped));
	return 0;
}

static int get_all(struct fmt_keys *k, struct cur *c)
{
	int rc = 0;

	k->gens = calloc(k->nr_gens, sizeof(*k->gens));
	if (!k->gens)
		return -ENOMEM;
	for (uint32_t i = 0; i < k->nr_slots && !rc; i++)
		rc = get_slot(&k->slots[i], c);
	for (uint32_t i = 0; i < k->nr_gens && !rc; i++)
		rc = get_gen(&k->gens[i], c);
	if (!rc && !keys_ok(k))
		rc = -EBADMSG;
	return rc;
}

int fmt_keys_decode(struct fmt_keys *ret, const void *p, size_t len, uint64_t version)
{
	const struct keys_disk *d = p;
	const struct tail_disk *t;
	struct fmt_keys k;
	struct cur c;
	int rc;

	if (len < sizeof(*d) + sizeof(*t) || len > FMT_KEYS_MAX_LEN)
		return -EBADMSG;
	rc = fmt_prefix_check(&d->prefix, FMT_KIND_KEYS, NULL);
	if (rc)
		return rc;
	t = (const void *)((const uint8_t *)p + len - sizeof(*t));
	if (le_cpu32(t->crc) != crc32c(0, p, len - sizeof(*t) + MAC_LEN) || le_cpu32(t->rsvd))
		return -EBADMSG;
	memset(&k, 0, sizeof(k));
	memcpy(k.uuid, d->prefix.uuid, sizeof(k.uuid));
	k.version = le_cpu64(d->version);
	k.created_us = le_cpu64(d->created_us);
	k.next_slot = le_cpu32(d->next_slot);
	k.nr_slots = le_cpu32(d->nr_slots);
	k.nr_gens = le_cpu32(d->nr_gens);
	if (k.version != version || le_cpu32(d->rsvd) ||
	    fmt_str_get(k.name, d->name, sizeof(k.name)) || !k.nr_slots ||
	    k.nr_slots > FMT_KEYS_MAX_SLOTS || !k.nr_gens || k.nr_gens > FMT_KEYS_MAX_GENS ||
	    len != sizeof(*d) + k.nr_slots * sizeof(struct slot_disk) +
			    k.nr_gens * sizeof(struct gen_disk) + sizeof(*t))
		return -EBADMSG;
	cur_init(&c, (const uint8_t *)p + sizeof(*d), len - sizeof(*d) - sizeof(*t));
	rc = get_all(&k, &c);
	if (rc)
		fmt_keys_free(&k);
	else
		*ret = k;
	return rc;
}

int fmt_keys_verify(const struct fmt_keys *k, const void *p, size_t len,
		    const uint8_t master[FMT_KEY_LEN])
{
	uint8_t mac[MAC_LEN];
	const uint8_t *tail;

	if (len < sizeof(struct keys_disk) + sizeof(struct tail_disk))
		return -EBADMSG;
	tail = (const uint8_t *)p + len - sizeof(struct tail_disk);
	keys_mac(mac, p, len - sizeof(struct tail_disk), k->uuid, master);
	return sodium_memcmp(mac, tail, MAC_LEN) ? -EBADMSG : 0;
}

void fmt_keys_free(struct fmt_keys *k)
{
	free(k->gens);
	k->gens = NULL;
	k->nr_gens = 0;
}

static void slot_aad(struct slot_aad *a, const struct fmt_slot *s, const uint8_t uuid[16])
{
	memcpy(a->magic, SLOT_AAD_MAGIC, sizeof(a->magic));
	memcpy(a->uuid, uuid, FMT_UUID_LEN);
	a->type = le_32(s->type);
	a->id = le_32(s->id);
	a->ops = le_64(s->ops);
	a->mem = le_64(s->mem);
	memcpy(a->salt, s->salt, sizeof(a->salt));
}

void fmt_keys_wrap_slot(struct fmt_slot *s, const uint8_t uuid[16], const uint8_t kek[FMT_KEY_LEN],
			const uint8_t master[FMT_KEY_LEN])
{
	struct slot_aad a;

	slot_aad(&a, s, uuid);
	fmt_box_seal(s->wrapped, kek, &a, sizeof(a), master, FMT_KEY_LEN);
}

int fmt_keys_unwrap_slot(uint8_t master[FMT_KEY_LEN], const struct fmt_slot *s,
			 const uint8_t uuid[16], const uint8_t kek[FMT_KEY_LEN])
{
	struct slot_aad a;

	slot_aad(&a, s, uuid);
	return fmt_box_open(master, kek, &a, sizeof(a), s->wrapped, sizeof(s->wrapped)) ?
		       -EKEYREJECTED :
		       0;
}

static void gen_aad(struct gen_aad *a, uint32_t gen, const uint8_t uuid[16])
{
	memcpy(a->magic, GEN_AAD_MAGIC, sizeof(a->magic));
	memcpy(a->uuid, uuid, FMT_UUID_LEN);
	a->gen = le_32(gen);
	a->rsvd = le_32(0);
}

void fmt_keys_wrap_gen(struct fmt_keygen *g, const uint8_t uuid[16],
		       const uint8_t master[FMT_KEY_LEN], const uint8_t key[FMT_KEY_LEN])
{
	uint8_t wrap[FMT_KEY_LEN];
	struct gen_aad a;

	fmt_kdf(wrap, master, FMT_CTX_KEYS_WRAP, uuid);
	gen_aad(&a, g->gen, uuid);
	fmt_box_seal(g->wrapped, wrap, &a, sizeof(a), key, FMT_KEY_LEN);
	sodium_memzero(wrap, sizeof(wrap));
}

int fmt_keys_unwrap_gen(uint8_t key[FMT_KEY_LEN], const struct fmt_keygen *g,
			const uint8_t uuid[16], const uint8_t master[FMT_KEY_LEN])
{
	uint8_t wrap[FMT_KEY_LEN];
	struct gen_aad a;
	int rc;

	fmt_kdf(wrap, master, FMT_CTX_KEYS_WRAP, uuid);
	gen_aad(&a, g->gen, uuid);
	rc = fmt_box_open(key, wrap, &a, sizeof(a), g->wrapped, sizeof(g->wrapped));
	sodium_memzero(wrap, sizeof(wrap));
	return rc;
}
