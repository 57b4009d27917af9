// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/net.h"

#include <errno.h>
#include <string.h>

#include "lib/testrand.h"
#include "store/mem.h"

static void submit(struct store *s, struct store_req *r)
{
	struct net *n = container_of(s, struct net, store);
	bool hold = r->op == STORE_PUT && n->hold[0] && !strncmp(r->name, n->hold, strlen(n->hold));

	if (hold && n->hold_skip) {
		n->hold_skip--;
		hold = false;
	}
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
	store_submit(n->mem, r);
	mem_run(n->mem);
	if (r->op == STORE_PUT && n->says_yes && r->res == -EEXIST)
		r->res = 0;
	r->done = done;
	if (changes && !r->res && n->mutated)
		n->mutated(n->ctx);
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

bool net_run(struct net *n)
{
	struct store_req *r;

	if (!n->queued)
		return false;
	r = pick(n);
	if (r->op == STORE_PUT && n->refuse_puts) {
		r->res = n->refuse_puts;
	} else if (r->op == STORE_GET && n->refuse_gets) {
		r->res = n->refuse_gets;
	} else if (testrand_below(1000) < n->refuse_pm) {
		r->res = -ETIMEDOUT;
	} else {
		reach(n, r);
		if (testrand_below(1000) < n->lose_pm)
			r->res = -ETIMEDOUT;
	}
	r->done(r);
	return true;
}

void net_release(struct net *n)
{
	list_splice_tail(&n->held, &n->queue);
	n->queued += n->nr_held;
	n->nr_held = 0;
}

unsigned int net_die(struct net *n)
{
	unsigned int nr = 0;

	net_release(n);
	while (n->queued) {
		struct store_req *r = pick(n);

		if (testrand_below(2) && !n->die_drops)
			reach(n, r);
		r->res = -EIO;
		r->done(r);
		nr++;
	}
	return nr;
}
