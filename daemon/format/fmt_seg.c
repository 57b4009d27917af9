// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/fmt_seg.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/aead.h"
#include "base/crc32c.h"

#define MAC_LEN		32u
#define TABLE_AAD_MAGIC "zerofsTB"
#define FOOTER_MAGIC	"zerofsFT"

struct seg_disk {
	struct fmt_prefix prefix;
	uint8_t type;
	uint8_t rsvd0[3]; /* 0 */
	le32 key_gen;
	le64 epoch;
	le64 seq;
	uint8_t nonce[FMT_NONCE_LEN];
	uint8_t salt[FMT_SALT_LEN];
	le64 wno_first;
	le64 wno_last;
	le64 resume_at;
	le64 resume_wno;
	uint8_t journal[FMT_UUID_LEN];
	le64 created_us;
	le32 table_len;
	le32 nr_frames;
	le32 nr_entries;
	le32 data_blocks;
	le64 object_len;
	uint8_t prev_hash[FMT_HASH_LEN];
	uint8_t table_hash[FMT_HASH_LEN];
	uint8_t rsvd1[32]; /* 0 */
	uint8_t mac[MAC_LEN]; /* of all before it */
};
static_assert(sizeof(struct seg_disk) == FMT_SEG_HDR_LEN, "segment header");

/* What the table's tag binds. The header binds the sealed table by its hash. */
struct table_aad {
	uint8_t magic[8];
	le16 version;
	uint8_t type;
	uint8_t rsvd;
	le32 nr_frames;
	uint8_t uuid[FMT_UUID_LEN];
	le64 seq;
	le64 epoch;
	le64 wno_first;
	le64 wno_last;
	le32 nr_entries;
	le32 raw_len;
};
static_assert(sizeof(struct table_aad) == 72, "table AAD");

struct footer_disk {
	uint8_t magic[8];
	le32 crc; /* CRC32C of all bytes of the object before the footer */
	le32 rsvd; /* 0 */
};
static_assert(sizeof(struct footer_disk) == FMT_SEG_FOOTER_LEN, "footer");

/* The rules that hold between fields, for both directions. */
static bool seg_ok(const struct fmt_seg *s)
{
	uint64_t frames_end = s->object_len - FMT_SEG_FOOTER_LEN;

	if (!s->epoch || s->object_len > FMT_SEG_MAX_OBJECT)
		return false;
	if ((s->seq | s->wno_last | s->resume_at | s->resume_wno) >> FMT_SEG_NUMBER_BITS)
		return false;
	if (s->type == FMT_SEG_FENCE)
		return !s->key_gen && !s->wno_first && !s->table_len && !s->nr_frames &&
		       !s->nr_entries && !s->data_blocks && s->object_len == FMT_FENCE_LEN &&
		       s->resume_at > s->seq && s->resume_wno > s->wno_last &&
		       fmt_is_zero(s->table_hash, FMT_HASH_LEN) &&
		       fmt_is_zero(s->salt, FMT_SALT_LEN);
	if (s->type != FMT_SEG_DATA && s->type != FMT_SEG_GC)
		return false;
	if (s->type == FMT_SEG_GC && !fmt_is_zero(s->prev_hash, FMT_HASH_LEN))
		return false;
	if (s->resume_at && (s->type != FMT_SEG_DATA || s->resume_at > s->seq))
		return false;
	if (s->resume_wno || !fmt_is_zero(s->journal, FMT_UUID_LEN))
		return false;
	if (!s->key_gen || !s->wno_first || s->wno_first > s->wno_last)
		return false;
	if (s->nr_frames > FMT_TABLE_MAX_FRAMES || s->nr_entries > FMT_TABLE_MAX_ENTRIES ||
	    s->data_blocks < s->nr_frames || s->data_blocks / FMT_FRAME_MAX_BLOCKS > s->nr_frames)
		return false;
	return s->table_len >= FMT_TAG_LEN && s->table_len <= FMT_TABLE_MAX_BYTES + FMT_TAG_LEN &&
	       s->object_len >= FMT_SEG_FOOTER_LEN && frames_end >= fmt_seg_frames_off(s);
}

static void header_mac(uint8_t mac[MAC_LEN], const struct seg_disk *d,
		       const uint8_t key[FMT_KEY_LEN])
{
	crypto_generichash(mac, MAC_LEN, (const uint8_t *)d, offsetof(struct seg_disk, mac), key,
			   FMT_KEY_LEN);
}

