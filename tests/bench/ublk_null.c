// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ublk_null [-q QUEUES] [-d DEPTH] [-s GIB]: a ublk server with nothing behind it, what the driver
 * benchmark measures zerofs against. Same behaviour as ring_null: "ready N" when /dev/ublkbN is
 * there, a line on stdin asks for the counters, "q" or end of file ends it.
 *
 * One thread and one io_uring a hardware queue. Each thread's loop is one io_uring_enter(): it
 * hands in the answers of the last round together with the fetches of the next requests, and waits
 * for at least one. Every tag has a buffer of its own; the driver copies to and from it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <liburing.h>
#include <linux/ublk_cmd.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_QUEUES  8u
#define MAX_IO	    (1u << 20)

/* The commands' numbers as ioctls, which bookworm's header does not have yet. */
#define CTRL_OP(nr) ((uint32_t)_IOWR('u', (nr), struct ublksrv_ctrl_cmd))
#define IO_OP(nr)   ((uint32_t)_IOWR('u', (nr), struct ublksrv_io_cmd))

struct queue {
	struct io_uring ring;
	pthread_t thread;
	uint16_t id;
	int cpu; /* -1: anywhere */
	const struct ublksrv_io_desc *desc;
	char *buf;
	uint64_t requests;
	uint64_t syscalls;
	uint64_t wakeups;
	int err;
};

static struct queue queues[MAX_QUEUES];
static uint16_t nr_queues = 1;
static uint16_t depth = 128;
static int cdev = -1;
static int ctl = -1;
static struct io_uring ctl_ring;
static pthread_barrier_t fetching;

static int fail(const char *what, int err)
{
	fprintf(stderr, "ublk_null: %s: %s\n", what, strerror(-err));
	return err;
}

/* One control command, waited for. */
static int control(uint32_t nr, uint32_t dev_id, void *addr, uint16_t len, uint64_t data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ctl_ring);
	struct ublksrv_ctrl_cmd *cmd;
	struct io_uring_cqe *cqe;
	int err;

	if (!sqe)
		return -EBUSY;
	/*
	 * With SQE128 a slot is two entries long, which io_uring_get_sqe() of this version accounts
	 * for.
	 */
	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = ctl;
	sqe->cmd_op = CTRL_OP(nr);
	cmd = (struct ublksrv_ctrl_cmd *)sqe->cmd;
	cmd->dev_id = dev_id;
	cmd->queue_id = (uint16_t)-1;
	cmd->addr = (uintptr_t)addr;
	cmd->len = len;
	cmd->data[0] = data;
	err = io_uring_submit_and_wait(&ctl_ring, 1);
	if (err < 0)
		return err;
	err = io_uring_peek_cqe(&ctl_ring, &cqe);
	if (err)
		return err;
	err = cqe->res;
	io_uring_cqe_seen(&ctl_ring, cqe);
	return err;
}

static void queue_command(struct queue *q, uint16_t tag, uint32_t nr, int32_t result)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring);
	struct ublksrv_io_cmd *cmd;

	/* There is room: no tag has two commands out, and the ring has an entry for each. */
	if (!sqe)
		abort();
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = 0;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->cmd_op = IO_OP(nr);
	sqe->user_data = tag;
	cmd = (struct ublksrv_io_cmd *)sqe->cmd;
	cmd->q_id = q->id;
	cmd->tag = tag;
	cmd->result = result;
	cmd->addr = (uintptr_t)(q->buf + (size_t)tag * MAX_IO);
}

static void answer(struct queue *q, uint16_t tag)
{
	const struct ublksrv_io_desc *d = &q->desc[tag];
	uint8_t op = ublksrv_get_op(d);
	int32_t res = 0;

	if (op == UBLK_IO_OP_READ || op == UBLK_IO_OP_WRITE)
		res = (int32_t)(d->nr_sectors << 9);
	queue_command(q, tag, UBLK_IO_COMMIT_AND_FETCH_REQ, res);
	__atomic_fetch_add(&q->requests, 1, __ATOMIC_RELAXED);
}

