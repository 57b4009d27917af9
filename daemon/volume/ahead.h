/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Read-ahead: what streams of READs will want next is fetched into the cache. Threads: core lock.
 */
#ifndef VOLUME_AHEAD_H
#define VOLUME_AHEAD_H

#include <stdint.h>

struct volume;

/* Once the cache is there. */
void ahead_init(struct volume *v);

/*
 * A READ of [lba, lba + n) has been planned or answered: plans what is to be read ahead. The caller
 * calls fetch_pump(). READs may be submitted and answered from within.
 */
void ahead_read(struct volume *v, uint32_t dev, uint64_t lba, uint32_t n);

#endif
