// SPDX-License-Identifier: GPL-2.0-or-later
/* What the store alone must hold, after each change of it. */
#include <stdlib.h>
#include <string.h>

#include "format/fmt_head.h"
#include "format/fmt_name.h"
#include "format/fmt_seg.h"
#include "lib/testrand.h"
#include "sim/sim.h"
#include "store/mem.h"
#include "volume/arena.h"
#include "volume/keys.h"
#include "volume/vol.h"

#define TYPE_OFF 40 /* of an object in seg/: docs/format.md */

struct branch *oracle_log(struct sim *s)
{
	return s->owner ? &s->owner->br : &s->orphan;
}

/* Of one block of a READ's answer; what never was written is not even looked at. */
static uint32_t stamp(const struct vol *w, const struct io_req *io, uint64_t off, uint32_t block)
{
	if (off < ARENA_ZERO_LEN)
		return 0;
	return model_stamp((uint8_t *)w->arena + w->data_off + off, io->dev, io->lba + block);
}

static void stamp_all(struct vol *w, const struct vol_io *x, uint32_t *to)
{
	uint32_t i, n = 0;
	uint64_t off;

	for (i = 0; i < x->io.nsegs; i++)
		for (off = 0; off < x->segs[i].len; off += IO_BLOCK_SIZE, n++)
			to[n] = stamp(w, &x->io, x->segs[i].off + off, n);
	assert_int_equal(n, x->io.nblocks);
}

uint32_t *oracle_stamps(struct vol *w, uint32_t nr_devs)
{
	uint32_t *stamps = malloc((size_t)nr_devs * SIM_BLOCKS * sizeof(*stamps)), dev, lba;
	struct vol_io x = { .heap = false };

	assert_non_null(stamps);
	for (dev = 0; dev < nr_devs; dev++) {
		for (lba = 0; lba < SIM_BLOCKS; lba += IO_MAX_BLOCKS) {
			vol_submit(&x, w, IO_READ, 0, dev, lba, IO_MAX_BLOCKS, 0);
			if (vol_wait(&x)) {
				sim_must(w->superseded, "a READ failed: %d", x.io.res);
				free(stamps);
				return NULL;
			}
			stamp_all(w, &x, stamps + (size_t)dev * SIM_BLOCKS + lba);
			volume_release(w->v, &x.io);
		}
	}
	return stamps;
}

/* Of all segments of the newest head's image and of the log behind it the objects are there. */
static void nothing_missing(const struct vol *other)
{
	char name[FMT_NAME_MAX];
	size_t len;
	uint32_t i;

	for (i = 0; i < other->v->segs.nr; i++) {
		const struct fmt_segrec *r = &other->v->segs.ents[i].rec;

		if (r->flags & FMT_SEGREC_DELETED)
			continue;
		fmt_name_seg(name, r->seq);
		sim_must(mem_object(other->mem, name, &len),
			 "%s is gone, and the newest image does not say so", name);
	}
}

/* The store has changed in a slot: a fence's is never free again. */
static void on_slot(struct host *from)
{
	struct sim *s = from->s;
	struct net *n = &from->w.net;
	const uint8_t *p = n->last_was;
	uint64_t seq;
	size_t len;

	if (fmt_name_parse_seg(n->last_name, &seq) ||
	    (n->last_op == STORE_DELETE && !n->last_was_there))
		return;
	if (n->last_op == STORE_PUT)
		p = mem_object(from->w.mem, n->last_name, &len);
	if (seq >= s->nr_slots) {
		s->slots = realloc(s->slots, 2 * seq + 1);
		assert_non_null(s->slots);
		memset(s->slots + s->nr_slots, 0, 2 * seq + 1 - s->nr_slots);
		s->nr_slots = 2 * seq + 1;
	}
	if (!s->slots[seq])
		s->slots[seq] = p[TYPE_OFF];
	if (n->last_op == STORE_PUT)
		return;
	sim_must(s->slots[seq] == FMT_SEG_DATA, "h%u: %s deleted, which was a fence's", from->no,
		 n->last_name);
	s->deleted++;
	s->st->deleted++;
}

/*
 * The image in the store is the state after a prefix of the log's branch that has all that flushes
 * were answered for. Draws nothing from the seed's numbers: with or without it, a seed is the same.
 */
uint32_t oracle_store(struct sim *s)
{
	struct branch *b = oracle_log(s);
	uint32_t min = branch_place(b, s->durable), at, *stamps;
	uint64_t state = testrand_state();
	struct vol other;
	int err;

	sim_must(min != ~0u, "the operation flushed last, %u, is not in the log's history",
		 s->durable);
	vol_clone(&other, &s->h[0].w);
	other.check = false;
	other.keep_arena = true;
	other.arena = s->spare;
	other.arena_len = s->spare_len;
	err = vol_attach(&other, false);
	sim_must(!err, "another host could not attach: error %d, %s", err, other.notice);
	nothing_missing(&other);
	stamps = oracle_stamps(&other, s->sc.nr_devs);
	sim_must(stamps, "another host: superseded");
	sim_must(!volume_check(other.v), "another host: invariant %d", volume_check(other.v));
	at = branch_prefix(b, stamps, min, b->m.ops);
	sim_must(at != ~0u,
		 "the store alone holds no prefix of the history that has the last flush: at least "
		 "%u of %u operations",
		 min, b->m.ops);
	free(stamps);
	s->spare = other.arena;
	s->spare_len = other.arena_len;
	other.arena = NULL;
	vol_end(&other);
	testrand_seed(state);
	s->st->checked++;
	return at;
}

