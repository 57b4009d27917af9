/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Leaves of the base map on demand. A leaf that is in volume.base is known: it is what all runs say
 * together, and what was applied since. One that is not there is all zero if no run may hold
 * anything of it, and else unknown: it is loaded, by ranged GETs of the blocks of all runs that may
 * hold some of it, merged by a worker.
 *
 * What stands in a part of a run that cannot be had is EMAP_LOST then: reads of just that range
 * fail, until it is overwritten.
 *
 * Threads: core lock.
 */
#ifndef VOLUME_LEAVES_H
#define VOLUME_LEAVES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct batch_leaf;
struct emap_dev;
struct io_req;
struct volume;

#define LEAVES_GETS	32u		/* under way at once */
#define LEAVES_SET	128u		/* leaves of one load, at most */

struct leaves {
	struct list_head loads;		/* waiting or under way */
	uint32_t nr_loads, nr_gets;
	uint64_t bytes;			/* of loads that have begun */
	bool everything;		/* all are being loaded, from here on: */
	uint32_t at_dev;		/* index in base.devs */
	uint64_t at_no;
	bool complete;			/* every leaf is known */
	bool lost;			/* something is EMAP_LOST */
	uint64_t loaded;		/* leaves, for the figures */
};

void leaves_init(struct volume *v);
void leaves_free(struct volume *v);	/* READs that wait are not answered */

bool leaves_known(struct volume *v, struct emap_dev *d, uint64_t no);

/* The first leaf in [from, last] that is not known to be all zero; false: none. */
bool leaves_next(struct volume *v, struct emap_dev *d, uint64_t from, uint64_t last,
		 uint64_t *ret_no);

/*
 * May [lba, lba + n), which lies in one leaf, be overwritten? The leaf is known, and its neighbour
 * too where a frame that loses something reaches into it. 0; -EAGAIN: what lacks is on its way,
 * then commit_apply() is called; -ENOMEM.
 */
int leaves_ready(struct volume *v, struct emap_dev *d, uint64_t lba, uint32_t n);

/*
 * Is what a READ needs of the base map known? 0; -EINPROGRESS: it waits here and will be submitted
 * again; -ENOMEM.
 */
int leaves_read(struct volume *v, struct io_req *io);

/* Loads of these leaves, sorted, begin unless many are under way already. */
void leaves_prefetch(struct volume *v, const struct batch_leaf *at, uint32_t nr);

/*
 * The leaves [no, last] will be read soon: loads of them begin unless many are under way already.
 */
void leaves_ahead(struct volume *v, struct emap_dev *d, uint64_t no, uint64_t last);

/* All leaves are being loaded, in the background; leaves.complete says that they are there. */
void leaves_everything(struct volume *v);

/* Goes on with what lacked memory. */
void leaves_pump(struct volume *v);

/* READs that wait end with @err. */
void leaves_fail_reads(struct volume *v, int err);

/* Is every leaf known? By looking at all of them. For tests. */
bool leaves_all_known(struct volume *v);

#endif
