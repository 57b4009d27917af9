// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/fmt_segkey.h"

#include <sodium.h>
#include <string.h>

void fmt_segkey_salt(uint8_t salt[FMT_SALT_LEN])
{
	randombytes_buf(salt, FMT_SALT_LEN);
}

void fmt_segkey_init(struct fmt_segkey *k, uint8_t type, const uint8_t uuid[16], uint64_t seq,
		     uint64_t epoch, const uint8_t salt[FMT_SALT_LEN],
		     const uint8_t kdata[FMT_KEY_LEN])
{
	uint8_t in[FMT_SALT_LEN + 16];
	le64 v;

	k->type = type;
	memcpy(k->uuid, uuid, FMT_UUID_LEN);
	k->seq = seq;
	k->epoch = epoch;
	memcpy(in, salt, FMT_SALT_LEN);
	v = le_64(seq);
	memcpy(in + FMT_SALT_LEN, &v, 8);
	v = le_64(epoch);
	memcpy(in + FMT_SALT_LEN + 8, &v, 8);
	crypto_generichash(k->key, FMT_KEY_LEN, in, sizeof(in), kdata, FMT_KEY_LEN);
}

void fmt_segkey_wipe(struct fmt_segkey *k)
{
	sodium_memzero(k, sizeof(*k));
}
