/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lease: who serves the volume and when that was last true. For messages only; the one object
 * that is replaced (store.h, S5).
 */
#ifndef FORMAT_FMT_LEASE_H
#define FORMAT_FMT_LEASE_H

#include "format/fmt.h"

#define FMT_LEASE_LEN	208u

/**
 * struct fmt_lease - @host_id: of the machine, the same after a reboot; @host: for people
 */
struct fmt_lease {
	uint64_t epoch;
	uint8_t nonce[FMT_NONCE_LEN];
	uint8_t host_id[16];
	uint64_t time_us;
	char host[FMT_NAME_LEN];
};

/* -EINVAL: the host's name is too long or empty. */
int fmt_lease_seal(uint8_t out[FMT_LEASE_LEN], const struct fmt_lease *l, const uint8_t uuid[16],
		   const uint8_t lease_key[FMT_KEY_LEN]);
int fmt_lease_open(struct fmt_lease *ret, const void *p, size_t len, const uint8_t uuid[16],
		   const uint8_t lease_key[FMT_KEY_LEN]);

#endif
