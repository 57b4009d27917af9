/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contact: until when this writer surely still owned the volume, for --stop-after. Threads: core
 * lock.
 */
#ifndef VOLUME_CONTACT_H
#define VOLUME_CONTACT_H

#include <stdbool.h>
#include <stdint.h>

struct volume;

/*
 * Of the object at the commit point: its PUT was sent for the first time at @sent_us (monotonic; 0
 * = not known). Its slot was free then and all before it are ours, so the log had no later fence
 * than ours. That a later try found the slot free proves nothing: a successor may have deleted what
 * an earlier one had put there. Nor does an object with gaps before it: the fence may be in one.
 */
void contact_proved(struct volume *v, uint64_t sent_us);

/*
 * Whether a FLUSH may be answered that is not covered by the commit point: false once
 * volume_opts.stop_after_ms have passed since the last proof. What the commit point covers is in
 * the store, and may always be answered.
 */
bool contact_ok(const struct volume *v);

#endif
