/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host has seen of the volume, in env->disk: so that an older image is refused, which no
 * store can be trusted to do by itself. Threads: core lock.
 */
#ifndef VOLUME_SEEN_H
#define VOLUME_SEEN_H

#include <stdbool.h>
#include <stdint.h>

struct volume;

/*
 * Fills v->seen: all zero if this host has seen nothing. -EBADMSG: the record is damaged (a notice
 * says so).
 */
int seen_load(struct volume *v);

/*
 * Remembers v->head, the commit point, and how far the journal has got. 0 or -errno; on failure the
 * older record stays.
 */
int seen_save(struct volume *v);

/* Says that seen_save() has failed with @err, and where. @level as in base/log.h. */
void seen_complain(const struct volume *v, int level, int err);

/* Has this host seen more of the journal than is there now? */
bool seen_older(const struct volume *v);

/* Saves once a minute while the journal goes on; when it is due, ~0 = not. */
void seen_tick(struct volume *v);
uint64_t seen_deadline(const struct volume *v);

#endif
