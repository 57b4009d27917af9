// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * RAM cache of decoded frames: see cache.h.
 *
 * Happy path: find (hash), pin, the READ is answered, unpin when the kernel has copied. A miss
 * takes a slot of the frame's class: a free one, else an empty slab, else the class's CLOCK hand
 * evicts. Every STEAL_EVERY-th eviction takes a cold slab from another class instead, so that a
 * change of frame size does not strand memory. Failure modes: a class that cannot help itself takes
 * any slab that can be emptied; all slots pinned or loading -> NULL, and the reader waits for an
 * unpin.
 */
#include "volume/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"

#define SLAB_BYTES  ((uint64_t)CACHE_SLAB_PAGES << IO_BLOCK_SHIFT)
#define STEAL_EVERY 4u
#define STEAL_LOOKS 8u /* slabs */
#define AHEAD_SHARE 4u /* of all slots, LOADING for nobody */

static uint32_t hash_of(const struct cache *c, uint32_t seg, uint32_t pos)
{
	uint64_t x = ((uint64_t)seg << 32 | pos) * 0x9e3779b97f4a7c15ull;

	return (uint32_t)(x >> 32) & c->hash_mask;
}

int cache_init(struct cache *c, uint64_t off, uint64_t len)
{
	uint32_t i, slots = 16;

	memset(c, 0, sizeof(*c));
	list_init(&c->empty);
	for (i = 0; i < CACHE_CLASSES; i++) {
		list_init(&c->cls[i].slabs);
		list_init(&c->cls[i].free);
	}
	c->off = off;
	c->nr_slabs = len / SLAB_BYTES;
	while (slots < c->nr_slabs * 8u)
		slots *= 2;
	c->hash_mask = slots - 1;
	c->hash = calloc(slots, sizeof(*c->hash));
	c->slabs = calloc(c->nr_slabs ? c->nr_slabs : 1, sizeof(*c->slabs));
	if (!c->hash || !c->slabs) {
		cache_free(c);
		return -ENOMEM;
	}
	c->heap_bytes = slots * sizeof(*c->hash) + c->nr_slabs * sizeof(*c->slabs);
	for (i = 0; i < c->nr_slabs; i++) {
		c->slabs[i].off = off + i * SLAB_BYTES;
		list_add_tail(&c->slabs[i].link, &c->empty);
	}
	return 0;
}

void cache_free(struct cache *c)
{
	uint32_t i;

	for (i = 0; c->slabs && i < c->nr_slabs; i++)
		free(c->slabs[i].ents);
	free(c->slabs);
	free(c->hash);
	memset(c, 0, sizeof(*c));
}

static struct cache_ent *hash_find(struct cache *c, uint32_t seg, uint32_t pos)
{
	struct cache_ent *e = c->hash[hash_of(c, seg, pos)];

	while (e && (e->seg != seg || e->pos != pos))
		e = e->next;
	return e;
}

static void hash_del(struct cache *c, struct cache_ent *e)
{
	struct cache_ent **p = &c->hash[hash_of(c, e->seg, e->pos)];

	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
	e->next = NULL;
}

static uint64_t slot_bytes(const struct cache_ent *e)
{
	return (uint64_t)IO_BLOCK_SIZE << e->slab->cls;
}

/* LOADING ends, or somebody asks for it. */
static void no_more_waits_ahead(struct cache *c, const struct cache_ent *e)
{
	if (e->ahead && e->state == CACHE_LOADING)
		c->ahead_loading -= slot_bytes(e);
}

struct cache_ent *cache_find(struct cache *c, uint32_t seg, uint32_t pos)
{
	struct cache_ent *e = hash_find(c, seg, pos);

	if (!e)
		return NULL;
	e->ref = !e->ahead; /* else as after cache_new() */
	no_more_waits_ahead(c, e);
	if (e->ahead)
		c->ahead_used += slot_bytes(e);
	e->ahead = false;
	return e;
}

struct cache_ent *cache_peek(struct cache *c, uint32_t seg, uint32_t pos)
{
	return hash_find(c, seg, pos);
}

/* Anything but FREE -> FREE. */
static void ent_release(struct cache *c, struct cache_ent *e)
{
	if (e->state == CACHE_READY)
		c->used_bytes -= slot_bytes(e);
	e->state = CACHE_FREE;
	e->slab->used--;
	list_add(&e->link, &c->cls[e->slab->cls].free);
}

