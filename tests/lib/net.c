// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/testrand.h"
#include "store/mem.h"

/* A request that outlives its sender. */
struct ghost {
	struct store_req req;
	struct iovec iov;
	uint32_t tag;
};

static bool chance(unsigned int pm)
{
	return pm && testrand_below(1000) < pm;
}

static void fate(struct net *n, const struct store_req *r, const char *what)
{
	if (n->fate)
		n->fate(n->ctx, r, what);
}

static void submit(struct store *s, struct store_req *r)
{
	struct net *n = container_of(s, struct net, store);
	bool hold = r->op == n->hold_op && n->hold[0] &&
		    !strncmp(r->name, n->hold, strlen(n->hold));

	if (hold && n->hold_skip) {
		n->hold_skip--;
		hold = false;
	}
	if (chance(n->hold_pm))
		hold = true;
	fate(n, r, hold ? "sent, held" : "sent");
	list_add_tail(&r->link, hold ? &n->held : &n->queue);
	if (hold)
		n->nr_held++;
	else
		n->queued++;
}

static void close_net(struct store *s)
{
	(void)s;
}

void net_init(struct net *n, struct store *mem)
{
	static const struct store_ops ops = { .kind = "net", .submit = submit, .close = close_net };

	memset(n, 0, sizeof(*n));
	n->store.ops = &ops;
	n->mem = mem;
	list_init(&n->queue);
	list_init(&n->held);
	list_init(&n->late);
	list_init(&n->ghosts);
}

static void caught(struct store_req *r)
{
	(void)r;
}

/* Makes room for a PUT of what is there already. */
static void forget(struct net *n, const char *name)
{
	struct store_req d = { .op = STORE_DELETE, .done = caught };

	strcpy(d.name, name);
	store_submit(n->mem, &d);
	mem_run(n->mem);
}

/* What a DELETE is about to remove. */
static void look_before(struct net *n, const struct store_req *r)
{
	const uint8_t *p;
	size_t len;

	if (r->op != STORE_DELETE)
		return;
	p = mem_object(n->mem, r->name, &len);
	n->last_was_there = p;
	memset(n->last_was, 0, sizeof(n->last_was));
	if (p)
		memcpy(n->last_was, p, len < sizeof(n->last_was) ? len : sizeof(n->last_was));
}

/* Carries @r out in the memory store without its owner's knowing. */
static void reach(struct net *n, struct store_req *r)
{
	void (*done)(struct store_req * r) = r->done;
	bool changes = r->op == STORE_PUT || r->op == STORE_DELETE;

	n->puts += r->op == STORE_PUT;
	n->gets += r->op == STORE_GET;
	n->lists += r->op == STORE_LIST;
	n->deletes += r->op == STORE_DELETE;
	if (r->op == STORE_PUT && n->overwrites)
		forget(n, r->name);
	r->done = caught;
	look_before(n, r);
	store_submit(n->mem, r);
	mem_run(n->mem);
	if (r->op == STORE_PUT && n->says_yes && r->res == -EEXIST)
		r->res = 0;
	r->done = done;
	if (!changes || r->res || !n->mutated)
		return;
	n->last_op = r->op;
	memcpy(n->last_name, r->name, sizeof(n->last_name));
	n->last_ghost = false;
	n->last_tag = n->tag;
	n->mutated(n->ctx);
}

static bool can_haunt(const struct store_req *r)
{
	return r->op == STORE_PUT || r->op == STORE_DELETE;
}

static void haunt(struct net *n, const struct store_req *r)
{
	struct ghost *g = calloc(1, sizeof(*g));
	size_t len = 0;
	int i;

	if (!g)
		abort();
	g->tag = n->tag;
	g->req.op = r->op;
	memcpy(g->req.name, r->name, sizeof(g->req.name));
	for (i = 0; r->op == STORE_PUT && i < r->niov; i++)
		len += r->iov[i].iov_len;
	g->iov.iov_base = malloc(len + 1);
	if (!g->iov.iov_base)
		abort();
	for (i = 0; r->op == STORE_PUT && i < r->niov; i++) {
		memcpy((uint8_t *)g->iov.iov_base + g->iov.iov_len, r->iov[i].iov_base,
		       r->iov[i].iov_len);
		g->iov.iov_len += r->iov[i].iov_len;
	}
	g->req.iov = &g->iov;
	g->req.niov = 1;
	list_add_tail(&g->req.link, &n->ghosts);
	n->nr_ghosts++;
}

static struct ghost *take_ghost(struct net *n, unsigned int at)
{
	struct list_head *p = n->ghosts.next;

	while (at--)
		p = p->next;
	list_del(p);
	n->nr_ghosts--;
	return container_of(list_entry(p, struct store_req, link), struct ghost, req);
}

static void ghost_free(struct ghost *g)
{
	free(g->iov.iov_base);
	free(g);
}

