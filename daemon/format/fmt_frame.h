/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A frame: 1..32 consecutive blocks of one device, compressed or not, sealed on their own, so that
 * one ranged GET of [offset, offset + stored length) is enough to read any of them. Stored:
 *
 *	header 16 B | tag 16 B | payload, encrypted | zeros up to a multiple of 16 B
 *
 * ChaCha20-Poly1305-IETF. Key: the segment's (struct fmt_segkey), nonce: the frame's number. The
 * tag binds format, object kind, volume, seq, epoch, frame number, device, first LBA, blocks, codec
 * and both lengths. Within one object frame numbers are 0, 1, 2... and no block of a device is in
 * two frames, so a frame cannot be taken for another one.
 */
#ifndef FORMAT_FMT_FRAME_H
#define FORMAT_FMT_FRAME_H

#include "format/fmt_segkey.h"

#define FMT_FRAME_MAX_BLOCKS	32u
#define FMT_FRAME_HDR_LEN	32u	/* header and tag */
#define FMT_FRAME_ALIGN		16u
#define FMT_FRAME_MAX_STORED	(FMT_FRAME_HDR_LEN + FMT_FRAME_MAX_BLOCKS * FMT_BLOCK_SIZE)
/* Bytes that a frame with @payload bytes takes in its object. */
#define FMT_FRAME_STORED(payload) \
	(FMT_FRAME_HDR_LEN + (((uint32_t)(payload) + FMT_FRAME_ALIGN - 1) & ~(FMT_FRAME_ALIGN - 1)))

struct fmt_frame_hdr {
	le16 magic;		/* 0x667a */
	uint8_t codec;
	uint8_t flags;		/* 0 */
	le32 frame;		/* number within the object */
	le32 raw_len;		/* blocks * 4096 */
	le32 payload_len;	/* raw: raw_len; else less */
};
static_assert(sizeof(struct fmt_frame_hdr) == 16, "frame header");

/* What the reader knows of a frame, from the extent table or from the map. */
struct fmt_frame {
	uint32_t dev;
	uint64_t lba;
	uint16_t blocks;
	uint8_t codec;
	uint32_t stored_len;	/* FMT_FRAME_STORED(payload) */
	uint64_t off;		/* from the object's first byte; not bound, the table is */
};

/*
 * Seals @payload (raw codec: the blocks themselves) as frame number @frame. Uses dev, lba, blocks
 * and codec of @f and sets its stored_len. @dst: FMT_FRAME_STORED(@payload_len) bytes, not
 * overlapping @payload; encrypts straight from one to the other. 0 or -EINVAL. Any thread.
 */
int fmt_frame_seal(const struct fmt_segkey *k, uint32_t frame, struct fmt_frame *f,
		   const void *payload, size_t payload_len, void *dst);

/*
 * Bytes of payload in a stored frame as its header claims, checked against @f (dev and off unused):
 * what fmt_frame_open() will need room for. Unauthenticated. -EBADMSG.
 */
int fmt_frame_payload_len(const struct fmt_frame *f, const void *src, size_t src_len,
			  uint32_t *ret_len);

/*
 * Opens a stored frame of @src_len == @f->stored_len bytes into @dst (@dst_len: at least the
 * payload: raw codec blocks * 4096), straight, without an intermediate copy. @ret_frame may be
 * NULL. -EBADMSG: @dst holds nothing of use. Any thread.
 */
int fmt_frame_open(const struct fmt_segkey *k, const struct fmt_frame *f, const void *src,
		   size_t src_len, void *dst, size_t dst_len, uint32_t *ret_payload_len,
		   uint32_t *ret_frame);

#endif
