/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kdev: the module's ABI (uapi/zerofs.h) seen from user space.
 *
 * A struct kdev is one open /dev/zerofs-control. After kdev_create() or kdev_attach() it *is* the
 * daemon of one session: closing it is that daemon's death. A struct kdev_queue is one queue of
 * one device with its rings mapped. Nothing here knows the engine, keeps a thread, takes a lock or
 * logs; every function returns 0 or a count, or a negative errno.
 *
 * Threads: control calls may run in any thread. kdev_post_buf() needs one caller at a time per
 * kdev. Per queue, one thread at a time may pop and one at a time may push (not necessarily the
 * same one); kdev_queue_enter(), kdev_queue_avail() and kdev_queue_reaped() may run in any thread.
 */
#ifndef ZEROFS_TRANSPORT_KDEV_H
#define ZEROFS_TRANSPORT_KDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "uapi/zerofs.h"

#define KDEV_PATH "/dev/zerofs-control"

/* One open control device. Fields are for reading by callers. */
struct kdev {
	int fd;
	uint32_t abi;		/* the module's, major << 16 | minor */
	uint64_t features;	/* the module's */
	char version[32];	/* the module's */
	uint32_t session;	/* id, after create or attach */
	uint64_t attach_gen;
	const struct zerofs_session_k *k; /* after create or attach: mapped read-only */
	struct zerofs_session_u *u;	  /* after reg_arena */
	struct zerofs_buf *bufs;
	size_t rw_len;
	uint32_t buf_entries;
	uint32_t buf_tail;	/* the only copy that is trusted */
};

/*
 * Opens the control device and checks that module and header speak the same ABI.
 * -ENODEV: the module is not loaded; -EACCES: no permission (root, CAP_SYS_ADMIN);
 * -EPROTONOSUPPORT: the module's ABI is another major version; else what open() said.
 * On failure @d holds nothing; on -EPROTONOSUPPORT its abi and version are filled in.
 */
int kdev_open(struct kdev *d);

/*
 * What to tell a person about an error of kdev_open() on @d, or about -EPROTONOSUPPORT of
 * kdev_create() and kdev_attach(): one line in @err (@len bytes), what is wrong and what to do.
 */
void kdev_explain(const struct kdev *d, int rc, char *err, size_t len);

/* Unmaps and closes; the daemon's death if @d is a session. A kdev with fd < 0 is left alone. */
void kdev_close(struct kdev *d);

/*
 * Makes a session (state LIVE) for the volume @uuid called @name and binds @d to it.
 * -EEXIST: the uuid or the name is known (attach instead); -EBUSY: @d is bound already;
 * -EINVAL: bad name or uuid; -EPROTONOSUPPORT: the module refuses our ABI.
 */
int kdev_create(struct kdev *d, const uint8_t uuid[ZEROFS_UUID_LEN], const char *name,
		uint32_t grace_ms);

/*
 * Becomes the daemon of an existing session. @ret_info: marks, arena, state it came from.
 * -ENOENT: no such session (create instead); -EBUSY: it has a daemon, or @d is bound already;
 * -EPROTONOSUPPORT: the module refuses our ABI.
 */
int kdev_attach(struct kdev *d, const uint8_t uuid[ZEROFS_UUID_LEN], uint32_t grace_ms,
		struct zerofs_attach *ret_info);

/*
 * Ends the recovery begun by kdev_attach(). @result: ZEROFS_RESUME_*; @flags: ZEROFS_RESUME_*;
 * @ret_state: LIVE or CACHE_LOST (also the answer to an INTACT that the module does not believe).
 * -EBADFD: the session is not in a state to resume; -ENXIO: arena or a queue fd is missing.
 */
int kdev_resume(struct kdev *d, uint32_t result, uint32_t flags, uint64_t recovered_wno,
		uint32_t *ret_state);

/* Another host owns the volume: all I/O of the session fails from here on, for good. */
int kdev_supersede(struct kdev *d);

/* A new memfd of @len bytes, sealed as the module wants it (F_SEAL_SHRINK). Returns the fd. */
int kdev_arena_memfd(uint64_t len);

/*
 * Registers @len bytes at @offset of @memfd, which the caller has mapped shared and writable at
 * @addr, and maps the BUF ring of @nr_bufs entries. The mapping must stay while @d is open.
 * -EINVAL: range, alignment, seal or mapping are wrong; -EBUSY: registered already.
 */
int kdev_reg_arena(struct kdev *d, int memfd, uint64_t offset, void *addr, uint64_t len,
		   uint32_t nr_bufs);

/* The earlier daemon's arena: a new fd, the caller's to close; -ENODATA: there is none. */
int kdev_arena_fd(struct kdev *d);

/*
 * Posts a free write extent. -EAGAIN: the ring is full. The module looks at it when a write needs
 * room; if kdev_starved(), follow up with kdev_queue_enter() or kdev_kick().
 */
int kdev_post_buf(struct kdev *d, uint64_t off, uint32_t len, uint32_t id);

/* How many BUFs the module has taken so far (free-running); those before it are gone for good. */
uint32_t kdev_bufs_taken(const struct kdev *d);

/* How many more BUFs fit. */
uint32_t kdev_bufs_room(const struct kdev *d);

