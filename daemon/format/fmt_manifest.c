// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/fmt_manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cur.h"
#define SECTION_DEVICES 1u
#define SECTION_RUNS	2u
#define SECTION_MUST	1u /* flag: who does not know it must not go on */

struct manifest_clear {
	struct fmt_prefix prefix;
	le64 version;
	le64 id;
};
static_assert(sizeof(struct manifest_clear) == 56, "manifest, clear part");

struct manifest_body {
	le64 epoch;
	le64 created_us;
	le64 replay_from;
	le64 last_wno;
	uint8_t chain[FMT_HASH_LEN];
	le64 mapped_blocks;
	le32 next_dev_id;
	le32 rsvd0; /* 0 */
	uint8_t rsvd1[32]; /* 0 */
};
static_assert(sizeof(struct manifest_body) == 96, "manifest, body");

struct section_disk {
	le16 type;
	le16 flags;
	le32 len;
};
static_assert(sizeof(struct section_disk) == 8, "section");

struct dev_disk {
	le32 id;
	le32 flags;
	uint8_t name[FMT_NAME_LEN];
	le64 size;
	le64 birth;
	le64 death;
};
static_assert(sizeof(struct dev_disk) == 96, "device");

struct run_disk {
	le64 version;
	le64 id;
	uint8_t kind;
	uint8_t level;
	le16 rsvd0; /* 0 */
	le32 index_len;
	le64 len;
	uint8_t hash[32];
	le64 index_off;
	le64 count;
	le32 first_dev;
	le32 last_dev;
	le64 first_lba;
	le64 last_lba;
	le64 wno_first;
	le64 wno_last;
	le64 rsvd1; /* 0 */
};
static_assert(sizeof(struct run_disk) == 128, "run");

static bool dev_ok(const struct fmt_dev *d, const struct fmt_dev *prev, uint32_t next_id)
{
	return d->id < next_id && (!prev || d->id > prev->id) && !(d->flags & ~FMT_DEV_RO) &&
	       d->size && !(d->size % FMT_BLOCK_SIZE) && d->birth <= d->death && d->name[0];
}

static bool run_ok(const struct fmt_run_ref *r)
{
	bool ordered = r->first_dev < r->last_dev ||
		       (r->first_dev == r->last_dev && r->first_lba <= r->last_lba);

	return (r->kind == FMT_RUN_EXTENTS || r->kind == FMT_RUN_SEGMENTS) && r->count && ordered &&
	       r->version && r->len <= FMT_MANIFEST_MAX_RUN_LEN && r->index_off <= r->len &&
	       r->index_len == r->len - r->index_off && r->wno_first <= r->wno_last;
}

static void put_section(struct buf *b, unsigned int type, size_t len)
{
	struct section_disk s = {
		.type = le_16((uint16_t)type),
		.flags = le_16(SECTION_MUST),
		.len = le_32((uint32_t)len),
	};

	buf_put(b, &s, sizeof(s));
}

static int put_dev(struct buf *b, const struct fmt_dev *d)
{
	struct dev_disk o;

	o.id = le_32(d->id);
	o.flags = le_32(d->flags);
	o.size = le_64(d->size);
	o.birth = le_64(d->birth);
	o.death = le_64(d->death);
	if (fmt_str_put(o.name, d->name, FMT_NAME_LEN))
		return -EINVAL;
	buf_put(b, &o, sizeof(o));
	return 0;
}

static void put_run(struct buf *b, const struct fmt_run_ref *r)
{
	struct run_disk o = {
		.version = le_64(r->version),
		.id = le_64(r->id),
		.kind = r->kind,
		.level = r->level,
		.index_len = le_32(r->index_len),
		.len = le_64(r->len),
		.index_off = le_64(r->index_off),
		.count = le_64(r->count),
		.first_dev = le_32(r->first_dev),
		.last_dev = le_32(r->last_dev),
		.first_lba = le_64(r->first_lba),
		.last_lba = le_64(r->last_lba),
		.wno_first = le_64(r->wno_first),
		.wno_last = le_64(r->wno_last),
	};

	memcpy(o.hash, r->hash, sizeof(o.hash));
	buf_put(b, &o, sizeof(o));
}