static void evict(struct cache *c, struct cache_ent *e)
{
	hash_del(c, e);
	ent_release(c, e);
	c->evictions++;
}

static bool slab_give_class(struct cache *c, struct cache_slab *s, uint32_t cls)
{
	uint16_t i, nr = CACHE_SLAB_PAGES >> cls;

	s->ents = calloc(nr, sizeof(*s->ents));
	if (!s->ents)
		return false;
	c->heap_bytes += nr * sizeof(*s->ents);
	s->cls = cls;
	s->nr = nr;
	s->used = 0;
	for (i = 0; i < nr; i++) {
		s->ents[i].no = i;
		s->ents[i].slab = s;
		list_init(&s->ents[i].waiters);
		list_add_tail(&s->ents[i].link, &c->cls[cls].free);
	}
	list_del(&s->link);
	list_add_tail(&s->link, &c->cls[cls].slabs);
	c->cls[cls].nr_slabs++;
	return true;
}

static void slab_take_class(struct cache *c, struct cache_slab *s)
{
	struct cache_class *k = &c->cls[s->cls];
	uint16_t i;

	for (i = 0; i < s->nr; i++) {
		if (s->ents[i].state == CACHE_READY)
			evict(c, &s->ents[i]);
		list_del(&s->ents[i].link);
	}
	if (k->hand == s)
		k->hand = NULL;
	list_del(&s->link);
	list_add(&s->link, &c->empty);
	k->nr_slabs--;
	c->heap_bytes -= s->nr * sizeof(*s->ents);
	free(s->ents);
	s->ents = NULL;
}

static bool slab_idle(const struct cache_slab *s)
{
	uint16_t i;

	for (i = 0; i < s->nr; i++)
		if (s->ents[i].state != CACHE_FREE &&
		    (s->ents[i].state != CACHE_READY || s->ents[i].pins))
			return false;
	return true;
}

/*
 * Takes a slab that nobody has touched lately from another class, the classes in turn; marks that
 * it passes are cleared, as by the hand.
 */
static bool steal_cold(struct cache *c, uint32_t cls)
{
	struct cache_class *k = &c->cls[c->turn++ % CACHE_CLASSES];
	uint32_t looks = k->nr_slabs < STEAL_LOOKS ? k->nr_slabs : STEAL_LOOKS;
	uint16_t i;

	if (k == &c->cls[cls])
		return false;
	for (; looks; looks--) {
		struct cache_slab *s = list_first_entry(&k->slabs, struct cache_slab, link);
		bool cold = slab_idle(s);

		for (i = 0; i < s->nr; i++) {
			cold = cold && !s->ents[i].ref;
			s->ents[i].ref = 0;
		}
		if (cold) {
			slab_take_class(c, s);
			return true;
		}
		list_del(&s->link);
		list_add_tail(&s->link, &k->slabs);
	}
	return false;
}

/* Takes any slab of another class that can be emptied. */
static bool steal_any(struct cache *c, uint32_t cls)
{
	struct cache_slab *s;
	uint32_t i;

	for (i = 0; i < CACHE_CLASSES; i++) {
		if (i == cls)
			continue;
		list_for_each_entry(s, &c->cls[i].slabs, link) {
			if (slab_idle(s)) {
				slab_take_class(c, s);
				return true;
			}
		}
	}
	return false;
}

/* The hand goes round at most twice: once to clear the marks, once to find. */
static bool clock_evict(struct cache *c, struct cache_class *k)
{
	uint32_t left = k->nr_slabs * 2 + 1;

	if (!k->nr_slabs)
		return false;
	if (!k->hand) {
		k->hand = list_first_entry(&k->slabs, struct cache_slab, link);
		k->hand_no = 0;
	}
	while (left) {
		struct cache_ent *e;

		if (k->hand_no == k->hand->nr) {
			struct list_head *next = k->hand->link.next;

			if (next == &k->slabs)
				next = next->next;
			k->hand = list_entry(next, struct cache_slab, link);
			k->hand_no = 0;
			left--;
			continue;
		}
		e = &k->hand->ents[k->hand_no++];
		if (e->state != CACHE_READY || e->pins)
			continue;
		if (e->ref) {
			e->ref = 0;
			continue;
		}
		evict(c, e);
		return true;
	}
	return false;
}

static uint32_t class_of(uint32_t pages)
{
	uint32_t cls = 0;

	while ((1u << cls) < pages)
		cls++;
	return cls;
}

