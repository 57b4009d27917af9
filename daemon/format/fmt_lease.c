// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/fmt_lease.h"

#include <errno.h>
#include <string.h>

struct lease_body {
	le64 epoch;
	uint8_t nonce[FMT_NONCE_LEN];
	uint8_t host_id[16];
	le64 time_us;
	uint8_t host[FMT_NAME_LEN];
	uint8_t rsvd[16]; /* 0 */
};
static_assert(sizeof(struct lease_body) == 128, "lease, body");
static_assert(sizeof(struct fmt_prefix) + FMT_BOX_OVERHEAD + sizeof(struct lease_body) ==
		      FMT_LEASE_LEN,
	      "lease");

int fmt_lease_seal(uint8_t out[FMT_LEASE_LEN], const struct fmt_lease *l, const uint8_t uuid[16],
		   const uint8_t lease_key[FMT_KEY_LEN])
{
	struct fmt_prefix p;
	struct lease_body b = { .epoch = le_64(l->epoch), .time_us = le_64(l->time_us) };

	if (!l->host[0] || fmt_str_put(b.host, l->host, FMT_NAME_LEN))
		return -EINVAL;
	memcpy(b.nonce, l->nonce, sizeof(b.nonce));
	memcpy(b.host_id, l->host_id, sizeof(b.host_id));
	fmt_prefix_init(&p, FMT_KIND_LEASE, uuid);
	memcpy(out, &p, sizeof(p));
	fmt_box_seal(out + sizeof(p), lease_key, &p, sizeof(p), &b, sizeof(b));
	return 0;
}

int fmt_lease_open(struct fmt_lease *ret, const void *p, size_t len, const uint8_t uuid[16],
		   const uint8_t lease_key[FMT_KEY_LEN])
{
	struct fmt_prefix prefix;
	struct lease_body b;
	struct fmt_lease l;
	int rc;

	if (len != FMT_LEASE_LEN)
		return -EBADMSG;
	memcpy(&prefix, p, sizeof(prefix));
	rc = fmt_prefix_check(&prefix, FMT_KIND_LEASE, uuid);
	if (!rc)
		rc = fmt_box_open(&b, lease_key, &prefix, sizeof(prefix),
				  (const uint8_t *)p + sizeof(prefix), len - sizeof(prefix));
	if (rc)
		return rc;
	memset(&l, 0, sizeof(l));
	l.epoch = le_cpu64(b.epoch);
	memcpy(l.nonce, b.nonce, sizeof(l.nonce));
	memcpy(l.host_id, b.host_id, sizeof(l.host_id));
	l.time_us = le_cpu64(b.time_us);
	if (fmt_str_get(l.host, b.host, FMT_NAME_LEN) || !l.host[0] ||
	    !fmt_is_zero(b.rsvd, sizeof(b.rsvd)))
		return -EBADMSG;
	*ret = l;
	return 0;
}
