/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Spilling: when writers wait for room and the store is too slow to make some, batches whose
 * operations the journal holds are *parked*: their data is read and sealed from there, and the
 * arena takes new writes. So the head-room of an outage is the journal's and not the arena's.
 * Threads: core lock.
 */
#ifndef VOLUME_SPILL_H
#define VOLUME_SPILL_H

#include <stdbool.h>

struct volume;

/* Parks what can be parked if somebody waits for room, and asks the journal for more. */
void spill_pump(struct volume *v);

/* Do maps of what is not in the store take all the memory that they may? Then writes wait. */
bool spill_maps_full(const struct volume *v);

#endif
