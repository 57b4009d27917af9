/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a worker makes of the frozen base map and segment table: the bodies of runs and manifest.
 *
 * Threads: imgwrite_run() without the core lock while volume.frozen; it reads the segment table,
 * the leaves that it was given (or with all_extents the whole map), and keys. The rest: core lock.
 */
#ifndef VOLUME_IMGWRITE_H
#define VOLUME_IMGWRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "format/fmt_manifest.h"
#include "format/fmt_name.h"

struct basemap_leaf;
struct fmt_run_writer;
struct volume;

/**
 * struct imgwrite - one image in the making
 * @v, @leaves, @nr_leaves, @all_extents, @all_segs: set by the caller; @leaves is owned
 * @m:		set but for runs: the caller has put those that stay there, in memory that is owned
 * @reap:	set by the caller: segments without a live block may be called deleted
 * @dead, @nr_dead: those that are from here on: indices in the segment table
 * @floor:	behind the last of them
 * @hash:	of the manifest
 * @bodies, @names: the new objects: runs, and last the manifest
 */
struct imgwrite {
	const struct volume *v;
	struct basemap_leaf *leaves;
	uint64_t nr_leaves;
	bool all_extents, all_segs;
	bool reap;
	uint32_t *dead;
	uint32_t nr_dead, cap_dead;
	uint64_t floor;
	struct fmt_manifest m;
	uint8_t hash[32];
	struct buf *bodies;
	char (*names)[FMT_NAME_MAX];
	uint32_t nr, cap;
	uint32_t cap_runs;
	struct fmt_run_writer *w;
};

/* 0, -ENOMEM; -EINVAL: the maps cannot be written so. */
int imgwrite_run(struct imgwrite *x);

void imgwrite_free(struct imgwrite *x);	/* what is owned */

#endif
