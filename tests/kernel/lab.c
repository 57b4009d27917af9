// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXTENT_LEN (ZEROFS_MIN_BUF)
#define NO_EXTENT  (~0U)

const uint8_t lab_uuid[ZEROFS_UUID_LEN] = { 0x1a, 0xb0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

static void *shared(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void lab_add_disk(struct lab *lab, uint64_t size, uint32_t depth, uint32_t nr_write,
		  uint32_t nr_read)
{
	struct lab_disk *disk = &lab->disk[lab->nr_disks++];

	memset(disk, 0, sizeof(*disk));
	disk->size = size;
	disk->depth = depth;
	disk->nr_write = nr_write;
	disk->nr_read = nr_read;
	/* Sparse: a disk of 16 GiB takes what is written to it. */
	disk->data = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (disk->data == MAP_FAILED)
		abort();
}

void lab_init(struct lab *lab)
{
	memset(lab, 0, sizeof(*lab));
	lab->d.fd = -1;
	lab->arena_fd = -1;
	lab->nr_bufs = 16;
	pthread_mutex_init(&lab->bufs, NULL);
	lab->seen = shared(sizeof(*lab->seen));
	if (!lab->seen)
		abort();
	lab_add_disk(lab, 64 << 20, 16, 1, 1);
}

void lab_free(struct lab *lab)
{
	unsigned int i;

	for (i = 0; i < lab->nr_disks; i++)
		munmap(lab->disk[i].data, lab->disk[i].size);
	munmap(lab->seen, sizeof(*lab->seen));
}

/* ---- start ------------------------------------------------------------------------------ */

int lab_create(struct lab *lab, uint32_t grace_ms)
{
	int err = kdev_open(&lab->d);

	return err ? err : kdev_create(&lab->d, lab_uuid, "lab", grace_ms);
}

static uint64_t read_area(const struct lab *lab, uint32_t slot)
{
	uint64_t off = (uint64_t)LAB_EXTENTS * EXTENT_LEN;

	(void)lab;
	return off + (uint64_t)slot * ZEROFS_MAX_IO;
}

int lab_post_all(struct lab *lab)
{
	uint32_t i;
	int err;

	for (i = 0; i < LAB_EXTENTS; i++) {
		err = kdev_post_buf(&lab->d, (uint64_t)i * EXTENT_LEN, EXTENT_LEN, i);
		if (err)
			return err;
	}
	return 0;
}

int lab_arena_from(struct lab *lab, int fd, uint64_t len)
{
	int err;

	lab->arena_fd = fd;
	lab->arena_len = len;
	lab->arena = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (lab->arena == MAP_FAILED)
		return -errno;
	err = kdev_reg_arena(&lab->d, fd, 0, lab->arena, len, lab->nr_bufs);
	if (err)
		return err;
	return lab->seen->no_repost == 2 ? 0 : lab_post_all(lab);
}

int lab_arena(struct lab *lab)
{
	uint32_t i, slots = 0;
	uint64_t len;
	int fd;

	for (i = 0; i < lab->nr_disks; i++)
		slots += (lab->disk[i].nr_write + lab->disk[i].nr_read) * lab->disk[i].depth;
	len = read_area(lab, slots);
	fd = kdev_arena_memfd(len);
	return fd < 0 ? fd : lab_arena_from(lab, fd, len);
}

int lab_add(struct lab *lab)
{
	unsigned int i;
	int err;

	for (i = 0; i < lab->nr_disks; i++) {
		struct lab_disk *disk = &lab->disk[i];
		struct zerofs_add_dev add = {
			.dev_id = i,
			.index = -1,
			.size = disk->size,
			.block_size = ZEROFS_BLOCK_SIZE,
			.depth = disk->depth,
			.nr_write_queues = disk->nr_write,
			.nr_read_queues = disk->nr_read,
		};

		snprintf(add.name, sizeof(add.name), "disk%u", i);
		err = kdev_add_dev(&lab->d, &add);
		if (err)
			return err;
		disk->index = (uint32_t)add.index;
		disk->added = true;
	}
	return 0;
}

int lab_queues(struct lab *lab)
{
	uint32_t i, j, slot = 0;
	int err;

	lab->nr_queues = 0;
	for (i = 0; i < lab->nr_disks; i++) {
		struct lab_disk *disk = &lab->disk[i];

		for (j = 0; j < disk->nr_write + disk->nr_read; j++) {
			struct lab_queue *lq = &lab->q[lab->nr_queues];

			memset(lq, 0, sizeof(*lq));
			lq->lab = lab;
			lq->disk = disk;
			lq->slot = slot;
			lq->extent = NO_EXTENT;
			slot += disk->depth;
			err = kdev_queue_open(&lab->d, disk->index, j, &lq->q);
			if (err)
				return err;
			lab->nr_queues++;
		}
	}
	return 0;
}

int lab_start_devs(struct lab *lab)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < lab->nr_disks && !err; i++)
		err = kdev_start_dev(&lab->d, lab->disk[i].index);
	return err;
}

