// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/fmt_journal.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/aead.h"
#include "base/crc32c.h"

#define SB_CLEAN  (1u << 0)
#define MAC_LEN	  32u
#define MAX_NO	  (1ull << 63) /* numbers and positions are below it: sums do not wrap */
#define MAX_TABLE (FMT_JOURNAL_MAX_OPS * FMT_JOURNAL_OP_LEN + FMT_JOURNAL_MAX_BLOCKS * FMT_TAG_LEN)

struct sb_disk {
	struct fmt_prefix prefix;
	le64 generation;
	uint8_t journal[FMT_UUID_LEN];
	le64 size;
	le64 ring_off; /* FMT_JOURNAL_RING_OFF */
	le64 ring_len; /* size - ring_off */
	le64 start;
	uint8_t start_prev[FMT_HASH_LEN];
	le64 start_wno;
	le64 epoch;
	le64 created_us;
	le64 saved_us;
	le32 flags;
	le32 rsvd0; /* 0 */
	uint8_t host[FMT_NAME_LEN];
	uint8_t rsvd1[3840]; /* 0 */
	uint8_t mac[MAC_LEN];
	le32 crc; /* CRC32C of all before it */
	le32 rsvd2; /* 0 */
};
static_assert(sizeof(struct sb_disk) == FMT_JOURNAL_SB_LEN, "journal superblock");
static_assert(offsetof(struct sb_disk, start) == 88, "journal superblock, start");
static_assert(offsetof(struct sb_disk, host) == 152, "journal superblock, host");
static_assert(offsetof(struct sb_disk, mac) == FMT_JOURNAL_SB_LEN - 40, "journal superblock, MAC");

struct rec_disk {
	struct fmt_prefix prefix;
	uint8_t type;
	uint8_t rsvd0[3]; /* 0 */
	le32 len;
	uint8_t journal[FMT_UUID_LEN];
	le64 pos;
	le64 epoch;
	le64 first;
	le64 last;
	le64 flushed_to;
	le64 store_to;
	le32 nr_ops;
	le32 nr_blocks;
	le64 created_us;
	uint8_t prev[FMT_HASH_LEN];
	uint8_t nonce[16];
	uint8_t tag[FMT_TAG_LEN]; /* of the table */
	le32 table_len;
	le32 body_crc; /* CRC32C of what lies behind the header; PAD: up to 4096 only */
	le32 rsvd1; /* 0 */
	le32 crc; /* CRC32C of all before it */
};
static_assert(sizeof(struct rec_disk) == FMT_JOURNAL_HDR_LEN, "journal record header");
static_assert(offsetof(struct rec_disk, pos) == 64, "journal record, pos");
static_assert(offsetof(struct rec_disk, nonce) == 144, "journal record, nonce");
static_assert(offsetof(struct rec_disk, table_len) == 176, "journal record, table length");

struct op_disk {
	le64 wno;
	le64 lba;
	le32 dev;
	le32 blocks;
	uint8_t kind;
	uint8_t flags;
	uint8_t rsvd[6]; /* 0 */
};
static_assert(sizeof(struct op_disk) == FMT_JOURNAL_OP_LEN, "journal operation");

/* What a block's tag binds it to. */
struct block_aad {
	uint8_t uuid[FMT_UUID_LEN];
	uint8_t journal[FMT_UUID_LEN];
	le64 pos;
	le32 index;
	le32 dev;
	le64 lba;
	le64 wno;
};
static_assert(sizeof(struct block_aad) == 64, "journal block AAD");

static_assert(crypto_core_hchacha20_INPUTBYTES == sizeof(((struct rec_disk *)0)->nonce), "nonce");
static_assert(AEAD_TAG_LEN == FMT_TAG_LEN, "tag");
static_assert(FMT_JOURNAL_MAX_BLOCKS * 4096u == 1u << 20, "one WRITE fits");

/* ---- superblock -------------------------------------------------------------------------- */

