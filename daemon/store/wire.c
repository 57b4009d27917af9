// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/wire.h"

#include "base/count.h"

void wire_merge(struct wire_op *to, const struct wire_op *from)
{
	to->attempts += count_read(&from->attempts);
	for (unsigned int i = 0; i < WIRE_NR_CAUSES; i++) {
		to->retried[i] += count_read(&from->retried[i]);
		to->errors[i] += count_read(&from->errors[i]);
	}
	to->hedges += count_read(&from->hedges);
	to->hedges_won += count_read(&from->hedges_won);
	to->bytes_up += count_read(&from->bytes_up);
	to->bytes_down += count_read(&from->bytes_down);
	hist_merge(&to->us, &from->us);
}

const char *wire_cause_name(enum wire_cause c)
{
	static const char *const names[WIRE_NR_CAUSES] = {
		[WIRE_THROTTLED] = "throttled", [WIRE_SERVER] = "server",
		[WIRE_TIMEOUT] = "timeout",	[WIRE_NETWORK] = "network",
		[WIRE_AUTH] = "auth",		[WIRE_OTHER] = "other",
	};

	return (unsigned int)c < WIRE_NR_CAUSES ? names[c] : "?";
}
