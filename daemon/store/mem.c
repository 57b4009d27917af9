// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

/* Clones share objects: these do not change. */
struct object {
	char name[STORE_NAME_MAX];
	uint8_t *data;
	size_t len;
	unsigned int refs;
};

struct mem {
	struct store store;
	struct object **objs; /* sorted by name */
	size_t nr, room;
	uint64_t bytes, limit;
	struct list_head queue;
	unsigned int pending;
};

static struct mem *to_mem(const struct store *s)
{
	return container_of(s, struct mem, store);
}

/* Index of the first object whose name is not less than @name. */
static size_t lower(const struct mem *m, const char *name)
{
	size_t lo = 0, hi = m->nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(m->objs[mid]->name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct object *find(const struct mem *m, const char *name)
{
	size_t i = lower(m, name);

	return i < m->nr && !strcmp(m->objs[i]->name, name) ? m->objs[i] : NULL;
}

static void object_free(struct object *o)
{
	if (--o->refs)
		return;
	free(o->data);
	free(o);
}

/* Its name must be free. */
static int insert_object(struct mem *m, struct object *o)
{
	size_t at = lower(m, o->name);

	if (m->nr == m->room) {
		size_t room = m->room ? 2 * m->room : 64;
		struct object **p = realloc(m->objs, room * sizeof(*p));

		if (!p)
			return -ENOMEM;
		m->objs = p;
		m->room = room;
	}
	memmove(m->objs + at + 1, m->objs + at, (m->nr - at) * sizeof(*m->objs));
	m->objs[at] = o;
	m->nr++;
	m->bytes += o->len;
	return 0;
}

/* Takes @data over on success. The name must be free. */
static int insert(struct mem *m, const char *name, uint8_t *data, size_t len)
{
	struct object *o = calloc(1, sizeof(*o));
	int rc;

	if (!o)
		return -ENOMEM;
	strcpy(o->name, name);
	o->data = data;
	o->len = len;
	o->refs = 1;
	rc = insert_object(m, o);
	if (rc)
		free(o);
	return rc;
}

static void drop(struct mem *m, const char *name)
{
	size_t at = lower(m, name);
	struct object *o = m->objs[at];

	m->bytes -= o->len;
	object_free(o);
	m->nr--;
	memmove(m->objs + at, m->objs + at + 1, (m->nr - at) * sizeof(*m->objs));
}

static ssize_t do_put(struct mem *m, const struct store_req *r)
{
	size_t len = 0, at = 0;
	uint8_t *data;
	int rc;

	if (find(m, r->name) && !r->replace)
		return -EEXIST;
	for (int i = 0; i < r->niov; i++)
		len += r->iov[i].iov_len;
	if (m->bytes > m->limit || len > m->limit - m->bytes)
		return -ENOSPC;
	data = malloc(len + 1);
	if (!data)
		return -ENOMEM;
	for (int i = 0; i < r->niov; i++) {
		if (r->iov[i].iov_len)
			memcpy(data + at, r->iov[i].iov_base, r->iov[i].iov_len);
		at += r->iov[i].iov_len;
	}
	if (find(m, r->name))
		drop(m, r->name);
	rc = insert(m, r->name, data, len);
	if (rc)
		free(data);
	return rc;
}

static ssize_t do_get(const struct mem *m, struct store_req *r)
{
	const struct object *o = find(m, r->name);
	size_t n;

	if (!o)
		return -ENOENT;
	r->size = o->len;
	if (r->off >= o->len)
		return 0;
	n = o->len - r->off < r->len ? o->len - (size_t)r->off : r->len;
	if (n)
		memcpy(r->buf, o->data + r->off, n);
	return (ssize_t)n;
}

static ssize_t do_list(const struct mem *m, struct store_req *r)
{
	size_t plen = strlen(r->name);
	uint32_t n = 0;

	for (size_t i = lower(m, r->name); i < m->nr && n < r->max_ents; i++) {
		const struct object *o = m->objs[i];

		if (strncmp(o->name, r->name, plen))
			break;
		if (strcmp(o->name, r->after) <= 0)
			continue;
		strcpy(r->ents[n].name, o->name);
		r->ents[n].size = o->len;
		n++;
	}
	return n;
}

static void submit(struct store *s, struct store_req *r)
{
	struct mem *m = to_mem(s);

	list_add_tail(&r->link, &m->queue);
	m->pending++;
}

bool mem_run(struct store *s)
{
	struct mem *m = to_mem(s);
	struct store_req *r;

	if (list_empty(&m->queue))
		return false;
	r = list_first_entry(&m->queue, struct store_req, link);
	list_del(&r->link);
	m->pending--;
	switch (r->op) {
	case STORE_PUT:
		r->res = do_put(m, r);
		break;
	case STORE_GET:
		r->res = do_get(m, r);
		break;
	case STORE_LIST:
		r->res = do_list(m, r);
		break;
	default:
		r->res = 0;
		if (find(m, r->name))
			drop(m, r->name);
	}
	r->done(r);
	return true;
}

static void close_mem(struct store *s)
{
	struct mem *m = to_mem(s);

	for (size_t i = 0; i < m->nr; i++)
		object_free(m->objs[i]);
	free(m->objs);
	free(m);
}

int mem_new(struct store **ret)
{
	static const struct store_ops ops = {
		.kind = "mem",
		.submit = submit,
		.close = close_mem,
	};
	struct mem *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->store.ops = &ops;
	m->limit = UINT64_MAX;
	list_init(&m->queue);
	*ret = &m->store;
	return 0;
}

unsigned int mem_pending(const struct store *s)
{
	return to_mem(s)->pending;
}

uint8_t *mem_object(struct store *s, const char *name, size_t *ret_len)
{
	struct object *o = find(to_mem(s), name);
	size_t len;
	void *copy;

	if (!o)
		return NULL;
	*ret_len = len = o->len;
	if (o->refs > 1) {
		/* the caller may change it, and not its copies */
		copy = malloc(len + 1);
		if (!copy)
			return NULL;
		memcpy(copy, o->data, len);
		drop(to_mem(s), name);
		if (insert(to_mem(s), name, copy, len)) {
			free(copy);
			return NULL;
		}
		o = find(to_mem(s), name);
	}
	return o->data;
}

int mem_drop(struct store *s, const char *name)
{
	if (!find(to_mem(s), name))
		return -ENOENT;
	drop(to_mem(s), name);
	return 0;
}

int mem_set(struct store *s, const char *name, const void *p, size_t len)
{
	struct mem *m = to_mem(s);
	uint8_t *data = malloc(len + 1);
	int rc;

	if (!data)
		return -ENOMEM;
	if (len)
		memcpy(data, p, len);
	if (find(m, name))
		drop(m, name);
	rc = insert(m, name, data, len);
	if (rc)
		free(data);
	return rc;
}

uint64_t mem_bytes(const struct store *s)
{
	return to_mem(s)->bytes;
}

void mem_set_limit(struct store *s, uint64_t limit)
{
	to_mem(s)->limit = limit;
}

int mem_clone(struct store *s, struct store **ret)
{
	struct mem *from = to_mem(s);
	struct store *to = NULL;
	int rc = mem_new(&to);

	for (size_t i = 0; i < from->nr && !rc; i++) {
		rc = insert_object(to_mem(to), from->objs[i]);
		if (!rc)
			from->objs[i]->refs++;
	}
	if (rc) {
		store_close(to);
		return rc;
	}
	*ret = to;
	return 0;
}
