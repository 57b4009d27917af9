// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Contact: see contact.h. The moment counts at which the request was first sent, not its answer's,
 * nor that of a later try: any of them may have been carried out early, and a fence may have come
 * in between.
 */
#include "volume/contact.h"

#include "base/clock.h"
#include "volume/vol.h"

void contact_proved(struct volume *v, uint64_t sent_us)
{
	if (sent_us > v->contact_us)
		v->contact_us = sent_us;
}

bool contact_ok(const struct volume *v)
{
	uint64_t now = clock_mono_us(v->env.clock);

	return !v->o.stop_after_ms || now - v->contact_us < (uint64_t)v->o.stop_after_ms * 1000;
}