static void fenced(struct host *h, uint32_t fork)
{
	if (h->state == HOST_DOWN || h->fenced || !(h->fence_down || h == h->s->owner))
		return;
	h->fenced = true;
	h->fork = fork;
	h->fenced_at = h->s->now;
	h->s->st->takeovers += !h->dying;
	sim_trace(h->s, "h%u: fenced after %u", h->no, fork);
}

/*
 * Does the attaching host, behind whose fence @log lies, go on with its own history, as far as its
 * arena or journal has it? So much may be in the store even before it says so.
 */
static bool goes_on(const struct host *h, const struct branch *log)
{
	return h->has_br && branch_place(&h->br, branch_last(log)) == log->m.ops;
}

/* Somebody's fence is in the store: the log's history is what is there, and goes on elsewhere. */
static void on_fence(struct host *from, bool ghost, const uint8_t *journal)
{
	struct sim *s = from->s;
	uint32_t place = oracle_store(s), i, fork;
	struct branch log = { .ids = NULL };

	branch_copy(&log, oracle_log(s));
	branch_cut(&log, place);
	fork = branch_last(&log);
	sim_trace(s, "h%u: fence%s, behind operation %u", from->no, ghost ? " of the dead" : "",
		  fork);
	for (i = 0; i < s->sc.nr_hosts; i++) {
		struct host *h = &s->h[i];

		if (h != from || ghost)
			fenced(h, fork);
		if (h != from)
			h->passed = true;
	}
	branch_free(&s->orphan);
	s->orphan = log;
	s->owner = NULL;
	for (i = 0; i < s->sc.nr_hosts; i++)
		disk_fence(&s->h[i], journal);
	if (ghost)
		return;
	from->fence_down = true;
	branch_copy(&from->found, &log);
	if (goes_on(from, &log))
		branch_copy(&s->orphan, &from->br);
}

/* Heads and fences that were made say whose journal goes with the log from there on. */
static bool put_fence(struct sim *s, const char *name, struct fmt_seg *ret)
{
	struct vol *w = &s->h[0].w;
	uint64_t seq;
	size_t len;
	const uint8_t *p = mem_object(w->mem, name, &len);

	return p && !fmt_name_parse_seg(name, &seq) &&
	       !fmt_seg_header_open(ret, p, len, keys_uuid(w->kr), 0, seq,
				    keys_get(w->kr, KEYS_HEADER)) &&
	       ret->type == FMT_SEG_FENCE;
}

static bool put_head(struct sim *s, const char *name, struct fmt_head *ret)
{
	struct vol *w = &s->h[0].w;
	uint64_t version;
	size_t len;
	const uint8_t *p = mem_object(w->mem, name, &len);

	return p && !fmt_name_parse_head(name, &version) &&
	       !fmt_head_open(ret, p, len, keys_uuid(w->kr), version, keys_get(w->kr, KEYS_HEAD));
}

static bool is_list(const struct store_req *r, const char *prefix)
{
	return r->op == STORE_LIST && !strcmp(r->name, prefix) && !r->after[0];
}

/* The same request once more, after an error. */
static bool sent_again(const struct host *h, const struct store_req *r)
{
	uint32_t i;

	for (i = 0; i < SIM_RESENDS; i++)
		if (h->resend[i] == r)
			return true;
	return false;
}

/*
 * Nobody begins to delete but who has seen, after a head of his, that it was the newest. (What he
 * asks first for it may be under way for long: so both are counted.)
 */
void oracle_request(struct host *h, const struct store_req *r, const char *what)
{
	bool own = h->w.v && !memcmp(h->w.v->nonce, h->s->head_nonce, sizeof(h->s->head_nonce));

	if (is_list(r, "head/") && !strcmp(what, "arrives") && own) {
		h->looks += h->made_head;
		h->made_head = false;
	}
	if (!is_list(r, "manifest/"))
		return;
	if (!strncmp(what, "answered", 8) && r->res < 0)
		h->resend[h->next_resend++ % SIM_RESENDS] = r;
	else if (!strncmp(what, "sent", 4) && !sent_again(h, r))
		sim_must(++h->sweeps <= h->looks,
			 "h%u: sweeps, and has not seen that its head is the newest", h->no);
}

void oracle_mutated(void *ctx)
{
	struct host *from = ctx;
	struct sim *s = from->s;
	struct net *n = &from->w.net;
	/* a ghost may be this attach's own, sent again since */
	bool mine = n->last_tag == from->life && from->state == HOST_ATTACHING;
	bool put = n->last_op == STORE_PUT;
	struct fmt_head head;
	struct fmt_seg fence;
	uint32_t i;

	s->st->mutations++;
	on_slot(from);
	for (i = 0; i < s->sc.nr_hosts; i++)
		s->by_others[i] += &s->h[i] != from || n->last_ghost;
	if (put && put_head(s, n->last_name, &head)) {
		memcpy(s->head_nonce, head.nonce, sizeof(s->head_nonce));
		if (from->w.v && !memcmp(head.nonce, from->w.v->nonce, sizeof(head.nonce)))
			from->made_head = true;
		for (i = 0; i < s->sc.nr_hosts; i++)
			disk_head(&s->h[i], head.journal);
		from->disk.claimed |= mine;
	}
	if (put && put_fence(s, n->last_name, &fence))
		on_fence(from, n->last_ghost && !mine, fence.journal);
	else if (s->oracle)
		oracle_store(s);
}