bool net_ghost(struct net *n)
{
	struct ghost *g;

	if (!n->nr_ghosts)
		return false;
	g = take_ghost(n, testrand_below(n->nr_ghosts));
	g->req.done = caught;
	look_before(n, &g->req);
	store_submit(n->mem, &g->req);
	mem_run(n->mem);
	fate(n, &g->req, g->req.res ? "ghost, refused" : "ghost, done");
	if (!g->req.res && n->mutated) {
		n->last_op = g->req.op;
		memcpy(n->last_name, g->req.name, sizeof(n->last_name));
		n->last_ghost = true;
		n->last_tag = g->tag;
		n->mutated(n->ctx);
	}
	ghost_free(g);
	return true;
}

void net_end(struct net *n)
{
	while (n->nr_ghosts)
		ghost_free(take_ghost(n, 0));
}

static struct store_req *pick(struct net *n)
{
	unsigned int at = testrand_below(n->queued);
	struct list_head *p = n->queue.next;

	while (at--)
		p = p->next;
	list_del(p);
	n->queued--;
	return list_entry(p, struct store_req, link);
}

/* Decides what becomes of @r. False: its answer comes later. */
static bool carry_out(struct net *n, struct store_req *r)
{
	if (r->op == STORE_PUT && n->refuse_puts) {
		r->res = n->refuse_puts;
		fate(n, r, "refused");
	} else if (r->op == STORE_GET && n->refuse_gets) {
		r->res = n->refuse_gets;
		fate(n, r, "refused");
	} else if (r->op == STORE_DELETE && n->refuse_deletes) {
		r->res = n->refuse_deletes;
		fate(n, r, "refused");
	} else if (testrand_below(1000) < n->refuse_pm) {
		r->res = -ETIMEDOUT;
		fate(n, r, "lost");
	} else if (can_haunt(r) && chance(n->ghost_pm)) {
		haunt(n, r);
		r->res = -ETIMEDOUT;
		fate(n, r, "lost, will arrive");
	} else {
		if (can_haunt(r) && chance(n->twice_pm))
			haunt(n, r);
		fate(n, r, "arrives");
		reach(n, r);
		if (testrand_below(1000) < n->lose_pm) {
			r->res = -ETIMEDOUT;
			fate(n, r, "answer lost");
		} else if (chance(n->late_pm)) {
			list_add_tail(&r->link, &n->late);
			n->nr_late++;
			fate(n, r, "answer late");
			return false;
		}
	}
	return true;
}

bool net_run(struct net *n)
{
	struct store_req *r;

	if (!n->queued)
		return false;
	r = pick(n);
	if (carry_out(n, r)) {
		fate(n, r, "answered");
		r->done(r);
	}
	return true;
}

bool net_run_get(struct net *n)
{
	struct store_req *r;

	list_for_each_entry(r, &n->queue, link) {
		if (r->op != STORE_GET && r->op != STORE_LIST)
			continue;
		list_del(&r->link);
		n->queued--;
		reach(n, r);
		r->done(r);
		return true;
	}
	return false;
}

bool net_answer(struct net *n)
{
	struct store_req *r;

	if (!n->nr_late)
		return false;
	r = list_first_entry(&n->late, struct store_req, link);
	list_del(&r->link);
	n->nr_late--;
	fate(n, r, "answered late");
	r->done(r);
	return true;
}

void net_release(struct net *n)
{
	list_splice_tail(&n->held, &n->queue);
	n->queued += n->nr_held;
	n->nr_held = 0;
}

bool net_release_gets(struct net *n)
{
	struct store_req *r, *tmp;
	unsigned int nr = 0;

	list_for_each_entry_safe(r, tmp, &n->held, link) {
		if (r->op != STORE_GET && r->op != STORE_LIST)
			continue;
		list_del(&r->link);
		list_add_tail(&r->link, &n->queue);
		nr++;
	}
	n->nr_held -= nr;
	n->queued += nr;
	return nr;
}

unsigned int net_die(struct net *n)
{
	unsigned int nr = 0;

	net_release(n);
	while (n->nr_late) {
		struct store_req *r = list_first_entry(&n->late, struct store_req, link);

		list_del(&r->link);
		n->nr_late--;
		r->res = -EIO;
		r->done(r);
		nr++;
	}
	while (n->queued) {
		struct store_req *r = pick(n);

		if (testrand_below(2) && !n->die_drops) {
			fate(n, r, "arrives, its sender dead");
			reach(n, r);
		} else if (can_haunt(r) && !n->die_drops && n->ghost_pm && testrand_below(2)) {
			fate(n, r, "will arrive, its sender dead");
			haunt(n, r);
		} else {
			fate(n, r, "lost, its sender dead");
		}
		r->res = -EIO;
		r->done(r);
		nr++;
	}
	return nr;
}