int lab_start(struct lab *lab, uint32_t grace_ms)
{
	int err = lab_create(lab, grace_ms);

	err = err ? err : lab_arena(lab);
	err = err ? err : lab_add(lab);
	err = err ? err : lab_queues(lab);
	err = err ? err : lab_start_devs(lab);
	if (!err)
		lab_run(lab);
	return err;
}

int lab_attach(struct lab *lab, uint32_t grace_ms, bool take_arena, uint32_t result, uint32_t flags,
	       uint64_t recovered_wno, uint32_t *ret_state)
{
	struct zerofs_attach *info = &lab->seen->info;
	int err = kdev_open(&lab->d);
	int fd;

	if (err)
		return err;
	err = kdev_attach(&lab->d, lab_uuid, grace_ms, info);
	if (err)
		return err;
	if (take_arena) {
		fd = kdev_arena_fd(&lab->d);
		err = fd < 0 ? fd : lab_arena_from(lab, fd, info->arena_len);
	} else {
		err = lab_arena(lab);
	}
	err = err ? err : lab_queues(lab);
	if (err)
		return err;
	/* A flush may have covered writes whose answers were never taken: either may be ahead. */
	if (recovered_wno == UINT64_MAX)
		recovered_wno = info->acked_wno > info->flushed_wno ? info->acked_wno :
								      info->flushed_wno;
	err = kdev_resume(&lab->d, result, flags, recovered_wno, ret_state);
	if (!err && *ret_state == ZEROFS_S_LIVE)
		lab_run(lab);
	return err;
}

void lab_stop_threads(struct lab *lab)
{
	unsigned int i;

	__atomic_store_n(&lab->seen->stop, 1, __ATOMIC_SEQ_CST);
	for (i = 0; i < lab->nr_queues; i++) {
		if (lab->q[i].running)
			pthread_join(lab->q[i].thread, NULL);
		lab->q[i].running = false;
	}
	__atomic_store_n(&lab->seen->stop, 0, __ATOMIC_SEQ_CST);
}

void lab_stop(struct lab *lab)
{
	unsigned int i;

	lab_stop_threads(lab);
	for (i = 0; i < lab->nr_queues; i++)
		kdev_queue_close(&lab->q[i].q);
	lab->nr_queues = 0;
	kdev_close(&lab->d);
	if (lab->arena && lab->arena != MAP_FAILED)
		munmap(lab->arena, lab->arena_len);
	lab->arena = NULL;
	if (lab->arena_fd >= 0)
		close(lab->arena_fd);
	lab->arena_fd = -1;
}

void lab_end(struct lab *lab)
{
	lab_stop(lab);
	lab_free(lab);
}

/* ---- serving ---------------------------------------------------------------------------- */

static void note(struct lab_queue *lq, const struct zerofs_req *req)
{
	struct lab_seen *seen = lq->lab->seen;
	uint32_t n = __atomic_fetch_add(&seen->nr, 1, __ATOMIC_SEQ_CST);

	if (n < LAB_LOG) {
		seen->req[n] = *req;
		seen->queue[n] = (uint8_t)(lq - lq->lab->q);
	}
	if (req->flags & ZEROFS_REQ_REISSUED)
		__atomic_fetch_add(&seen->reissued, 1, __ATOMIC_SEQ_CST);
	if (req->op < ZEROFS_OP_NR)
		__atomic_fetch_add(&seen->ops[req->op], 1, __ATOMIC_SEQ_CST);
}

/* A write in another extent closes the one before it: all of that is in the disk already. */
static void repost(struct lab_queue *lq, uint64_t buf)
{
	struct lab *lab = lq->lab;
	uint32_t extent = (uint32_t)(buf / EXTENT_LEN);

	if (lq->extent != extent && lq->extent != NO_EXTENT && !lab->seen->no_repost) {
		pthread_mutex_lock(&lab->bufs);
		kdev_post_buf(&lab->d, (uint64_t)lq->extent * EXTENT_LEN, EXTENT_LEN, lq->extent);
		pthread_mutex_unlock(&lab->bufs);
	}
	lq->extent = extent;
}

static void serve_read(struct lab_queue *lq, const struct zerofs_req *req, struct zerofs_rsp *rsp,
		       struct zerofs_seg *segs)
{
	uint64_t area = read_area(lq->lab, lq->slot + req->tag);
	uint32_t len = req->nr_sectors << 9, piece = lq->lab->seen->segs * ZEROFS_BLOCK_SIZE, at;

	rsp->res = (int32_t)len;
	if (!piece) {
		memcpy(lq->lab->arena + area, lq->disk->data + (req->sector << 9), len);
		rsp->buf = area;
		return;
	}
	/* Pieces in reverse order in the arena, so that their order in the SEGs matters. */
	for (at = 0; at < len; at += piece) {
		uint32_t n = len - at < piece ? len - at : piece;
		uint64_t to = area + ZEROFS_MAX_IO - at - n;

		memcpy(lq->lab->arena + to, lq->disk->data + (req->sector << 9) + at, n);
		segs[rsp->nseg++] = (struct zerofs_seg){ .buf = to, .len = n };
	}
}

