// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests go to one thread. What costs time on the way of a small WRITE is waking threads, so
 *  - a request of at most ALONE_MAX bytes that finds nothing else there is a plain pwritev2(): in
 *    the ring, a synchronous write on most file systems ends in one of the kernel's threads, which
 *    would have to be woken, and wake this one;
 *  - while nothing is in the ring the thread sleeps on a condition. Only beside requests in flight
 *    does it sleep in the ring, where an eventfd wakes it;
 *  - it is not woken at all for such a lone request if whoever asked for it lends its own thread
 *    (core_unlock_lend()), unless the device is so slow that the way there does not matter, and
 *    what else that thread might get to do meanwhile does.
 * All else goes through the ring, MAX_FLIGHT at once.
 */
#include "base/jdev_uring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/core.h"

#define MAX_FLIGHT   32u
#define RING_ENTRIES 64u /* those, and the eventfd */
#define REAP_BATCH   32u
#define ALONE_MAX    65536u
#define LENT_MAX_US  300u /* a lent thread is kept while lone requests take less, on average */
#define FILL_PIECE   (1u << 20)
#define HEAD_LEN     65536u /* looked at before a block device is overwritten */

enum rest {
	AWAKE,
	ON_COND,
	IN_RING,
};

/* Lock order: core lock, then @lock. The thread never holds @lock while it takes the core lock. */
struct jdev_uring {
	struct jdev dev;
	struct core *core;
	int fd;
	int wake_fd;
	pthread_t thread;
	struct core_kick kick; /* something was submitted */
	unsigned int pending; /* guarded by the core lock */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t more;
	struct list_head queue;
	enum rest rest; /* how the thread sleeps, or is about to; who wakes it sets AWAKE */
	bool stop;
	uint32_t alone_us; /* a moving average of what lone requests took */

	/* the thread's own */
	struct io_uring ring;
	unsigned int in_flight;
	bool armed; /* the ring waits for wake_fd */
};

static bool transient(int rc)
{
	return rc == -EINTR || rc == -EAGAIN;
}

static int result(ssize_t n, uint32_t len)
{
	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -EIO;
}

/* ---- submitting -------------------------------------------------------------------------- */

