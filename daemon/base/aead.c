// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/aead.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#define SHORT 512u /* up to here OpenSSL's preparations take longer than libsodium */

static_assert(AEAD_KEY_LEN == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "key");
static_assert(AEAD_NONCE_LEN == crypto_aead_chacha20poly1305_ietf_NPUBBYTES, "nonce");
static_assert(AEAD_TAG_LEN == crypto_aead_chacha20poly1305_ietf_ABYTES, "tag");

static EVP_CIPHER *cipher; /* of the process, never freed; NULL: none */
static pthread_key_t context_key;
static bool have_key;

static void free_context(void *ctx)
{
	EVP_CIPHER_CTX_free(ctx);
}

static void fetch(void)
{
	have_key = !pthread_key_create(&context_key, free_context);
	cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
}

/* The thread's; NULL: do without. */
static EVP_CIPHER_CTX *context(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	EVP_CIPHER_CTX *ctx;

	pthread_once(&once, fetch);
	if (!cipher || !have_key)
		return NULL;
	ctx = pthread_getspecific(context_key);
	if (ctx)
		return ctx;
	ctx = EVP_CIPHER_CTX_new();
	if (ctx && pthread_setspecific(context_key, ctx)) {
		EVP_CIPHER_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

static bool seal(EVP_CIPHER_CTX *ctx, const struct aead *a, uint8_t *dst, uint8_t *tag,
		 const void *src, size_t len)
{
	int n;

	return EVP_EncryptInit_ex2(ctx, cipher, a->key, a->nonce, NULL) == 1 &&
	       (!a->aad_len || EVP_EncryptUpdate(ctx, NULL, &n, a->aad, (int)a->aad_len) == 1) &&
	       EVP_EncryptUpdate(ctx, dst, &n, src, (int)len) == 1 && n == (int)len &&
	       EVP_EncryptFinal_ex(ctx, dst + len, &n) == 1 && n == 0 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LEN, tag) == 1;
}

void aead_seal(const struct aead *a, uint8_t *dst, uint8_t *tag, const void *src, size_t len)
{
	/* done in place there would be no second try */
	EVP_CIPHER_CTX *ctx = len > SHORT && dst != src ? context() : NULL;
	bool done = false;

	assert(len <= INT_MAX && a->aad_len <= INT_MAX);
	if (ctx) {
		done = seal(ctx, a, dst, tag, src, len);
		EVP_CIPHER_CTX_reset(ctx); /* wipes the key */
	}
	if (done)
		return;
	crypto_aead_chacha20poly1305_ietf_encrypt_detached(dst, tag, NULL, src, len, a->aad,
							   a->aad_len, NULL, a->nonce, a->key);
}

/* 1: proved; 0: not; -1: no memory, or OpenSSL does not work. */
static int open_with(EVP_CIPHER_CTX *ctx, const struct aead *a, uint8_t *dst, const void *src,
		     size_t len, const uint8_t *tag)
{
	uint8_t want[AEAD_TAG_LEN];
	int n;

	memcpy(want, tag, sizeof(want));
	if (EVP_DecryptInit_ex2(ctx, cipher, a->key, a->nonce, NULL) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_LEN, want) != 1 ||
	    (a->aad_len && EVP_DecryptUpdate(ctx, NULL, &n, a->aad, (int)a->aad_len) != 1) ||
	    EVP_DecryptUpdate(ctx, dst, &n, src, (int)len) != 1 || n != (int)len)
		return -1;
	return EVP_DecryptFinal_ex(ctx, dst + len, &n) == 1;
}

int aead_open(const struct aead *a, uint8_t *dst, const void *src, size_t len, const uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = len > SHORT && dst && dst != src ? context() : NULL;
	int rc = -1;

	assert(len <= INT_MAX && a->aad_len <= INT_MAX);
	if (ctx) {
		rc = open_with(ctx, a, dst, src, len, tag);
		EVP_CIPHER_CTX_reset(ctx);
	}
	if (rc < 0)
		rc = !crypto_aead_chacha20poly1305_ietf_decrypt_detached(
			dst, NULL, src, len, tag, a->aad, a->aad_len, a->nonce, a->key);
	if (rc)
		return 0;
	if (dst)
		memset(dst, 0, len);
	return -EBADMSG;
}
