// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "store/wire.h"

/* Characters and components of a name or, with @prefix, of the beginning of one. */
static int check(const char *name, bool prefix)
{
	size_t n = strnlen(name, STORE_NAME_MAX);

	if (n == STORE_NAME_MAX || (!n && !prefix))
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		char c = name[i];

		if (c == '/' && (!i || name[i - 1] == '/'))
			return -EINVAL;
		if (c != '/' && (c < '0' || c > '9') && (c < 'a' || c > 'z'))
			return -EINVAL;
	}
	return n && name[n - 1] == '/' && !prefix ? -EINVAL : 0;
}

int store_name_check(const char *name)
{
	return check(name, false);
}

/* Requests are our own, names included: a wrong one is a fault of the program. */
void store_submit(struct store *s, struct store_req *r)
{
	assert(r->done);
	assert(!check(r->name, r->op == STORE_LIST));
	switch (r->op) {
	case STORE_PUT:
		assert(r->niov >= 0 && (!r->niov || r->iov));
		break;
	case STORE_GET:
		assert(r->buf || !r->len);
		assert(r->off <= INT64_MAX && r->len <= SSIZE_MAX);
		break;
	case STORE_LIST:
		assert(!check(r->after, true));
		assert(r->ents && r->max_ents);
		break;
	case STORE_DELETE:
		break;
	default:
		assert(!"store operation");
	}
	r->res = 0;
	r->size = 0;
	s->ops->submit(s, r);
}

void store_why(struct store *s, char *out, size_t len)
{
	out[0] = '\0';
	if (s->ops->why)
		s->ops->why(s, out, len);
}

bool store_wire(struct store *s, struct wire *ret)
{
	memset(ret, 0, sizeof(*ret));
	return s->ops->wire && s->ops->wire(s, ret);
}

void store_facts(struct store *s, struct store_facts *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (s->ops->facts)
		s->ops->facts(s, ret);
}

void store_close(struct store *s)
{
	if (s)
		s->ops->close(s);
}
