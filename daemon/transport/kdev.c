// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control calls are thin wrappers: fill in `len`, issue the ioctl, turn errno into a return value.
 *
 * The rings are single producer, single consumer. The side that owns an index keeps a private copy
 * and never reads its own back from shared memory. Every load-acquire here pairs with a
 * store-release in kernel/ring.c and the other way round; the sentence at each names its partner.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "transport/kdev.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static_assert(sizeof(struct zerofs_req) == 32, "REQ entry");
static_assert(sizeof(struct zerofs_rsp) == 40, "RSP entry");
static_assert(sizeof(struct zerofs_seg) == 16, "SEG entry");
static_assert(sizeof(struct zerofs_buf) == 16, "BUF entry");
static_assert(sizeof(struct zerofs_queue_k) == 192, "one line an index");
static_assert(sizeof(struct zerofs_queue_u) == 128, "one line an index");
static_assert(sizeof(struct zerofs_session_k) == 192, "one line an index");
static_assert(sizeof(struct zerofs_session_u) == 64, "one line an index");

static int call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

static void kdev_reset(struct kdev *d)
{
	d->fd = -1;
	d->session = 0;
	d->attach_gen = 0;
	d->k = NULL;
	d->u = NULL;
	d->bufs = NULL;
	d->rw_len = 0;
	d->buf_entries = 0;
	d->buf_tail = 0;
}

int kdev_open(struct kdev *d)
{
	struct zerofs_version v = { .len = sizeof(v) };
	int err;

	memset(d, 0, sizeof(*d));
	kdev_reset(d);
	d->fd = open(KDEV_PATH, O_RDWR | O_CLOEXEC);
	if (d->fd < 0) {
		err = -errno;
		if (err == -ENOENT || err == -ENXIO)
			return -ENODEV;
		return err == -EPERM ? -EACCES : err;
	}
	err = call(d->fd, ZEROFS_IOC_VERSION, &v);
	if (!err) {
		d->abi = v.abi;
		d->features = v.features;
		memcpy(d->version, v.version, sizeof(d->version));
		d->version[sizeof(d->version) - 1] = '\0';
		if (v.abi >> 16 != ZEROFS_ABI_MAJOR)
			err = -EPROTONOSUPPORT;
	} else if (err == -EPERM) {
		err = -EACCES;
	} else if (err == -ENOTTY || err == -EINVAL) {
		err = -EPROTONOSUPPORT;
	}
	if (err) {
		close(d->fd);
		d->fd = -1;
	}
	return err;
}

/* One of the two was upgraded without the other. */
static void explain_abi(const struct kdev *d, char *err, size_t len)
{
	const unsigned int ours = ZEROFS_ABI_MAJOR << 16 | ZEROFS_ABI_MINOR;
	const char *todo;

	if (!*d->version)
		todo = "install module and daemon of one version, then reload the module";
	else if (d->abi < ours)
		todo = "upgrade the module and reload it (rmmod zerofs; modprobe zerofs)";
	else if (d->abi > ours)
		todo = "upgrade the daemon, or go back to the module it was made for";
	else
		todo = "install module and daemon of one version, then reload the module";
	if (*d->version)
		snprintf(err, len,
			 "the loaded zerofs module (%s) speaks ABI %u.%u, this daemon (%s) ABI "
			 "%u.%u: %s",
			 d->version, d->abi >> 16, d->abi & 0xffff, ZEROFS_VERSION, ours >> 16,
			 ours & 0xffff, todo);
	else
		snprintf(err, len,
			 "the loaded zerofs module does not say its ABI, this daemon (%s) speaks "
			 "ABI %u.%u: %s",
			 ZEROFS_VERSION, ours >> 16, ours & 0xffff, todo);
}

