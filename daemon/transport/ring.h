/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring: one kernel queue as a source of io_reqs, with a thread of its own.
 *
 * The thread waits in ENTER, takes what has come as copies, and in one section under the core lock
 * gives back what the kernel has read and submits what is new. Answers are written into the RSP
 * ring by done(), under the core lock; the ENTER that makes the kernel look at them is made without
 * it, by the queue's own thread on its way back to sleep, or, for what completes elsewhere, by
 * whoever lets go of the lock (core_kick()).
 */
#ifndef TRANSPORT_RING_H
#define TRANSPORT_RING_H

#include <stdbool.h>
#include <stdint.h>

struct core;
struct kdev;
struct ring;
struct sink;

/**
 * struct ring_conf - what a queue is
 * @index:	N of /dev/zerofsN
 * @queue:	which of its queues
 * @dev:	device id of the log, for io_req.dev
 * @number:	for io_req.queue: unique over all queues of the volume
 * @arena_len:	length of the arena's data region: a WRITE outside it is refused
 */
struct ring_conf {
	uint32_t index;
	uint32_t queue;
	uint32_t dev;
	uint32_t number;
	uint64_t arena_len;
};

struct ring_stats {
	uint64_t requests;
	uint64_t enters;
	uint64_t waits;		/* ENTERs that asked to wait */
	uint64_t wakeups;	/* of these, those that slept and got a request */
	uint64_t rejected;	/* requests that made no sense, answered with -EIO */
	uint64_t ring_full;	/* answers that had to wait for room */
};

/*
 * Opens and maps the queue and allocates all it will ever need. -errno of kdev_queue_open(),
 * -ENOMEM.
 */
int ring_new(struct ring **ret, struct core *core, const struct sink *sink, struct kdev *d,
	     const struct ring_conf *conf);

/* Starts the thread. 0 or -errno. */
int ring_start(struct ring *r);

/*
 * Tells the thread to take no further request, and waits until it has ended. What was taken is
 * still answered; what was not stays in the kernel. Without the core lock. Does nothing if it never
 * ran.
 */
void ring_stop(struct ring *r);

/* Requests that were taken and are not answered. Core lock held. */
uint32_t ring_inflight(const struct ring *r);

/*
 * After ring_stop() and with nothing in flight: has the kernel read all answers, and gives
 * everything back to the sink. Without the core lock.
 */
void ring_drain(struct ring *r);

/* Core lock held. */
void ring_get_stats(const struct ring *r, struct ring_stats *ret);

/* After ring_drain(), and when no thread uses the core lock any more. NULL does nothing. */
void ring_free(struct ring *r);

#endif
