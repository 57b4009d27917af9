/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Format version 1: what all objects share. docs/format.md describes every byte.
 *
 * This directory turns host structs into bytes and back: no I/O, no threads. Files and symbols
 * begin with fmt_, so that volume/ is free to name its own. Decoders take (bytes, length) from an
 * untrusted source and return 0 or
 *	-EBADMSG	damaged, forged, or not what was asked for
 *	-EPROTONOSUPPORT	a version or an incompatible feature that this program does not know
 *	-ENOMEM
 * They authenticate before they follow anything. Encoders return -EINVAL for what breaks the
 * format's rules. "seal" encrypts and authenticates, "open" undoes it. Random numbers (salts,
 * nonces) come from libsodium's generator, which tests replace by randombytes_set_implementation().
 */
#ifndef FORMAT_FMT_H
#define FORMAT_FMT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/le.h"

#define FMT_VERSION		1u
#define FMT_COMPAT_ALL		0u	/* unknown ones are ignored */
#define FMT_INCOMPAT_ALL	0u	/* unknown ones are refused */

#define FMT_BLOCK_SIZE		4096u
#define FMT_BLOCK_SHIFT		12
#define FMT_MAX_LBA		(1ull << 52)	/* lba + blocks never exceeds this */
#define FMT_KEY_LEN		32u
#define FMT_UUID_LEN		16u
#define FMT_NONCE_LEN		16u	/* a writer's, one per process start */
#define FMT_SALT_LEN		32u
#define FMT_HASH_LEN		16u	/* of the segment chain */
#define FMT_TAG_LEN		16u
/* volume, device, host names, NUL-padded, at least one NUL */
#define FMT_NAME_LEN		64u
#define FMT_MAX_DEVS		256u

/* Persisted: values never change. */
enum fmt_kind {
	FMT_KIND_SEGMENT	= 1,
	FMT_KIND_HEAD		= 2,
	FMT_KIND_MANIFEST	= 3,
	FMT_KIND_RUN		= 4,
	FMT_KIND_KEYS		= 5,
	FMT_KIND_ARENA		= 6,
	FMT_KIND_STATE		= 7,
	FMT_KIND_JOURNAL	= 8,
	FMT_KIND_LEASE		= 9,
	FMT_KIND_PROBE		= 10,
};

/* Persisted. How a frame's payload was made from its blocks. */
enum fmt_codec {
	FMT_CODEC_RAW	= 0,
	FMT_CODEC_ZSTD	= 1,	/* one zstd frame that decodes to exactly the frame's blocks */
	FMT_NR_CODECS	= 2,
};

/* The first 40 bytes of every object. */
struct fmt_prefix {
	uint8_t magic[8];	/* "ZEROFS\r\n" */
	le16 version;
	le16 kind;
	le32 compat;
	le32 incompat;
	le32 rsvd;		/* 0 */
	uint8_t uuid[FMT_UUID_LEN];	/* the volume's */
};
static_assert(sizeof(struct fmt_prefix) == 40, "prefix");

/* Writes the prefix of an object of @kind. */
void fmt_prefix_init(struct fmt_prefix *p, enum fmt_kind kind, const uint8_t uuid[16]);

/*
 * Checks magic, version, features, kind and, unless @uuid is NULL, the volume. What it accepts is
 * still unauthenticated.
 */
int fmt_prefix_check(const struct fmt_prefix *p, enum fmt_kind kind, const uint8_t *uuid);

/*
 * Derives a subkey of the master key: keyed BLAKE2b-256 over "zerofs1 " @context 00 @uuid. Distinct
 * contexts give independent keys.
 */
void fmt_kdf(uint8_t out[FMT_KEY_LEN], const uint8_t master[FMT_KEY_LEN], const char *context,
	     const uint8_t uuid[16]);

#define FMT_CTX_HEADER		"segment-header"	/* MAC of segment headers */
#define FMT_CTX_HEAD		"head"
#define FMT_CTX_MANIFEST	"manifest"
#define FMT_CTX_RUN		"run"
#define FMT_CTX_KEYS_MAC	"keys-mac"
#define FMT_CTX_KEYS_WRAP	"keys-wrap"		/* data-key generations under the master */
#define FMT_CTX_LEASE		"lease"
#define FMT_CTX_JOURNAL		"journal"
#define FMT_CTX_CACHE		"cache"

/*
 * A box: 24 B random nonce, 16 B tag, ciphertext (XChaCha20-Poly1305). Everything that is not part
 * of a segment is sealed so.
 */
#define FMT_BOX_OVERHEAD	40u

/* Writes FMT_BOX_OVERHEAD + @len bytes to @out, which does not overlap @src. */
void fmt_box_seal(uint8_t *out, const uint8_t key[FMT_KEY_LEN], const void *aad, size_t aad_len,
		  const void *src, size_t len);

/*
 * Writes @box_len - FMT_BOX_OVERHEAD bytes to @out (may be NULL if that is 0); -EBADMSG: nothing of
 * use.
 */
int fmt_box_open(void *out, const uint8_t key[FMT_KEY_LEN], const void *aad, size_t aad_len,
		 const void *box, size_t box_len);

/*
 * A name as it lies on media: NUL-padded to @len. fmt_str_put() cuts nothing: -EINVAL if @s and a
 * NUL do not fit. fmt_str_get(): -EBADMSG unless @p holds a NUL and only NULs behind it.
 */
int fmt_str_put(void *p, const char *s, size_t len);
int fmt_str_get(char *s, const void *p, size_t len);

/* Whether @len bytes are all 0. */
bool fmt_is_zero(const void *p, size_t len);

/* 16 B BLAKE2b. */
void fmt_hash16(uint8_t out[16], const void *p, size_t len);
/* 32 B BLAKE2b. */
void fmt_hash32(uint8_t out[32], const void *p, size_t len);

#endif
