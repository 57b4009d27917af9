// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/unlock.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>

#include "base/clock.h"
#include "server/host.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/sio.h"

/* The store's own trouble, and such that it may be over later. */
static bool passes(int rc)
{
	switch (rc) {
	case 0:
	case -EBADMSG:
	case -EINTR:
	case -EKEYREJECTED:
	case -ENOENT:
	case -ENOMEM:
	case -EPROTONOSUPPORT:
		return false;
	default:
		return !sio_is_final(rc);
	}
}

static void pause_for(struct host *h, pthread_cond_t *event, uint64_t us)
{
	uint64_t until = clock_mono_us(h->env.clock) + us;

	while (!h->stop && clock_mono_us(h->env.clock) < until)
		core_wait_on(&h->core, event, clock_wake_us(h->env.clock, until));
}

int unlock_keys(struct host *h, const struct keys_secret *secret, const struct unlock *u,
		struct keyring **ret)
{
	uint64_t pause = SIO_PAUSE_MIN;
	char text[SIO_REASON_LEN];
	int rc;

	assert(core_held(&h->core));
	for (;;) {
		rc = keys_open(ret, &h->env, secret);
		if (!passes(rc))
			break;
		if (!*u->store_errno) {
			*u->since_us = clock_real_us(h->env.clock);
			notice_say(&h->env, NOTICE_WARN,
				   "store: %s; the volume comes up when it answers, retrying every "
				   "%u s at most",
				   sio_reason(&h->env, rc, text, sizeof(text)),
				   SIO_PAUSE_MAX / 1000000);
		}
		*u->store_errno = -rc;
		pause_for(h, u->event, pause);
		pause = pause * 2 < SIO_PAUSE_MAX ? pause * 2 : SIO_PAUSE_MAX;
		if (h->stop) {
			rc = -EINTR;
			break;
		}
	}
	if (*u->store_errno && rc != -EINTR)
		notice_say(&h->env, NOTICE_WARN, "store: works again");
	*u->store_errno = 0;
	*u->since_us = 0;
	return rc;
}
