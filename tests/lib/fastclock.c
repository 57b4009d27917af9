// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/fastclock.h"

#include "base/list.h"

static uint64_t here(const struct fastclock *f)
{
	return f->at_us + (clock_mono_us(clock_system()) - f->real_us) * f->speed;
}

static uint64_t mono_us(struct clock *c)
{
	struct fastclock *f = container_of(c, struct fastclock, clock);
	uint64_t at;

	pthread_mutex_lock(&f->lock);
	at = here(f);
	pthread_mutex_unlock(&f->lock);
	return at;
}

static uint64_t real_us(struct clock *c)
{
	(void)c;
	return clock_real_us(clock_system());
}

static uint64_t wake_us(struct clock *c, uint64_t at_us)
{
	struct fastclock *f = container_of(c, struct fastclock, clock);
	uint64_t us = 0;

	pthread_mutex_lock(&f->lock);
	if (at_us > f->at_us)
		us = f->real_us + (at_us - f->at_us + f->speed - 1) / f->speed;
	pthread_mutex_unlock(&f->lock);
	return us;
}

void fastclock_init(struct fastclock *f)
{
	static const struct clock_ops ops = { mono_us, real_us, wake_us };

	f->clock.ops = &ops;
	pthread_mutex_init(&f->lock, NULL);
	f->real_us = f->at_us = clock_mono_us(clock_system());
	f->speed = 1;
}

void fastclock_destroy(struct fastclock *f)
{
	pthread_mutex_destroy(&f->lock);
}

void fastclock_set_speed(struct fastclock *f, uint32_t speed)
{
	pthread_mutex_lock(&f->lock);
	f->at_us = here(f);
	f->real_us = clock_mono_us(clock_system());
	f->speed = speed;
	pthread_mutex_unlock(&f->lock);
}
