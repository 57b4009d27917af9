// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/plain.h"

#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/bench.h"

#define PIECE (1u << 20)

void plain_path(char path[PLAIN_PATH], const char *name)
{
	const char *dir = getenv("BENCH_DISK");
	int n;

	if (!dir)
		dir = "build/bench";
	n = snprintf(path, PLAIN_PATH, "%s/%s.%d", dir, name, (int)getpid());
	bench_must(n > 0 && n < PLAIN_PATH);
}

void plain_make(struct plain *p, uint64_t size)
{
	uint8_t *data = bench_data(BENCH_RANDOM, PIECE);

	p->size = size;
	plain_path(p->path, "plain");
	p->fd = open(p->path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
	bench_must(p->fd >= 0);
	for (uint64_t at = 0; at < size; at += PIECE)
		bench_must(pwrite(p->fd, data, PIECE, (off_t)at) == PIECE);
	bench_must(!fsync(p->fd));
	bench_data_free(data, PIECE);
}

void plain_unmake(struct plain *p)
{
	close(p->fd);
	unlink(p->path);
}

uint64_t plain_fsync(struct plain *p, uint64_t block, const void *data)
{
	uint64_t at = bench_now_us();

	bench_must(pwrite(p->fd, data, BENCH_BLOCK, (off_t)(block * BENCH_BLOCK)) == BENCH_BLOCK);
	bench_must(!fdatasync(p->fd));
	return bench_now_us() - at;
}

static void put_one(struct io_uring *ring, struct plain *p, const void *data, uint64_t *seed)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	uint64_t block = bench_rnd(seed) % (p->size / BENCH_BLOCK);

	bench_must(sqe);
	io_uring_prep_write(sqe, p->fd, data, BENCH_BLOCK, block * BENCH_BLOCK);
}

double plain_random(struct plain *p, uint32_t depth, uint64_t us, const void *data, uint64_t *seed)
{
	uint64_t began = bench_now_us(), ended = 0, now = began;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	uint32_t flying = 0;
	unsigned int head, n;

	bench_must(!io_uring_queue_init(depth, &ring, 0));
	do {
		for (; now < began + us && flying < depth; flying++)
			put_one(&ring, p, data, seed);
		bench_must(io_uring_submit_and_wait(&ring, 1) >= 0);
		n = 0;
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			bench_must(cqe->res == (int)BENCH_BLOCK);
			n++;
		}
		io_uring_cq_advance(&ring, n);
		flying -= n;
		ended += n;
		now = bench_now_us();
	} while (flying);
	io_uring_queue_exit(&ring);
	return (double)ended * 1e6 / (double)(now - began);
}
