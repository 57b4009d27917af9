// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The journal: see journal.h and docs/DESIGN.md 2.14.
 *
 * Happy path: a FLUSH waits for F > durable -> all operations beyond it are taken from the arena's
 * index, made into records and written as one WRITE -> durable moves, flushes are answered -> the
 * next group. Behind it the commit point moves, records are given up, and now and then the
 * superblock says so, which is what makes their room free.
 *
 * Failure modes: the device fails: FAILED, flushes wait for the commit point from then on. No room:
 * the open batch is cut, and the flush is answered by the commit point, or by a group once there is
 * room. No memory: tried again at the next tick.
 */
#include "volume/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "volume/batch.h"
#include "volume/commit.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/spill.h"
#include "volume/vol.h"

#define GROUP_MAX_BLOCKS 1024u /* of payload: 4 MiB */
#define GROUP_MAX_RECS	 64u
#define BUF_STEP	 65536u
#define REFS_SHARE	 64u /* of the memory, for what is known of records */
#define TRIM_BYTES	 (64ull << 20) /* the superblock follows when so much is given up */

/* One WRITE: records that follow each other, and perhaps the pad that ends a lap. */
struct journal_group {
	struct jdev_req req;
	struct journal *j;
	uint64_t pos;
	uint64_t from; /* numbers up to here are durable already */
	uint64_t last; /* highest number that it speaks for */
	uint64_t mem;
	struct fmt_journal_rec recs[GROUP_MAX_RECS];
	uint32_t first_op[GROUP_MAX_RECS];
	uint32_t first_block[GROUP_MAX_RECS];
	uint32_t nr;
	uint32_t nr_ops, nr_blocks, nr_pins;
	struct fmt_journal_op *ops;
	const uint8_t **blocks;
	uint32_t *pins; /* extents */
};

bool journal_answers(const struct volume *v)
{
	return v->o.flush_local && v->journal && v->journal->state == JOURNAL_ACTIVE &&
	       !commit_overdue(v);
}

int journal_new(struct volume *v, struct jdev *dev)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->v = v;
	j->dev = dev;
	list_init(&j->pins);
	v->journal = j;
	return 0;
}

/*
 * ---- records that are needed ------------------------------------------------------------------
 */

static struct journal_ref *ref_at(const struct journal *j, uint32_t i)
{
	return &j->refs[(j->ref_head + (uint64_t)i) % j->cap_refs];
}

static int refs_grow(struct journal *j, uint32_t more)
{
	uint32_t cap = j->cap_refs ? j->cap_refs * 2 : 256, i;
	struct journal_ref *p;

	if (j->nr_refs + more <= j->cap_refs)
		return 0;
	while (cap < j->nr_refs + more)
		cap *= 2;
	p = malloc((size_t)cap * sizeof(*p));
	if (!p)
		return -ENOMEM;
	for (i = 0; i < j->nr_refs; i++)
		p[i] = *ref_at(j, i);
	j->mem += (uint64_t)(cap - j->cap_refs) * sizeof(*p);
	free(j->refs);
	j->refs = p;
	j->ref_head = 0;
	j->cap_refs = cap;
	return 0;
}

int journal_ref_add(struct journal *j, const struct fmt_journal_rec *r)
{
	int err = refs_grow(j, 1);
	struct journal_ref *x;

	if (err)
		return err;
	x = ref_at(j, j->nr_refs++);
	x->pos = r->pos;
	x->len = r->type == FMT_JOURNAL_PAD ? FMT_JOURNAL_BLOCK : r->len;
	/* a pad speaks for nothing: it goes with the record before it */
	x->last = j->nr_refs > 1 && r->type == FMT_JOURNAL_PAD ? ref_at(j, j->nr_refs - 2)->last :
								 r->last;
	memcpy(x->prev, r->prev, sizeof(x->prev));
	return 0;
}

/*
 * ---- the superblock ---------------------------------------------------------------------------
 */

