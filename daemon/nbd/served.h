/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * served: a volume that this process serves without the kernel module. It has a thread of its own,
 * which starts it, watches over it and writes everything to the store at the end; requests come
 * from threads of the caller's, which wait for them.
 *
 *	served_start -> served_ready ... -> served_io, in any number of threads -> served_stop
 *
 * A process that dies takes the arena with it: what was acknowledged is lost but for what a FLUSH
 * (in the sense of the flush mode) or the store has.
 */
#ifndef NBD_SERVED_H
#define NBD_SERVED_H

#include <stdbool.h>
#include <stdint.h>

#include "io.h"
#include "volume/keys.h"
#include "volume/volume.h"

struct served;

/**
 * struct served_conf - what to serve and how
 * @url:	the store
 * @secret:	the caller wipes it when told to
 * @wipe:	called once the keys are open or refused, on the thread of @served
 * @state_dir:	NULL: SERVE_STATE_DIR/UUID
 * @journal:	file or partition of the journal; NULL: none
 */
struct served_conf {
	const char *url;
	const struct keys_secret *secret;
	void (*wipe)(void *ctx);
	void *wipe_ctx;
	const char *state_dir;
	const char *journal;
	struct volume_opts volume;
};

/*
 * Begins to serve; @conf and all it names must outlive @ret. 0, -ENOMEM or -EAGAIN. Waits for
 * nothing: served_ready().
 */
int served_start(struct served **ret, const struct served_conf *conf);

/*
 * Whether it has come up, or failed to: then *@ret_rc is -errno and @err (HOST_ERR_LEN bytes) has
 * one sentence. It waits for a store that is away for as long as it takes. Any thread.
 */
bool served_ready(struct served *s, int *ret_rc, char *err);

/* Ends that wait: served_ready() will say -EINTR, or that it has come up. Any thread. */
void served_interrupt(struct served *s);

/* The devices, once it is up; they do not change. */
uint32_t served_devices(const struct served *s, const struct volume_dev **ret);

/*
 * One request of any length, and its answer: bytes [@off, @off + @len) of device @dev, both
 * multiples of IO_BLOCK_SIZE and within the device; a FLUSH has none. @flags: IO_F_*. A FLUSH
 * covers every write of any thread that was answered before it began. 0, -EINVAL, -ENOMEM;
 * -ESHUTDOWN: another host has taken the volume over; else what the engine says. Any thread.
 */
int served_io(struct served *s, uint32_t dev, enum io_op op, uint8_t flags, uint64_t off,
	      uint64_t len, void *data);

/*
 * Writes everything to the store, however long that takes, closes the volume and frees @s. When no
 * thread is in a call, and also when it did not come up. 0, or -errno and one sentence in @err:
 * not everything is in the store. NULL does nothing.
 */
int served_stop(struct served *s, char *err);

#endif
