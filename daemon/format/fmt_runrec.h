/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The records within a run's block; for fmt_run.c. */
#ifndef FORMAT_FMT_RUNREC_H
#define FORMAT_FMT_RUNREC_H

#include "base/buf.h"
#include "base/cur.h"
#include "format/fmt_run.h"

#define FMT_RUNREC_SEGREC_LEN	144u

/* What differences are taken from; starts anew in each block. */
struct fmt_runrec_state {
	uint32_t dev;
	uint64_t lba_end;
	uint64_t birth;
	uint64_t seq;
	uint64_t frame_end;
};

void fmt_runrec_begin(struct fmt_runrec_state *s);

/* Whether the fields of a record are within the format's rules. */
bool fmt_runrec_extent_ok(const struct fmt_extent *x);
bool fmt_runrec_segrec_ok(const struct fmt_segrec *r);

void fmt_runrec_put_extent(struct buf *b, struct fmt_runrec_state *s, const struct fmt_extent *x);
void fmt_runrec_put_segrec(struct buf *b, const struct fmt_segrec *r);

/* Errors stick to the cursor; what was decoded still has to pass the check above. */
void fmt_runrec_get_extent(struct cur *c, struct fmt_runrec_state *s, struct fmt_extent *x);
void fmt_runrec_get_segrec(struct cur *c, struct fmt_segrec *r);

#endif
