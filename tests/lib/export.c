// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/export.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "store/mem.h"
#include "store/store.h"

static void on_done(struct store_req *r)
{
	*(bool *)r->priv = true;
}

void export_each(struct store *mem, export_fn fn, void *ctx)
{
	struct store_entry e;
	struct store_req r;
	bool done;

	memset(&r, 0, sizeof(r));
	r.op = STORE_LIST;
	r.ents = &e;
	r.max_ents = 1;
	r.done = on_done;
	r.priv = &done;
	for (;;) {
		const uint8_t *p;
		size_t len = 0;

		done = false;
		store_submit(mem, &r);
		while (!done)
			assert_true(mem_run(mem));
		assert_true(r.res >= 0);
		if (!r.res)
			return;
		p = mem_object(mem, e.name, &len);
		assert_non_null(p);
		fn(ctx, e.name, p, len);
		strcpy(r.after, e.name);
	}
}

void export_write(const char *path, const void *p, size_t len)
{
	char tmp[1024];
	FILE *f;

	assert_true(strlen(path) < sizeof(tmp));
	strcpy(tmp, path);
	for (char *s = strchr(tmp + 1, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		mkdir(tmp, 0755);
		*s = '/';
	}
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void write_one(void *ctx, const char *name, const uint8_t *p, size_t len)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s", (const char *)ctx, name);
	export_write(path, p, len);
}

void export_to(struct store *mem, const char *dir)
{
	char copy[512];

	assert_true(strlen(dir) < sizeof(copy));
	strcpy(copy, dir);
	export_each(mem, write_one, copy);
}

uint8_t *export_read(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = NULL;
	long len;

	if (!f)
		return NULL;
	if (!fseek(f, 0, SEEK_END) && (len = ftell(f)) >= 0 && !fseek(f, 0, SEEK_SET)) {
		p = malloc((size_t)len + 1);
		assert_non_null(p);
		*ret_len = fread(p, 1, (size_t)len, f);
		assert_int_equal(*ret_len, len);
	}
	fclose(f);
	return p;
}
