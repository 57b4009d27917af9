/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lab: a daemon for tests. Its devices live in memory that survives it (shared mappings), so that
 * a test can kill -9 it and start another. It has no log and no cache: a write is in the device's
 * memory before it is answered, which makes every write durable at once; what the module is told
 * (wno, dur) can be bent by the test.
 */
#ifndef TESTS_KERNEL_LAB_H
#define TESTS_KERNEL_LAB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "transport/kdev.h"

#define LAB_EXTENTS 8
#define LAB_MAX_DEVS 2
#define LAB_MAX_QUEUES 8
#define LAB_LOG 4096

/* What a daemon has seen; shared with the test, whichever process each is in. */
struct lab_seen {
	struct zerofs_req req[LAB_LOG];	/* in the order they were popped, the first LAB_LOG */
	uint8_t queue[LAB_LOG];
	uint32_t nr;
	uint32_t reissued;
	uint32_t ops[ZEROFS_OP_NR];
	uint64_t wno;			/* the last one given */
	/* knobs, set by the test at any time */
	uint32_t hold_ops;		/* bit per op: do not answer */
	uint32_t no_repost;		/* keep used extents */
	uint32_t segs;			/* answer reads in pieces of so many blocks, 0 = one */
	int32_t res[ZEROFS_OP_NR];	/* < 0: answer with this error */
	uint32_t lazy_flush;		/* FLUSH answers do not raise dur beyond what they must */
	uint32_t stop;			/* daemon process: leave in peace */
	/* from a daemon process to the test */
	int32_t ready;			/* 1, or a negative errno */
	uint32_t state;			/* as RESUME said */
	struct zerofs_attach info;
};

/* A device's contents and shape. */
struct lab_disk {
	uint8_t *data;			/* shared */
	uint64_t size;
	uint32_t depth, nr_write, nr_read;
	uint32_t index;			/* N, once added */
	bool added;
};

struct lab_queue {
	struct lab *lab;
	struct kdev_queue q;
	struct lab_disk *disk;
	uint32_t slot;			/* of the read area */
	pthread_t thread;
	bool running;
	uint32_t extent;		/* the one the last write lay in, ~0 = none */
	int err;			/* how the thread ended */
};

struct lab {
	struct kdev d;
	struct lab_seen *seen;
	struct lab_disk disk[LAB_MAX_DEVS];
	unsigned int nr_disks;
	struct lab_queue q[LAB_MAX_QUEUES];
	unsigned int nr_queues;
	int arena_fd;
	uint8_t *arena;
	uint64_t arena_len;
	uint32_t nr_bufs;
	pthread_mutex_t bufs;
};

extern const uint8_t lab_uuid[ZEROFS_UUID_LEN];

/* Forgets everything, for a test that begins: one disk of 64 MiB, depth 16, 1 + 1 queues. */
void lab_init(struct lab *lab);
/* Another disk, or a changed first one; before lab_start(). */
void lab_add_disk(struct lab *lab, uint64_t size, uint32_t depth, uint32_t nr_write,
		  uint32_t nr_read);
/* Frees what lab_init() and lab_add_disk() made; the daemon is stopped. */
void lab_free(struct lab *lab);

/* Steps of a start, each 0 or -errno. */
int lab_create(struct lab *lab, uint32_t grace_ms);
int lab_arena(struct lab *lab);		/* a new one, registered, BUFs posted */
int lab_arena_from(struct lab *lab, int fd, uint64_t len); /* the same for one handed back */
int lab_add(struct lab *lab);		/* every disk, NEW */
int lab_queues(struct lab *lab);	/* every queue of every added disk */
int lab_start_devs(struct lab *lab);
void lab_run(struct lab *lab);		/* a thread per queue */
/* All of these. */
int lab_start(struct lab *lab, uint32_t grace_ms);
/* Attach, arena, queues, RESUME; @intact with whatever is true. Threads if it ends LIVE. */
int lab_attach(struct lab *lab, uint32_t grace_ms, bool take_arena, uint32_t result,
	       uint32_t flags, uint64_t recovered_wno, uint32_t *ret_state);
/* Stops the threads and closes: to the module, the daemon's death. */
void lab_stop(struct lab *lab);
void lab_stop_threads(struct lab *lab);
/* lab_stop() and lab_free(). */
void lab_end(struct lab *lab);
int lab_post_all(struct lab *lab);

/* One request, done: applies it to the disk and fills in the answer. For tests without threads. */
void lab_serve(struct lab_queue *lq, const struct zerofs_req *req, struct zerofs_rsp *rsp,
	       struct zerofs_seg *segs);
/* Pops one request of a queue, waiting at most @ms. 1, 0 or -errno. */
int lab_pop(struct lab_queue *lq, struct zerofs_req *req, unsigned int ms);

/*
 * The daemon in a process of its own. lab_fork() creates and starts a session, lab_fork_attach()
 * attaches to one (INTACT, adopting). Both return the pid once it is ready, or -errno.
 */
pid_t lab_fork(struct lab *lab, uint32_t grace_ms);
pid_t lab_fork_attach(struct lab *lab, uint32_t grace_ms);
void lab_kill(pid_t pid);		/* SIGKILL, and reaped */

/* ---- for tests -------------------------------------------------------------------------- */

/* Opens /dev/zerofsN. */
int lab_open(uint32_t index, int flags);
/* Opens the first disk, for reading and writing past the page cache. 0 or -errno. */
int lab_open_disk(const struct lab *lab, int *ret_fd);
/* A sysfs counter of the device; -1 if it cannot be read. */
long long lab_stat(uint32_t index, const char *name);
void lab_stat_str(uint32_t index, const char *name, char *buf, size_t len);
/* Fills with bytes that follow from seed and offset, and says whether they are those. */
void lab_fill(void *buf, size_t len, uint64_t off, uint32_t seed);
bool lab_is(const void *buf, size_t len, uint64_t off, uint32_t seed);
void *lab_buf(size_t len);		/* page aligned */
/* Polls until @cond holds, for at most @ms. */
bool lab_wait(bool (*cond)(void *), void *arg, unsigned int ms);
void lab_sleep_ms(unsigned int ms);
/* The state of the session called `lab`, -1 if there is none. */
int lab_state(void);
bool lab_wait_state(int state, unsigned int ms);
uint32_t lab_session(void);		/* its id, 0 = none */
/* Fails, deletes and forgets whatever sessions there are; complains if one stays. */
void lab_clean(void);

/* One I/O in a thread of its own, so that a test can watch it wait. */
struct lab_io {
	pthread_t thread;
	int fd;
	bool write;
	uint8_t *buf;
	size_t len;
	uint64_t off;
	uint32_t seed;
	long ret;			/* bytes, or -errno */
	bool done;
	enum { LAB_IO_RW, LAB_IO_SYNC, LAB_IO_DISCARD, LAB_IO_ZERO } kind;
};
void lab_io_start(struct lab_io *io, int fd, bool write, uint64_t off, size_t len, uint32_t seed);
void lab_io_start_kind(struct lab_io *io, int fd, int kind, uint64_t off, uint64_t len);
/* Whether it is over within @ms; joins it if so. */
bool lab_io_wait(struct lab_io *io, unsigned int ms);

#endif
