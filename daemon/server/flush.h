/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flush: a FLUSH of the daemon's own, as if the kernel had sent it. */
#ifndef SERVER_FLUSH_H
#define SERVER_FLUSH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct host;
struct volume;

/*
 * Waits until everything acknowledged is as durable as a FLUSH makes it: its result. -EINTR: *@stop
 * was set and @event signalled meanwhile; -ETIMEDOUT: @until_us (CLOCK_MONOTONIC, ~0 = never) is
 * over; the volume goes on with it in both cases. Without the core lock, which guards *@stop.
 */
int flush_volume(struct host *h, struct volume *v, uint32_t dev, pthread_cond_t *event,
		 const bool *stop, uint64_t until_us);

#endif
