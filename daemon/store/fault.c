// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rule {
	struct list_head link;
	struct fault_rule r;
	uint32_t seen;
};

/* A request under way: the inner one, and what is to be done to its answer. */
struct call {
	struct list_head link; /* in held or failed */
	struct fault *f;
	struct store_req inner;
	struct store_req *outer;
	struct fault_rule rule;
	bool hit;
};

struct fault {
	struct store store;
	struct store *inner;
	struct list_head rules;
	struct list_head held;
	struct list_head failed; /* FAULT_ERROR: to be answered by fault_run() */
	unsigned int nr_held;
	uint64_t hits;
};

static struct fault *to_fault(const struct store *s)
{
	return container_of(s, struct fault, store);
}

static struct rule *match(struct fault *f, const struct store_req *r)
{
	struct rule *u;

	list_for_each_entry(u, &f->rules, link) {
		if (!(u->r.ops & 1u << r->op) ||
		    strncmp(r->name, u->r.prefix, strlen(u->r.prefix)) ||
		    !strstr(r->name, u->r.part))
			continue;
		u->seen++;
		if (u->seen <= u->r.skip || (u->r.count && u->seen > u->r.skip + u->r.count))
			continue;
		return u;
	}
	return NULL;
}

static void flip(struct store_req *r, uint64_t bit)
{
	if (r->res > 0) {
		bit %= 8 * (uint64_t)r->res;
		((uint8_t *)r->buf)[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void reverse(struct store_req *r)
{
	for (ssize_t i = 0; i < r->res / 2; i++) {
		struct store_entry e = r->ents[i];

		r->ents[i] = r->ents[r->res - 1 - i];
		r->ents[r->res - 1 - i] = e;
	}
}

static void inner_done(struct store_req *inner)
{
	struct call *c = inner->priv;
	struct store_req *r = c->outer;

	r->res = inner->res;
	r->size = inner->size;
	if (c->hit && c->rule.kind == FAULT_LOST)
		r->res = c->rule.err;
	if (c->hit && c->rule.kind == FAULT_REPLACE && c->rule.err)
		r->res = c->rule.err;
	if (c->hit && c->rule.kind == FAULT_CORRUPT)
		flip(r, c->rule.arg);
	if (c->hit && c->rule.kind == FAULT_FORGET && r->res > 0)
		r->res--;
	if (c->hit && c->rule.kind == FAULT_ORDER)
		reverse(r);
	free(c);
	r->done(r);
}

static void pass(struct call *c)
{
	const struct store_req *r = c->outer;

	c->inner = *r;
	if (c->hit && c->rule.kind == FAULT_SHORT && c->inner.len > c->rule.arg)
		c->inner.len = (size_t)c->rule.arg;
	if (c->hit && c->rule.kind == FAULT_REPLACE)
		c->inner.replace = true;
	if (c->hit && c->rule.kind == FAULT_SHIFT)
		c->inner.off += c->rule.arg;
	if (c->hit && c->rule.kind == FAULT_AFTER)
		c->inner.after[0] = '\0';
	c->inner.done = inner_done;
	c->inner.priv = c;
	store_submit(c->f->inner, &c->inner);
}

static void submit(struct store *s, struct store_req *r)
{
	struct fault *f = to_fault(s);
	struct call *c = calloc(1, sizeof(*c));
	struct rule *u = match(f, r);

	if (!c)
		abort(); /* a test's tool */
	c->f = f;
	c->outer = r;
	if (u) {
		c->hit = true;
		c->rule = u->r;
		f->hits++;
		if (u->r.kind == FAULT_ERROR) {
			list_add_tail(&c->link, &f->failed);
			return;
		}
		if (u->r.kind == FAULT_HOLD) {
			list_add_tail(&c->link, &f->held);
			f->nr_held++;
			return;
		}
	}
	pass(c);
}

static void close_fault(struct store *s)
{
	struct fault *f = to_fault(s);

	fault_clear(s);
	free(f);
}

static void why(struct store *s, char *out, size_t len)
{
	store_why(to_fault(s)->inner, out, len);
}

static void facts(struct store *s, struct store_facts *ret)
{
	store_facts(to_fault(s)->inner, ret);
}

int fault_new(struct store **ret, struct store *inner)
{
	static const struct store_ops ops = {
		.kind = "fault",
		.submit = submit,
		.close = close_fault,
		.why = why,
		.facts = facts,
	};
	struct fault *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->store.ops = &ops;
	f->inner = inner;
	list_init(&f->rules);
	list_init(&f->held);
	list_init(&f->failed);
	*ret = &f->store;
	return 0;
}

int fault_add(struct store *s, const struct fault_rule *r)
{
	struct rule *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->r = *r;
	list_add_tail(&u->link, &to_fault(s)->rules);
	return 0;
}

void fault_clear(struct store *s)
{
	struct rule *u, *tmp;

	list_for_each_entry_safe(u, tmp, &to_fault(s)->rules, link) {
		list_del(&u->link);
		free(u);
	}
}

bool fault_release(struct store *s)
{
	struct fault *f = to_fault(s);
	struct call *c;

	if (list_empty(&f->held))
		return false;
	c = list_first_entry(&f->held, struct call, link);
	list_del(&c->link);
	f->nr_held--;
	pass(c);
	return true;
}

unsigned int fault_held(const struct store *s)
{
	return to_fault(s)->nr_held;
}

uint64_t fault_hits(const struct store *s)
{
	return to_fault(s)->hits;
}

bool fault_run(struct store *s)
{
	struct fault *f = to_fault(s);
	struct store_req *r;
	struct call *c;

	if (list_empty(&f->failed))
		return false;
	c = list_first_entry(&f->failed, struct call, link);
	list_del(&c->link);
	r = c->outer;
	r->res = c->rule.err;
	free(c);
	r->done(r);
	return true;
}