static void sb_mac(uint8_t mac[MAC_LEN], const struct sb_disk *d, const uint8_t key[FMT_KEY_LEN])
{
	crypto_generichash(mac, MAC_LEN, (const uint8_t *)d, offsetof(struct sb_disk, mac), key,
			   FMT_KEY_LEN);
}

static uint32_t sb_crc(const struct sb_disk *d)
{
	return crc32c(0, d, offsetof(struct sb_disk, crc));
}

static bool sb_ok(const struct fmt_journal_sb *s)
{
	return s->size >= FMT_JOURNAL_MIN_SIZE && s->size < MAX_NO &&
	       !(s->size % FMT_JOURNAL_BLOCK) && s->start < MAX_NO &&
	       !(s->start % FMT_JOURNAL_BLOCK) && s->start_wno < MAX_NO && s->generation < MAX_NO &&
	       !fmt_is_zero(s->journal, sizeof(s->journal));
}

int fmt_journal_sb_seal(uint8_t out[FMT_JOURNAL_SB_LEN], const struct fmt_journal_sb *s,
			const uint8_t uuid[16], const uint8_t key[FMT_KEY_LEN])
{
	struct sb_disk d = {
		.generation = le_64(s->generation),
		.size = le_64(s->size),
		.ring_off = le_64(FMT_JOURNAL_RING_OFF),
		.ring_len = le_64(s->size - FMT_JOURNAL_RING_OFF),
		.start = le_64(s->start),
		.start_wno = le_64(s->start_wno),
		.epoch = le_64(s->epoch),
		.created_us = le_64(s->created_us),
		.saved_us = le_64(s->saved_us),
		.flags = le_32(s->clean ? SB_CLEAN : 0),
	};
	int rc;

	if (!sb_ok(s))
		return -EINVAL;
	fmt_prefix_init(&d.prefix, FMT_KIND_JOURNAL, uuid);
	memcpy(d.journal, s->journal, sizeof(d.journal));
	memcpy(d.start_prev, s->start_prev, sizeof(d.start_prev));
	rc = fmt_str_put(d.host, s->host, sizeof(d.host));
	if (rc)
		return rc;
	sb_mac(d.mac, &d, key);
	d.crc = le_32(sb_crc(&d));
	memcpy(out, &d, sizeof(d));
	return 0;
}

static int sb_unpack(struct fmt_journal_sb *s, const struct sb_disk *d)
{
	uint32_t flags = le_cpu32(d->flags);

	memset(s, 0, sizeof(*s));
	s->generation = le_cpu64(d->generation);
	memcpy(s->journal, d->journal, sizeof(s->journal));
	s->size = le_cpu64(d->size);
	s->start = le_cpu64(d->start);
	memcpy(s->start_prev, d->start_prev, sizeof(s->start_prev));
	s->start_wno = le_cpu64(d->start_wno);
	s->epoch = le_cpu64(d->epoch);
	s->created_us = le_cpu64(d->created_us);
	s->saved_us = le_cpu64(d->saved_us);
	s->clean = flags & SB_CLEAN;
	if ((flags & ~SB_CLEAN) || le_cpu32(d->rsvd0) || le_cpu32(d->rsvd2) ||
	    !fmt_is_zero(d->rsvd1, sizeof(d->rsvd1)))
		return -EBADMSG;
	if (!sb_ok(s) || le_cpu64(d->ring_off) != FMT_JOURNAL_RING_OFF ||
	    le_cpu64(d->ring_len) != s->size - FMT_JOURNAL_RING_OFF)
		return -EBADMSG;
	return fmt_str_get(s->host, d->host, sizeof(s->host));
}

