// SPDX-License-Identifier: GPL-2.0-or-later
#include "volume/codec.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zstd.h>

#define MAX_RAW	   (FMT_FRAME_MAX_BLOCKS * FMT_BLOCK_SIZE)
#define SAMPLES	   1024u /* bytes looked at by the probe, in ... */
#define SAMPLE_RUN 64u /* ... runs of so many */

struct codec {
	ZSTD_CCtx *cctx;
	ZSTD_DCtx *dctx;
	int level;
	uint8_t scratch[MAX_RAW];
};

struct codec *codec_new(void)
{
	struct codec *c = malloc(sizeof(*c));

	if (!c)
		return NULL;
	c->level = 0;
	c->cctx = ZSTD_createCCtx();
	c->dctx = ZSTD_createDCtx();
	if (!c->cctx || !c->dctx) {
		codec_free(c);
		return NULL;
	}
	return c;
}

void codec_free(struct codec *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->cctx);
	ZSTD_freeDCtx(c->dctx);
	free(c);
}

/*
 * Random bytes make every value of a sample about equally frequent; then the sum of the squared
 * counts is near its least, n + n(n-1)/256. Data within 10 % of that is not worth zstd's time. A
 * frame that merely repeats random blocks is missed; that costs space, not correctness. What is
 * stored in blocks has a rhythm of powers of two; runs at such distances would all meet the same
 * part of a sector, record or page.
 */
static bool looks_random(const uint8_t *p, size_t len)
{
	const uint32_t least = SAMPLES + SAMPLES * (SAMPLES - 1) / 256;
	uint16_t count[256] = { 0 };
	size_t runs = SAMPLES / SAMPLE_RUN, step = len / runs, i, j;
	uint64_t sum = 0;

	for (i = 0; i < runs; i++) {
		/* fractions of the golden ratio: spread over the step, and in no rhythm */
		const uint8_t *run =
			p + i * step + ((i * 40503 & 0xffff) * (step - SAMPLE_RUN) >> 16);

		for (j = 0; j < SAMPLE_RUN; j++)
			count[run[j]]++;
	}
	for (i = 0; i < 256; i++)
		sum += (uint64_t)count[i] * count[i];
	return sum < least + least / 10;
}

/* Bytes of zstd in scratch, or 0: store it raw. */
static size_t compress(struct codec *c, int level, const void *src, size_t len)
{
	size_t n;

	if (level == 0 || looks_random(src, len))
		return 0;
	if (c->level != level) {
		if (ZSTD_isError(ZSTD_CCtx_setParameter(c->cctx, ZSTD_c_compressionLevel, level)))
			return 0;
		c->level = level;
	}
	/* at least an eighth must be saved */
	n = ZSTD_compress2(c->cctx, c->scratch, len - len / 8, src, len);
	return ZSTD_isError(n) ? 0 : n;
}

int codec_seal(struct codec *c, int level, const struct fmt_segkey *k, uint32_t no,
	       struct fmt_frame *f, const void *src, void *dst)
{
	size_t len = (size_t)f->blocks * FMT_BLOCK_SIZE, n;

	if (!f->blocks || f->blocks > FMT_FRAME_MAX_BLOCKS)
		return -EINVAL;
	n = compress(c, level, src, len);
	f->codec = n ? FMT_CODEC_ZSTD : FMT_CODEC_RAW;
	return fmt_frame_seal(k, no, f, n ? c->scratch : src, n ? n : len, dst);
}

int codec_open(struct codec *c, const struct fmt_segkey *k, const struct fmt_frame *f,
	       const void *src, size_t len, void *dst)
{
	size_t raw = (size_t)f->blocks * FMT_BLOCK_SIZE, n;
	uint32_t payload;
	int err;

	if (f->codec == FMT_CODEC_RAW)
		return fmt_frame_open(k, f, src, len, dst, raw, NULL, NULL);
	if (f->codec != FMT_CODEC_ZSTD)
		return -EBADMSG;
	err = fmt_frame_open(k, f, src, len, c->scratch, sizeof(c->scratch), &payload, NULL);
	if (err)
		return err;
	n = ZSTD_decompressDCtx(c->dctx, dst, raw, c->scratch, payload);
	return ZSTD_isError(n) || n != raw ? -EBADMSG : 0;
}
