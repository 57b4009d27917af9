/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ring: memory shared with the daemon, and the only code that reads or writes its indices.
 *
 * Every index that user space writes is read once, checked against this side's own copy and used
 * from that copy. Entries written by user space are copied out whole before anybody looks at them.
 * Functions that can meet a broken index return -EPROTO: the caller ends the session.
 */
#ifndef _ZEROFS_RING_H
#define _ZEROFS_RING_H

#include <linux/kref.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "uapi/zerofs.h"

struct vm_area_struct;

/* One queue's rings for one attach. User pages outlive the attach while they are mapped. */
struct zerofs_ring {
	struct kref ref;
	void *ro;			/* vmalloc_user: zerofs_queue_k, REQ ring */
	void *rw;			/* vmalloc_user: zerofs_queue_u, RSP ring, SEG ring */
	u32 ro_len, rw_len;
	u32 req_off, rsp_off, seg_off;
	u32 entries, seg_entries;
	struct zerofs_queue_k *k;
	struct zerofs_queue_u *u;
	struct zerofs_req *req;
	struct zerofs_rsp *rsp;
	struct zerofs_seg *seg;
	u32 req_next;			/* producer: the next entry; under the submit lock */
	u32 req_tail;			/* as published; written under the submit lock */
	u32 rsp_head;			/* consumer; under the completion lock */
	wait_queue_head_t wq;
	int err;			/* 0, or why it is dead; written once, under both locks */
	bool starved;			/* a write of this queue began to wait for a BUF */
};

/* @depth requests of at most ZEROFS_MAX_IO. NULL: no memory. May sleep. */
struct zerofs_ring *zerofs_ring_alloc(u32 depth, u64 attach_gen);
void zerofs_ring_get(struct zerofs_ring *ring);
void zerofs_ring_put(struct zerofs_ring *ring);

/* Maps @len bytes of @mem, all of it or none; read-only for good if @ro. */
int zerofs_ring_map(struct vm_area_struct *vma, void *mem, u32 len, bool ro);

/* Writes an entry without showing it; there is always room. Submit lock. */
void zerofs_ring_put_req(struct zerofs_ring *ring, const struct zerofs_req *req);
/* Shows what was put, the last with ZEROFS_REQ_LAST. True: a sleeper was woken. Submit lock. */
bool zerofs_ring_publish(struct zerofs_ring *ring);
/* How many published entries user space has not consumed. Any context. */
int zerofs_ring_avail(struct zerofs_ring *ring, u32 *ret_avail);

/* 1: the next answer is in @ret, 0: there is none, -EPROTO. Completion lock. */
int zerofs_ring_rsp_peek(struct zerofs_ring *ring, struct zerofs_rsp *ret);
/* A copy of the SEG entry with this free-running index. Completion lock. */
void zerofs_ring_seg(struct zerofs_ring *ring, u32 index, struct zerofs_seg *ret);
/* The answer peeked at is done with, and the bytes it pointed at. Completion lock. */
void zerofs_ring_rsp_done(struct zerofs_ring *ring);

/* No more requests or answers; wakes everybody. The first reason stays. Both locks. */
void zerofs_ring_kill(struct zerofs_ring *ring, int err);

/* The arena's ring of free write extents, consumer side. */
struct zerofs_bufs {
	struct zerofs_session_k *k;	/* of the same attach */
	void *rw;			/* vmalloc_user: zerofs_session_u, BUF ring */
	u32 rw_len, buf_off;
	u32 entries;
	u32 head;			/* under the arena's lock */
};

/* @k outlives @bufs. May sleep. */
int zerofs_ring_bufs_init(struct zerofs_bufs *bufs, struct zerofs_session_k *k, u32 entries);
void zerofs_ring_bufs_free(struct zerofs_bufs *bufs);
/* 1: one extent taken, 0: none posted, -EPROTO. The entry itself is not checked. Arena's lock. */
int zerofs_ring_buf_take(struct zerofs_bufs *bufs, struct zerofs_buf *ret);
/* Whether buf_take() would not return 0. Any context. */
bool zerofs_ring_buf_posted(struct zerofs_bufs *bufs);

#endif
