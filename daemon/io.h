/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One block request, the only type that transport and volume share. The transport owns the
 * memory; the volume holds it from volume_submit() until it calls done(), and for a READ holds
 * references on what segs[] names until volume_release().
 */
#ifndef IO_H
#define IO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define IO_BLOCK_SIZE	4096u
#define IO_BLOCK_SHIFT	12
#define IO_MAX_BLOCKS	256u	/* of data in one READ or WRITE: 1 MiB */

enum io_op {
	IO_READ,
	IO_WRITE,
	IO_FLUSH,
	IO_DISCARD,
	IO_WRITE_ZEROES,
	IO_NR_OPS,
};

#define IO_F_FUA	(1u << 0)
#define IO_F_NOUNMAP	(1u << 1)
#define IO_F_RAHEAD	(1u << 2)
#define IO_F_REISSUED	(1u << 3)

/* Bytes [off, off + len) of the arena's data region; both multiples of IO_BLOCK_SIZE. */
struct io_seg {
	uint64_t off;
	uint32_t len;
};

/**
 * struct io_req - a block request
 * @op:		enum io_op
 * @flags:	IO_F_*
 * @dev:	device id of the log
 * @queue:	write queue it came through, unique over all devices of the volume: allocation order
 *		of write extents is publish order within one queue
 * @lba:	first block, IO_BLOCK_SIZE units
 * @nblocks:	length in blocks; 0 for FLUSH; up to 2^20 for DISCARD and WRITE_ZEROES
 * @buf:	WRITE: offset of the data in the arena's data region (contiguous)
 * @res:	out: 0 or -errno
 * @wno:	out: WRITE, DISCARD, WRITE_ZEROES: its sequence number
 * @dur:	out: FLUSH, and FUA: everything up to this number is durable
 * @nsegs:	out: READ: pieces in segs[], in order, together nblocks long
 * @segs:	room for IO_MAX_BLOCKS pieces, the transport's, READ only
 * @done:	called exactly once, with the core lock held, possibly from within volume_submit()
 * @priv:	the transport's
 * @link:	the volume's while it holds the request, the transport's after done()
 * @vpriv:	the volume's, until done(); for a READ until volume_release()
 */
struct io_req {
	uint8_t op;
	uint8_t flags;
	uint32_t dev;
	uint32_t queue;
	uint64_t lba;
	uint32_t nblocks;
	uint64_t buf;
	int32_t res;
	uint64_t wno;
	uint64_t dur;
	uint32_t nsegs;
	struct io_seg *segs;
	void (*done)(struct io_req *io);
	void *priv;
	struct list_head link;
	void *vpriv[4];
};

#endif
