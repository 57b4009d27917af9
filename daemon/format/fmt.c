// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/fmt.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

static_assert(FMT_BOX_OVERHEAD == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES +
					  crypto_aead_xchacha20poly1305_ietf_ABYTES,
	      "box");

#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

static const uint8_t magic[8] = "ZEROFS\r\n";

void fmt_prefix_init(struct fmt_prefix *p, enum fmt_kind kind, const uint8_t uuid[16])
{
	memcpy(p->magic, magic, sizeof(magic));
	p->version = le_16(FMT_VERSION);
	p->kind = le_16(kind);
	p->compat = le_32(FMT_COMPAT_ALL);
	p->incompat = le_32(FMT_INCOMPAT_ALL);
	p->rsvd = le_32(0);
	memcpy(p->uuid, uuid, FMT_UUID_LEN);
}

int fmt_prefix_check(const struct fmt_prefix *p, enum fmt_kind kind, const uint8_t *uuid)
{
	if (memcmp(p->magic, magic, sizeof(magic)))
		return -EBADMSG;
	if (le_cpu16(p->version) != FMT_VERSION || (le_cpu32(p->incompat) & ~FMT_INCOMPAT_ALL))
		return -EPROTONOSUPPORT;
	if (le_cpu16(p->kind) != kind || le_cpu32(p->rsvd))
		return -EBADMSG;
	if (uuid && memcmp(p->uuid, uuid, FMT_UUID_LEN))
		return -EBADMSG;
	return 0;
}

void fmt_kdf(uint8_t out[FMT_KEY_LEN], const uint8_t master[FMT_KEY_LEN], const char *context,
	     const uint8_t uuid[16])
{
	static const char label[] = "zerofs1 ";
	crypto_generichash_state st;

	crypto_generichash_init(&st, master, FMT_KEY_LEN, FMT_KEY_LEN);
	crypto_generichash_update(&st, (const uint8_t *)label, sizeof(label) - 1);
	crypto_generichash_update(&st, (const uint8_t *)context, strlen(context) + 1);
	crypto_generichash_update(&st, uuid, FMT_UUID_LEN);
	crypto_generichash_final(&st, out, FMT_KEY_LEN);
	sodium_memzero(&st, sizeof(st));
}

void fmt_box_seal(uint8_t *out, const uint8_t key[FMT_KEY_LEN], const void *aad, size_t aad_len,
		  const void *src, size_t len)
{
	randombytes_buf(out, NONCE_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt_detached(out + FMT_BOX_OVERHEAD, out + NONCE_LEN,
							    NULL, src, len, aad, aad_len, NULL, out,
							    key);
}

int fmt_box_open(void *out, const uint8_t key[FMT_KEY_LEN], const void *aad, size_t aad_len,
		 const void *box, size_t box_len)
{
	const uint8_t *b = box;

	if (box_len < FMT_BOX_OVERHEAD)
		return -EBADMSG;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
		    out, NULL, b + FMT_BOX_OVERHEAD, box_len - FMT_BOX_OVERHEAD, b + NONCE_LEN, aad,
		    aad_len, b, key))
		return -EBADMSG;
	return 0;
}

void fmt_hash16(uint8_t out[16], const void *p, size_t len)
{
	crypto_generichash(out, 16, p, len, NULL, 0);
}

void fmt_hash32(uint8_t out[32], const void *p, size_t len)
{
	crypto_generichash(out, 32, p, len, NULL, 0);
}

int fmt_str_put(void *p, const char *s, size_t len)
{
	size_t n = strnlen(s, len);

	if (n == len)
		return -EINVAL;
	memset(p, 0, len);
	memcpy(p, s, n);
	return 0;
}

int fmt_str_get(char *s, const void *p, size_t len)
{
	size_t n = strnlen(p, len);

	if (n == len || !fmt_is_zero((const uint8_t *)p + n, len - n))
		return -EBADMSG;
	memcpy(s, p, len);
	return 0;
}

bool fmt_is_zero(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint8_t v = 0;

	while (len--)
		v |= *b++;
	return !v;
}
