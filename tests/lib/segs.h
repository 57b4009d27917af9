/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A world of one device whose segments are made, and are looked for, one by one. */
#ifndef SEGS_H
#define SEGS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/model.h"
#include "lib/vol.h"

struct segtab_ent;

struct segs {
	struct vol w;
	struct model m;
};

/* Attached, RUN_BLOCKS large; checkpoints are made by segs_save() alone. */
void segs_begin(struct segs *f);
void segs_end(struct segs *f);

/* A segment of its own, written by @w, applied; its number. */
uint64_t segs_write(struct segs *f, struct vol *w, uint64_t lba, uint32_t n);
uint64_t segs_discard(struct segs *f, struct vol *w, uint64_t lba, uint32_t n);

/* A checkpoint, and all that can be done after it without time. */
void segs_save(struct vol *w);

bool segs_there(struct vol *w, uint64_t seq);		/* its object is in the store */
uint32_t segs_objects(struct vol *w, uint8_t type);	/* how many objects in seg/ are of it */
struct volume_stats segs_stats(struct vol *w);
const struct segtab_ent *segs_entry(const struct vol *w, uint64_t seq);	/* NULL: there is none */

#endif