int fmt_journal_sb_open(struct fmt_journal_sb *ret, const void *p, size_t len, const uint8_t *uuid,
			uint8_t ret_uuid[16], const uint8_t *key)
{
	struct fmt_journal_sb s;
	uint8_t mac[MAC_LEN];
	struct sb_disk d;
	int rc;

	if (len < sizeof(d))
		return -EBADMSG;
	memcpy(&d, p, sizeof(d));
	if (fmt_is_zero(&d, sizeof(d)))
		return -ENODATA;
	rc = fmt_prefix_check(&d.prefix, FMT_KIND_JOURNAL, uuid);
	if (rc)
		return rc;
	if (le_cpu32(d.crc) != sb_crc(&d))
		return -EBADMSG;
	if (key) {
		sb_mac(mac, &d, key);
		if (sodium_memcmp(mac, d.mac, sizeof(mac)))
			return -EBADMSG;
	}
	rc = sb_unpack(&s, &d);
	if (rc)
		return rc;
	if (ret_uuid)
		memcpy(ret_uuid, d.prefix.uuid, FMT_UUID_LEN);
	*ret = s;
	return 0;
}

/* ---- records: rules ---------------------------------------------------------------------- */

static uint32_t table_len(const struct fmt_journal_rec *r)
{
	return r->nr_ops * FMT_JOURNAL_OP_LEN + r->nr_blocks * FMT_TAG_LEN;
}

static uint32_t head_len(const struct fmt_journal_rec *r)
{
	return FMT_JOURNAL_HEAD_LEN(r->nr_ops, r->nr_blocks);
}

/* Bytes that are written, and that the checksums cover. */
static uint32_t real_len(const struct fmt_journal_rec *r)
{
	return r->type == FMT_JOURNAL_PAD ? FMT_JOURNAL_BLOCK : r->len;
}

static bool rec_ok(const struct fmt_journal_rec *r)
{
	if (r->pos >= MAX_NO || r->pos % FMT_JOURNAL_BLOCK ||
	    fmt_is_zero(r->journal, sizeof(r->journal)) || r->flushed_to >= MAX_NO ||
	    r->store_to > r->flushed_to)
		return false;
	switch (r->type) {
	case FMT_JOURNAL_OPS:
		/* without operations: numbers that nobody was given */
		return r->first && r->first <= r->last && r->last < MAX_NO &&
		       r->nr_ops <= FMT_JOURNAL_MAX_OPS && r->nr_blocks <= FMT_JOURNAL_MAX_BLOCKS &&
		       r->len == head_len(r) + r->nr_blocks * FMT_JOURNAL_BLOCK;
	case FMT_JOURNAL_PAD:
		/* It is there because a record does not fit: it is shorter than the longest. */
		return !r->first && !r->last && !r->nr_ops && !r->nr_blocks && r->len &&
		       !(r->len % FMT_JOURNAL_BLOCK) && r->len < FMT_JOURNAL_MAX_LEN;
	default:
		return false;
	}
}

static bool op_ok(const struct fmt_journal_op *o)
{
	if (!o->blocks || o->lba > FMT_MAX_LBA || o->lba + o->blocks > FMT_MAX_LBA)
		return false;
	switch (o->kind) {
	case FMT_JOURNAL_WRITE:
		return !o->flags && o->blocks <= FMT_JOURNAL_MAX_BLOCKS;
	case FMT_JOURNAL_DISCARD:
		return !o->flags;
	case FMT_JOURNAL_ZEROES:
		return !(o->flags & ~FMT_JOURNAL_NOUNMAP);
	default:
		return false;
	}
}

static bool ops_ok(const struct fmt_journal_rec *r, const struct fmt_journal_op *ops)
{
	uint32_t blocks = 0; /* at most 256 * 256 */

	for (uint32_t i = 0; i < r->nr_ops; i++) {
		if (!op_ok(&ops[i]) || ops[i].wno < r->first || ops[i].wno > r->last ||
		    (i && ops[i].wno <= ops[i - 1].wno))
			return false;
		if (ops[i].kind == FMT_JOURNAL_WRITE)
			blocks += ops[i].blocks;
	}
	return blocks == r->nr_blocks;
}

/* ---- records: bytes ---------------------------------------------------------------------- */

