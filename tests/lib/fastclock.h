/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A clock that runs so many times as fast as the machine's, and never back. Its real time is the
 * machine's. Threads that sleep by it (clock_wake_us()) sleep so much less. Any thread.
 */
#ifndef FASTCLOCK_H
#define FASTCLOCK_H

#include <pthread.h>
#include <stdint.h>

#include "base/clock.h"

struct fastclock {
	struct clock clock;
	pthread_mutex_t lock; /* guards what follows */
	uint64_t real_us, at_us; /* of the machine, and here, when the speed was set */
	uint32_t speed;
};

/* At the machine's speed. */
void fastclock_init(struct fastclock *f);
void fastclock_destroy(struct fastclock *f);

/* Who sleeps by then wakes as he had reckoned. */
void fastclock_set_speed(struct fastclock *f, uint32_t speed);

#endif
