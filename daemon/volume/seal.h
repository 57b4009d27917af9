/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sealing: from a cut batch to the bytes of a segment. Frames are made by several workers at once,
 * a chunk of the batch each; header, table and footer by one worker per batch, in seq order,
 * because each header holds the hash of the one before.
 *
 * Threads: core lock.
 */
#ifndef VOLUME_SEAL_H
#define VOLUME_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "volume/worker.h"

struct batch;

#define SEAL_CHUNK_BYTES	(512u << 10)

/* A worker's part of a batch: frames [first, first + nr). */
struct seal_chunk {
	struct worker_job job;
	struct batch *b;
	uint32_t first, nr;
	uint64_t at;			/* of the first one in the batch's buffer, if it has one */
	uint8_t *out;
	size_t cap, len;
	int err;
};

/* Starts whatever can be started: chunks, finishes. Call after anything has changed. */
void seal_pump(struct volume *v);

/* Frees the bytes of the segment (they are in the store, or the volume goes). */
void seal_free(struct batch *b);

#endif