static void rec_pack(struct rec_disk *d, const struct fmt_journal_rec *r, const uint8_t uuid[16])
{
	memset(d, 0, sizeof(*d));
	fmt_prefix_init(&d->prefix, FMT_KIND_JOURNAL, uuid);
	d->type = r->type;
	d->len = le_32(r->len);
	memcpy(d->journal, r->journal, sizeof(d->journal));
	d->pos = le_64(r->pos);
	d->epoch = le_64(r->epoch);
	d->first = le_64(r->first);
	d->last = le_64(r->last);
	d->flushed_to = le_64(r->flushed_to);
	d->store_to = le_64(r->store_to);
	d->nr_ops = le_32(r->nr_ops);
	d->nr_blocks = le_32(r->nr_blocks);
	d->created_us = le_64(r->created_us);
	memcpy(d->prev, r->prev, sizeof(d->prev));
	d->table_len = le_32(table_len(r));
}

static void rec_unpack(struct fmt_journal_rec *r, const struct rec_disk *d)
{
	memset(r, 0, sizeof(*r));
	r->type = d->type;
	r->len = le_cpu32(d->len);
	memcpy(r->journal, d->journal, sizeof(r->journal));
	r->pos = le_cpu64(d->pos);
	r->epoch = le_cpu64(d->epoch);
	r->first = le_cpu64(d->first);
	r->last = le_cpu64(d->last);
	r->flushed_to = le_cpu64(d->flushed_to);
	r->store_to = le_cpu64(d->store_to);
	r->nr_ops = le_cpu32(d->nr_ops);
	r->nr_blocks = le_cpu32(d->nr_blocks);
	r->created_us = le_cpu64(d->created_us);
	memcpy(r->prev, d->prev, sizeof(r->prev));
	fmt_hash16(r->hash, d, sizeof(*d));
}

static void op_pack(uint8_t *p, const struct fmt_journal_op *o)
{
	struct op_disk d = {
		.wno = le_64(o->wno),
		.lba = le_64(o->lba),
		.dev = le_32(o->dev),
		.blocks = le_32(o->blocks),
		.kind = o->kind,
		.flags = o->flags,
	};

	memcpy(p, &d, sizeof(d));
}

static int op_unpack(struct fmt_journal_op *o, const uint8_t *p)
{
	struct op_disk d;

	memcpy(&d, p, sizeof(d));
	*o = (struct fmt_journal_op){
		.wno = le_cpu64(d.wno),
		.lba = le_cpu64(d.lba),
		.dev = le_cpu32(d.dev),
		.blocks = le_cpu32(d.blocks),
		.kind = d.kind,
		.flags = d.flags,
	};
	return fmt_is_zero(d.rsvd, sizeof(d.rsvd)) ? 0 : -EBADMSG;
}

/*
 * XChaCha20-Poly1305 under nonce | index, in its two steps: the first, which derives a key from the
 * first 16 bytes of the nonce, is the same for all of a record and is made once.
 */
static void subkey(uint8_t out[FMT_KEY_LEN], const struct rec_disk *d,
		   const uint8_t key[FMT_KEY_LEN])
{
	crypto_core_hchacha20(out, d->nonce, key, NULL);
}

static void nonce_of(uint8_t nonce[12], uint64_t index)
{
	le64 v = le_64(index);

	memset(nonce, 0, 4);
	memcpy(nonce + 4, v.b, sizeof(v.b));
}

/* Of the header all but the tag itself and the checksum, which covers the tag. */
static struct rec_disk table_aad(const struct rec_disk *d)
{
	struct rec_disk a = *d;

	memset(a.tag, 0, sizeof(a.tag));
	a.crc = le_32(0);
	return a;
}

static void seal_table(uint8_t *out, uint8_t tag[FMT_TAG_LEN], const struct rec_disk *d,
		       const uint8_t *table, uint32_t len, const uint8_t key[FMT_KEY_LEN])
{
	struct rec_disk aad = table_aad(d);
	uint8_t nonce[12];

	nonce_of(nonce, 0);
	aead_seal(&(struct aead){ key, nonce, &aad, sizeof(aad) }, out, tag, table, len);
}

