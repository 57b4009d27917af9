/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host has seen of the volume, in env->disk: so that an older image is refused, which no
 * store can be trusted to do by itself. Threads: core lock.
 */
#ifndef VOLUME_SEEN_H
#define VOLUME_SEEN_H

struct volume;

/*
 * Fills v->seen: all zero if this host has seen nothing. -EBADMSG: the record is damaged (a notice
 * says so).
 */
int seen_load(struct volume *v);

/* Remembers v->head and the commit point. 0 or -errno; on failure the older record stays. */
int seen_save(struct volume *v);

#endif
