// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The arena: see arena.h.
 *
 * Happy path: extents are taken and posted; a write names a place in one (arena_use), gets its
 * index entry (arena_record), and when the store has it the entry is cleared and the extent may go
 * round again (arena_trim). Failure modes: a place that was never posted is the kernel's or the
 * transport's error and refused; a full index holds new writes (the caller seals); after a daemon's
 * death arena_adopt() believes nothing that does not check.
 */
#include "volume/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"

#define PAGE	      ((uint64_t)FMT_BLOCK_SIZE)
#define EXTENTS_MANY  256u
#define CACHE_MIN     (40ull << 20) /* the frames of one READ at their largest, and some */
#define SPARE_ENTRIES 4096u /* for discards, which name no page */

static uint64_t page_up(uint64_t n)
{
	return (n + PAGE - 1) & ~(PAGE - 1);
}

static uint64_t index_len(uint64_t nr_entries)
{
	return FMT_ARENA_HDR_LEN + nr_entries * FMT_ARENA_ENTRY_LEN;
}

int arena_plan(struct fmt_arena *ret, uint64_t memory, uint64_t reserve, uint32_t min_extents,
	       uint64_t *ret_need)
{
	uint64_t write_min = (uint64_t)min_extents * ARENA_EXTENT_MIN, write_len, entries, rest;
	uint32_t extent = ARENA_EXTENT_MIN;
	struct fmt_arena g = { 0 };

	*ret_need = reserve + ARENA_ZERO_LEN + write_min + CACHE_MIN +
		    page_up(index_len(write_min / PAGE + SPARE_ENTRIES));
	if (memory < *ret_need)
		return -ERANGE;
	write_len = memory / 4;
	if (write_len < write_min)
		write_len = write_min;
	while (write_len / extent > EXTENTS_MANY && extent < (64u << 20))
		extent *= 2;
	if (write_len / extent < min_extents)
		extent = ARENA_EXTENT_MIN;
	write_len -= write_len % extent;
	entries = write_len / PAGE + SPARE_ENTRIES;
	g.index_off = FMT_ARENA_HDR_LEN;
	g.data_off = page_up(index_len(entries));
	/* memory / 4 and the minimum may together leave less than the cache needs */
	while (reserve + g.data_off + ARENA_ZERO_LEN + write_len + CACHE_MIN > memory &&
	       write_len - extent >= write_min)
		write_len -= extent;
	rest = memory - reserve - g.data_off - ARENA_ZERO_LEN - write_len;
	g.nr_entries = entries;
	g.extent_len = extent;
	g.write_off = ARENA_ZERO_LEN;
	g.write_len = write_len;
	g.data_len = ARENA_ZERO_LEN + write_len + (rest & ~(PAGE - 1));
	g.total_len = g.data_off + g.data_len;
	*ret = g;
	return 0;
}

static int attach_geometry(struct arena *a, void *base, const struct fmt_arena *geo)
{
	uint32_t i;

	memset(a, 0, sizeof(*a));
	list_init(&a->free);
	a->geo = *geo;
	a->base = base;
	a->data = a->base + geo->data_off;
	a->index = (struct fmt_arena_entry *)(a->base + geo->index_off);
	a->nr_exts = geo->write_len / geo->extent_len;
	a->exts = calloc(a->nr_exts, sizeof(*a->exts));
	a->free_slots = calloc(geo->nr_entries, sizeof(*a->free_slots));
	a->ring = calloc(geo->nr_entries, sizeof(*a->ring));
	if (!a->exts || !a->free_slots || !a->ring) {
		arena_free(a);
		return -ENOMEM;
	}
	a->heap_bytes = a->nr_exts * sizeof(*a->exts) +
			(uint64_t)geo->nr_entries * (sizeof(*a->free_slots) + sizeof(*a->ring));
	for (i = 0; i < a->nr_exts; i++) {
		a->exts[i].queue = ARENA_NO_QUEUE;
		list_init(&a->exts[i].link);
	}
	return 0;
}

static void ext_make_free(struct arena *a, uint32_t ext)
{
	a->exts[ext].state = ARENA_FREE;
	a->exts[ext].queue = ARENA_NO_QUEUE;
	list_add_tail(&a->exts[ext].link, &a->free);
	a->nr_free++;
}

int arena_init(struct arena *a, void *base, uint64_t total, const struct fmt_arena *geo,
	       const uint8_t uuid[16])
{
	uint32_t i;
	int err;

	if (total < geo->total_len)
		return -EINVAL;
	err = attach_geometry(a, base, geo);
	if (err)
		return err;
	memset(a->index, 0, (size_t)geo->nr_entries * FMT_ARENA_ENTRY_LEN);
	memset(a->data, 0, ARENA_ZERO_LEN);
	a->untold = true;
	a->geo.spilled = FMT_ARENA_LOST;
	a->geo.owner = 0;
	a->geo.journal = 0;
	fmt_arena_init(base, &a->geo, uuid);
	for (i = 0; i < a->nr_exts; i++)
		ext_make_free(a, i);
	for (i = geo->nr_entries; i > 0; i--)
		a->free_slots[a->nr_free_slots++] = i - 1;
	return 0;
}

