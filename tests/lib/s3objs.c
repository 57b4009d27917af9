// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/s3objs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

size_t s3objs_from(struct s3objs *s, const char *key)
{
	size_t lo = 0, hi = s->nr;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (strcmp(s->o[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct s3obj *s3objs_find(struct s3objs *s, const char *key)
{
	size_t i = s3objs_from(s, key);

	return i < s->nr && !strcmp(s->o[i].key, key) ? &s->o[i] : NULL;
}

void s3objs_put(struct s3objs *s, const char *key, const char *data, size_t len)
{
	struct s3obj *o = s3objs_find(s, key);

	if (!o) {
		size_t i = s3objs_from(s, key);

		if (s->nr == s->room) {
			s->room = s->room ? 2 * s->room : 64;
			s->o = realloc(s->o, s->room * sizeof(*o));
			assert(s->o);
		}
		o = &s->o[i];
		memmove(o + 1, o, (s->nr - i) * sizeof(*o));
		s->nr++;
		o->key = strdup(key);
	} else {
		free(o->data);
	}
	o->data = malloc(len + 1);
	assert(o->key && o->data);
	if (len)
		memcpy(o->data, data, len);
	o->len = len;
}

void s3objs_delete(struct s3objs *s, const char *key)
{
	struct s3obj *o = s3objs_find(s, key);

	if (!o)
		return;
	free(o->key);
	free(o->data);
	s->nr--;
	memmove(o, o + 1, (size_t)(s->o + s->nr - o) * sizeof(*o));
}

void s3objs_free(struct s3objs *s)
{
	for (size_t i = 0; i < s->nr; i++) {
		free(s->o[i].key);
		free(s->o[i].data);
	}
	free(s->o);
}