static void *serve(void *arg)
{
	struct queue *q = arg;
	unsigned int n, head, open = depth;
	struct io_uring_cqe *cqe;
	cpu_set_t set;
	uint16_t tag;
	bool slept;
	int err;

	if (q->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((unsigned int)q->cpu, &set);
		pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	}
	err = io_uring_queue_init(depth, &q->ring,
				  IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER);
	if (!err)
		err = io_uring_register_files(&q->ring, &cdev, 1);
	for (tag = 0; !err && tag < depth; tag++)
		queue_command(q, tag, UBLK_IO_FETCH_REQ, 0);
	if (!err)
		err = io_uring_submit(&q->ring);
	q->err = err < 0 ? err : 0;
	pthread_barrier_wait(&fetching);
	while (!q->err && open) {
		slept = !io_uring_cq_ready(&q->ring);
		err = io_uring_submit_and_wait(&q->ring, 1);
		__atomic_fetch_add(&q->syscalls, 1, __ATOMIC_RELAXED);
		if (err < 0 && err != -EINTR) {
			q->err = err;
			break;
		}
		n = 0;
		io_uring_for_each_cqe(&q->ring, head, cqe)
		{
			n++;
			/* Anything but a request says that this tag gets no further one. */
			if (cqe->res == UBLK_IO_RES_OK)
				answer(q, (uint16_t)cqe->user_data);
			else
				open--;
		}
		io_uring_cq_advance(&q->ring, n);
		if (slept && n)
			__atomic_fetch_add(&q->wakeups, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static int open_queues(void)
{
	size_t desc = (size_t)depth * sizeof(struct ublksrv_io_desc);
	size_t stride = (size_t)UBLK_MAX_QUEUE_DEPTH * sizeof(struct ublksrv_io_desc);
	void *p;
	uint16_t i;
	int err;

	for (i = 0; i < nr_queues; i++) {
		struct queue *q = &queues[i];

		q->id = i;
		q->cpu = nr_queues > 1 ? i : -1;
		p = mmap(NULL, desc, PROT_READ, MAP_SHARED | MAP_POPULATE, cdev,
			 (off_t)(UBLKSRV_CMD_BUF_OFFSET + i * stride));
		if (p == MAP_FAILED)
			return -errno;
		q->desc = p;
		p = mmap(NULL, (size_t)depth * MAX_IO, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			return -errno;
		q->buf = p;
		err = -pthread_create(&q->thread, NULL, serve, q);
		if (err)
			return err;
	}
	pthread_barrier_wait(&fetching);
	for (i = 0; i < nr_queues; i++)
		if (queues[i].err)
			return queues[i].err;
	return 0;
}

static int start(uint64_t size, struct ublksrv_ctrl_dev_info *info)
{
	struct ublk_params params = {
		.len = sizeof(params),
		.types = UBLK_PARAM_TYPE_BASIC,
		.basic = {
			.logical_bs_shift = 12,
			.physical_bs_shift = 12,
			.io_opt_shift = 12,
			.io_min_shift = 12,
			.max_sectors = MAX_IO >> 9,
			.dev_sectors = size >> 9,
			.attrs = UBLK_ATTR_VOLATILE_CACHE,
		},
	};
	char path[32];
	int err, tries;

	ctl = open("/dev/ublk-control", O_RDWR | O_CLOEXEC);
	if (ctl < 0)
		return fail("/dev/ublk-control (modprobe ublk_drv)", -errno);
	err = io_uring_queue_init(8, &ctl_ring, IORING_SETUP_SQE128);
	if (err)
		return fail("io_uring", err);
	err = control(UBLK_CMD_ADD_DEV, info->dev_id, info, sizeof(*info), 0);
	if (err)
		return fail("add device", err);
	err = control(UBLK_CMD_SET_PARAMS, info->dev_id, &params, sizeof(params), 0);
	if (err)
		return fail("set parameters", err);
	snprintf(path, sizeof(path), "/dev/ublkc%u", info->dev_id);
	for (tries = 0; tries < 100 && cdev < 0; tries++) {
		cdev = open(path, O_RDWR | O_CLOEXEC);
		if (cdev < 0)
			usleep(20000);
	}
	if (cdev < 0)
		return fail(path, -errno);
	err = open_queues();
	if (err)
		return fail("queues", err);
	err = control(UBLK_CMD_START_DEV, info->dev_id, NULL, 0, (uint64_t)getpid());
	return err ? fail("start device", err) : 0;
}

/* DEL_DEV waits until nothing holds the character device: neither a ring nor a mapping. */
static void close_queue(struct queue *q)
{
	pthread_join(q->thread, NULL);
	io_uring_queue_exit(&q->ring);
	munmap((void *)q->desc, (size_t)depth * sizeof(*q->desc));
}

static void print_counters(void)
{
	uint64_t requests = 0, syscalls = 0, wakeups = 0;
	uint16_t i;

	for (i = 0; i < nr_queues; i++) {
		requests += __atomic_load_n(&queues[i].requests, __ATOMIC_RELAXED);
		syscalls += __atomic_load_n(&queues[i].syscalls, __ATOMIC_RELAXED);
		wakeups += __atomic_load_n(&queues[i].wakeups, __ATOMIC_RELAXED);
	}
	printf("{\"requests\": %" PRIu64 ", \"syscalls\": %" PRIu64 ", \"wakeups\": %" PRIu64 "}\n",
	       requests, syscalls, wakeups);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct ublksrv_ctrl_dev_info info = { .dev_id = (uint32_t)-1 };
	uint64_t gib = 4;
	char line[16];
	uint16_t i;
	int opt;

	while ((opt = getopt(argc, argv, "q:d:s:")) != -1) {
		switch (opt) {
		case 'q':
			nr_queues = (uint16_t)strtoul(optarg, NULL, 10);
			break;
		case 'd':
			depth = (uint16_t)strtoul(optarg, NULL, 10);
			break;
		case 's':
			gib = strtoul(optarg, NULL, 10);
			break;
		default:
			return 2;
		}
	}
	if (optind != argc || !nr_queues || nr_queues > MAX_QUEUES || !depth || depth > 1024 ||
	    !gib) {
		fprintf(stderr, "usage: ublk_null [-q QUEUES] [-d DEPTH] [-s GIB]\n");
		return 2;
	}
	info.nr_hw_queues = nr_queues;
	info.queue_depth = depth;
	info.max_io_buf_bytes = MAX_IO;
	pthread_barrier_init(&fetching, NULL, nr_queues + 1u);
	if (start(gib << 30, &info))
		return 1;
	printf("ready %u\n", info.dev_id);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && line[0] != 'q')
		print_counters();
	control(UBLK_CMD_STOP_DEV, info.dev_id, NULL, 0, 0);
	for (i = 0; i < nr_queues; i++)
		close_queue(&queues[i]);
	close(cdev);
	control(UBLK_CMD_DEL_DEV, info.dev_id, NULL, 0, 0);
	return 0;
}
