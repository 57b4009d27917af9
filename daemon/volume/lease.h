/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lease: says which host serves the volume, so that another one can say so to its user before
 * it takes it away. Never asked where safety is at stake: heads and fences see to that.
 *
 * A volume without volume_opts.host_id has none: nothing here does anything then.
 *
 * Threads: core lock.
 */
#ifndef VOLUME_LEASE_H
#define VOLUME_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#define LEASE_PERIOD 300000000ull /* microseconds from one writing to the next */
#define LEASE_FRESH  (3 * LEASE_PERIOD) /* as long it is believed */

struct sio;
struct volume;

/* Looks who has it; lease_wait() or lease_cancel() comes later. Core lock held. */
void lease_look(struct volume *v);

/*
 * 0, or -EBUSY: another host serves the volume, a notice says which. May be called again. [waits]
 */
int lease_wait(struct volume *v);
void lease_cancel(struct volume *v);

/* It is ours: writes it, now and every LEASE_PERIOD. */
void lease_begin(struct volume *v);
void lease_tick(struct volume *v);
uint64_t lease_deadline(const struct volume *v); /* ~0: never */

/*
 * Nothing is written any more; with @clean it is taken away. v->wake is set when lease_busy() turns
 * false.
 */
void lease_end(struct volume *v, bool clean);
bool lease_busy(const struct volume *v);

#endif
