/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * answer: `zerofs status` and `zerofs stats` of a volume that is served without the module, at
 * CONTROL_DIR_NBD/NAME.sock. It reads and changes nothing: what ends the server is nbdkit's affair.
 */
#ifndef NBD_ANSWER_H
#define NBD_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

struct answer;
struct host;
struct volume;

/**
 * struct answer_conf - all of it outlives answer_stop()
 * @uuid:	text
 * @superseded:	core lock
 * @stop:	the end has begun (core lock)
 */
struct answer_conf {
	struct host *host;
	struct volume *volume;
	const char *url, *name, *uuid;
	bool flush_local;
	const bool *superseded, *stop;
};

/*
 * Listens and starts a thread that answers. -EADDRINUSE: a server of another volume of that name
 * does; -errno; one sentence in @err (@len bytes). Without the core lock.
 */
int answer_start(struct answer **ret, const struct answer_conf *conf, char *err, size_t len);

/* Ends it. NULL does nothing. Without the core lock. */
void answer_stop(struct answer *a);

#endif