static void failed(struct journal *j, int err)
{
	struct volume *v = j->v;

	if (j->state != JOURNAL_ACTIVE)
		return;
	j->state = JOURNAL_FAILED;
	notice_say(
		&v->env, NOTICE_ERR,
		"the journal's disk fails (%s): it is not written any more; from here on a FLUSH "
		"returns when everything is in the store",
		notice_errno(err));
	v->wake = true;
	if (batch_dirty(v))
		v->open->urgent = true;
}

static void on_sb(struct jdev_req *r)
{
	struct journal *j = r->priv;

	free(j->sb_buf);
	j->sb_buf = NULL;
	j->sb_res = r->res;
	j->sb_ended = true;
	j->v->wake = true;
	if (r->res) {
		failed(j, r->res);
	} else if (j->state != JOURNAL_FAILED) { /* a WRITE beside it failed: not known (jdev.h) */
		j->sb = j->sb_next;
		j->sb_copy = !j->sb_copy;
	}
	volume_pump(j->v);
}

/* Writes a superblock that says what is needed now. -ENOMEM: nothing is under way. */
static int sb_write(struct journal *j, bool clean)
{
	struct volume *v = j->v;
	struct fmt_journal_sb *s = &j->sb_next;
	void *p;
	int err;

	if (posix_memalign(&p, JDEV_BLOCK, FMT_JOURNAL_SB_LEN))
		return -ENOMEM;
	*s = j->sb;
	s->generation++;
	s->start = j->tail;
	memcpy(s->start_prev, j->nr_refs ? ref_at(j, 0)->prev : j->prev, sizeof(s->start_prev));
	if (j->state == JOURNAL_FAILED) {
		/*
		 * what the WRITE that failed has left may chain to the last record: the ring goes
		 * on in a lap that nothing was ever written for
		 */
		s->start = (j->head / j->ring_len + 2) * j->ring_len;
		memset(s->start_prev, 0, sizeof(s->start_prev));
	}
	s->start_wno = v->applied_wno;
	s->epoch = v->epoch;
	s->clean = clean;
	s->saved_us = clock_real_us(v->env.clock);
	err = fmt_journal_sb_seal(p, s, v->uuid, keys_get(v->kr, KEYS_JOURNAL));
	if (err) {
		free(p);
		return err;
	}
	j->sb_buf = p;
	j->sb_ended = false;
	j->sb_req = (struct jdev_req){
		.op = JDEV_WRITE,
		.off = j->sb_copy ? 0 : FMT_JOURNAL_SB_LEN,
		.buf = p,
		.len = FMT_JOURNAL_SB_LEN,
		.done = on_sb,
		.priv = j,
	};
	jdev_submit(j->dev, &j->sb_req);
	return 0;
}

/* [waits] */
static int sb_sync(struct journal *j, bool clean)
{
	struct volume *v = j->v;
	int err = 0;

	while (!err && j->sb_buf)
		err = v->env.wait(v->env.ctx, &j->sb_ended);
	if (!err)
		err = sb_write(j, clean);
	if (!err)
		err = v->env.wait(v->env.ctx, &j->sb_ended);
	return err ? err : j->sb_res;
}

static uint64_t room(const struct journal *j)
{
	const struct journal_pin *p;
	uint64_t start = j->sb.start;

	list_for_each_entry(p, &j->pins, link)
		if (p->pos < start)
			start = p->pos;
	return j->ring_len - (j->head - start);
}

static void sb_pump(struct journal *j)
{
	uint64_t gone = j->tail - j->sb.start;
	uint64_t due = j->ring_len / 4 < TRIM_BYTES ? j->ring_len / 4 : TRIM_BYTES;

	if (j->sb_buf || !gone || (gone < due && !j->full))
		return;
	if (sb_write(j, false))
		volume_retry(j->v);
}

/*
 * ---- groups -----------------------------------------------------------------------------------
 */

