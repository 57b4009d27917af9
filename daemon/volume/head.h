/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Heads: create-only, and after every create the list is looked at again, since being the creator
 * of version n does not mean that there is no n + 1. Threads: core lock.
 */
#ifndef VOLUME_HEAD_H
#define VOLUME_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "format/fmt_head.h"

struct sio;
struct volume;

/**
 * struct head_op - making one head
 * @h:		what to write
 * @res:	0: it is there, the newest, and remembered on this host
 *		-EEXIST: somebody else has made that version
 *		-ESTALE: it is there, and so is a newer one
 *		-EBADMSG: something that is no head has that name
 *		-EAGAIN: an earlier attempt of ours has that name; v->head is it now
 *		-ENOMEM; other store errors if the tries are bounded
 * @done:	called at the end; NULL: somebody waits
 */
struct head_op {
	struct volume *v;
	struct fmt_head h;
	uint32_t tries;
	struct sio *sio;
	int res;
	bool finished;
	void (*done)(struct head_op *op);
	void *priv;
};

/*
 * v, h, done and priv are set. @tries as in sio_start(). The op lives until the end or
 * head_cancel().
 */
void head_create(struct head_op *op, uint32_t tries);
void head_cancel(struct head_op *op);

/*
 * The newest version in the list. 0 with *ret_version; -ENOENT: no volume here; store errors.
 * [waits]
 */
int head_newest(struct volume *v, uint64_t *ret_version);

/* The version of the first name of a LIST of heads; 0: there is none, or it is not a head's. */
uint64_t head_listed(const struct sio *list);

/*
 * Is there a head after @version? Then an object that is missed may have been deleted since, and a
 * slot that was taken may be free again. 0: no; -ESTALE: yes; store errors. [waits]
 */
int head_overtaken(struct volume *v, uint64_t version);

/* Reads head @version. -ENOENT: it is gone meanwhile. [waits] */
int head_read(struct volume *v, uint64_t version, struct fmt_head *ret);

#endif
