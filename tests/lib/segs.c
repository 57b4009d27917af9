// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/segs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "format/fmt_name.h"
#include "lib/run.h"
#include "store/mem.h"
#include "volume/checkpoint.h"
#include "volume/vol.h"

#define TYPE_OFF 40 /* of an object in seg/: docs/format.md */
#define OBJECTS	 1024u

void segs_begin(struct segs *f)
{
	memset(f, 0, sizeof(*f));
	vol_init(&f->w, 90, 1, RUN_BLOCKS * 4096ull);
	f->w.opts.checkpoint_segments = 1000;
	f->w.net.die_drops = true;
	model_init(&f->m, 1, RUN_BLOCKS);
	assert_int_equal(vol_attach(&f->w, false), 0);
}

void segs_end(struct segs *f)
{
	vol_end(&f->w);
	model_free(&f->m);
}

/* A segment of its own; its number. */
uint64_t segs_write(struct segs *f, struct vol *w, uint64_t lba, uint32_t n)
{
	uint64_t seq = w->v->next_seq;

	assert_int_equal(vol_write(w, 0, lba, n, model_op(&f->m, 0, lba, n, true)), 0);
	assert_int_equal(vol_flush(w), 0);
	vol_settle(w);
	assert_int_equal(w->v->next_seq, seq + 1);
	return seq;
}

uint64_t segs_discard(struct segs *f, struct vol *w, uint64_t lba, uint32_t n)
{
	uint64_t seq = w->v->next_seq;
	struct vol_io x = { .heap = false };

	vol_submit(&x, w, IO_DISCARD, 0, 0, lba, n, model_op(&f->m, 0, lba, n, false));
	assert_int_equal(vol_wait(&x), 0);
	assert_int_equal(vol_flush(w), 0);
	vol_settle(w);
	return seq;
}

void segs_save(struct vol *w)
{
	assert_int_equal(checkpoint_start(w->v, false), 0);
	vol_settle(w);
	assert_null(w->v->ckpt);
	assert_int_equal(w->v->ckpt_res, 0);
}

bool segs_there(struct vol *w, uint64_t seq)
{
	char name[FMT_NAME_MAX];
	size_t len;

	fmt_name_seg(name, seq);
	return mem_object(w->mem, name, &len);
}

static void on_list(struct store_req *r)
{
	(void)r;
}

/* Objects in seg/ of a type. */
uint32_t segs_objects(struct vol *w, uint8_t type)
{
	static struct store_entry ents[OBJECTS];
	struct store_req r = { .op = STORE_LIST, .ents = ents, .max_ents = OBJECTS };
	uint32_t n = 0;
	ssize_t i;
	size_t len;

	r.done = on_list;
	snprintf(r.name, sizeof(r.name), "seg/");
	store_submit(w->mem, &r);
	while (mem_run(w->mem))
		;
	assert_true(r.res >= 0 && r.res < OBJECTS);
	for (i = 0; i < r.res; i++)
		n += mem_object(w->mem, ents[i].name, &len)[TYPE_OFF] == type;
	return n;
}

struct volume_stats segs_stats(struct vol *w)
{
	struct volume_stats s;

	volume_get_stats(w->v, &s);
	return s;
}

const struct segtab_ent *segs_entry(const struct vol *w, uint64_t seq)
{
	uint32_t i = segtab_find(&w->v->segs, seq);

	return i == ~0u ? NULL : &w->v->segs.ents[i];
}