struct found {
	struct fmt_arena_rec rec;
	uint32_t slot;
};

static int by_wno(const void *x, const void *y)
{
	const struct found *a = x, *b = y;

	return a->rec.wno < b->rec.wno ? -1 : a->rec.wno > b->rec.wno;
}

static int by_off(const void *x, const void *y)
{
	const struct fmt_arena_rec *a = x, *b = y;

	return a->off < b->off ? -1 : a->off > b->off;
}

/* True if no two of the writes lie on one page. */
static bool no_overlap(const struct fmt_arena_rec *recs, uint32_t nr, int *ret_err)
{
	struct fmt_arena_rec *w = malloc((nr + 1) * sizeof(*w));
	uint64_t end = 0;
	uint32_t i, n = 0;
	bool ok = true;

	*ret_err = w ? 0 : -ENOMEM;
	if (!w)
		return false;
	for (i = 0; i < nr; i++)
		if (recs[i].op == FMT_ARENA_WRITE)
			w[n++] = recs[i];
	qsort(w, n, sizeof(*w), by_off);
	for (i = 0; i < n && ok; i++) {
		ok = w[i].off >= end;
		end = w[i].off + (uint64_t)w[i].blocks * PAGE;
	}
	free(w);
	return ok;
}

/*
 * Is a WRITE's place inside one extent? fmt_arena_get() has checked that it is in the write region.
 */
