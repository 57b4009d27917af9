// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ring_null [-q QUEUES] [-d DEPTH] [-s GIB]: the driver benchmark's null target.
 *
 * A daemon with nothing behind it, on transport/kdev.h: reads are answered from one fixed region of
 * the arena, writes are acknowledged and forgotten, their extents posted again once the queue that
 * filled them has gone on to another. QUEUES write queues and as many read queues, each with a
 * thread of its own; those of number i run on CPU i when there is more than one.
 *
 * Says "ready N" when /dev/zerofsN is there. A line on stdin makes it print its counters as one
 * line of JSON; "q", or end of file, ends it and takes the device away.
 *
 * One loop of a thread: take all requests there are, answer them, one ENTER that lets the module
 * reap the answers and waits for the next request.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "transport/kdev.h"

#define EXTENT	      ZEROFS_MIN_BUF
#define EXTENTS_PER_Q 6u
#define MAX_QUEUES    8u
#define READ_REGION   ((uint64_t)ZEROFS_MAX_IO)

struct worker {
	struct kdev_queue q;
	pthread_t thread;
	int cpu; /* -1: anywhere */
	int64_t extent; /* the one this queue writes into, -1: none yet */
	int err;
};

static struct kdev dev;
static struct worker workers[2 * MAX_QUEUES];
static unsigned int nr_workers;
static uint32_t depth = 128;
static uint64_t last_wno;
static pthread_mutex_t post_lock = PTHREAD_MUTEX_INITIALIZER; /* kdev_post_buf() */

static int fail(const char *what, int err)
{
	fprintf(stderr, "ring_null: %s: %s\n", what, strerror(-err));
	return err;
}

/*
 * Allocation order is publish order within a queue, and each request is answered as it is taken:
 * the first write in another extent says that nothing of the one before is needed any more.
 */
static int follow_extent(struct worker *w, uint64_t buf)
{
	int64_t id = (int64_t)((buf - READ_REGION) / EXTENT);
	int err = 0;

	if (id == w->extent)
		return 0;
	if (w->extent >= 0) {
		pthread_mutex_lock(&post_lock);
		err = kdev_post_buf(&dev, READ_REGION + (uint64_t)w->extent * EXTENT, EXTENT,
				    (uint32_t)w->extent);
		pthread_mutex_unlock(&post_lock);
	}
	w->extent = id;
	return err;
}

static int answer(struct worker *w, const struct zerofs_req *req)
{
	struct zerofs_rsp rsp = { .tag = req->tag, .gen = req->gen };
	int err;

	switch (req->op) {
	case ZEROFS_OP_READ:
		rsp.res = (int32_t)(req->nr_sectors << 9);
		break;
	case ZEROFS_OP_WRITE:
		err = follow_extent(w, req->buf);
		if (err)
			return err;
		/* fall through */
	case ZEROFS_OP_DISCARD:
	case ZEROFS_OP_WRITE_ZEROES:
		rsp.wno = __atomic_add_fetch(&last_wno, 1, __ATOMIC_RELAXED);
		if (req->flags & ZEROFS_REQ_FUA)
			rsp.dur = rsp.wno;
		break;
	case ZEROFS_OP_FLUSH:
		rsp.dur = __atomic_load_n(&last_wno, __ATOMIC_RELAXED);
		break;
	default:
		rsp.res = -EIO;
		break;
	}
	return kdev_queue_push(&w->q, &rsp, NULL);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct zerofs_req *reqs = calloc(depth, sizeof(*reqs));
	cpu_set_t set;
	int i, n, err = reqs ? 0 : -ENOMEM;

	if (w->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((unsigned int)w->cpu, &set);
		pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	}
	while (!err) {
		n = kdev_queue_pop(&w->q, reqs, depth);
		if (n < 0)
			err = n;
		for (i = 0; i < n && !err; i++)
			err = answer(w, &reqs[i]);
		if (!err)
			err = kdev_queue_enter(&w->q, depth, 1, 0, NULL);
		if (err == -EINTR)
			err = 0;
	}
	free(reqs);
	/* -ESHUTDOWN is how main() ends this thread: it takes the device away. */
	w->err = err == -ESHUTDOWN ? 0 : err;
	if (w->err)
		fail("queue", w->err);
	return NULL;
}

