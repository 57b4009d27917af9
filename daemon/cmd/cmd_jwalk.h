/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A walk over the records of a journal that no daemon uses, for the commands: it reads, and prints
 * nothing.
 */
#ifndef CMD_CMD_JWALK_H
#define CMD_CMD_JWALK_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/cmd_journal.h"
#include "format/fmt_journal.h"

/**
 * struct cmd_jwalk - a walk and what it found
 * @fd, @sb, @o:	what is read, from which start on, and with which key
 * @record:	optional: called for each record of operations, in the order of positions; its
 *		payload decrypted. Not 0: the walk ends with that
 * @gap:	optional: nothing that counts lies between positions @from and @to, of what does
 *		next; @to 0: nothing comes next, and what stands at @from is no whole record. As
 *		@record
 * @records, @ops, @data:	found, and bytes of payload in them
 * @first, @last:	writes that the records speak for; 0 if there are none
 * @bytes:	of the records in the ring, pads included
 * @end:	behind the last one that counts
 * @top:	behind every one that was made for this journal, whether it counts or not
 * @gaps:	calls of @gap; @broken_at: @from of the first
 */
struct cmd_jwalk {
	int fd;
	const struct fmt_journal_sb *sb;
	const struct cmd_journal_owner *o;
	int (*record)(void *ctx, const struct fmt_journal_rec *r, const struct fmt_journal_op *ops,
		      const uint8_t *payload);
	int (*gap)(void *ctx, uint64_t from, uint64_t to);
	void *ctx;

	uint64_t records, ops, data, first, last, bytes, end, top, gaps, broken_at;
};

/* The records that follow one another from the start on. 0; -ENOMEM; another -errno of reading. */
int cmd_jwalk_chain(struct cmd_jwalk *w);

/*
 * These, then what lies behind them: all that authenticates at a position of its own behind the
 * chain's end. What an earlier owner left there, whose write did not end, is told by its epoch
 * where a later one came before it, and left out; otherwise it counts. As cmd_jwalk_chain().
 */
int cmd_jwalk_all(struct cmd_jwalk *w);

/*
 * A start for an empty journal on the same ring, after cmd_jwalk_all(): behind everything that was
 * ever written there, so that no old record can count again.
 */
uint64_t cmd_jwalk_fresh_start(const struct cmd_jwalk *w);

#endif
