/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sequencer: gives WRITE, DISCARD and WRITE_ZEROES their numbers, in the order they come.
 * Threads: core lock.
 */
#ifndef VOLUME_WRITE_H
#define VOLUME_WRITE_H

struct fmt_arena_rec;
struct io_req;
struct volume;

/* Takes a checked request. It is answered, or waits for durability (FUA), or is held for room. */
void write_submit(struct volume *v, struct io_req *io);

/* Takes up held requests, in order, as far as there is room now. */
void write_resume(struct volume *v);

/* Fails all held requests (superseded). */
void write_fail_held(struct volume *v, int err);

/*
 * A record of an earlier daemon, whose index entry exists, enters overlay and open batch under its
 * own number. -ENOMEM.
 */
int write_adopted(struct volume *v, const struct fmt_arena_rec *r);

#endif
