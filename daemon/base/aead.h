/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ChaCha20-Poly1305 as in RFC 8439, detached tag. By OpenSSL where that is quicker (docs/adr/0006);
 * by libsodium, whose bytes are the same, for what is short, and when OpenSSL has no memory: so
 * sealing cannot fail. Any thread, no lock. No key stays in memory.
 */
#ifndef BASE_AEAD_H
#define BASE_AEAD_H

#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY_LEN   32u
#define AEAD_NONCE_LEN 12u
#define AEAD_TAG_LEN   16u

/**
 * struct aead - what one message is sealed with, and bound to; nothing of it is kept
 * @key:	AEAD_KEY_LEN bytes
 * @nonce:	AEAD_NONCE_LEN bytes, never twice with one key
 * @aad:	@aad_len bytes
 */
struct aead {
	const uint8_t *key;
	const uint8_t *nonce;
	const void *aad;
	size_t aad_len;
};

/* @dst: @len bytes, @src or apart from it; @tag: AEAD_TAG_LEN bytes. @len below 2 GiB. */
void aead_seal(const struct aead *a, uint8_t *dst, uint8_t *tag, const void *src, size_t len);

/*
 * The reverse: 0, or -EBADMSG, and then @dst holds zeros. While it runs @dst holds what has not
 * been proved yet: nobody else may look there. @dst NULL: the tag alone is checked.
 */
int aead_open(const struct aead *a, uint8_t *dst, const void *src, size_t len, const uint8_t *tag);

#endif