/* A walk over the blocks of payload, each with its nonce and what it is bound to. */
struct block_walk {
	const struct rec_disk *d;
	const struct fmt_journal_op *op;
	uint32_t index; /* of the block in the record, and below in its operation */
	uint32_t at;
	struct block_aad aad;
	uint8_t nonce[12];
};

static void walk_begin(struct block_walk *w, const struct rec_disk *d,
		       const struct fmt_journal_op *ops)
{
	*w = (struct block_walk){ .d = d, .op = ops, .aad.pos = d->pos };
	memcpy(w->aad.uuid, d->prefix.uuid, sizeof(w->aad.uuid));
	memcpy(w->aad.journal, d->journal, sizeof(w->aad.journal));
}

/* To the next block. There must be one. */
static void walk_next(struct block_walk *w)
{
	while (w->op->kind != FMT_JOURNAL_WRITE || w->at == w->op->blocks) {
		w->op++;
		w->at = 0;
	}
	w->aad.index = le_32(w->index);
	w->aad.dev = le_32(w->op->dev);
	w->aad.lba = le_64(w->op->lba + w->at);
	w->aad.wno = le_64(w->op->wno);
	nonce_of(w->nonce, 1 + (uint64_t)w->index);
	w->index++;
	w->at++;
}

/* ---- records: seal and open -------------------------------------------------------------- */

int fmt_journal_seal(uint8_t *out, struct fmt_journal_rec *r, const struct fmt_journal_op *ops,
		     const uint8_t *const *blocks, const uint8_t uuid[16],
		     const uint8_t key[FMT_KEY_LEN])
{
	uint8_t table[MAX_TABLE], sub[FMT_KEY_LEN], *p;
	struct block_walk w;
	struct rec_disk d;

	if (r->nr_ops > FMT_JOURNAL_MAX_OPS || r->nr_blocks > FMT_JOURNAL_MAX_BLOCKS)
		return -EINVAL;
	if (r->type != FMT_JOURNAL_PAD)
		r->len = head_len(r) + r->nr_blocks * FMT_JOURNAL_BLOCK;
	if (!rec_ok(r) || !ops_ok(r, ops))
		return -EINVAL;
	rec_pack(&d, r, uuid);
	randombytes_buf(d.nonce, sizeof(d.nonce));
	subkey(sub, &d, key);
	for (uint32_t i = 0; i < r->nr_ops; i++)
		op_pack(table + i * FMT_JOURNAL_OP_LEN, &ops[i]);
	walk_begin(&w, &d, ops);
	for (uint32_t i = 0; i < r->nr_blocks; i++) {
		walk_next(&w);
		p = table + r->nr_ops * FMT_JOURNAL_OP_LEN + i * FMT_TAG_LEN;
		aead_seal(&(struct aead){ sub, w.nonce, &w.aad, sizeof(w.aad) },
			  out + head_len(r) + (size_t)i * FMT_JOURNAL_BLOCK, p, blocks[i],
			  FMT_JOURNAL_BLOCK);
	}
	/*
	 * The header holds a checksum over the table's ciphertext, and the table's tag covers the
	 * header. The ciphertext does not depend on the header, the tag does: that of the first
	 * pass goes no further than here, or two of them would give the nonce's MAC key away.
	 */
	p = out + FMT_JOURNAL_HDR_LEN;
	memset(p, 0, head_len(r) - FMT_JOURNAL_HDR_LEN);
	seal_table(p, d.tag, &d, table, table_len(r), sub);
	d.body_crc = le_32(crc32c(0, p, real_len(r) - FMT_JOURNAL_HDR_LEN));
	seal_table(p, d.tag, &d, table, table_len(r), sub);
	d.crc = le_32(crc32c(0, &d, offsetof(struct rec_disk, crc)));
	fmt_hash16(r->hash, &d, sizeof(d));
	memcpy(out, &d, sizeof(d));
	sodium_memzero(sub, sizeof(sub));
	return 0;
}