static int put_body(struct buf *b, const struct fmt_manifest *m)
{
	struct manifest_body body = {
		.epoch = le_64(m->epoch),
		.created_us = le_64(m->created_us),
		.replay_from = le_64(m->replay_from),
		.last_wno = le_64(m->last_wno),
		.mapped_blocks = le_64(m->mapped_blocks),
		.next_dev_id = le_32(m->next_dev_id),
	};

	if (!m->version || !m->epoch || m->nr_devs > FMT_MAX_DEVS ||
	    m->nr_runs > FMT_MANIFEST_MAX_RUNS)
		return -EINVAL;
	memcpy(body.chain, m->chain, sizeof(body.chain));
	buf_put(b, &body, sizeof(body));
	put_section(b, SECTION_DEVICES, m->nr_devs * sizeof(struct dev_disk));
	for (uint32_t i = 0; i < m->nr_devs; i++)
		if (!dev_ok(&m->devs[i], i ? &m->devs[i - 1] : NULL, m->next_dev_id) ||
		    put_dev(b, &m->devs[i]))
			return -EINVAL;
	put_section(b, SECTION_RUNS, m->nr_runs * sizeof(struct run_disk));
	for (uint32_t i = 0; i < m->nr_runs; i++) {
		if (!run_ok(&m->runs[i]))
			return -EINVAL;
		put_run(b, &m->runs[i]);
	}
	return buf_err(b);
}

int fmt_manifest_seal(struct buf *b, const struct fmt_manifest *m, const uint8_t uuid[16],
		      const uint8_t manifest_key[FMT_KEY_LEN], uint8_t ret_hash[32])
{
	struct buf body = BUF_INIT;
	struct manifest_clear c;
	size_t start = b->len;
	uint8_t *p;
	int rc = put_body(&body, m);

	if (rc)
		goto out;
	fmt_prefix_init(&c.prefix, FMT_KIND_MANIFEST, uuid);
	c.version = le_64(m->version);
	c.id = le_64(m->id);
	buf_put(b, &c, sizeof(c));
	p = buf_extend(b, FMT_BOX_OVERHEAD + body.len);
	if (!p) {
		rc = -ENOMEM;
		goto out;
	}
	fmt_box_seal(p, manifest_key, &c, sizeof(c), body.data, body.len);
	fmt_hash32(ret_hash, b->data + start, b->len - start);
out:
	buf_free(&body);
	return rc;
}

static int get_devs(struct fmt_manifest *m, struct cur *c, uint32_t len)
{
	uint32_t n = len / sizeof(struct dev_disk);

	if (m->devs || len % sizeof(struct dev_disk) || n > FMT_MAX_DEVS)
		return -EBADMSG;
	m->devs = calloc(n + 1, sizeof(*m->devs));
	if (!m->devs)
		return -ENOMEM;
	for (m->nr_devs = 0; m->nr_devs < n; m->nr_devs++) {
		const struct dev_disk *o = (const void *)cur_bytes(c, sizeof(*o));
		struct fmt_dev *d = &m->devs[m->nr_devs];

		if (!o)
			return -EBADMSG;
		d->id = le_cpu32(o->id);
		d->flags = le_cpu32(o->flags);
		d->size = le_cpu64(o->size);
		d->birth = le_cpu64(o->birth);
		d->death = le_cpu64(o->death);
		if (fmt_str_get(d->name, o->name, FMT_NAME_LEN) ||
		    !dev_ok(d, m->nr_devs ? d - 1 : NULL, m->next_dev_id))
			return -EBADMSG;
	}
	return 0;
}

static int get_runs(struct fmt_manifest *m, struct cur *c, uint32_t len)
{
	uint32_t n = len / sizeof(struct run_disk);

	if (m->runs || len % sizeof(struct run_disk) || n > FMT_MANIFEST_MAX_RUNS)
		return -EBADMSG;
	m->runs = calloc(n + 1, sizeof(*m->runs));
	if (!m->runs)
		return -ENOMEM;
	for (m->nr_runs = 0; m->nr_runs < n; m->nr_runs++) {
		const struct run_disk *o = (const void *)cur_bytes(c, sizeof(*o));
		struct fmt_run_ref *r = &m->runs[m->nr_runs];

		if (!o)
			return -EBADMSG;
		r->version = le_cpu64(o->version);
		r->id = le_cpu64(o->id);
		r->kind = o->kind;
		r->level = o->level;
		r->index_len = le_cpu32(o->index_len);
		r->len = le_cpu64(o->len);
		memcpy(r->hash, o->hash, sizeof(r->hash));
		r->index_off = le_cpu64(o->index_off);
		r->count = le_cpu64(o->count);
		r->first_dev = le_cpu32(o->first_dev);
		r->last_dev = le_cpu32(o->last_dev);
		r->first_lba = le_cpu64(o->first_lba);
		r->last_lba = le_cpu64(o->last_lba);
		r->wno_first = le_cpu64(o->wno_first);
		r->wno_last = le_cpu64(o->wno_last);
		if (!run_ok(r) || le_cpu16(o->rsvd0) || le_cpu64(o->rsvd1))
			return -EBADMSG;
	}
	return 0;
}