static void pack(struct seg_disk *d, const struct fmt_seg *s, const uint8_t key[FMT_KEY_LEN])
{
	memset(d, 0, sizeof(*d));
	fmt_prefix_init(&d->prefix, FMT_KIND_SEGMENT, s->uuid);
	d->type = s->type;
	d->key_gen = le_32(s->key_gen);
	d->epoch = le_64(s->epoch);
	d->seq = le_64(s->seq);
	memcpy(d->nonce, s->nonce, sizeof(d->nonce));
	memcpy(d->salt, s->salt, sizeof(d->salt));
	d->wno_first = le_64(s->wno_first);
	d->wno_last = le_64(s->wno_last);
	d->resume_at = le_64(s->resume_at);
	d->resume_wno = le_64(s->resume_wno);
	memcpy(d->journal, s->journal, sizeof(d->journal));
	d->created_us = le_64(s->created_us);
	d->table_len = le_32(s->table_len);
	d->nr_frames = le_32(s->nr_frames);
	d->nr_entries = le_32(s->nr_entries);
	d->data_blocks = le_32(s->data_blocks);
	d->object_len = le_64(s->object_len);
	memcpy(d->prev_hash, s->prev_hash, sizeof(d->prev_hash));
	memcpy(d->table_hash, s->table_hash, sizeof(d->table_hash));
	header_mac(d->mac, d, key);
}

static void unpack(struct fmt_seg *s, const struct seg_disk *d)
{
	memset(s, 0, sizeof(*s));
	memcpy(s->uuid, d->prefix.uuid, sizeof(s->uuid));
	s->type = d->type;
	s->key_gen = le_cpu32(d->key_gen);
	s->epoch = le_cpu64(d->epoch);
	s->seq = le_cpu64(d->seq);
	memcpy(s->nonce, d->nonce, sizeof(s->nonce));
	memcpy(s->salt, d->salt, sizeof(s->salt));
	s->wno_first = le_cpu64(d->wno_first);
	s->wno_last = le_cpu64(d->wno_last);
	s->resume_at = le_cpu64(d->resume_at);
	s->resume_wno = le_cpu64(d->resume_wno);
	memcpy(s->journal, d->journal, sizeof(s->journal));
	s->created_us = le_cpu64(d->created_us);
	s->table_len = le_cpu32(d->table_len);
	s->nr_frames = le_cpu32(d->nr_frames);
	s->nr_entries = le_cpu32(d->nr_entries);
	s->data_blocks = le_cpu32(d->data_blocks);
	s->object_len = le_cpu64(d->object_len);
	memcpy(s->prev_hash, d->prev_hash, sizeof(s->prev_hash));
	memcpy(s->table_hash, d->table_hash, sizeof(s->table_hash));
	fmt_hash16(s->hash, d, sizeof(*d));
}

/* Bytes 4 to 8 of the nonce tell the table from the frames, which have 0 there. */
static void table_nonce(uint8_t nonce[12])
{
	memset(nonce, 0, 12);
	nonce[4] = 1;
}

static void table_aad(struct table_aad *a, const struct fmt_seg *s, uint32_t raw_len)
{
	memset(a, 0, sizeof(*a));
	memcpy(a->magic, TABLE_AAD_MAGIC, sizeof(a->magic));
	a->version = le_16(FMT_VERSION);
	a->type = s->type;
	a->nr_frames = le_32(s->nr_frames);
	memcpy(a->uuid, s->uuid, FMT_UUID_LEN);
	a->seq = le_64(s->seq);
	a->epoch = le_64(s->epoch);
	a->wno_first = le_64(s->wno_first);
	a->wno_last = le_64(s->wno_last);
	a->nr_entries = le_32(s->nr_entries);
	a->raw_len = le_32(raw_len);
}

/*
 * Encodes and seals the table behind the header's place at @b + @start, and fills in what depends
 * on it.
 */
static int seal_table(struct buf *b, size_t start, struct fmt_seg *s, const struct fmt_table *t,
		      const struct fmt_segkey *k)
{
	struct buf raw = BUF_INIT;
	uint64_t frames = 0;
	struct table_aad aad;
	uint8_t nonce[12], *p;
	int rc;

	s->data_blocks = 0;
	for (uint32_t i = 0; i < t->nr_frames; i++) {
		s->data_blocks += t->frames[i].blocks;
		frames += t->frames[i].stored_len;
	}
	rc = fmt_table_encode(&raw, t, s->type, s->wno_first, s->wno_last);
	if (rc)
		goto out;
	s->nr_frames = t->nr_frames;
	s->nr_entries = t->nr_entries;
	s->table_len = (uint32_t)raw.len + FMT_TAG_LEN;
	s->object_len = fmt_seg_frames_off(s) + frames + FMT_SEG_FOOTER_LEN;
	buf_extend(b, s->table_len);
	rc = buf_err(b);
	if (rc)
		goto out;
	p = b->data + start + FMT_SEG_HDR_LEN;
	table_aad(&aad, s, (uint32_t)raw.len);
	table_nonce(nonce);
	aead_seal(&(struct aead){ k->key, nonce, &aad, sizeof(aad) }, p + FMT_TAG_LEN, p, raw.data,
		  raw.len);
	fmt_hash16(s->table_hash, p, s->table_len);
out:
	buf_free(&raw);
	return rc;
}