int fmt_journal_peek(struct fmt_journal_rec *ret, const void *p, size_t len, const uint8_t uuid[16],
		     const uint8_t journal[16], uint64_t pos)
{
	struct fmt_journal_rec r;
	struct rec_disk d;
	int rc;

	if (len < sizeof(d))
		return -EBADMSG;
	memcpy(&d, p, sizeof(d));
	rc = fmt_prefix_check(&d.prefix, FMT_KIND_JOURNAL, uuid);
	if (rc)
		return rc;
	if (le_cpu32(d.crc) != crc32c(0, &d, offsetof(struct rec_disk, crc)))
		return -EBADMSG;
	rec_unpack(&r, &d);
	if (memcmp(r.journal, journal, sizeof(r.journal)) || r.pos != pos)
		return -EBADMSG;
	if (r.type == FMT_JOURNAL_SEALED)
		return -EPROTONOSUPPORT;
	if (!rec_ok(&r) || le_cpu32(d.table_len) != table_len(&r) ||
	    !fmt_is_zero(d.rsvd0, sizeof(d.rsvd0)) || le_cpu32(d.rsvd1))
		return -EBADMSG;
	*ret = r;
	return 0;
}

static int open_table(uint8_t *table, struct fmt_journal_op *ops, const struct rec_disk *d,
		      const struct fmt_journal_rec *r, const uint8_t *in,
		      const uint8_t key[FMT_KEY_LEN])
{
	struct rec_disk aad = table_aad(d);
	uint8_t nonce[12];

	nonce_of(nonce, 0);
	if (aead_open(&(struct aead){ key, nonce, &aad, sizeof(aad) }, table, in, table_len(r),
		      d->tag))
		return -EBADMSG;
	for (uint32_t i = 0; i < r->nr_ops; i++)
		if (op_unpack(&ops[i], table + i * FMT_JOURNAL_OP_LEN))
			return -EBADMSG;
	if (!ops_ok(r, ops))
		return -EBADMSG;
	in += table_len(r);
	return fmt_is_zero(in, head_len(r) - FMT_JOURNAL_HDR_LEN - table_len(r)) ? 0 : -EBADMSG;
}

int fmt_journal_open(struct fmt_journal_rec *ret, struct fmt_journal_op *ops, uint8_t *payload,
		     const void *p, size_t len, const uint8_t uuid[16], const uint8_t journal[16],
		     uint64_t pos, const uint8_t key[FMT_KEY_LEN])
{
	const uint8_t *in = p, *tags;
	uint8_t table[MAX_TABLE], sub[FMT_KEY_LEN];
	struct fmt_journal_rec r;
	struct block_walk w;
	struct rec_disk d;
	int rc = fmt_journal_peek(&r, p, len, uuid, journal, pos);

	if (rc)
		return rc;
	if (len != r.len && len != real_len(&r))
		return -EBADMSG;
	memcpy(&d, in, sizeof(d));
	in += sizeof(d);
	if (le_cpu32(d.body_crc) != crc32c(0, in, real_len(&r) - sizeof(d)))
		return -EBADMSG;
	subkey(sub, &d, key);
	rc = open_table(table, ops, &d, &r, in, sub);
	if (rc)
		goto out;
	in = (const uint8_t *)p + head_len(&r);
	tags = table + r.nr_ops * FMT_JOURNAL_OP_LEN;
	walk_begin(&w, &d, ops);
	for (uint32_t i = 0; i < r.nr_blocks; i++) {
		size_t off = (size_t)i * FMT_JOURNAL_BLOCK;

		walk_next(&w);
		/* Without room for the plaintext the tag alone is checked. */
		rc = aead_open(&(struct aead){ sub, w.nonce, &w.aad, sizeof(w.aad) },
			       payload ? payload + off : NULL, in + off, FMT_JOURNAL_BLOCK,
			       tags + (size_t)i * FMT_TAG_LEN);
		if (rc)
			goto out;
	}
	*ret = r;
out:
	sodium_memzero(sub, sizeof(sub));
	return rc;
}
