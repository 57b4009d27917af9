/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commit point: the longest run of durable segments. Answers flushes, moves committed batches
 * from the overlay into the base map, gives back arena and memory. Threads: core lock.
 */
#ifndef VOLUME_COMMIT_H
#define VOLUME_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

struct batch;
struct io_req;
struct volume;

/* The batch's object is in the store. */
void commit_durable(struct batch *b);

/* Applies committed batches to the base map, unless it is frozen; goes on where it stopped. */
void commit_apply(struct volume *v);

/*
 * A FLUSH, or a FUA request that has its number: answers it when all up to @wno is durable, perhaps
 * at once.
 */
void commit_wait(struct volume *v, struct io_req *io, uint64_t wno);

/*
 * Everything up to this number is durable in the sense of the volume's flush mode, and may be said
 * to be (contact.h).
 */
uint64_t commit_durable_wno(const struct volume *v);

/* When the oldest operation that is not in the store came; ~0 = there is none. */
uint64_t commit_dirty_since(const struct volume *v);

/* Is it older than the limit? Then the journal answers nobody. */
bool commit_overdue(const struct volume *v);

/* The highest number that a FLUSH or FUA waits for, 0 = nobody waits. */
uint64_t commit_wanted(const struct volume *v);

/* Answers those who wait for what is durable now. */
void commit_answer(struct volume *v);

/* Ends all waiting requests with @err (superseded). */
void commit_fail_waiters(struct volume *v, int err);

#endif
