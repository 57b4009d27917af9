// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/fmt_head.h"

#include <errno.h>
#include <string.h>

struct head_clear {
	struct fmt_prefix prefix;
	le64 version;
};
static_assert(sizeof(struct head_clear) == 48, "head, clear part");

struct head_body {
	le64 version;
	le64 epoch;
	uint8_t nonce[FMT_NONCE_LEN];
	le32 window;
	le32 flags;
	le64 keys_version;
	le64 manifest_version;
	le64 manifest_id;
	uint8_t manifest_hash[32];
	le64 replay_from;
	uint8_t chain[FMT_HASH_LEN];
	le64 last_wno;
	le64 floor;
	le64 gc_floor;
	le64 created_us;
	uint8_t journal[FMT_UUID_LEN];
	le32 journal_state;
	le32 rsvd0; /* 0 */
	uint8_t journal_host[FMT_NAME_LEN];
	uint8_t host[FMT_NAME_LEN];
	uint8_t image_journal[FMT_UUID_LEN];
	uint8_t journal_host_id[16];
	le64 journal_epoch;
	le64 journal_pos;
	uint8_t rsvd1[32]; /* 0 */
};
static_assert(sizeof(struct head_body) == 384, "head, body");
static_assert(sizeof(struct head_clear) + FMT_BOX_OVERHEAD + sizeof(struct head_body) ==
		      FMT_HEAD_LEN,
	      "head");

static bool head_ok(const struct fmt_head *h)
{
	bool journal = h->journal_state != FMT_JOURNAL_NONE;

	return h->version && h->epoch && h->window && h->window <= FMT_HEAD_MAX_WINDOW &&
	       h->keys_version && h->journal_state <= FMT_JOURNAL_CLEAN &&
	       journal == !fmt_is_zero(h->journal, sizeof(h->journal)) &&
	       !(h->flags & ~FMT_HEAD_CLEAN) && h->floor <= h->replay_from &&
	       (h->manifest_version || (!h->manifest_id && !h->last_wno));
}

int fmt_head_seal(uint8_t out[FMT_HEAD_LEN], const struct fmt_head *h, const uint8_t uuid[16],
		  const uint8_t head_key[FMT_KEY_LEN])
{
	struct head_clear c;
	struct head_body b = { .version = le_64(h->version) };

	if (!head_ok(h) || fmt_str_put(b.journal_host, h->journal_host, FMT_NAME_LEN) ||
	    fmt_str_put(b.host, h->host, FMT_NAME_LEN))
		return -EINVAL;
	b.epoch = le_64(h->epoch);
	memcpy(b.nonce, h->nonce, sizeof(b.nonce));
	b.window = le_32(h->window);
	b.flags = le_32(h->flags);
	b.keys_version = le_64(h->keys_version);
	b.manifest_version = le_64(h->manifest_version);
	b.manifest_id = le_64(h->manifest_id);
	memcpy(b.manifest_hash, h->manifest_hash, sizeof(b.manifest_hash));
	b.replay_from = le_64(h->replay_from);
	memcpy(b.chain, h->chain, sizeof(b.chain));
	b.last_wno = le_64(h->last_wno);
	b.floor = le_64(h->floor);
	b.gc_floor = le_64(h->gc_floor);
	b.created_us = le_64(h->created_us);
	memcpy(b.journal, h->journal, sizeof(b.journal));
	b.journal_state = le_32(h->journal_state);
	memcpy(b.image_journal, h->image_journal, sizeof(b.image_journal));
	memcpy(b.journal_host_id, h->journal_host_id, sizeof(b.journal_host_id));
	b.journal_epoch = le_64(h->journal_epoch);
	b.journal_pos = le_64(h->journal_pos);

	fmt_prefix_init(&c.prefix, FMT_KIND_HEAD, uuid);
	c.version = le_64(h->version);
	memcpy(out, &c, sizeof(c));
	fmt_box_seal(out + sizeof(c), head_key, &c, sizeof(c), &b, sizeof(b));
	return 0;
}

int fmt_head_open(struct fmt_head *ret, const void *p, size_t len, const uint8_t uuid[16],
		  uint64_t version, const uint8_t head_key[FMT_KEY_LEN])
{
	struct head_clear c;
	struct head_body b;
	struct fmt_head h;
	int rc;

	if (len != FMT_HEAD_LEN)
		return -EBADMSG;
	memcpy(&c, p, sizeof(c));
	rc = fmt_prefix_check(&c.prefix, FMT_KIND_HEAD, uuid);
	if (rc)
		return rc;
	if (le_cpu64(c.version) != version)
		return -EBADMSG;
	rc = fmt_box_open(&b, head_key, &c, sizeof(c), (const uint8_t *)p + sizeof(c),
			  len - sizeof(c));
	if (rc)
		return rc;

	memset(&h, 0, sizeof(h));
	h.version = le_cpu64(b.version);
	h.epoch = le_cpu64(b.epoch);
	memcpy(h.nonce, b.nonce, sizeof(h.nonce));
	h.window = le_cpu32(b.window);
	h.flags = le_cpu32(b.flags);
	h.keys_version = le_cpu64(b.keys_version);
	h.manifest_version = le_cpu64(b.manifest_version);
	h.manifest_id = le_cpu64(b.manifest_id);
	memcpy(h.manifest_hash, b.manifest_hash, sizeof(h.manifest_hash));
	h.replay_from = le_cpu64(b.replay_from);
	memcpy(h.chain, b.chain, sizeof(h.chain));
	h.last_wno = le_cpu64(b.last_wno);
	h.floor = le_cpu64(b.floor);
	h.gc_floor = le_cpu64(b.gc_floor);
	h.created_us = le_cpu64(b.created_us);
	memcpy(h.journal, b.journal, sizeof(h.journal));
	h.journal_state = le_cpu32(b.journal_state);
	memcpy(h.image_journal, b.image_journal, sizeof(h.image_journal));
	memcpy(h.journal_host_id, b.journal_host_id, sizeof(h.journal_host_id));
	h.journal_epoch = le_cpu64(b.journal_epoch);
	h.journal_pos = le_cpu64(b.journal_pos);
	if (h.version != version || !head_ok(&h) || le_cpu32(b.rsvd0) ||
	    !fmt_is_zero(b.rsvd1, sizeof(b.rsvd1)) ||
	    fmt_str_get(h.journal_host, b.journal_host, FMT_NAME_LEN) ||
	    fmt_str_get(h.host, b.host, FMT_NAME_LEN))
		return -EBADMSG;
	*ret = h;
	return 0;
}
