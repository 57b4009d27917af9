/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attaching to a volume: what volume_recover() does before requests are taken. Threads: core lock.
 */
#ifndef VOLUME_RECOVER_H
#define VOLUME_RECOVER_H

struct volume;
struct volume_recovery;

/* As volume_recover(). The arena is set. After an error the volume can only be freed. [waits] */
int recover_run(struct volume *v, struct volume_recovery *ret);

#endif
