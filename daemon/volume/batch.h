/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A batch: the operations of a contiguous range of wno, that become one segment. While it is open
 * its pieces are the overlay's extents that carry its id, so that a later overwrite within the
 * batch drops the earlier one; at the cut they are listed, and grouped to frames.
 *
 * Threads: core lock. Pieces, frames and page bytes are constant from the cut on; workers read
 * them.
 */
#ifndef VOLUME_BATCH_H
#define VOLUME_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "format/fmt_seg.h"

struct emap_dev;
struct jload;
struct seal_chunk;
struct sio;
struct volume;

#define BATCH_MAX_OPS		16384u
#define BATCH_MAX_PIECES	(FMT_TABLE_MAX_ENTRIES / 16)

/*
 *         batch_cut()          seal            all chunks          finish            uploader
 *  OPEN -------------> CUT ----------> ENCODING --------> ENCODED --------> FINISHING -------->
 *  READY
 *                       ^                 | no memory        ^                   | no memory     |
 *                       +-----------------+                  +-------------------+               v
 *                                       applied                commit point passes             PUT
 *                          (freed) <------------- COMMITTED <------------------- DURABLE <-------+
 */
enum batch_state {
	BATCH_OPEN,
	BATCH_CUT,
	BATCH_LOADING,		/* parked: CUT -> LOADING -> CUT, with its data in a buffer */
	BATCH_ENCODING,
	BATCH_ENCODED,
	BATCH_FINISHING,
	BATCH_READY,
	BATCH_PUT,
	BATCH_DURABLE,
	BATCH_COMMITTED,
};

struct batch_leaf {
	uint32_t dev;
	uint64_t no;
};

/* A piece that survived; sorted by (device, lba). A ZERO or DISCARD piece may span leaves. */
struct batch_piece {
	uint64_t wno;
	uint64_t lba;
	uint32_t dev;
	uint32_t blocks;
	uint32_t page;			/* DATA */
	uint32_t frame;			/* DATA: index in frames[] */
	uint8_t kind;			/* enum fmt_entry_kind: DATA, ZERO, DISCARD */
	uint8_t block;			/* DATA: first block in the frame */
};

struct batch_void {
	uint64_t first, last;
};

struct batch {
	struct list_head link;		/* volume.batches */
	struct volume *v;
	uint32_t id;			/* owner in the overlay; never 0 */
	enum batch_state state;
	bool urgent;			/* a FLUSH or FUA waits for it */
	bool starved;			/* the kernel waits for its extents */
	bool replayed;			/* an earlier owner's segment */
	uint64_t first_wno, last_wno;
	uint64_t opened_us;
	/* when its PUT was sent for the first time, 0 = never by this process */
	uint64_t sent_us;
	uint64_t raw_bytes;		/* written into it, overwritten or not */
	uint32_t ops;
	uint64_t max_pieces;		/* no more can survive */
	bool parked;			/* its data is in the journal, not in the arena */
	struct batch_leaf *leaves;
	uint32_t nr_leaves, cap_leaves;
	struct batch_void *voids;
	uint32_t nr_voids;
	uint64_t heap;			/* what these lists take, in volume.batch_bytes */

	/* from the cut on */
	uint64_t seq;
	struct batch_piece *pieces;
	uint32_t nr_pieces;
	struct fmt_frame *frames;
	uint32_t *frame_page;		/* where each frame's blocks begin in the arena */
	uint32_t nr_frames;
	uint64_t data_bytes;		/* of surviving pieces */

	/* jload.c */
	struct jload *load;		/* under way */
	uint8_t *loaded;		/* parked: the frames' blocks, one frame after the other */

	/* seal.c */
	struct fmt_segkey key;
	struct fmt_seg seg;
	struct seal_chunk *chunks;
	uint32_t nr_chunks, chunks_left;
	int err;
	bool told;			/* that it cannot be made */
	struct buf head;		/* header and table */
	uint8_t footer[FMT_SEG_FOOTER_LEN];
	uint64_t mem;			/* what it has in volume.sealed_bytes */

	/* uploader.c */
	struct iovec *iov;
	struct sio *put;

	/* commit.c */
	uint32_t seg_index;		/* in the segment table, ~0 = not yet */
	uint32_t nr_applied;		/* pieces that are in the base map */
};

/* The open batch, made if there is none. NULL: no memory. */
struct batch *batch_open(struct volume *v);

/*
 * Makes room so that the next batch_add() over [lba, lba + n) cannot fail: overlay leaves (for
 * @fresh all, else those that the overlay or the base map has, or may have to load) and the batch's
 * list of them.
 * -ENOMEM.
 */
int batch_reserve(struct volume *v, struct emap_dev *over, uint64_t lba, uint64_t n, bool fresh);

/*
 * A WRITE's data at @page, or a ZERO / DISCARD (@kind), enters overlay and open batch as number
 * @wno; of a parked batch @page is a block of the ring. Numbers between v->last_wno and @wno become
 * void.
 */
void batch_add(struct volume *v, struct emap_dev *over, uint8_t kind, uint64_t lba, uint64_t n,
	       uint32_t page, uint64_t wno);

/* Numbers up to @last, which is beyond v->last_wno, are void: the open batch says so. -ENOMEM. */
int batch_void(struct volume *v, uint64_t last);

/* Is there anything in the open batch? */
bool batch_dirty(const struct volume *v);

/* Does size, age, urgency or starvation call for a cut? */
bool batch_due(const struct volume *v, uint64_t now);

/* When age will, ~0 = never. */
uint64_t batch_deadline(const struct volume *v);

/* Cuts the open batch, which is dirty, and appends it to volume.batches. -ENOMEM: it stays open. */
int batch_cut(struct volume *v);

/*
 * A segment of the log, seg_index in the table, whose entries are DATA, ZERO, DISCARD and VOID and
 * lie on devices: it is in the overlay then, as what it is, and waits to be applied like a batch
 * that was committed. Takes the table's frames. -ENOMEM.
 */
int batch_replayed(struct volume *v, const struct fmt_seg *seg, struct fmt_table *t,
		   uint32_t seg_index);

/* Takes the batch's pieces out of the overlay. */
void batch_purge(struct volume *v, struct batch *b);

void batch_free(struct batch *b);	/* NULL does nothing */

#endif
