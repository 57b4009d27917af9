// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/flush.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "io.h"
#include "server/host.h"
#include "volume/volume.h"

struct flush {
	struct io_req io;
	pthread_cond_t *event; /* NULL: nobody waits any more */
	bool done;
};

static void on_done(struct io_req *io)
{
	struct flush *f = io->priv;

	f->done = true;
	if (f->event)
		pthread_cond_signal(f->event);
	else
		free(f);
}

int flush_volume(struct host *h, struct volume *v, uint32_t dev, pthread_cond_t *event,
		 const bool *stop, uint64_t until_us)
{
	struct flush *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return -ENOMEM;
	f->event = event;
	f->io = (struct io_req){ .op = IO_FLUSH, .dev = dev, .done = on_done, .priv = f };
	core_lock(&h->core);
	volume_submit(v, &f->io);
	while (!f->done && !*stop && clock_mono_us(h->env.clock) < until_us)
		core_wait_on(&h->core, event, clock_wake_us(h->env.clock, until_us));
	if (f->done) {
		rc = f->io.res;
		free(f);
	} else {
		rc = *stop ? -EINTR : -ETIMEDOUT;
		f->event = NULL;
	}
	core_unlock(&h->core);
	return rc;
}
