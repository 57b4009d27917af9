/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads records of the journal while the volume is served: what lies only there is read and sealed
 * from there. Threads: core lock; a worker decrypts.
 */
#ifndef VOLUME_JREAD_H
#define VOLUME_JREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/exec.h"
#include "base/jdev.h"
#include "format/fmt_journal.h"

struct volume;

/**
 * struct jread - one record being read
 * @run:	optional, on the worker, once the record is open: uses ops and payload
 * @done:	core lock held; the read is freed after it
 * @err:	0, or what is wrong: -EIO, -EBADMSG, -ENOMEM
 * @rec, @ops, @payload: the record, for run() and done(), if @err is 0
 */
struct jread {
	struct exec_work work;
	struct jdev_req req;
	struct volume *v;
	uint64_t pos;
	uint8_t journal[FMT_UUID_LEN];
	int err;
	struct fmt_journal_rec rec;
	struct fmt_journal_op *ops;
	uint8_t *payload;
	void (*run)(struct jread *r);
	void (*done)(struct jread *r);
	void *priv;
};

/* What a read of a record of @len bytes takes, for those who have a budget. */
uint64_t jread_memory(uint32_t len);

/* Starts to read the record of @len bytes at @pos. -ENOMEM: nothing has happened. */
int jread_start(struct volume *v, uint64_t pos, uint32_t len, void (*run)(struct jread *r),
		void (*done)(struct jread *r), void *priv);

#endif
