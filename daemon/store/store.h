/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The object-store contract. A store is a flat name space of immutable objects under one prefix.
 * Names match [0-9a-z/]+, no empty component, 255 bytes at most. LIST order is byte order.
 *
 * ASSUMPTION (tested by tests/unit/test_store_contract.c on every implementation):
 *   S1  put() with create-only semantics: of any number of racing puts of one name exactly one
 *       succeeds; the others get -EEXIST; the object never changes afterwards.
 *   S2  when put() has returned 0 the whole object is durable and every later get and list, by
 *       anyone, sees it (read-after-write, list-after-write).
 *   S3  when put() fails with anything but -EEXIST the object may or may not exist; if it exists it
 *       is whole.
 *       -EEXIST may also be due to an earlier try of the same put() whose answer was lost: who
 *       cares reads what is there, and finds his own bytes.
 *   S4  get() returns bytes of the object as put or an error, or fewer bytes at its end.
 *   S5  put() with @replace: the name may be taken; the object is then the new one or, when put()
 *       fails, the old or the new one, and always whole. S1's last half does not hold for such a
 *       name. For what is not needed for safety only: docs/adr/0004.
 *
 * All calls are asynchronous: they return at once, and the callback comes exactly once, later, with
 * the core lock held, never from within the call. Buffers and names must live until then.
 * Errors: -EEXIST (put), -ENOENT (get, delete of what is not there is 0), -ENOSPC, -EACCES, -EROFS,
 * -EIO, -ETIMEDOUT.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/list.h"

#define STORE_NAME_MAX	256	/* with the NUL */

struct store_ops;
struct wire;

struct store {
	const struct store_ops *ops;
};

enum store_op {
	STORE_PUT,
	STORE_GET,
	STORE_LIST,
	STORE_DELETE,
	STORE_NR_OPS,
};

struct store_entry {
	char name[STORE_NAME_MAX];
	uint64_t size;
};

/**
 * struct store_req - one request; embedded in the caller's object
 * @op:		which
 * @name:	PUT, GET, DELETE: the object; LIST: the prefix ("" = all)
 * @iov:	PUT: the body; the array and what it names live until done()
 * @niov:	PUT
 * @replace:	PUT: an object of that name is replaced
 * @off:	GET: first byte
 * @buf:	GET: where to; @len: how many bytes are wanted
 * @after:	LIST: only names greater than this ("" = from the start)
 * @ents:	LIST: room for @max_ents
 * @res:	out: PUT, DELETE: 0 or -errno; GET: bytes read or -errno; LIST: number of entries or
 *		-errno (fewer than @max_ents: there are no more)
 * @size:	out: GET: the object's whole length
 * @done:	called with the core lock held
 */
struct store_req {
	struct list_head link;		/* the implementation's until done() */
	enum store_op op;
	char name[STORE_NAME_MAX];
	const struct iovec *iov;
	int niov;
	bool replace;
	uint64_t off;
	void *buf;
	size_t len;
	char after[STORE_NAME_MAX];
	struct store_entry *ents;
	uint32_t max_ents;
	ssize_t res;
	uint64_t size;
	void (*done)(struct store_req *r);
	void *priv;
};

/**
 * struct store_facts - what a store has told of itself beside its answers
 * @skew_us:	its clock minus ours, to some second, if @has_clock
 * @sums:	it has confirmed the checksum of a body that was put; @has_sums: it was asked to
 */
struct store_facts {
	bool has_clock;
	int64_t skew_us;
	bool has_sums, sums;
};

struct store_ops {
	const char *kind;				/* "file", "mem", "s3": for people */
	void (*submit)(struct store *s, struct store_req *r);	/* required */
	void (*close)(struct store *s);			/* required; no request may be under way */
	/* optional: see store_why() */
	void (*why)(struct store *s, char *out, size_t len);
	/* optional: store_wire(), @ret is all zero */
	bool (*wire)(struct store *s, struct wire *ret);
	/* optional: what it knows, into a struct of zeros; core lock held */
	void (*facts)(struct store *s, struct store_facts *ret);
};

/* Checks the request (name, buffers) and hands it to the store. Core lock held. */
void store_submit(struct store *s, struct store_req *r);

/* 0 if @name may name an object, else -EINVAL. Any thread. */
int store_name_check(const char *name);

/*
 * What the store fails with now, for people: a sentence on its last failure, until a request of the
 * same kind has gone well since; "" if there is none, or it has nothing to say. So it explains what
 * the store has just answered, and not another's error later. Core lock held.
 */
void store_why(struct store *s, char *out, size_t len);

/*
 * What went over the network since it was opened (store/wire.h). False: nothing does. Core lock
 * held.
 */
bool store_wire(struct store *s, struct wire *ret);

/* What the store has told until now; zeros if nothing. Core lock held. */
void store_facts(struct store *s, struct store_facts *ret);

/* Core lock not held: ends threads. NULL does nothing. */
void store_close(struct store *s);

#endif
