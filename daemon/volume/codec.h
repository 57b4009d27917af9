/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks <-> stored frame: entropy probe, zstd, seal; open, zstd. A codec is a set of contexts and
 * scratch memory that one worker uses at a time; it knows nothing of the volume. Any thread.
 */
#ifndef VOLUME_CODEC_H
#define VOLUME_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "format/fmt_frame.h"

struct codec;

/* About what one codec costs in memory. */
#define CODEC_MEMORY	(1u << 20)

struct codec *codec_new(void);		/* NULL: no memory */
void codec_free(struct codec *c);	/* NULL does nothing */

/*
 * Makes frame number @no from @f->blocks blocks at @src: sets codec and stored_len of @f and writes
 * the frame to
 * @dst (FMT_FRAME_STORED(blocks * 4096) bytes). @level 0: raw. Reads @src only here, so that
 * nothing has copied it before. 0 or -EINVAL.
 */
int codec_seal(struct codec *c, int level, const struct fmt_segkey *k, uint32_t no,
	       struct fmt_frame *f, const void *src, void *dst);

/* Opens a stored frame into @dst (@f->blocks * 4096 bytes). -EBADMSG: @dst holds nothing of use. */
int codec_open(struct codec *c, const struct fmt_segkey *k, const struct fmt_frame *f,
	       const void *src, size_t len, void *dst);

#endif