int fmt_seg_seal(struct buf *b, struct fmt_seg *s, const struct fmt_table *t,
		 const struct fmt_segkey *k, const uint8_t header_key[FMT_KEY_LEN])
{
	size_t start = b->len;
	struct seg_disk d;
	int rc;

	if (buf_err(b))
		return buf_err(b);
	if ((s->type == FMT_SEG_FENCE) != !t || !t != !k)
		return -EINVAL;
	if (k && (k->type != s->type || k->seq != s->seq || k->epoch != s->epoch ||
		  memcmp(k->uuid, s->uuid, FMT_UUID_LEN)))
		return -EINVAL;
	if (!buf_extend(b, FMT_SEG_HDR_LEN))
		return -ENOMEM;
	if (t) {
		rc = seal_table(b, start, s, t, k);
		if (rc)
			goto fail;
	} else {
		s->table_len = s->nr_frames = s->nr_entries = s->data_blocks = 0;
		s->object_len = FMT_FENCE_LEN;
		memset(s->table_hash, 0, sizeof(s->table_hash));
	}
	rc = -EINVAL;
	if (!seg_ok(s))
		goto fail;
	pack(&d, s, header_key);
	fmt_hash16(s->hash, &d, sizeof(d));
	memcpy(b->data + start, &d, sizeof(d));
	return 0;
fail:
	b->len = start;
	return rc;
}

void fmt_seg_frame_offsets(const struct fmt_seg *s, struct fmt_table *t)
{
	uint64_t off = fmt_seg_frames_off(s);

	for (uint32_t i = 0; i < t->nr_frames; i++) {
		t->frames[i].off = off;
		off += t->frames[i].stored_len;
	}
}

void fmt_seg_footer(uint8_t out[FMT_SEG_FOOTER_LEN], uint32_t crc)
{
	struct footer_disk f = { .crc = le_32(crc) };

	memcpy(f.magic, FOOTER_MAGIC, sizeof(f.magic));
	memcpy(out, &f, sizeof(f));
}

int fmt_seg_header_open(struct fmt_seg *ret, const void *p, size_t len, const uint8_t uuid[16],
			int type_gc, uint64_t seq, const uint8_t header_key[FMT_KEY_LEN])
{
	uint8_t mac[MAC_LEN];
	struct seg_disk d;
	struct fmt_seg s;
	int rc;

	if (len < sizeof(d))
		return -EBADMSG;
	memcpy(&d, p, sizeof(d));
	rc = fmt_prefix_check(&d.prefix, FMT_KIND_SEGMENT, uuid);
	if (rc)
		return rc;
	header_mac(mac, &d, header_key);
	if (sodium_memcmp(mac, d.mac, MAC_LEN))
		return -EBADMSG;
	unpack(&s, &d);
	if (!fmt_is_zero(d.rsvd0, sizeof(d.rsvd0)) || !fmt_is_zero(d.rsvd1, sizeof(d.rsvd1)) ||
	    !seg_ok(&s))
		return -EBADMSG;
	if (s.seq != seq || (s.type == FMT_SEG_GC) != !!type_gc)
		return -EBADMSG;
	*ret = s;
	return 0;
}

void fmt_seg_key(struct fmt_segkey *k, const struct fmt_seg *s, const uint8_t kdata[FMT_KEY_LEN])
{
	fmt_segkey_init(k, s->type, s->uuid, s->seq, s->epoch, s->salt, kdata);
}

int fmt_seg_table_open(struct fmt_table *ret, const struct fmt_seg *s, const struct fmt_segkey *k,
		       const void *p, size_t len)
{
	const uint8_t *in = p;
	uint8_t hash[FMT_HASH_LEN], nonce[12];
	struct table_aad aad;
	uint32_t raw_len;
	uint8_t *raw;
	int rc = -EBADMSG;

	if (s->type == FMT_SEG_FENCE)
		return -EINVAL;
	if (len < s->table_len)
		return -EBADMSG;
	fmt_hash16(hash, in, s->table_len);
	if (memcmp(hash, s->table_hash, sizeof(hash)))
		return -EBADMSG;
	raw_len = s->table_len - FMT_TAG_LEN;
	raw = malloc(raw_len + 1u);
	if (!raw)
		return -ENOMEM;
	table_aad(&aad, s, raw_len);
	table_nonce(nonce);
	if (!aead_open(&(struct aead){ k->key, nonce, &aad, sizeof(aad) }, raw, in + FMT_TAG_LEN,
		       raw_len, in))
		rc = fmt_table_decode(ret, raw, raw_len, s->type, s->wno_first, s->wno_last,
				      s->nr_frames, s->nr_entries, fmt_seg_frames_off(s),
				      s->object_len - FMT_SEG_FOOTER_LEN);
	free(raw);
	return rc;
}

int fmt_seg_check(const struct fmt_seg *s, const void *p, size_t len)
{
	uint8_t want[FMT_SEG_FOOTER_LEN];
	const uint8_t *in = p;

	if (len != s->object_len)
		return -EBADMSG;
	len -= FMT_SEG_FOOTER_LEN;
	fmt_seg_footer(want, crc32c(0, in, len));
	return memcmp(want, in + len, sizeof(want)) ? -EBADMSG : 0;
}
