/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Brings the data of a batch that lies only in the journal into a buffer, so that it can be sealed.
 * Threads: core lock.
 */
#ifndef VOLUME_JLOAD_H
#define VOLUME_JLOAD_H

struct batch;

/*
 * Reads what the pieces of @b need into b->loaded, in the order of its frames: CUT -> LOADING, and
 * back to CUT when it has ended (with b->loaded, or b->err). -ENOMEM: nothing has happened.
 */
int jload_start(struct batch *b);

/* Frees what a load holds; nothing is under way. NULL state does nothing. */
void jload_free(struct batch *b);

#endif