static void wake_ring(struct jdev_uring *u)
{
	uint64_t one = 1;

	while (write(u->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* @lock held. */
static void wake(struct jdev_uring *u)
{
	if (u->rest == ON_COND)
		pthread_cond_signal(&u->more);
	else if (u->rest == IN_RING)
		wake_ring(u);
	u->rest = AWAKE;
}

static void submit(struct jdev *d, struct jdev_req *r)
{
	struct jdev_uring *u = container_of(d, struct jdev_uring, dev);

	assert(core_held(u->core));
	assert(r->len && !(r->len % JDEV_BLOCK) && !(r->off % JDEV_BLOCK));
	assert(r->off <= d->size && r->len <= d->size - r->off);
	assert(!((uintptr_t)r->buf % JDEV_BLOCK));
	u->pending++;
	pthread_mutex_lock(&u->lock);
	list_add_tail(&r->link, &u->queue);
	pthread_mutex_unlock(&u->lock);
	core_kick(u->core, &u->kick);
}

unsigned int jdev_uring_pending(const struct jdev *d)
{
	const struct jdev_uring *u = container_of(d, struct jdev_uring, dev);

	assert(core_held(u->core));
	return u->pending;
}

/* ---- the thread -------------------------------------------------------------------------- */

/* Answers @n requests under one hold of the core lock. */
static void answer(struct jdev_uring *u, struct jdev_req *const *reqs, unsigned int n)
{
	if (!n)
		return;
	core_lock(u->core);
	for (unsigned int i = 0; i < n; i++) {
		u->pending--;
		reqs[i]->done(reqs[i]);
	}
	core_unlock(u->core);
}

static void to_ring(struct jdev_uring *u, struct jdev_req *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	assert(sqe);
	if (r->op == JDEV_READ) {
		io_uring_prep_read(sqe, u->fd, r->buf, r->len, r->off);
	} else {
		io_uring_prep_write(sqe, u->fd, r->buf, r->len, r->off);
	}
	io_uring_sqe_set_data(sqe, r);
	u->in_flight++;
}

static void carry_out(struct jdev_uring *u, struct jdev_req *r)
{
	struct iovec iov = { r->buf, r->len };
	ssize_t n;

	do {
		n = r->op == JDEV_READ ? preadv2(u->fd, &iov, 1, (off_t)r->off, 0) :
					 pwritev2(u->fd, &iov, 1, (off_t)r->off, 0);
		if (n < 0)
			n = -errno;
	} while (transient((int)n));
	r->res = result(n, r->len);
}

static int prepare(struct jdev_req *r)
{
	return r->prepare ? r->prepare(r) : 0;
}

/* On the device's thread, or on one that was lent. */
static void start_alone(struct jdev_uring *u, struct jdev_req *r)
{
	uint64_t took = clock_mono_us(clock_system());

	r->res = prepare(r);
	if (!r->res)
		carry_out(u, r);
	took = clock_mono_us(clock_system()) - took;
	pthread_mutex_lock(&u->lock);
	u->alone_us = (uint32_t)((u->alone_us * 7ull + (took < 1000000 ? took : 1000000)) / 8);
	pthread_mutex_unlock(&u->lock);
	answer(u, &r, 1);
}

static void start(struct jdev_uring *u, struct jdev_req *r, bool alone)
{
	if (alone && r->len <= ALONE_MAX) {
		start_alone(u, r);
		return;
	}
	r->res = prepare(r);
	if (r->res)
		answer(u, &r, 1);
	else
		to_ring(u, r);
}

/*
 * After the lock under which something was submitted was let go. What is in the ring then does
 * not matter: no request waits for another.
 */
static void kick(struct core_kick *k)
{
	struct jdev_uring *u = container_of(k, struct jdev_uring, kick);
	struct jdev_req *r = NULL;

	pthread_mutex_lock(&u->lock);
	if (!list_empty(&u->queue))
		r = list_first_entry(&u->queue, struct jdev_req, link);
	if (r && r->link.next == &u->queue && r->len <= ALONE_MAX && u->alone_us < LENT_MAX_US &&
	    core_borrow()) {
		list_del(&r->link);
	} else {
		r = NULL;
		wake(u);
	}
	pthread_mutex_unlock(&u->lock);
	if (r)
		start_alone(u, r);
}

/* Hands what was prepared to the kernel. With @wait sleeps until something ends, or wake_fd. */
static void enter_ring(struct jdev_uring *u, bool wait)
{
	int rc;

	if (wait && !u->armed) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

		assert(sqe);
		io_uring_prep_poll_add(sqe, u->wake_fd, POLLIN);
		io_uring_sqe_set_data(sqe, NULL);
		u->armed = true;
	}
	do
		rc = io_uring_submit_and_wait(&u->ring, wait);
	while (rc < 0 && transient(rc) && !io_uring_cq_ready(&u->ring));
	/* What the kernel may still write to cannot be given back: there is no way to go on. */
	if (rc < 0 && !transient(rc) && rc != -EBUSY)
		abort();
}

static void reap(struct jdev_uring *u)
{
	struct io_uring_cqe *cqes[REAP_BATCH];
	struct jdev_req *reqs[REAP_BATCH], *r;
	unsigned int n, ended;

	do {
		n = io_uring_peek_batch_cqe(&u->ring, cqes, REAP_BATCH);
		ended = 0;
		for (unsigned int i = 0; i < n; i++) {
			r = io_uring_cqe_get_data(cqes[i]);
			if (!r) {
				uint64_t v;

				u->armed = false;
				while (read(u->wake_fd, &v, sizeof(v)) < 0 && errno == EINTR)
					;
				continue;
			}
			u->in_flight--;
			if (transient(cqes[i]->res)) {
				to_ring(u, r);
				continue;
			}
			r->res = result(cqes[i]->res, r->len);
			reqs[ended++] = r;
		}
		io_uring_cq_advance(&u->ring, n);
		answer(u, reqs, ended);
	} while (n == REAP_BATCH);
}

/*
 * The next request to start; NULL: none, or too many are in flight. @alone: nothing is beside it.
 * Sleeps on the condition if there is nothing in the ring to sleep for; *ret_end: told to stop, and
 * all is done.
 */
static struct jdev_req *next(struct jdev_uring *u, bool *alone, bool *ret_end)
{
	struct jdev_req *r = NULL;

	pthread_mutex_lock(&u->lock);
	while (list_empty(&u->queue) && !u->in_flight && !u->stop) {
		u->rest = ON_COND;
		pthread_cond_wait(&u->more, &u->lock);
	}
	u->rest = AWAKE;
	if (!list_empty(&u->queue) && u->in_flight < MAX_FLIGHT) {
		r = list_first_entry(&u->queue, struct jdev_req, link);
		list_del(&r->link);
	} else if (u->in_flight) {
		u->rest = IN_RING;
	}
	*alone = r && !u->in_flight && list_empty(&u->queue);
	*ret_end = !r && !u->in_flight;
	pthread_mutex_unlock(&u->lock);
	return r;
}

static void *io_thread(void *arg)
{
	struct jdev_uring *u = arg;
	struct jdev_req *r;
	bool alone, end;

	for (;;) {
		r = next(u, &alone, &end);
		if (end)
			return NULL;
		/* What was prepared before is on its way while the next one is. */
		if (!r || io_uring_sq_ready(&u->ring))
			enter_ring(u, !r);
		reap(u);
		if (r)
			start(u, r, alone);
	}
}

static void destroy(struct jdev_uring *u)
{
	if (u->ring.ring_fd >= 0)
		io_uring_queue_exit(&u->ring);
	if (u->wake_fd >= 0)
		close(u->wake_fd);
	if (u->fd >= 0)
		close(u->fd);
	pthread_cond_destroy(&u->more);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

static void close_uring(struct jdev *d)
{
	struct jdev_uring *u = container_of(d, struct jdev_uring, dev);

	pthread_mutex_lock(&u->lock);
	assert(list_empty(&u->queue));
	u->stop = true;
	wake(u);
	pthread_mutex_unlock(&u->lock);
	pthread_join(u->thread, NULL);
	destroy(u);
}

/* ---- opening ----------------------------------------------------------------------------- */

static bool only_memory(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* Whether a block past the page cache can be read; what cannot be read at all is found later. */
static int try_direct(int fd)
{
	void *buf = aligned_alloc(JDEV_BLOCK, JDEV_BLOCK);
	int rc = 0;

	if (!buf)
		return -ENOMEM;
	if (pread(fd, buf, JDEV_BLOCK, 0) < 0 && errno == EINVAL)
		rc = -EOPNOTSUPP;
	free(buf);
	return rc;
}

/*
 * Opens what is there, alone. A descriptor or -errno. Its size: of a block device rounded down, of
 * a file as it is.
 */
static int open_alone(const char *path, struct stat *st, uint64_t *ret_size)
{
	int fd, rc = 0;

	/* Looked at first: opening is not harmless for everything that has a name. */
	if (stat(path, st))
		return -errno;
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return S_ISDIR(st->st_mode) ? -EISDIR : -ENOTBLK;
	fd = open(path, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC | O_NONBLOCK |
				(S_ISBLK(st->st_mode) ? O_EXCL : 0));
	if (fd < 0)
		return errno == EINVAL ? -EOPNOTSUPP : -errno;
	if (fstat(fd, st))
		rc = -errno;
	else if (S_ISBLK(st->st_mode))
		rc = ioctl(fd, BLKGETSIZE64, ret_size) ? -errno : 0;
	else if (!S_ISREG(st->st_mode))
		rc = -ENOTBLK;
	else if (only_memory(fd))
		rc = -EOPNOTSUPP;
	else if (flock(fd, LOCK_EX | LOCK_NB))
		rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
	else
		*ret_size = (uint64_t)st->st_size;
	if (!rc && S_ISBLK(st->st_mode))
		*ret_size -= *ret_size % JDEV_BLOCK;
	/*
	 * It was for open() alone. Left there, io_uring of some kernels answers -EAGAIN, for ever,
	 * where what lies below cannot do without waiting (dm-crypt, thin pools).
	 */
	if (!rc && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK))
		rc = -errno;
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

static int start_thread(struct jdev_uring *u)
{
	sigset_t all, old;
	int rc;

	/* Signals are for the thread that expects them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = -pthread_create(&u->thread, NULL, io_thread, u);
	if (!rc)
		pthread_setname_np(u->thread, "journal");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

static int set_up(struct jdev_uring *u, const char *path)
{
	struct io_uring ring;
	struct stat st;
	int rc;

	u->fd = open_alone(path, &st, &u->dev.size);
	if (u->fd < 0)
		return u->fd;
	if (!u->dev.size)
		return -ENODATA;
	if (u->dev.size % JDEV_BLOCK)
		return -EINVAL;
	rc = try_direct(u->fd);
	if (rc)
		return rc;
	u->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->wake_fd < 0)
		return -errno;
	rc = io_uring_queue_init(RING_ENTRIES, &ring, 0);
	if (rc)
		return rc;
	u->ring = ring;
	return start_thread(u);
}

int jdev_uring_open(struct jdev **ret, struct core *core, const char *path)
{
	static const struct jdev_ops ops = { .submit = submit, .close = close_uring };
	struct jdev_uring *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return -ENOMEM;
	u->dev.ops = &ops;
	u->core = core;
	u->kick.run = kick;
	u->fd = u->wake_fd = u->ring.ring_fd = -1;
	list_init(&u->queue);
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->more, NULL);
	rc = set_up(u, path);
	if (rc) {
		destroy(u);
		return rc;
	}
	*ret = &u->dev;
	return 0;
}

/* ---- making ------------------------------------------------------------------------------ */

/* Writes zeros to all of it, durably. */
static int fill(int fd, const struct jdev_uring_new *n, uint64_t size)
{
	void *buf = aligned_alloc(JDEV_BLOCK, FILL_PIECE);
	uint64_t at = 0;
	int rc = 0;

	if (!buf)
		return -ENOMEM;
	memset(buf, 0, FILL_PIECE);
	while (at < size && !rc) {
		size_t len = size - at < FILL_PIECE ? (size_t)(size - at) : FILL_PIECE;
		ssize_t put = pwrite(fd, buf, len, (off_t)at);

		if (put < 0 && errno != EINTR)
			rc = errno == EINVAL ? -EOPNOTSUPP : -errno;
		else if (put >= 0 && put % JDEV_BLOCK)
			rc = -EIO;
		else if (put > 0)
			at += (uint64_t)put;
		if (!rc && n->progress && n->progress(n->ctx, at, size))
			rc = -EINTR;
	}
	free(buf);
	return rc || !fsync(fd) ? rc : -errno;
}

static int sync_parent(const char *path)
{
	CLEANUP_FREE char *parent = strdup(path);
	CLEANUP_CLOSE int fd = -1;
	char *slash;

	if (!parent)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = '\0';
	fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) ? -errno : 0;
}

static int create_file(const struct jdev_uring_new *n)
{
	int fd = open(n->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), rc = 0;

	if (fd < 0)
		return -errno;
	/* O_DIRECT only now: an open() that fails for it leaves the file behind. */
	if (only_memory(fd) || fcntl(fd, F_SETFL, O_DIRECT))
		rc = -EOPNOTSUPP;
	else if (flock(fd, LOCK_EX | LOCK_NB))
		rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
	/* In one piece if that can be had, and early word if there is no room. */
	else if (fallocate(fd, 0, 0, (off_t)n->size) && errno != EOPNOTSUPP)
		rc = -errno;
	if (!rc)
		rc = fill(fd, n, n->size);
	if (!rc)
		rc = sync_parent(n->path);
	if (rc)
		unlink(n->path);
	close(fd);
	return rc;
}

static int is_empty(int fd, uint64_t size)
{
	uint8_t *buf = aligned_alloc(JDEV_BLOCK, HEAD_LEN), any = 0;
	size_t len = size < HEAD_LEN ? (size_t)size : HEAD_LEN;
	int rc;

	if (!buf)
		return -ENOMEM;
	rc = result(pread(fd, buf, len, 0), (uint32_t)len) ? -EIO : 0;
	for (size_t i = 0; i < len && !rc; i++)
		any |= buf[i];
	free(buf);
	return rc ? rc : any ? -EEXIST : 0;
}

static int fill_device(const struct jdev_uring_new *n)
{
	uint64_t size = 0;
	struct stat st;
	int fd = open_alone(n->path, &st, &size), rc = 0;

	if (fd < 0)
		return fd;
	if (!S_ISBLK(st.st_mode))
		rc = -EEXIST;
	else if (!size)
		rc = -ENODATA;
	else if (n->size > size)
		rc = -ENOSPC;
	else if (!n->force)
		rc = is_empty(fd, size);
	if (!rc)
		rc = fill(fd, n, n->size ? n->size : size);
	close(fd);
	return rc;
}

int jdev_uring_create(const struct jdev_uring_new *n)
{
	struct stat st;

	if (n->size % JDEV_BLOCK || n->size > INT64_MAX)
		return -EINVAL;
	if (!stat(n->path, &st) && S_ISBLK(st.st_mode))
		return fill_device(n);
	return n->size ? create_file(n) : -EINVAL;
}