static void group_free(struct journal_group *g)
{
	struct volume *v = g->j->v;
	uint32_t i;

	for (i = 0; i < g->nr_pins; i++)
		arena_unpin(&v->arena, g->pins[i]);
	g->j->mem -= g->mem;
	free(g->ops);
	free(g->blocks);
	free(g->pins);
	free(g);
}

/* For the operations beyond number @from. */
static struct journal_group *group_new(struct journal *j, uint64_t from)
{
	const struct arena *a = &j->v->arena;
	struct journal_group *g = calloc(1, sizeof(*g));
	uint32_t max_ops = a->ring_len - arena_after(a, from);

	if (!g)
		return NULL;
	g->j = j;
	g->last = from;
	g->from = from;
	if (max_ops > GROUP_MAX_RECS * FMT_JOURNAL_MAX_OPS)
		max_ops = GROUP_MAX_RECS * FMT_JOURNAL_MAX_OPS;
	g->ops = malloc((max_ops + 1) * sizeof(*g->ops));
	g->pins = malloc((max_ops + 1) * sizeof(*g->pins));
	g->blocks = malloc(GROUP_MAX_BLOCKS * sizeof(*g->blocks));
	g->mem = sizeof(*g) + (max_ops + 1) * (sizeof(*g->ops) + sizeof(*g->pins)) +
		 GROUP_MAX_BLOCKS * sizeof(*g->blocks);
	j->mem += g->mem;
	if (!g->ops || !g->pins || !g->blocks) {
		group_free(g);
		return NULL;
	}
	return g;
}

static struct fmt_journal_op op_of(const struct fmt_arena_rec *r)
{
	return (struct fmt_journal_op){
		.wno = r->wno,
		.lba = r->lba,
		.dev = r->dev,
		.blocks = r->blocks,
		.kind = r->op == FMT_ARENA_WRITE   ? FMT_JOURNAL_WRITE :
			r->op == FMT_ARENA_DISCARD ? FMT_JOURNAL_DISCARD :
						     FMT_JOURNAL_ZEROES,
		.flags = r->flags & FMT_ARENA_NOUNMAP ? FMT_JOURNAL_NOUNMAP : 0,
	};
}

static void add_op(struct journal_group *g, const struct fmt_arena_rec *r)
{
	struct volume *v = g->j->v;
	uint32_t i, ext;

	g->ops[g->nr_ops++] = op_of(r);
	if (r->op != FMT_ARENA_WRITE)
		return;
	for (i = 0; i < r->blocks; i++)
		g->blocks[g->nr_blocks++] =
			v->arena.data + r->off + ((uint64_t)i << IO_BLOCK_SHIFT);
	ext = arena_ext_at(&v->arena, r->off);
	if (g->nr_pins && g->pins[g->nr_pins - 1] == ext)
		return;
	arena_pin(&v->arena, ext);
	g->pins[g->nr_pins++] = ext;
}

static uint32_t payload_of(const struct fmt_arena_rec *r)
{
	return r->op == FMT_ARENA_WRITE ? r->blocks : 0;
}

/* The length of a record of its own. */
static uint64_t alone(const struct fmt_arena_rec *r)
{
	return FMT_JOURNAL_HEAD_LEN(1, payload_of(r)) + (uint64_t)payload_of(r) * FMT_JOURNAL_BLOCK;
}

/* Its payload's place in the ring, for those who may have to read it there. */
static void note_places(struct journal_group *g, const struct fmt_journal_rec *r, uint32_t at)
{
	uint64_t off = r->pos % g->j->ring_len + FMT_JOURNAL_HEAD_LEN(r->nr_ops, r->nr_blocks);
	const struct fmt_journal_op *op = g->ops + g->nr_ops - r->nr_ops;
	uint32_t i, block = off / FMT_JOURNAL_BLOCK;

	for (i = 0; i < r->nr_ops; i++, op++) {
		if (op->kind != FMT_JOURNAL_WRITE)
			continue;
		arena_set_ring_block(&g->j->v->arena, at + i, block);
		block += op->blocks;
	}
}

