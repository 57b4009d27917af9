// SPDX-License-Identifier: GPL-2.0-or-later
/* The objects of s3d: see s3d.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/s3d.h"

static struct s3d_obj **objs;
static size_t nr_objs, room;
static uint64_t versions;

size_t s3d_store_count(void)
{
	return nr_objs;
}

struct s3d_obj *s3d_store_nth(size_t i)
{
	return objs[i];
}

void s3d_store_put(struct s3d_obj *o)
{
	if (!o || --o->refs)
		return;
	free(o->name);
	free(o->data);
	free(o->meta);
	free(o);
}

size_t s3d_store_at(const char *name)
{
	size_t lo = 0, hi = nr_objs;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (strcmp(objs[mid]->name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct s3d_obj *s3d_store_find(const char *name)
{
	size_t i = s3d_store_at(name);

	return i < nr_objs && !strcmp(objs[i]->name, name) ? objs[i] : NULL;
}

struct s3d_obj *s3d_store_keep(const char *name, uint8_t *data, size_t len, const char *meta,
			       const char *etag)
{
	struct s3d_obj *o = s3d_need(calloc(1, sizeof(*o)));
	size_t i = s3d_store_at(name);

	o->name = s3d_need(strdup(name));
	o->meta = s3d_need(strdup(meta));
	o->data = data;
	o->len = len;
	o->refs = 1;
	o->version = ++versions;
	if (*etag)
		snprintf(o->etag, sizeof(o->etag), "%s", etag);
	else
		snprintf(o->etag, sizeof(o->etag), "%016" PRIx64, o->version);
	if (i < nr_objs && !strcmp(objs[i]->name, name)) {
		s3d_store_put(objs[i]);
		objs[i] = o;
		return o;
	}
	if (nr_objs == room) {
		room = room ? room * 2 : 1024;
		objs = s3d_need(reallocarray(objs, room, sizeof(*objs)));
	}
	memmove(&objs[i + 1], &objs[i], (nr_objs - i) * sizeof(*objs));
	objs[i] = o;
	nr_objs++;
	return o;
}

void s3d_store_delete(const char *name)
{
	size_t i = s3d_store_at(name);

	if (i == nr_objs || strcmp(objs[i]->name, name))
		return;
	s3d_store_put(objs[i]);
	memmove(&objs[i], &objs[i + 1], (--nr_objs - i) * sizeof(*objs));
}