static int get_section(struct fmt_manifest *m, struct cur *c)
{
	const struct section_disk *s = (const void *)cur_bytes(c, sizeof(*s));
	uint32_t len;
	struct cur in;
	int rc;

	if (!s)
		return -EBADMSG;
	len = le_cpu32(s->len);
	if (len > cur_left(c))
		return -EBADMSG;
	cur_init(&in, cur_bytes(c, len), len);
	switch (le_cpu16(s->type)) {
	case SECTION_DEVICES:
		rc = get_devs(m, &in, len);
		break;
	case SECTION_RUNS:
		rc = get_runs(m, &in, len);
		break;
	default:
		rc = le_cpu16(s->flags) & SECTION_MUST ? -EPROTONOSUPPORT : 0;
	}
	return rc;
}

static int get_body(struct fmt_manifest *m, const void *p, size_t len)
{
	const struct manifest_body *b;
	struct cur c;
	int rc = 0;

	cur_init(&c, p, len);
	b = (const void *)cur_bytes(&c, sizeof(*b));
	if (!b || le_cpu32(b->rsvd0) || !fmt_is_zero(b->rsvd1, sizeof(b->rsvd1)))
		return -EBADMSG;
	m->epoch = le_cpu64(b->epoch);
	m->created_us = le_cpu64(b->created_us);
	m->replay_from = le_cpu64(b->replay_from);
	m->last_wno = le_cpu64(b->last_wno);
	memcpy(m->chain, b->chain, sizeof(m->chain));
	m->mapped_blocks = le_cpu64(b->mapped_blocks);
	m->next_dev_id = le_cpu32(b->next_dev_id);
	while (!rc && cur_left(&c))
		rc = get_section(m, &c);
	if (!rc && (!m->devs || !m->runs || !m->epoch))
		rc = -EBADMSG;
	return rc;
}

int fmt_manifest_open(struct fmt_manifest *ret, const void *p, size_t len, const uint8_t uuid[16],
		      uint64_t version, uint64_t id, const uint8_t *hash,
		      const uint8_t manifest_key[FMT_KEY_LEN])
{
	struct fmt_manifest m = { .version = version, .id = id };
	struct manifest_clear c;
	uint8_t have[32];
	uint8_t *body;
	size_t body_len;
	int rc;

	if (len < sizeof(c) + FMT_BOX_OVERHEAD || len > FMT_MANIFEST_MAX)
		return -EBADMSG;
	memcpy(&c, p, sizeof(c));
	rc = fmt_prefix_check(&c.prefix, FMT_KIND_MANIFEST, uuid);
	if (rc)
		return rc;
	if (le_cpu64(c.version) != version || le_cpu64(c.id) != id)
		return -EBADMSG;
	if (hash) {
		fmt_hash32(have, p, len);
		if (memcmp(have, hash, sizeof(have)))
			return -EBADMSG;
	}
	body_len = len - sizeof(c) - FMT_BOX_OVERHEAD;
	body = malloc(body_len + 1);
	if (!body)
		return -ENOMEM;
	rc = fmt_box_open(body, manifest_key, &c, sizeof(c), (const uint8_t *)p + sizeof(c),
			  len - sizeof(c));
	if (!rc)
		rc = get_body(&m, body, body_len);
	free(body);
	if (rc)
		fmt_manifest_free(&m);
	else
		*ret = m;
	return rc;
}

void fmt_manifest_free(struct fmt_manifest *m)
{
	free(m->devs);
	free(m->runs);
	m->devs = NULL;
	m->runs = NULL;
	m->nr_devs = m->nr_runs = 0;
}