/*
 * One record at position @pos, of at most @space bytes, with the operations from number @first on.
 * *at: place in the arena's ring. Its length, or 0: not one operation fits.
 */
static uint32_t make_rec(struct journal_group *g, uint64_t pos, uint64_t space, uint64_t first,
			 uint32_t *at)
{
	struct volume *v = g->j->v;
	struct fmt_journal_rec *r = &g->recs[g->nr];
	uint32_t first_at = *at;
	struct fmt_arena_rec a;

	*r = (struct fmt_journal_rec){ .type = FMT_JOURNAL_OPS,
				       .pos = pos,
				       .epoch = v->epoch,
				       .first = first,
				       .flushed_to = g->from,
				       .store_to = v->committed_wno,
				       .created_us = clock_real_us(v->env.clock) };
	memcpy(r->journal, g->j->sb.journal, sizeof(r->journal));
	g->first_op[g->nr] = g->nr_ops;
	g->first_block[g->nr] = g->nr_blocks;
	while (arena_nth(&v->arena, *at, &a)) {
		uint32_t ops = r->nr_ops + 1, blocks = r->nr_blocks + payload_of(&a);

		if (ops > FMT_JOURNAL_MAX_OPS || blocks > FMT_JOURNAL_MAX_BLOCKS ||
		    g->nr_blocks + payload_of(&a) > GROUP_MAX_BLOCKS ||
		    FMT_JOURNAL_HEAD_LEN(ops, blocks) + (uint64_t)blocks * FMT_JOURNAL_BLOCK >
			    space)
			break;
		add_op(g, &a);
		r->nr_ops = ops;
		r->nr_blocks = blocks;
		r->last = a.wno;
		++*at;
	}
	/* behind the last operation there may be numbers that were never given to one */
	if (*at == v->arena.ring_len)
		r->last = v->last_wno;
	if (!r->nr_ops && (*at != v->arena.ring_len || space < FMT_JOURNAL_BLOCK))
		return 0;
	r->len = FMT_JOURNAL_HEAD_LEN(r->nr_ops, r->nr_blocks) + r->nr_blocks * FMT_JOURNAL_BLOCK;
	g->nr++;
	note_places(g, r, first_at);
	return r->len;
}

/* What is left of the lap becomes a pad; only its first block is written. */
static void make_pad(struct journal_group *g, uint64_t pos, uint64_t left)
{
	struct fmt_journal_rec *r = &g->recs[g->nr++];

	*r = (struct fmt_journal_rec){
		.type = FMT_JOURNAL_PAD,
		.len = left,
		.pos = pos,
		.epoch = g->j->v->epoch,
		.flushed_to = g->from,
		.store_to = g->j->v->committed_wno,
		.created_us = clock_real_us(g->j->v->env.clock),
	};
	memcpy(r->journal, g->j->sb.journal, sizeof(r->journal));
	g->first_op[g->nr - 1] = g->nr_ops;
	g->first_block[g->nr - 1] = g->nr_blocks;
}

/* Fills @g with records from position @g->pos on. The bytes to write; 0: there is no room. */
static uint32_t fill(struct journal_group *g)
{
	struct journal *j = g->j;
	struct volume *v = j->v;
	uint64_t lap = j->ring_len - g->pos % j->ring_len, space = room(j), pos = g->pos;
	uint32_t at = arena_after(&v->arena, g->from), len = 0, n = 0;
	struct fmt_arena_rec a;

	if (space > lap)
		space = lap;
	while (g->last < v->last_wno && g->nr < GROUP_MAX_RECS - 1) {
		n = make_rec(g, pos, space, g->last + 1, &at);
		if (!n)
			break;
		g->last = g->recs[g->nr - 1].last;
		pos += n;
		space -= n;
		lap -= n;
		len += n;
	}
	/* an operation that does not fit into what is left of the lap begins the next one */
	if (!n && lap && lap == space && arena_nth(&v->arena, at, &a) && alone(&a) > lap) {
		make_pad(g, pos, lap);
		len += FMT_JOURNAL_BLOCK;
	}
	return len;
}