/* Whether a write waits for a BUF. */
bool kdev_starved(const struct kdev *d);

/* The session's state as the module last wrote it, enum zerofs_state. */
uint32_t kdev_state(const struct kdev *d);

/* Restarts starved writes without a queue at hand. */
int kdev_kick(struct kdev *d);

/*
 * Takes back posted BUFs and closes every queue's current extent: up to @nr entries at @ents.
 * Returns how many; if it is @nr there may be more, call again.
 */
int kdev_recall(struct kdev *d, struct zerofs_recall_ent *ents, uint32_t nr);

/* Adds a device in state NEW; @dev->len is set here, @dev->index is filled in. */
int kdev_add_dev(struct kdev *d, struct zerofs_add_dev *dev);
/* NEW to STARTED: the disk appears. Every queue's fd must be open (-ENXIO). */
int kdev_start_dev(struct kdev *d, uint32_t index);
/* Removes a device of any session. Waits for its openers unless @force. -EINTR: a signal came. */
int kdev_del_dev(struct kdev *d, uint32_t index, bool force);
int kdev_resize(struct kdev *d, uint32_t index, uint64_t size);
int kdev_set_ro(struct kdev *d, uint32_t index, bool ro);

/* Admin: fails everything of a live but stuck daemon, or ends the wait for one. */
int kdev_fail(struct kdev *d, uint32_t session);
/* Admin: accepts the loss. -EBADFD: not CACHE_LOST; -ENXIO: no resumed daemon; -EBUSY: openers. */
int kdev_clear(struct kdev *d, uint32_t session);

/*
 * LIST: @kind ZEROFS_LIST_*, @session only for LIST_DEVS (~0 = all). Writes at most @nr ids and
 * returns how many there are.
 */
int kdev_list(struct kdev *d, uint32_t kind, uint32_t session, uint32_t *ids, uint32_t nr);
int kdev_session_info(struct kdev *d, uint32_t session, struct zerofs_session_info *ret_info);
int kdev_dev_info(struct kdev *d, uint32_t index, struct zerofs_dev_info *ret_info);

/* One queue with its rings mapped. Fields are for reading by callers. */
struct kdev_queue {
	int fd;			/* pollable: POLLIN requests, POLLPRI starved, POLLHUP dead */
	uint32_t index;		/* N of /dev/zerofsN */
	uint32_t queue;
	uint32_t depth;
	uint32_t ring_entries;
	uint32_t seg_entries;
	const struct zerofs_queue_k *k;
	const struct zerofs_req *req;
	struct zerofs_queue_u *u;
	struct zerofs_rsp *rsp;
	struct zerofs_seg *seg;
	size_t ro_len, rw_len;
	uint32_t *seg_end;	/* per RSP slot: the SEG tail after it */
	uint32_t req_head;	/* private copies of this side's indices */
	uint32_t rsp_tail;
	uint32_t seg_tail;
	uint64_t enters;	/* ENTER calls made */
	uint64_t waits;		/* of these, calls that asked to wait */
	uint64_t wakeups;	/* of these, calls that came back with a request after a wait */
	uint64_t popped;	/* requests taken */
	uint64_t pushed;	/* answers given */
};

/* Opens and maps queue @queue of device @index. -EBUSY: this daemon has it open already. */
int kdev_queue_open(struct kdev *d, uint32_t index, uint32_t queue, struct kdev_queue *q);
void kdev_queue_close(struct kdev_queue *q);

/* How many requests are waiting to be popped. */
uint32_t kdev_queue_avail(const struct kdev_queue *q);

/*
 * Takes up to @max requests into @out, as copies. -EPROTO: the ring is not sane (its kernel side
 * is read-only to us, so this is a fault in the module).
 */
int kdev_queue_pop(struct kdev_queue *q, struct zerofs_req *out, uint32_t max);

/*
 * Publishes one answer. With @rsp->nseg > 0 the pieces come from @segs and rsp->buf is filled in
 * here. Returns 0, or -EAGAIN if the ring is full: kdev_queue_enter() to have it reaped. The
 * kernel sees it at the next kdev_queue_enter().
 */
int kdev_queue_push(struct kdev_queue *q, const struct zerofs_rsp *rsp,
		    const struct zerofs_seg *segs);

/* Answers published and not yet copied by the module. */
uint32_t kdev_queue_unreaped(const struct kdev_queue *q);

/*
 * Free-running count of RSPs that the module has done with. An answer pushed when
 * q->rsp_tail was t is done, and its READ bytes may be reused, once (int32_t)(reaped - t) > 0.
 */
uint32_t kdev_queue_reaped(const struct kdev_queue *q);

/* Set once this queue carries no more requests: detach, FAIL, DEL, a protocol error. */
bool kdev_queue_dead(const struct kdev_queue *q);

/*
 * Reaps up to @to_reap answers, restarts starved writes, then waits until @min_req requests are
 * unread (0 = no wait) or @timeout_us (0 = for ever) has passed. @ret may be NULL.
 * Returns 0, -EINTR, -ESHUTDOWN (the queue is dead), -EPROTO (this daemon broke the protocol).
 */
int kdev_queue_enter(struct kdev_queue *q, uint32_t to_reap, uint32_t min_req,
		     uint32_t timeout_us, struct zerofs_enter *ret);

#endif