void kdev_explain(const struct kdev *d, int rc, char *err, size_t len)
{
	switch (rc) {
	case -ENODEV:
		snprintf(err, len, "the zerofs kernel module is not loaded: run 'modprobe zerofs'");
		break;
	case -EACCES:
		snprintf(err, len,
			 "no permission to use " KDEV_PATH ": run as root (CAP_SYS_ADMIN)");
		break;
	case -EPROTONOSUPPORT:
		explain_abi(d, err, len);
		break;
	default:
		snprintf(err, len, "cannot use " KDEV_PATH ": %s", strerror(-rc));
	}
}

void kdev_close(struct kdev *d)
{
	if (d->fd < 0)
		return;
	if (d->k)
		munmap((void *)d->k, (size_t)sysconf(_SC_PAGESIZE));
	if (d->u)
		munmap(d->u, d->rw_len);
	close(d->fd);
	kdev_reset(d);
}

static int map_session(struct kdev *d)
{
	void *p = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, d->fd,
		       (off_t)ZEROFS_OFF_SESSION_RO);

	if (p == MAP_FAILED)
		return -errno;
	d->k = p;
	return 0;
}

int kdev_create(struct kdev *d, const uint8_t uuid[ZEROFS_UUID_LEN], const char *name,
		uint32_t grace_ms)
{
	struct zerofs_create c = {
		.len = sizeof(c),
		.abi = ZEROFS_ABI_MAJOR << 16 | ZEROFS_ABI_MINOR,
		.grace_ms = grace_ms,
	};
	int err;

	if (strlen(name) >= sizeof(c.name))
		return -EINVAL;
	memcpy(c.uuid, uuid, sizeof(c.uuid));
	memcpy(c.name, name, strlen(name));
	err = call(d->fd, ZEROFS_IOC_CREATE, &c);
	if (err)
		return err;
	d->session = c.session;
	d->attach_gen = c.attach_gen;
	return map_session(d);
}

int kdev_attach(struct kdev *d, const uint8_t uuid[ZEROFS_UUID_LEN], uint32_t grace_ms,
		struct zerofs_attach *ret_info)
{
	struct zerofs_attach a = {
		.len = sizeof(a),
		.abi = ZEROFS_ABI_MAJOR << 16 | ZEROFS_ABI_MINOR,
		.grace_ms = grace_ms,
	};
	int err;

	memcpy(a.uuid, uuid, sizeof(a.uuid));
	err = call(d->fd, ZEROFS_IOC_ATTACH, &a);
	if (err)
		return err;
	d->session = a.session;
	d->attach_gen = a.attach_gen;
	err = map_session(d);
	if (!err)
		*ret_info = a;
	return err;
}

int kdev_resume(struct kdev *d, uint32_t result, uint32_t flags, uint64_t recovered_wno,
		uint32_t *ret_state)
{
	struct zerofs_resume r = {
		.len = sizeof(r),
		.flags = flags,
		.result = result,
		.recovered_wno = recovered_wno,
	};
	int err = call(d->fd, ZEROFS_IOC_RESUME, &r);

	if (!err)
		*ret_state = r.state;
	return err;
}

static int session_cmd(struct kdev *d, unsigned long cmd, uint32_t session)
{
	struct zerofs_session_cmd c = { .len = sizeof(c), .session = session };

	return call(d->fd, cmd, &c);
}

int kdev_supersede(struct kdev *d)
{
	return session_cmd(d, ZEROFS_IOC_SUPERSEDE, 0);
}

int kdev_kick(struct kdev *d)
{
	return session_cmd(d, ZEROFS_IOC_KICK, 0);
}

int kdev_fail(struct kdev *d, uint32_t session)
{
	return session_cmd(d, ZEROFS_IOC_FAIL, session);
}

int kdev_clear(struct kdev *d, uint32_t session)
{
	return session_cmd(d, ZEROFS_IOC_CLEAR, session);
}