/* On the device's thread. */
static int prepare(struct jdev_req *req)
{
	struct journal_group *g = req->priv;
	struct journal *j = g->j;
	uint8_t *out = req->buf, prev[FMT_HASH_LEN];
	uint32_t i;

	memcpy(prev, j->prev, sizeof(prev));
	for (i = 0; i < g->nr; i++) {
		struct fmt_journal_rec *r = &g->recs[i];
		int err;

		memcpy(r->prev, prev, sizeof(r->prev));
		err = fmt_journal_seal(out, r, g->ops + g->first_op[i],
				       g->blocks + g->first_block[i], j->v->uuid,
				       keys_get(j->v->kr, KEYS_JOURNAL));
		if (err)
			return err;
		memcpy(prev, r->hash, sizeof(prev));
		out += r->len;
	}
	return 0;
}

static void on_group(struct jdev_req *req)
{
	struct journal_group *g = req->priv;
	struct journal *j = g->j;
	struct volume *v = j->v;
	int res = req->res;
	uint32_t i;

	j->group = NULL;
	v->wake = true;
	if (!res && j->state != JOURNAL_ACTIVE)
		res = -EIO; /* a superblock failed meanwhile: nothing is known of this WRITE */
	if (res) {
		group_free(g);
		failed(j, res);
		volume_room(v);
		volume_pump(v);
		return;
	}
	for (i = 0; i < g->nr; i++) {
		const struct fmt_journal_rec *r = &g->recs[i];

		journal_ref_add(j, r); /* room was made for them before */
		j->head = r->pos + r->len;
		memcpy(j->prev, r->hash, sizeof(j->prev));
		j->bytes += r->len;
	}
	j->written = g->last;
	j->groups++;
	j->records += g->nr;
	group_free(g);
	journal_trim(v);
	commit_answer(v);
	spill_pump(v);
	volume_room(v);
	volume_pump(v);
}

/*
 * The buffer stays for the next group: memory that is new each time costs more than what it is
 * filled with, a fault a page. -ENOMEM.
 */
static int buf_grow(struct journal *j, uint32_t len)
{
	uint32_t cap = (len + BUF_STEP - 1) / BUF_STEP * BUF_STEP;
	void *p;

	if (len <= j->buf_cap)
		return 0;
	if (posix_memalign(&p, JDEV_BLOCK, cap))
		return -ENOMEM;
	free(j->buf);
	j->buf = p;
	j->mem += cap - j->buf_cap;
	j->buf_cap = cap;
	return 0;
}

/* -ENOMEM; -ENOSPC. */
static int group_start(struct journal *j, uint64_t from)
{
	struct journal_group *g;
	uint32_t len;

	/* a flush per write and the store away: the list of records must end somewhere */
	if ((uint64_t)j->nr_refs * sizeof(*j->refs) > j->v->o.memory / REFS_SHARE)
		return -ENOSPC;
	g = group_new(j, from);
	if (!g)
		return -ENOMEM;
	g->pos = j->head;
	len = fill(g);
	if (!len) {
		group_free(g);
		return -ENOSPC;
	}
	if (refs_grow(j, g->nr) || buf_grow(j, len)) {
		group_free(g);
		return -ENOMEM;
	}
	j->group = g;
	g->req = (struct jdev_req){
		.op = JDEV_WRITE,
		.off = FMT_JOURNAL_RING_OFF + g->pos % j->ring_len,
		.buf = j->buf,
		.len = len,
		.prepare = prepare,
		.done = on_group,
		.priv = g,
	};
	jdev_submit(j->dev, &g->req);
	return 0;
}