static bool rec_sound(const struct arena *a, const struct fmt_arena_rec *r)
{
	uint64_t rel = r->off - a->geo.write_off, len = (uint64_t)r->blocks * PAGE;

	if (!r->wno || !r->blocks)
		return false;
	if (r->op != FMT_ARENA_WRITE)
		return true;
	return rel / a->geo.extent_len == (rel + len - 1) / a->geo.extent_len;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

int arena_adopt(struct arena *a, void *base, uint64_t total, const uint8_t uuid[16],
		struct fmt_arena_rec **ret_recs, uint32_t *ret_nr, bool *ret_sound)
{
	struct fmt_arena_rec *recs = NULL;
	struct found *f = NULL;
	struct fmt_arena geo;
	uint32_t i, n = 0;
	bool sound = true;
	int err = fmt_arena_open(&geo, base, total, uuid);

	if (err)
		return err;
	if (geo.write_off != ARENA_ZERO_LEN || geo.extent_len < ARENA_EXTENT_MIN ||
	    geo.write_len % geo.extent_len || !geo.write_len)
		return -EBADMSG;
	err = attach_geometry(a, base, &geo);
	if (err)
		return err;
	a->spilled = geo.spilled;
	f = malloc(((size_t)geo.nr_entries + 1) * sizeof(*f));
	recs = malloc(((size_t)geo.nr_entries + 1) * sizeof(*recs));
	if (!f || !recs) {
		err = -ENOMEM;
		goto fail;
	}
	/*
	 * the kernel only reads it; a daemon that wrote there was broken, and so may be all the
	 * rest
	 */
	if (!is_zero(a->data, ARENA_ZERO_LEN)) {
		err = -EBADMSG;
		goto fail;
	}
	for (i = 0; i < geo.nr_entries; i++) {
		int got = fmt_arena_get(&f[n].rec, &a->index[i], &geo);

		if (got == 1 && rec_sound(a, &f[n].rec)) {
			f[n++].slot = i;
			continue;
		}
		/* it stays, so that whoever adopts after our death sees it too */
		if (got)
			sound = false;
		else
			a->free_slots[a->nr_free_slots++] = i;
	}
	qsort(f, n, sizeof(*f), by_wno);
	for (i = 0; i < n; i++) {
		if (i && f[i].rec.wno == f[i - 1].rec.wno)
			sound = false;
		recs[i] = f[i].rec;
	}
	if (sound)
		sound = no_overlap(recs, n, &err);
	if (err)
		goto fail;
	for (i = 0; i < n; i++) {
		uint32_t ext = recs[i].op == FMT_ARENA_WRITE ? arena_ext_at(a, recs[i].off) : ~0u;

		a->ring[a->ring_len++] = (struct arena_use){ recs[i].wno, f[i].slot, ext, ~0u };
		if (ext != ~0u) {
			a->exts[ext].live++;
			a->exts[ext].state = ARENA_CLOSED;
		}
	}
	for (i = 0; i < a->nr_exts; i++)
		if (a->exts[i].state == ARENA_FREE)
			ext_make_free(a, i);
	free(f);
	*ret_recs = recs;
	*ret_nr = n;
	*ret_sound = sound;
	return 0;
fail:
	free(f);
	free(recs);
	arena_free(a);
	return err;
}

static bool settle(struct arena *a, uint32_t ext)
{
	struct arena_extent *x = &a->exts[ext];

	if (x->state != ARENA_CLOSED || x->live || x->pins)
		return false;
	ext_make_free(a, ext);
	return true;
}

void arena_give_up(struct arena *a, bool gone)
{
	uint32_t i;

	/*
	 * A death in here must not leave a part of the index that looks like all of it, nor forget
	 * that something is gone: so the word comes first.
	 */
	a->geo.spilled = gone ? FMT_ARENA_GONE : FMT_ARENA_LOST;
	fmt_arena_set_spilled(a->base, a->geo.spilled);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (i = 0; i < a->geo.nr_entries; i++)
		fmt_arena_clear(&a->index[i]);
	a->ring_head = 0;
	a->ring_len = 0;
	a->nr_free_slots = 0;
	for (i = a->geo.nr_entries; i > 0; i--)
		a->free_slots[a->nr_free_slots++] = i - 1;
	for (i = 0; i < a->nr_exts; i++) {
		a->exts[i].live = 0;
		settle(a, i);
	}
	a->spilled = 0;
	a->untold = true;
}

void arena_set_owner(struct arena *a, uint64_t epoch)
{
	a->geo.owner = epoch;
	fmt_arena_set_owner(a->base, epoch);
}

uint64_t arena_owner(const struct arena *a)
{
	return a->geo.owner;
}

uint64_t arena_journal(const struct arena *a)
{
	return a->geo.journal;
}

void arena_told(struct arena *a, uint64_t epoch, uint64_t journal)
{
	a->geo.journal = journal;
	fmt_arena_set_journal(a->base, journal);
	arena_set_owner(a, epoch);
	if (!a->untold)
		return;
	a->untold = false;
	fmt_arena_set_spilled(a->base, a->spilled);
}

void arena_free(struct arena *a)
{
	free(a->exts);
	free(a->free_slots);
	free(a->ring);
	free(a->queue_cur);
	memset(a, 0, sizeof(*a));
	list_init(&a->free);
}

bool arena_take(struct arena *a, uint32_t *ret_ext)
{
	struct arena_extent *x;

	if (list_empty(&a->free))
		return false;
	x = list_first_entry(&a->free, struct arena_extent, link);
	list_del(&x->link);
	a->nr_free--;
	a->nr_posted++;
	x->state = ARENA_POSTED;
	*ret_ext = x - a->exts;
	return true;
}

uint64_t arena_ext_off(const struct arena *a, uint32_t ext)
{
	return a->geo.write_off + (uint64_t)ext * a->geo.extent_len;
}

uint32_t arena_ext_at(const struct arena *a, uint64_t off)
{
	if (off < a->geo.write_off || off - a->geo.write_off >= a->geo.write_len)
		return ~0u;
	return (off - a->geo.write_off) / a->geo.extent_len;
}

static int queue_room(struct arena *a, uint32_t queue)
{
	uint32_t *p, nr = queue + 1;

	if (queue < a->nr_queues)
		return 0;
	if (queue >= ARENA_MAX_QUEUES)
		return -EINVAL;
	p = realloc(a->queue_cur, nr * sizeof(*p));
	if (!p)
		return -ENOMEM;
	memset(p + a->nr_queues, 0, (nr - a->nr_queues) * sizeof(*p));
	a->heap_bytes += (nr - a->nr_queues) * sizeof(*p);
	a->queue_cur = p;
	a->nr_queues = nr;
	return 0;
}

int arena_use(struct arena *a, uint32_t queue, uint64_t off, uint64_t len, uint32_t *ret_freed)
{
	uint32_t ext = arena_ext_at(a, off), old;
	struct arena_extent *x;
	int err;

	*ret_freed = ~0u;
	if (ext == ~0u || off % PAGE || !len ||
	    off + len > arena_ext_off(a, ext) + a->geo.extent_len)
		return -EINVAL;
	x = &a->exts[ext];
	if (x->state == ARENA_CURRENT && x->queue == queue)
		return 0;
	if (x->state != ARENA_POSTED)
		return -EINVAL;
	err = queue_room(a, queue);
	if (err)
		return err;
	old = a->queue_cur[queue];
	a->queue_cur[queue] = ext + 1;
	x->state = ARENA_CURRENT;
	x->queue = queue;
	if (!old)
		return 0;
	a->exts[old - 1].state = ARENA_CLOSED;
	a->exts[old - 1].queue = ARENA_NO_QUEUE;
	a->nr_posted--;
	if (settle(a, old - 1))
		*ret_freed = old - 1;
	return 0;
}

bool arena_has_slot(const struct arena *a)
{
	return a->nr_free_slots;
}

void arena_record(struct arena *a, const struct fmt_arena_rec *r)
{
	uint32_t slot = a->free_slots[--a->nr_free_slots];
	uint32_t ext = r->op == FMT_ARENA_WRITE ? arena_ext_at(a, r->off) : ~0u;
	uint32_t at = (uint64_t)(a->ring_head + (uint64_t)a->ring_len) % a->geo.nr_entries;

	fmt_arena_set(&a->index[slot], r);
	a->ring[at] = (struct arena_use){ r->wno, slot, ext, ~0u };
	a->ring_len++;
	if (ext != ~0u)
		a->exts[ext].live++;
}

uint32_t arena_trim(struct arena *a, uint64_t wno)
{
	uint32_t freed = 0;

	while (a->ring_len && a->ring[a->ring_head].wno <= wno) {
		const struct arena_use *u = &a->ring[a->ring_head];

		fmt_arena_clear(&a->index[u->slot]);
		a->free_slots[a->nr_free_slots++] = u->slot;
		if (u->ext != ~0u) {
			a->exts[u->ext].live--;
			freed += settle(a, u->ext);
		}
		a->ring_head = (a->ring_head + 1) % a->geo.nr_entries;
		a->ring_len--;
	}
	return freed;
}

uint32_t arena_spill(struct arena *a, uint64_t wno)
{
	/* who adopts must know of it before an entry is missing */
	if (a->spilled < wno) {
		a->spilled = wno;
		if (!a->untold)
			fmt_arena_set_spilled(a->base, wno);
	}
	return arena_trim(a, wno);
}

uint64_t arena_spilled(const struct arena *a)
{
	return a->spilled;
}

static const struct arena_use *use_at(const struct arena *a, uint32_t place)
{
	return &a->ring[(a->ring_head + (uint64_t)place) % a->geo.nr_entries];
}

uint32_t arena_after(const struct arena *a, uint64_t wno)
{
	uint32_t lo = 0, hi = a->ring_len;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (use_at(a, mid)->wno <= wno)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool arena_nth(const struct arena *a, uint32_t place, struct fmt_arena_rec *ret)
{
	const struct arena_use *u;

	if (place >= a->ring_len)
		return false;
	u = use_at(a, place);
	return fmt_arena_get(ret, &a->index[u->slot], &a->geo) == 1 && ret->wno == u->wno;
}

void arena_set_ring_block(struct arena *a, uint32_t place, uint32_t block)
{
	a->ring[(a->ring_head + (uint64_t)place) % a->geo.nr_entries].ring_block = block;
}

uint32_t arena_ring_block(const struct arena *a, uint32_t place)
{
	return use_at(a, place)->ring_block;
}

void arena_pin(struct arena *a, uint32_t ext)
{
	a->exts[ext].pins++;
}

bool arena_unpin(struct arena *a, uint32_t ext)
{
	a->exts[ext].pins--;
	return settle(a, ext);
}

int arena_check(const struct arena *a)
{
	uint32_t i, free_exts = 0, posted = 0;
	uint64_t live = 0, ring_live = 0;

	for (i = 0; i < a->nr_exts; i++) {
		const struct arena_extent *x = &a->exts[i];

		free_exts += x->state == ARENA_FREE;
		posted += x->state == ARENA_POSTED || x->state == ARENA_CURRENT;
		live += x->live;
		if (x->state == ARENA_FREE && (x->live || x->pins))
			return 1;
		if (x->state == ARENA_CLOSED && !x->live && !x->pins)
			return 2;
		if (x->state == ARENA_CURRENT &&
		    (x->queue >= a->nr_queues || a->queue_cur[x->queue] != i + 1))
			return 3;
	}
	if (free_exts != a->nr_free || posted != a->nr_posted)
		return 1;
	for (i = 0; i < a->ring_len; i++) {
		uint32_t at = (a->ring_head + (uint64_t)i) % a->geo.nr_entries;
		uint32_t prev = (at + a->geo.nr_entries - 1) % a->geo.nr_entries;
		struct fmt_arena_rec r;

		if (i && a->ring[prev].wno >= a->ring[at].wno)
			return 4;
		if (fmt_arena_get(&r, &a->index[a->ring[at].slot], &a->geo) != 1 ||
		    r.wno != a->ring[at].wno)
			return 4;
		ring_live += a->ring[at].ext != ~0u;
	}
	if (ring_live != live)
		return 2;
	return a->ring_len + a->nr_free_slots == a->geo.nr_entries ? 0 : 4;
}
