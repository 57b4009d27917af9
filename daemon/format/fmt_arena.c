// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/fmt_arena.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/crc32c.h"

#define ENTRY_CRC_LEN offsetof(struct fmt_arena_entry, crc)

static_assert(ENTRY_CRC_LEN == 52, "arena entry, checksummed part");

struct arena_disk {
	struct fmt_prefix prefix;
	le64 total_len;
	le64 data_off;
	le64 data_len;
	le64 index_off;
	le32 nr_entries;
	le32 extent_len;
	le64 write_off;
	le64 write_len;
	le64 epoch;
	le64 created_us;
	uint8_t rsvd[12]; /* 0 */
	le32 crc; /* CRC32C of all before it */
};
static_assert(sizeof(struct arena_disk) == 128, "arena header");

/* Words behind it that change while the arena is in use. */
#define SPILLED_OFF 128u
#define OWNER_OFF   136u
#define JOURNAL_OFF 144u

static uint64_t word(const void *hdr, size_t off)
{
	const uint64_t *p = (const uint64_t *)((const uint8_t *)hdr + off);

	return le64toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static void set_word(void *hdr, size_t off, uint64_t n)
{
	uint64_t *p = (uint64_t *)((uint8_t *)hdr + off);

	__atomic_store_n(p, htole64(n), __ATOMIC_SEQ_CST);
}

void fmt_arena_init(void *hdr, const struct fmt_arena *a, const uint8_t uuid[16])
{
	struct arena_disk d = {
		.total_len = le_64(a->total_len),
		.data_off = le_64(a->data_off),
		.data_len = le_64(a->data_len),
		.index_off = le_64(a->index_off),
		.nr_entries = le_32(a->nr_entries),
		.extent_len = le_32(a->extent_len),
		.write_off = le_64(a->write_off),
		.write_len = le_64(a->write_len),
		.epoch = le_64(a->epoch),
		.created_us = le_64(a->created_us),
	};

	fmt_prefix_init(&d.prefix, FMT_KIND_ARENA, uuid);
	d.crc = le_32(crc32c(0, &d, offsetof(struct arena_disk, crc)));
	memset(hdr, 0, FMT_ARENA_HDR_LEN);
	fmt_arena_set_spilled(hdr, a->spilled);
	fmt_arena_set_owner(hdr, a->owner);
	fmt_arena_set_journal(hdr, a->journal);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memcpy(hdr, &d, sizeof(d));
}

/* [off, off + len) within [0, limit), without wrapping. */
static bool within(uint64_t off, uint64_t len, uint64_t limit)
{
	return off <= limit && len <= limit - off;
}

static bool arena_ok(const struct fmt_arena *a, uint64_t mapped)
{
	const uint64_t all = a->total_len | a->data_off | a->data_len | a->index_off |
			     a->write_off | a->write_len | a->extent_len;

	return a->total_len <= mapped && !(all % FMT_BLOCK_SIZE) && a->extent_len &&
	       a->index_off >= FMT_ARENA_HDR_LEN &&
	       within(a->data_off, a->data_len, a->total_len) &&
	       within(a->index_off, (uint64_t)a->nr_entries * FMT_ARENA_ENTRY_LEN, a->data_off) &&
	       within(a->write_off, a->write_len, a->data_len);
}

int fmt_arena_open(struct fmt_arena *ret, const void *hdr, size_t mapped, const uint8_t uuid[16])
{
	struct arena_disk d;
	struct fmt_arena a;
	int rc;

	if (mapped < FMT_ARENA_HDR_LEN)
		return -EBADMSG;
	memcpy(&d, hdr, sizeof(d));
	rc = fmt_prefix_check(&d.prefix, FMT_KIND_ARENA, uuid);
	if (rc)
		return rc;
	if (le_cpu32(d.crc) != crc32c(0, &d, offsetof(struct arena_disk, crc)) ||
	    !fmt_is_zero(d.rsvd, sizeof(d.rsvd)))
		return -EBADMSG;
	a.total_len = le_cpu64(d.total_len);
	a.data_off = le_cpu64(d.data_off);
	a.data_len = le_cpu64(d.data_len);
	a.index_off = le_cpu64(d.index_off);
	a.nr_entries = le_cpu32(d.nr_entries);
	a.extent_len = le_cpu32(d.extent_len);
	a.write_off = le_cpu64(d.write_off);
	a.write_len = le_cpu64(d.write_len);
	a.epoch = le_cpu64(d.epoch);
	a.created_us = le_cpu64(d.created_us);
	a.spilled = fmt_arena_spilled(hdr);
	a.owner = word(hdr, OWNER_OFF);
	a.journal = word(hdr, JOURNAL_OFF);
	if (!arena_ok(&a, mapped))
		return -EBADMSG;
	*ret = a;
	return 0;
}

uint64_t fmt_arena_spilled(const void *hdr)
{
	return word(hdr, SPILLED_OFF);
}

void fmt_arena_set_spilled(void *hdr, uint64_t wno)
{
	set_word(hdr, SPILLED_OFF, wno);
}

void fmt_arena_set_owner(void *hdr, uint64_t epoch)
{
	set_word(hdr, OWNER_OFF, epoch);
}

void fmt_arena_set_journal(void *hdr, uint64_t epoch)
{
	set_word(hdr, JOURNAL_OFF, epoch);
}

void fmt_arena_set(struct fmt_arena_entry *e, const struct fmt_arena_rec *r)
{
	/*
	 * A process that is killed has carried out its stores up to some point of the program: it
	 * is enough that the compiler keeps the order. Acquire keeps what follows behind the
	 * exchange, release what comes before ahead of the store.
	 */
	__atomic_exchange_n(&e->valid, 0, __ATOMIC_ACQ_REL);
	e->wno = le_64(r->wno);
	e->lba = le_64(r->lba);
	e->off = le_64(r->off);
	e->dev = le_32(r->dev);
	e->blocks = le_32(r->blocks);
	e->op = r->op;
	e->flags = r->flags;
	memset(e->rsvd, 0, sizeof(e->rsvd));
	e->crc = le_32(crc32c(0, e, ENTRY_CRC_LEN));
	__atomic_store_n(&e->valid, htole64(FMT_ARENA_VALID ^ r->wno), __ATOMIC_RELEASE);
}

void fmt_arena_clear(struct fmt_arena_entry *e)
{
	__atomic_store_n(&e->valid, 0, __ATOMIC_RELEASE);
}

static bool rec_ok(const struct fmt_arena_rec *r, const struct fmt_arena *a)
{
	if (!r->wno || !r->blocks || r->lba > FMT_MAX_LBA || r->lba + r->blocks > FMT_MAX_LBA)
		return false;
	switch (r->op) {
	case FMT_ARENA_WRITE:
		return !r->flags && !(r->off % FMT_BLOCK_SIZE) && r->off >= a->write_off &&
		       within(r->off - a->write_off, (uint64_t)r->blocks * FMT_BLOCK_SIZE,
			      a->write_len);
	case FMT_ARENA_DISCARD:
		return !r->flags && !r->off;
	case FMT_ARENA_ZEROES:
		return !(r->flags & ~FMT_ARENA_NOUNMAP) && !r->off;
	default:
		return false;
	}
}

int fmt_arena_get(struct fmt_arena_rec *ret, const struct fmt_arena_entry *e,
		  const struct fmt_arena *a)
{
	uint64_t valid = le64toh(__atomic_load_n(&e->valid, __ATOMIC_ACQUIRE));
	struct fmt_arena_entry c;
	struct fmt_arena_rec r;

	if (!valid)
		return 0;
	memcpy(&c, e, ENTRY_CRC_LEN + sizeof(c.crc));
	if (le_cpu32(c.crc) != crc32c(0, &c, ENTRY_CRC_LEN) ||
	    valid != (FMT_ARENA_VALID ^ le_cpu64(c.wno)) || !fmt_is_zero(c.rsvd, sizeof(c.rsvd)))
		return -EBADMSG;
	r.wno = le_cpu64(c.wno);
	r.lba = le_cpu64(c.lba);
	r.off = le_cpu64(c.off);
	r.dev = le_cpu32(c.dev);
	r.blocks = le_cpu32(c.blocks);
	r.op = c.op;
	r.flags = c.flags;
	if (!rec_ok(&r, a))
		return -EBADMSG;
	*ret = r;
	return 1;
}