void journal_pump(struct volume *v)
{
	struct journal *j = v->journal;
	uint64_t from, want;
	int err = 0;

	if (!j || j->state != JOURNAL_ACTIVE || !vol_serving(v))
		return;
	from = j->written > v->committed_wno ? j->written : v->committed_wno;
	want = journal_answers(v) ? commit_wanted(v) : 0;
	if (j->spill_to > want)
		want = j->spill_to;
	if (!j->group && want > from)
		err = group_start(j, from);
	if (err == -ENOMEM)
		volume_retry(v);
	j->full = err == -ENOSPC;
	if (j->full && batch_dirty(v))
		v->open->urgent = true;
	sb_pump(j);
}

void journal_trim(struct volume *v)
{
	struct journal *j = v->journal;

	if (!j || j->state < JOURNAL_ACTIVE)
		return;
	while (j->nr_refs && ref_at(j, 0)->last <= v->applied_wno) {
		j->ref_head = (j->ref_head + 1) % j->cap_refs;
		j->nr_refs--;
	}
	j->tail = j->nr_refs ? ref_at(j, 0)->pos : j->head;
}

uint64_t journal_epoch(const struct journal *j)
{
	return j->epoch > j->sb.epoch ? j->epoch : j->sb.epoch;
}

uint64_t journal_block_pos(const struct journal *j, uint32_t block)
{
	uint64_t off = (uint64_t)block * FMT_JOURNAL_BLOCK, from = j->tail % j->ring_len;

	return j->tail + (off >= from ? off - from : off + j->ring_len - from);
}

bool journal_find(const struct journal *j, uint64_t pos, uint64_t *ret_pos, uint32_t *ret_len)
{
	uint32_t lo = 0, hi = j->nr_refs;

	if (pos < j->tail || pos >= j->head)
		return false;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (ref_at(j, mid)->pos <= pos)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return false;
	*ret_pos = ref_at(j, lo - 1)->pos;
	*ret_len = ref_at(j, lo - 1)->len;
	return true;
}

bool journal_first(const struct journal *j, uint64_t wno, uint64_t *ret_pos, uint32_t *ret_len)
{
	uint32_t lo = 0, hi = j->nr_refs;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (ref_at(j, mid)->last < wno)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == j->nr_refs)
		return false;
	*ret_pos = ref_at(j, lo)->pos;
	*ret_len = ref_at(j, lo)->len;
	return true;
}

void journal_reset(struct journal *j)
{
	j->nr_refs = 0;
	j->tail = j->head;
	j->written = j->v->committed_wno;
}

int journal_start(struct journal *j)
{
	int err;

	j->state = JOURNAL_ACTIVE;
	journal_trim(j->v);
	err = sb_sync(j, false);
	if (err)
		j->state = JOURNAL_FAILED;
	return err;
}

bool journal_busy(const struct journal *j)
{
	return j && (j->group || j->sb_buf);
}

int journal_close(struct journal *j)
{
	int err;

	if (j->state != JOURNAL_ACTIVE && j->state != JOURNAL_FAILED)
		return 0;
	journal_trim(j->v);
	err = sb_sync(j, true);
	if (err)
		return err;
	if (j->state == JOURNAL_FAILED) {
		j->sb = j->sb_next;
		j->nr_refs = 0;
		j->head = j->sb.start;
		j->tail = j->head;
	}
	j->state = JOURNAL_CLEAN;
	return 0;
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	if (j->group)
		group_free(j->group);
	free(j->buf);
	free(j->sb_buf);
	free(j->refs);
	free(j);
}

int journal_check(const struct journal *j)
{
	uint32_t i;

	if (j->state == JOURNAL_CLOSED)
		return 0;
	if (j->tail != (j->nr_refs ? ref_at(j, 0)->pos : j->head) && j->state != JOURNAL_SCANNED)
		return 1;
	for (i = 1; i < j->nr_refs; i++)
		if (ref_at(j, i)->pos <= ref_at(j, i - 1)->pos ||
		    ref_at(j, i)->last < ref_at(j, i - 1)->last)
			return 1;
	if (j->sb.start > j->tail || j->tail > j->head || j->head - j->sb.start > j->ring_len)
		return 2;
	return 0;
}