void lab_serve(struct lab_queue *lq, const struct zerofs_req *req, struct zerofs_rsp *rsp,
	       struct zerofs_seg *segs)
{
	struct lab_seen *seen = lq->lab->seen;
	uint8_t *at = lq->disk->data + (req->sector << 9);
	uint64_t len = (uint64_t)req->nr_sectors << 9;

	*rsp = (struct zerofs_rsp){ .tag = req->tag, .gen = req->gen };
	if (req->op == ZEROFS_OP_WRITE)
		repost(lq, req->buf);
	if (req->op < ZEROFS_OP_NR && seen->res[req->op]) {
		rsp->res = seen->res[req->op];
		return;
	}
	switch (req->op) {
	case ZEROFS_OP_READ:
		serve_read(lq, req, rsp, segs);
		return;
	case ZEROFS_OP_FLUSH:
		rsp->dur = __atomic_load_n(&seen->wno, __ATOMIC_SEQ_CST);
		return;
	case ZEROFS_OP_WRITE:
		memcpy(at, lq->lab->arena + req->buf, len);
		break;
	default:
		/* Drops the pages, too: a 16 GiB disk stays small. */
		madvise(at, len, MADV_REMOVE);
		break;
	}
	rsp->wno = __atomic_add_fetch(&seen->wno, 1, __ATOMIC_SEQ_CST);
	if (req->flags & ZEROFS_REQ_FUA)
		rsp->dur = rsp->wno;
}

int lab_pop(struct lab_queue *lq, struct zerofs_req *req, unsigned int ms)
{
	int n = kdev_queue_pop(&lq->q, req, 1);

	if (!n) {
		n = kdev_queue_enter(&lq->q, 0, 1, ms * 1000, NULL);
		if (n)
			return n;
		n = kdev_queue_pop(&lq->q, req, 1);
	}
	if (n > 0)
		note(lq, req);
	return n;
}

static void *serve(void *arg)
{
	struct zerofs_seg segs[ZEROFS_MAX_IO / ZEROFS_BLOCK_SIZE];
	struct lab_queue *lq = arg;
	struct lab_seen *seen = lq->lab->seen;
	struct zerofs_req req[16];
	struct zerofs_rsp rsp;
	int i, n;

	while (!__atomic_load_n(&seen->stop, __ATOMIC_SEQ_CST)) {
		n = kdev_queue_enter(&lq->q, kdev_queue_unreaped(&lq->q), 1, 20000, NULL);
		if (n && n != -EINTR) {
			lq->err = n;
			break;
		}
		n = kdev_queue_pop(&lq->q, req, 16);
		if (n < 0) {
			lq->err = n;
			break;
		}
		for (i = 0; i < n; i++) {
			note(lq, &req[i]);
			if (__atomic_load_n(&seen->hold_ops, __ATOMIC_SEQ_CST) & 1U << req[i].op)
				continue;
			lab_serve(lq, &req[i], &rsp, segs);
			while (kdev_queue_push(&lq->q, &rsp, segs) == -EAGAIN)
				if (kdev_queue_enter(&lq->q, lq->q.depth, 0, 0, NULL))
					break;
		}
	}
	/* Nothing that was answered stays in the ring. */
	kdev_queue_enter(&lq->q, kdev_queue_unreaped(&lq->q), 0, 0, NULL);
	return NULL;
}

void lab_run(struct lab *lab)
{
	unsigned int i;

	for (i = 0; i < lab->nr_queues; i++) {
		lab->q[i].err = 0;
		lab->q[i].running = !pthread_create(&lab->q[i].thread, NULL, serve, &lab->q[i]);
	}
}

/* ---- in a process of its own ------------------------------------------------------------ */

static pid_t fork_daemon(struct lab *lab, uint32_t grace_ms, bool attach)
{
	struct lab_seen *seen = lab->seen;
	int i, err, status;
	pid_t pid;

	seen->ready = 0;
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
		err = attach ? lab_attach(lab, grace_ms, true, ZEROFS_RESUME_INTACT,
					  ZEROFS_RESUME_ADOPTED, UINT64_MAX, &seen->state) :
			       lab_start(lab, grace_ms);
		/* Where the devices are is the test's to know as well. */
		if (!err)
			memcpy(&seen->info.uuid, lab_uuid, sizeof(lab_uuid));
		__atomic_store_n(&seen->ready, err ? err : 1, __ATOMIC_SEQ_CST);
		while (!__atomic_load_n(&seen->stop, __ATOMIC_SEQ_CST))
			lab_sleep_ms(10);
		lab_stop(lab);
		_exit(0);
	}
	for (i = 0; i < 3000 && !__atomic_load_n(&seen->ready, __ATOMIC_SEQ_CST); i++)
		lab_sleep_ms(10);
	if (seen->ready == 1)
		return pid;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return seen->ready ? seen->ready : -ETIMEDOUT;
}

pid_t lab_fork(struct lab *lab, uint32_t grace_ms)
{
	return fork_daemon(lab, grace_ms, false);
}

pid_t lab_fork_attach(struct lab *lab, uint32_t grace_ms)
{
	return fork_daemon(lab, grace_ms, true);
}

void lab_kill(pid_t pid)
{
	int status;

	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}