static int register_arena(unsigned int extents)
{
	uint64_t len = READ_REGION + (uint64_t)extents * EXTENT;
	uint32_t i, nr_bufs = 1;
	void *base;
	int err, fd = kdev_arena_memfd(len);

	if (fd < 0)
		return fd;
	base = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	while (nr_bufs < extents)
		nr_bufs *= 2;
	err = kdev_reg_arena(&dev, fd, 0, base, len, nr_bufs);
	for (i = 0; i < extents && !err; i++)
		err = kdev_post_buf(&dev, READ_REGION + (uint64_t)i * EXTENT, EXTENT, i);
	return err;
}

static int start(unsigned int queues, uint64_t size, uint32_t *ret_index)
{
	struct zerofs_add_dev add = {
		.dev_id = 1,
		.index = -1,
		.size = size,
		.block_size = ZEROFS_BLOCK_SIZE,
		.depth = depth,
		.nr_write_queues = queues,
		.nr_read_queues = queues,
		.name = "null",
	};
	uint8_t uuid[ZEROFS_UUID_LEN];
	unsigned int i;
	int err;

	if (getrandom(uuid, sizeof(uuid), 0) != (ssize_t)sizeof(uuid))
		return fail("getrandom", -EIO);
	err = kdev_open(&dev);
	if (err) {
		char why[256];

		kdev_explain(&dev, err, why, sizeof(why));
		return fail(why, err);
	}
	err = kdev_create(&dev, uuid, "ring-null", 0);
	if (err)
		return fail("create", err);
	err = register_arena(queues * EXTENTS_PER_Q);
	if (err)
		return fail("arena", err);
	err = kdev_add_dev(&dev, &add);
	if (err)
		return fail("add device", err);
	for (i = 0; i < 2 * queues; i++) {
		struct worker *w = &workers[i];

		err = kdev_queue_open(&dev, (uint32_t)add.index, i, &w->q);
		if (err)
			return fail("open queue", err);
		w->extent = -1;
		w->cpu = queues > 1 ? (int)(i % queues) : -1;
		err = -pthread_create(&w->thread, NULL, work, w);
		if (err)
			return fail("thread", err);
		nr_workers++;
	}
	err = kdev_start_dev(&dev, (uint32_t)add.index);
	if (err)
		return fail("start device", err);
	*ret_index = (uint32_t)add.index;
	return 0;
}

static void print_counters(void)
{
	uint64_t requests = 0, enters = 0, wakeups = 0;
	unsigned int i;

	for (i = 0; i < nr_workers; i++) {
		const struct kdev_queue *q = &workers[i].q;

		requests += __atomic_load_n(&q->popped, __ATOMIC_RELAXED);
		enters += __atomic_load_n(&q->enters, __ATOMIC_RELAXED);
		wakeups += __atomic_load_n(&q->wakeups, __ATOMIC_RELAXED);
	}
	printf("{\"requests\": %" PRIu64 ", \"syscalls\": %" PRIu64 ", \"wakeups\": %" PRIu64 "}\n",
	       requests, enters, wakeups);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned int queues = 1, i;
	uint64_t gib = 4;
	uint32_t index = 0;
	char line[16];
	int opt, err;

	while ((opt = getopt(argc, argv, "q:d:s:")) != -1) {
		switch (opt) {
		case 'q':
			queues = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'd':
			depth = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 's':
			gib = strtoul(optarg, NULL, 10);
			break;
		default:
			return 2;
		}
	}
	if (optind != argc || !queues || queues > MAX_QUEUES || !depth ||
	    depth > ZEROFS_MAX_DEPTH || !gib) {
		fprintf(stderr, "usage: ring_null [-q QUEUES] [-d DEPTH] [-s GIB]\n");
		return 2;
	}
	err = start(queues, gib << 30, &index);
	if (err)
		return 1;
	printf("ready %u\n", index);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && line[0] != 'q')
		print_counters();
	err = kdev_del_dev(&dev, index, true);
	if (err)
		fail("delete device", err);
	for (i = 0; i < nr_workers; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].err)
			err = workers[i].err;
		kdev_queue_close(&workers[i].q);
	}
	kdev_close(&dev);
	return err ? 1 : 0;
}