/* Makes the class's free list non-empty. */
static bool make_room(struct cache *c, uint32_t cls)
{
	struct cache_class *k = &c->cls[cls];

	if (!list_empty(&k->free))
		return true;
	if (list_empty(&c->empty)) {
		bool due = ++k->evictions % STEAL_EVERY == 0;

		if (!(due && steal_cold(c, cls)) && clock_evict(c, k))
			return true;
		if (list_empty(&c->empty) && !steal_any(c, cls))
			return false;
	}
	return slab_give_class(c, list_first_entry(&c->empty, struct cache_slab, link), cls);
}

struct cache_ent *cache_new(struct cache *c, uint32_t seg, uint32_t pos, uint32_t pages)
{
	uint32_t cls = class_of(pages), h = hash_of(c, seg, pos);
	struct cache_ent *e;

	if (cls >= CACHE_CLASSES || !make_room(c, cls))
		return NULL;
	e = list_first_entry(&c->cls[cls].free, struct cache_ent, link);
	list_del(&e->link);
	e->seg = seg;
	e->pos = pos;
	e->pins = 1;
	e->ref = 0; /* what is read once, by a scan, goes first */
	e->ahead = false;
	e->priv = NULL;
	e->state = CACHE_LOADING;
	e->slab->used++;
	e->next = c->hash[h];
	c->hash[h] = e;
	return e;
}

struct cache_ent *cache_new_ahead(struct cache *c, uint32_t seg, uint32_t pos, uint32_t pages)
{
	uint64_t bytes = (uint64_t)IO_BLOCK_SIZE << class_of(pages);
	struct cache_ent *e;

	if (c->ahead_loading + bytes > c->nr_slabs * SLAB_BYTES / AHEAD_SHARE)
		return NULL;
	e = cache_new(c, seg, pos, pages);
	if (!e)
		return NULL;
	e->pins = 0;
	e->ref = 1;
	e->ahead = true;
	c->ahead_bytes += bytes;
	c->ahead_loading += bytes;
	return e;
}

void cache_ready(struct cache *c, struct cache_ent *e)
{
	no_more_waits_ahead(c, e);
	e->state = CACHE_READY;
	e->priv = NULL;
	c->used_bytes += slot_bytes(e);
}

void cache_failed(struct cache *c, struct cache_ent *e)
{
	hash_del(c, e);
	no_more_waits_ahead(c, e);
	e->state = CACHE_FAILED;
	e->priv = NULL;
	if (!e->pins)
		ent_release(c, e);
}

void cache_pin(struct cache_ent *e)
{
	e->pins++;
}

void cache_unpin(struct cache *c, struct cache_ent *e)
{
	if (!--e->pins && e->state == CACHE_FAILED)
		ent_release(c, e);
}

uint64_t cache_off(const struct cache_ent *e)
{
	return e->slab->off + ((uint64_t)e->no << (IO_BLOCK_SHIFT + e->slab->cls));
}

struct cache_ent *cache_at(struct cache *c, uint64_t off)
{
	struct cache_slab *s = &c->slabs[(off - c->off) / SLAB_BYTES];

	return &s->ents[(off - s->off) >> (IO_BLOCK_SHIFT + s->cls)];
}

static int slab_check(struct cache *c, const struct cache_slab *s, uint64_t *ahead)
{
	uint16_t i, used = 0;

	for (i = 0; i < s->nr; i++) {
		struct cache_ent *e = &s->ents[i];
		bool hashed = e->state == CACHE_LOADING || e->state == CACHE_READY;

		if ((hash_find(c, e->seg, e->pos) == e) != hashed)
			return 1;
		if (e->state == CACHE_FREE && (e->pins || !list_empty(&e->waiters)))
			return 2;
		if (e->state == CACHE_READY && !list_empty(&e->waiters))
			return 3;
		if (cache_at(c, cache_off(e)) != e)
			return 4;
		used += e->state != CACHE_FREE;
		if (e->state == CACHE_LOADING && e->ahead)
			*ahead += slot_bytes(e);
	}
	return used == s->used ? 0 : 2;
}

int cache_check(struct cache *c)
{
	uint64_t ahead = 0;
	uint32_t i;

	for (i = 0; i < c->nr_slabs; i++) {
		int bad = c->slabs[i].ents ? slab_check(c, &c->slabs[i], &ahead) : 0;

		if (bad)
			return bad;
	}
	return ahead == c->ahead_loading && ahead <= c->nr_slabs * SLAB_BYTES / AHEAD_SHARE ? 0 : 5;
}
