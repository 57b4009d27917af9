// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Happy path: GET while the head is looked for: none, ours, or stale; then one PUT every five
 * minutes, that replaces it; DELETE at a clean detach. Failure modes: what cannot be read is no
 * lease; a PUT or DELETE that fails is not repeated before the next is due.
 */
#include "volume/lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/uuid.h"
#include "format/fmt_lease.h"
#include "format/fmt_name.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/sio.h"
#include "volume/vol.h"

static bool has_lease(const struct volume *v)
{
	return !uuid_is_null(v->o.host_id);
}

/* ---- whose it is ------------------------------------------------------------------------- */

void lease_look(struct volume *v)
{
	v->lease_us = ~0ull;
	if (!has_lease(v) || v->o.takeover)
		return;
	v->lease = sio_get(&v->sio, FMT_NAME_LEASE, 0, FMT_LEASE_LEN + 1);
	if (v->lease)
		sio_start(v->lease, SIO_PATIENT);
}

/* Both clocks may be wrong; a lease of the near future is fresh, too. */
static bool is_fresh(uint64_t now, uint64_t then)
{
	return (now > then ? now - then : then - now) < LEASE_FRESH;
}

static int judge(struct volume *v, const struct sio *s)
{
	uint64_t now = clock_real_us(v->env.clock), age;
	struct fmt_lease l;

	if (s->res < 0 ||
	    fmt_lease_open(&l, s->body, (size_t)s->res, v->uuid, keys_get(v->kr, KEYS_LEASE)))
		return 0;
	if (!memcmp(l.host_id, v->o.host_id, sizeof(l.host_id)) || !is_fresh(now, l.time_us))
		return 0;
	age = now > l.time_us ? (now - l.time_us) / 1000000 : 0;
	notice_say(&v->env, NOTICE_ERR, "host '%s' serves it, or did so %llu s ago", l.host,
		   (unsigned long long)age);
	return -EBUSY;
}

int lease_wait(struct volume *v)
{
	int err;

	if (!v->lease)
		return 0;
	err = sio_wait(v->lease);
	/* what the store refuses to show is no lease; the rest of the attach will tell */
	if (!err)
		err = judge(v, v->lease);
	lease_cancel(v);
	return err;
}

void lease_cancel(struct volume *v)
{
	sio_drop(v->lease);
	v->lease = NULL;
}

/* ---- keeping it -------------------------------------------------------------------------- */

static void on_done(struct sio *s)
{
	struct volume *v = s->priv;

	sio_drop(s);
	v->lease = NULL;
	v->wake = true;
}

static void start(struct volume *v, struct sio *s, uint32_t tries)
{
	if (!s)
		return;
	s->done = on_done;
	s->priv = v;
	v->lease = s;
	sio_start(s, tries);
}

static struct sio *make_put(struct volume *v)
{
	struct fmt_lease l = { .epoch = v->epoch, .time_us = clock_real_us(v->env.clock) };
	uint8_t *body = malloc(FMT_LEASE_LEN);
	struct sio *s;

	if (!body)
		return NULL;
	memcpy(l.nonce, v->nonce, sizeof(l.nonce));
	memcpy(l.host_id, v->o.host_id, sizeof(l.host_id));
	memcpy(l.host, v->o.host, sizeof(l.host));
	if (fmt_lease_seal(body, &l, v->uuid, keys_get(v->kr, KEYS_LEASE))) {
		free(body);
		return NULL;
	}
	s = sio_put(&v->sio, FMT_NAME_LEASE, body, FMT_LEASE_LEN);
	if (s)
		s->req.replace = true;
	return s;
}

void lease_begin(struct volume *v)
{
	if (!has_lease(v))
		return;
	v->lease_us = 0;
	lease_tick(v);
}

void lease_tick(struct volume *v)
{
	uint64_t now = clock_mono_us(v->env.clock);

	if (now < v->lease_us)
		return;
	v->lease_us = now + LEASE_PERIOD;
	/* one under way since the last time: its store is not in a hurry */
	if (!v->lease)
		start(v, make_put(v), 1);
}

uint64_t lease_deadline(const struct volume *v)
{
	return v->lease_us;
}

void lease_end(struct volume *v, bool clean)
{
	v->lease_us = ~0ull;
	if (clean && has_lease(v) && !v->lease)
		start(v, sio_new(&v->sio, STORE_DELETE, FMT_NAME_LEASE), VOL_TRIES);
}

bool lease_busy(const struct volume *v)
{
	return v->lease;
}
