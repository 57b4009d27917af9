/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rival: has somebody newer taken the volume? Asked when an object is not there that ought to be:
 * its owner may have deleted it, and that need not be us any more. Threads: core lock.
 */
#ifndef VOLUME_RIVAL_H
#define VOLUME_RIVAL_H

#include <stdint.h>

struct sio;
struct volume;

/**
 * struct rival - one look
 * @v, @done, @priv: the caller's. done() comes once, later; by then the volume is superseded if
 *		there is a head that another process made after ours
 */
struct rival {
	struct volume *v;
	struct sio *sio;
	uint64_t version;
	void (*done)(struct rival *r);
	void *priv;
};

int rival_look(struct rival *r);	/* 0, or -ENOMEM: nothing will come */
void rival_cancel(struct rival *r);	/* none under way does nothing */

#endif
