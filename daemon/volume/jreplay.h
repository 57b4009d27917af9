/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an attach does with a journal: the head's policy, whether it goes on with the log, and its
 * operations into the arena. Threads: core lock.
 */
#ifndef VOLUME_JREPLAY_H
#define VOLUME_JREPLAY_H

#include <stdint.h>

struct fmt_head;
struct replay;
struct volume;

/*
 * Reads the journal, if there is one. Before anything is written to the store. Errors as
 * jscan_run(). [waits]
 */
int jreplay_open(struct volume *v);

/*
 * May the volume whose newest head is @h be attached with this journal, or without one? -ENOMEDIUM
 * with a notice: the head names an open one that is not here, or that had got further than it shows
 * now, and nobody has given it up; -ESTALE: the journal knows a later owner than the store shows,
 * or the arena a later one than the journal; -EUCLEAN: it holds something, and somebody else has
 * owned the volume since. A claim would supersede him before the walk could tell, so with
 * --takeover the log is looked at first; other errors are replay_look()'s. [waits]
 */
int jreplay_policy(struct volume *v, const struct fmt_head *h);

/* What the head that claims the volume says of the journal. */
void jreplay_claim(const struct volume *v, struct fmt_head *h);

/* The same of how far it has got, for each later head. */
void jreplay_note(const struct volume *v, struct fmt_head *h);

/*
 * The walk has come to the log's end: does the journal go on from there? Sets r->continues. 0: it
 * does, or holds nothing that the store lacks. -EUCLEAN: it holds operations of a history that the
 * volume has left; -ENODATA: the store shows less than the journal knows it held. Notices.
 */
int jreplay_judge(struct volume *v, struct replay *r);

/*
 * Puts the operations beyond the commit point and up to number @upto into overlay and batches,
 * under their own numbers, all of which must be below @end_wno; their data stays in the ring
 * (spill.h). What is beyond @upto has been found in the arena. -EBADMSG: damaged, or numbers are
 * missing. The volume's state is VOL_SERVING, so that batches go to the store when the maps are
 * full. [waits]
 */
int jreplay_run(struct volume *v, uint64_t upto, uint64_t end_wno, uint64_t *ret_ops);

#endif
