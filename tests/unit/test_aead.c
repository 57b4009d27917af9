// SPDX-License-Identifier: GPL-2.0-or-later
/* The published vector, and both libraries against each other at every length that matters. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/aead.h"

#define MAX_LEN 70000u

/* RFC 8439, 2.8.2; its plaintext is short, so that it goes to libsodium; below it does not. */
static void rfc_8439(void **state)
{
	static const uint8_t nonce[12] = { 7,	 0,    0,    0,	   0x40, 0x41,
					   0x42, 0x43, 0x44, 0x45, 0x46, 0x47 };
	static const uint8_t aad[12] = { 0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1,
					 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7 };
	static const uint8_t want_tag[16] = { 0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a,
					      0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91 };
	static const uint8_t want[8] = { 0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb };
	static const char text[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
				   "only one tip for the future, sunscreen would be it.";
	uint8_t key[32], out[sizeof(text)], tag[16];
	struct aead a = { key, nonce, aad, sizeof(aad) };

	(void)state;
	for (unsigned int i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(0x80 + i);
	aead_seal(&a, out, tag, text, sizeof(text) - 1);
	assert_memory_equal(out, want, sizeof(want));
	assert_memory_equal(tag, want_tag, sizeof(tag));
}

struct bytes {
	uint8_t plain[MAX_LEN], sealed[MAX_LEN], other[MAX_LEN], tag[16], other_tag[16];
	uint8_t key[32], nonce[12], aad[100];
};

static struct bytes *some(void)
{
	static struct bytes b;

	randombytes_buf(&b, sizeof(b));
	return &b;
}

static const size_t lengths[] = { 0,	1,    16,    511,   512,   513,	   1023,
				  4096, 4097, 28672, 32768, 65536, MAX_LEN };

static void same_as_libsodium(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		struct bytes *b = some();
		size_t len = lengths[i], aad_len = i % 3 * 50;
		struct aead a = { b->key, b->nonce, aad_len ? b->aad : NULL, aad_len };

		crypto_aead_chacha20poly1305_ietf_encrypt_detached(b->other, b->other_tag, NULL,
								   b->plain, len, b->aad, aad_len,
								   NULL, b->nonce, b->key);
		aead_seal(&a, b->sealed, b->tag, b->plain, len);
		assert_memory_equal(b->sealed, b->other, len);
		assert_memory_equal(b->tag, b->other_tag, sizeof(b->tag));
		memset(b->other, 0xee, sizeof(b->other));
		assert_int_equal(aead_open(&a, b->other, b->sealed, len, b->tag), 0);
		assert_memory_equal(b->other, b->plain, len);
		assert_int_equal(aead_open(&a, NULL, b->sealed, len, b->tag), 0);
		/* in place */
		assert_int_equal(aead_open(&a, b->sealed, b->sealed, len, b->tag), 0);
		assert_memory_equal(b->sealed, b->plain, len);
		aead_seal(&a, b->sealed, b->tag, b->sealed, len);
		assert_memory_equal(b->tag, b->other_tag, sizeof(b->tag));
	}
}

static void refused(const struct aead *a, struct bytes *b, size_t len)
{
	memset(b->other, 0xee, sizeof(b->other));
	assert_int_equal(aead_open(a, b->other, b->sealed, len, b->tag), -EBADMSG);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(b->other[i], 0);
	assert_int_equal(aead_open(a, NULL, b->sealed, len, b->tag), -EBADMSG);
}

/* One bit anywhere, and nothing of the plaintext is left behind. */
static void flipped(void **state)
{
	static const size_t some_lengths[] = { 16, 513, 4096 };

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		struct bytes *b = some();
		struct aead a = { b->key, b->nonce, b->aad, sizeof(b->aad) };
		size_t len = some_lengths[i];
		struct {
			uint8_t *p;
			size_t len;
		} all[] = { { b->sealed, len },
			    { b->tag, sizeof(b->tag) },
			    { b->key, sizeof(b->key) },
			    { b->nonce, sizeof(b->nonce) },
			    { b->aad, sizeof(b->aad) } };

		aead_seal(&a, b->sealed, b->tag, b->plain, len);
		for (unsigned int j = 0; j < sizeof(all) / sizeof(*all); j++) {
			uint32_t bit = randombytes_uniform((uint32_t)all[j].len * 8);

			all[j].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			refused(&a, b, len);
			all[j].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		refused(&(struct aead){ b->key, b->nonce, b->aad, 99 }, b, len);
		refused(&a, b, len - 1);
		assert_int_equal(aead_open(&a, b->other, b->sealed, len, b->tag), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_8439),
		cmocka_unit_test(same_as_libsodium),
		cmocka_unit_test(flipped),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
