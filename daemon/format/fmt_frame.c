// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/fmt_frame.h"

#include <errno.h>
#include <string.h>

#include "base/aead.h"

#define FRAME_MAGIC	0x667a
#define FRAME_AAD_MAGIC "zerofsFR"
#define TAG_OFF		sizeof(struct fmt_frame_hdr)

/* What a frame's tag binds besides the payload. */
struct frame_aad {
	uint8_t magic[8];
	le16 version;
	uint8_t type;
	uint8_t codec;
	le32 frame;
	uint8_t uuid[FMT_UUID_LEN];
	le64 seq;
	le64 epoch;
	le64 lba;
	le32 dev;
	le32 blocks;
	le32 raw_len;
	le32 payload_len;
};
static_assert(sizeof(struct frame_aad) == 72, "frame AAD");

static void frame_aad(struct frame_aad *a, const struct fmt_segkey *k, const struct fmt_frame *f,
		      uint32_t frame, uint32_t payload_len)
{
	memcpy(a->magic, FRAME_AAD_MAGIC, sizeof(a->magic));
	a->version = le_16(FMT_VERSION);
	a->type = k->type;
	a->codec = f->codec;
	a->frame = le_32(frame);
	memcpy(a->uuid, k->uuid, FMT_UUID_LEN);
	a->seq = le_64(k->seq);
	a->epoch = le_64(k->epoch);
	a->lba = le_64(f->lba);
	a->dev = le_32(f->dev);
	a->blocks = le_32(f->blocks);
	a->raw_len = le_32(f->blocks * FMT_BLOCK_SIZE);
	a->payload_len = le_32(payload_len);
}

/*
 * 96 bits: the frame's number and zeros. The table's nonce (fmt_seg.c) differs in the last
 * word.
 */
static void frame_nonce(uint8_t nonce[12], uint32_t frame)
{
	le32 v = le_32(frame);

	memset(nonce, 0, 12);
	memcpy(nonce, &v, 4);
}

/* Blocks, codec and payload length go together. */
static int check_shape(const struct fmt_frame *f, size_t payload_len)
{
	size_t raw = (size_t)f->blocks * FMT_BLOCK_SIZE;

	if (!f->blocks || f->blocks > FMT_FRAME_MAX_BLOCKS || !payload_len)
		return -EINVAL;
	if (f->lba > FMT_MAX_LBA || f->lba + f->blocks > FMT_MAX_LBA)
		return -EINVAL;
	switch (f->codec) {
	case FMT_CODEC_RAW:
		return payload_len == raw ? 0 : -EINVAL;
	case FMT_CODEC_ZSTD:
		return payload_len < raw ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

int fmt_frame_seal(const struct fmt_segkey *k, uint32_t frame, struct fmt_frame *f,
		   const void *payload, size_t payload_len, void *dst)
{
	struct fmt_frame_hdr h = {
		.magic = le_16(FRAME_MAGIC),
		.codec = f->codec,
		.frame = le_32(frame),
	};
	struct frame_aad aad;
	uint8_t nonce[12], *out = dst;
	uint32_t stored;

	if (check_shape(f, payload_len))
		return -EINVAL;
	h.raw_len = le_32(f->blocks * FMT_BLOCK_SIZE);
	h.payload_len = le_32((uint32_t)payload_len);
	memcpy(out, &h, sizeof(h));
	frame_aad(&aad, k, f, frame, (uint32_t)payload_len);
	frame_nonce(nonce, frame);
	aead_seal(&(struct aead){ k->key, nonce, &aad, sizeof(aad) }, out + FMT_FRAME_HDR_LEN,
		  out + TAG_OFF, payload, payload_len);
	stored = FMT_FRAME_STORED(payload_len);
	memset(out + FMT_FRAME_HDR_LEN + payload_len, 0, stored - FMT_FRAME_HDR_LEN - payload_len);
	f->stored_len = stored;
	return 0;
}

int fmt_frame_payload_len(const struct fmt_frame *f, const void *src, size_t src_len,
			  uint32_t *ret_len)
{
	struct fmt_frame_hdr h;
	uint32_t len;

	if (src_len < FMT_FRAME_HDR_LEN || src_len > FMT_FRAME_MAX_STORED ||
	    src_len != f->stored_len)
		return -EBADMSG;
	memcpy(&h, src, sizeof(h));
	len = le_cpu32(h.payload_len);
	if (le_cpu16(h.magic) != FRAME_MAGIC || h.codec != f->codec || h.flags ||
	    check_shape(f, len) || le_cpu32(h.raw_len) != f->blocks * FMT_BLOCK_SIZE ||
	    FMT_FRAME_STORED(len) != src_len)
		return -EBADMSG;
	*ret_len = len;
	return 0;
}

int fmt_frame_open(const struct fmt_segkey *k, const struct fmt_frame *f, const void *src,
		   size_t src_len, void *dst, size_t dst_len, uint32_t *ret_payload_len,
		   uint32_t *ret_frame)
{
	const uint8_t *in = src;
	struct frame_aad aad;
	uint8_t nonce[12];
	uint32_t len, frame;
	int rc = fmt_frame_payload_len(f, src, src_len, &len);

	if (rc)
		return rc;
	if (len > dst_len)
		return -EINVAL;
	for (size_t i = FMT_FRAME_HDR_LEN + len; i < src_len; i++)
		if (in[i])
			return -EBADMSG;
	frame = le_get32(in + offsetof(struct fmt_frame_hdr, frame));
	frame_aad(&aad, k, f, frame, len);
	frame_nonce(nonce, frame);
	rc = aead_open(&(struct aead){ k->key, nonce, &aad, sizeof(aad) }, dst,
		       in + FMT_FRAME_HDR_LEN, len, in + TAG_OFF);
	if (rc)
		return rc;
	if (ret_payload_len)
		*ret_payload_len = len;
	if (ret_frame)
		*ret_frame = frame;
	return 0;
}