int kdev_arena_memfd(uint64_t len)
{
	int err, fd = memfd_create("zerofs-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int kdev_reg_arena(struct kdev *d, int memfd, uint64_t offset, void *addr, uint64_t len,
		   uint32_t nr_bufs)
{
	struct zerofs_reg_arena r = {
		.len = sizeof(r),
		.nr_bufs = nr_bufs,
		.fd = memfd,
		.offset = offset,
		.address = (uintptr_t)addr,
		.length = len,
	};
	int err = call(d->fd, ZEROFS_IOC_REG_ARENA, &r);
	void *p;

	if (err)
		return err;
	p = mmap(NULL, r.rw_len, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd,
		 (off_t)ZEROFS_OFF_SESSION_RW);
	if (p == MAP_FAILED)
		return -errno;
	d->u = p;
	d->rw_len = r.rw_len;
	d->bufs = (struct zerofs_buf *)((char *)p + r.buf_off);
	d->buf_entries = nr_bufs;
	d->buf_tail = 0;
	return 0;
}

int kdev_arena_fd(struct kdev *d)
{
	struct zerofs_fd f = { .len = sizeof(f) };
	int err = call(d->fd, ZEROFS_IOC_ARENA_FD, &f);

	return err ? err : f.fd;
}

uint32_t kdev_bufs_taken(const struct kdev *d)
{
	/* Pairs with the store-release of buf_head in zerofs_ring_buf_take(): the slot is free. */
	return __atomic_load_n(&d->k->buf_head, __ATOMIC_ACQUIRE);
}

uint32_t kdev_bufs_room(const struct kdev *d)
{
	uint32_t used = d->buf_tail - kdev_bufs_taken(d);

	return used > d->buf_entries ? 0 : d->buf_entries - used;
}

int kdev_post_buf(struct kdev *d, uint64_t off, uint32_t len, uint32_t id)
{
	if (!kdev_bufs_room(d))
		return -EAGAIN;
	d->bufs[d->buf_tail & (d->buf_entries - 1)] = (struct zerofs_buf){
		.buf = off,
		.len = len,
		.id = id,
	};
	d->buf_tail++;
	/* Pairs with the load-acquire of buf_tail in zerofs_ring_buf_take(): entry before index. */
	__atomic_store_n(&d->u->buf_tail, d->buf_tail, __ATOMIC_RELEASE);
	/*
	 * Full barrier between this store and a caller's kdev_starved(): pairs with the smp_mb()
	 * between setting `starved` and looking at buf_tail again in zerofs_arena_alloc().
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return 0;
}

bool kdev_starved(const struct kdev *d)
{
	return __atomic_load_n(&d->k->starved, __ATOMIC_RELAXED) != 0;
}

uint32_t kdev_state(const struct kdev *d)
{
	return __atomic_load_n(&d->k->state, __ATOMIC_RELAXED);
}

int kdev_recall(struct kdev *d, struct zerofs_recall_ent *ents, uint32_t nr)
{
	struct zerofs_recall r = {
		.len = sizeof(r),
		.nr = nr,
		.ents = (uintptr_t)ents,
	};
	int err = call(d->fd, ZEROFS_IOC_RECALL, &r);

	return err ? err : (int)r.nr;
}

int kdev_add_dev(struct kdev *d, struct zerofs_add_dev *dev)
{
	dev->len = sizeof(*dev);
	return call(d->fd, ZEROFS_IOC_ADD_DEV, dev);
}

static int dev_cmd(struct kdev *d, unsigned long cmd, uint32_t index, uint32_t flags, uint32_t arg,
		   uint64_t size)
{
	struct zerofs_dev_cmd c = {
		.len = sizeof(c),
		.flags = flags,
		.index = index,
		.arg = arg,
		.size = size,
	};

	return call(d->fd, cmd, &c);
}

int kdev_start_dev(struct kdev *d, uint32_t index)
{
	return dev_cmd(d, ZEROFS_IOC_START_DEV, index, 0, 0, 0);
}

int kdev_del_dev(struct kdev *d, uint32_t index, bool force)
{
	return dev_cmd(d, ZEROFS_IOC_DEL_DEV, index, force ? ZEROFS_DEL_FORCE : 0, 0, 0);
}

int kdev_resize(struct kdev *d, uint32_t index, uint64_t size)
{
	return dev_cmd(d, ZEROFS_IOC_RESIZE, index, 0, 0, size);
}

int kdev_set_ro(struct kdev *d, uint32_t index, bool ro)
{
	return dev_cmd(d, ZEROFS_IOC_SET_RO, index, 0, ro, 0);
}

int kdev_list(struct kdev *d, uint32_t kind, uint32_t session, uint32_t *ids, uint32_t nr)
{
	struct zerofs_list l = {
		.len = sizeof(l),
		.kind = kind,
		.session = session,
		.nr = nr,
		.ids = (uintptr_t)ids,
	};
	int err = call(d->fd, ZEROFS_IOC_LIST, &l);

	return err ? err : (int)l.nr;
}

int kdev_session_info(struct kdev *d, uint32_t session, struct zerofs_session_info *ret_info)
{
	struct zerofs_session_info i = { .len = sizeof(i), .session = session };
	int err = call(d->fd, ZEROFS_IOC_SESSION_INFO, &i);

	if (!err)
		*ret_info = i;
	return err;
}

int kdev_dev_info(struct kdev *d, uint32_t index, struct zerofs_dev_info *ret_info)
{
	struct zerofs_dev_info i = { .len = sizeof(i), .index = index };
	int err = call(d->fd, ZEROFS_IOC_DEV_INFO, &i);

	if (!err)
		*ret_info = i;
	return err;
}

/* ---- queues ------------------------------------------------------------------------------ */

int kdev_queue_open(struct kdev *d, uint32_t index, uint32_t queue, struct kdev_queue *q)
{
	struct zerofs_queue_fd f = { .len = sizeof(f), .index = index, .queue = queue };
	void *ro, *rw;
	int err;

	memset(q, 0, sizeof(*q));
	q->fd = -1;
	err = call(d->fd, ZEROFS_IOC_QUEUE_FD, &f);
	if (err)
		return err;
	q->seg_end = calloc(f.ring_entries, sizeof(*q->seg_end));
	if (!q->seg_end) {
		err = -ENOMEM;
		goto err_fd;
	}
	ro = mmap(NULL, f.ro_len, PROT_READ, MAP_SHARED, f.fd, (off_t)ZEROFS_OFF_QUEUE_RO);
	if (ro == MAP_FAILED) {
		err = -errno;
		goto err_mem;
	}
	rw = mmap(NULL, f.rw_len, PROT_READ | PROT_WRITE, MAP_SHARED, f.fd,
		  (off_t)ZEROFS_OFF_QUEUE_RW);
	if (rw == MAP_FAILED) {
		err = -errno;
		goto err_ro;
	}
	q->fd = f.fd;
	q->index = index;
	q->queue = queue;
	q->ring_entries = f.ring_entries;
	q->seg_entries = f.seg_entries;
	q->k = ro;
	q->req = (const struct zerofs_req *)((const char *)ro + f.req_off);
	q->u = rw;
	q->rsp = (struct zerofs_rsp *)((char *)rw + f.rsp_off);
	q->seg = (struct zerofs_seg *)((char *)rw + f.seg_off);
	q->ro_len = f.ro_len;
	q->rw_len = f.rw_len;
	q->depth = q->k->depth;
	return 0;

err_ro:
	munmap(ro, f.ro_len);
err_mem:
	free(q->seg_end);
	q->seg_end = NULL;
err_fd:
	close(f.fd);
	return err;
}

void kdev_queue_close(struct kdev_queue *q)
{
	if (q->fd < 0)
		return;
	munmap((void *)q->k, q->ro_len);
	munmap(q->u, q->rw_len);
	free(q->seg_end);
	close(q->fd);
	q->seg_end = NULL;
	q->fd = -1;
}

uint32_t kdev_queue_avail(const struct kdev_queue *q)
{
	/* Pairs with the store-release of req_tail in zerofs_ring_publish(): entries are whole. */
	uint32_t tail = __atomic_load_n(&q->k->req_tail, __ATOMIC_ACQUIRE);

	return tail - __atomic_load_n(&q->req_head, __ATOMIC_RELAXED);
}

int kdev_queue_pop(struct kdev_queue *q, struct zerofs_req *out, uint32_t max)
{
	uint32_t i, n = kdev_queue_avail(q);

	if (n > q->ring_entries)
		return -EPROTO;
	if (n > max)
		n = max;
	if (!n)
		return 0;
	for (i = 0; i < n; i++)
		out[i] = q->req[(q->req_head + i) & (q->ring_entries - 1)];
	__atomic_store_n(&q->req_head, q->req_head + n, __ATOMIC_RELAXED);
	/* Pairs with the load-acquire of req_head in zerofs_ring_avail(): copied before it. */
	__atomic_store_n(&q->u->req_head, q->req_head, __ATOMIC_RELEASE);
	q->popped += n;
	return (int)n;
}

uint32_t kdev_queue_reaped(const struct kdev_queue *q)
{
	/* Pairs with the store-release of rsp_head in zerofs_ring_rsp_done(): bytes copied. */
	return __atomic_load_n(&q->k->rsp_head, __ATOMIC_ACQUIRE);
}

uint32_t kdev_queue_unreaped(const struct kdev_queue *q)
{
	uint32_t tail = __atomic_load_n(&q->rsp_tail, __ATOMIC_RELAXED);

	return tail - kdev_queue_reaped(q);
}

int kdev_queue_push(struct kdev_queue *q, const struct zerofs_rsp *rsp,
		    const struct zerofs_seg *segs)
{
	uint32_t mask = q->ring_entries - 1;
	uint32_t head = kdev_queue_reaped(q);
	uint32_t i, seg_used;
	struct zerofs_rsp r = *rsp;

	if (q->rsp_tail - head >= q->ring_entries)
		return -EAGAIN;
	if (r.nseg) {
		/* SEGs go in the order of their RSPs: free up to the last reaped one's. */
		seg_used = q->rsp_tail == head ? 0 : q->seg_tail - q->seg_end[(head - 1) & mask];
		if (r.nseg > q->seg_entries - seg_used)
			return -EAGAIN;
		r.buf = q->seg_tail;
		for (i = 0; i < r.nseg; i++)
			q->seg[(q->seg_tail + i) & (q->seg_entries - 1)] = segs[i];
		q->seg_tail += r.nseg;
	}
	q->seg_end[q->rsp_tail & mask] = q->seg_tail;
	q->rsp[q->rsp_tail & mask] = r;
	__atomic_store_n(&q->rsp_tail, q->rsp_tail + 1, __ATOMIC_RELAXED);
	/* Pairs with the load-acquire of rsp_tail in zerofs_ring_rsp_peek(): entry before index. */
	__atomic_store_n(&q->u->rsp_tail, q->rsp_tail, __ATOMIC_RELEASE);
	q->pushed++;
	return 0;
}

bool kdev_queue_dead(const struct kdev_queue *q)
{
	return __atomic_load_n(&q->k->dead, __ATOMIC_RELAXED) != 0;
}

int kdev_queue_enter(struct kdev_queue *q, uint32_t to_reap, uint32_t min_req, uint32_t timeout_us,
		     struct zerofs_enter *ret)
{
	struct zerofs_enter e = {
		.len = sizeof(e),
		.to_reap = to_reap,
		.min_req = min_req,
		.timeout_us = timeout_us,
	};
	bool wait = min_req && kdev_queue_avail(q) < min_req;
	int err = call(q->fd, ZEROFS_IOC_ENTER, &e);

	__atomic_fetch_add(&q->enters, 1, __ATOMIC_RELAXED);
	if (wait) {
		__atomic_fetch_add(&q->waits, 1, __ATOMIC_RELAXED);
		if (!err && e.avail)
			__atomic_fetch_add(&q->wakeups, 1, __ATOMIC_RELAXED);
	}
	if (!err && ret)
		*ret = e;
	return err;
}
