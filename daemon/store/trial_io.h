/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of a trial share: its requests, the names that it has written, and the bytes of
 * its objects, of which each can be told from all others. Threads: core lock.
 */
#ifndef STORE_TRIAL_IO_H
#define STORE_TRIAL_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "store/store.h"
#include "store/trial.h"

#define TRIAL_IO_TAG   16u
#define TRIAL_IO_SMALL 4096u
#define TRIAL_IO_LARGE 131072u /* every body may have so many bytes, whatever the options say */
#define TRIAL_IO_NAME  64u

struct trial_name {
	char name[TRIAL_IO_NAME];
	bool removed;
};

struct trial {
	const struct trial_env *env;
	const struct trial_opts *o;
	struct trial_report *r;
	uint8_t *noise;
	struct trial_name *names; /* in the order of their first PUT */
	uint32_t nr_names, room_names;
	uint32_t pending;
	bool idle; /* nothing is pending */
	uint32_t failures; /* requests that ended with what is no answer */
	uint64_t next_id;
};

/**
 * struct trial_shot - a request
 * @us:		out: how long it took
 * @then:	called when it has ended, if not NULL; may start it again
 * @name_index:	PUT, DELETE: of t->names
 */
struct trial_shot {
	struct store_req req;
	struct trial *t;
	struct iovec iov[2];
	uint8_t tag[TRIAL_IO_TAG];
	uint64_t begun_us, us;
	void (*then)(struct trial_shot *s);
	void *priv;
	uint32_t name_index;
};

/* 0 or -ENOMEM. */
int trial_io_init(struct trial *t);
void trial_io_free(struct trial *t);

bool trial_io_stopped(const struct trial *t);

/* A number that no body of this trial has had yet. */
uint64_t trial_io_id(struct trial *t);

/*
 * Each prepares @s, whose former request has ended. @name is behind the trial's prefix. PUT: @len
 * bytes, TRIAL_IO_TAG at least, of the body with number @id. A PUT is -ENOMEM where its name cannot
 * be kept for trial_io_clean(): it must not be started then.
 */
int trial_io_put(struct trial *t, struct trial_shot *s, const char *name, uint64_t id, size_t len,
		 bool replace);
void trial_io_get(struct trial *t, struct trial_shot *s, const char *name, uint64_t off, void *buf,
		  size_t len);
void trial_io_list(struct trial *t, struct trial_shot *s, const char *prefix, const char *after,
		   struct store_entry *ents, uint32_t max);
void trial_io_delete(struct trial *t, struct trial_shot *s, const char *name);

void trial_io_start(struct trial_shot *s);

/* Until nothing is pending. [waits] */
void trial_io_wait(struct trial *t);

/* Both; its result. [waits] */
ssize_t trial_io_do(struct trial_shot *s);

/* Whether @n bytes at @p are those of body @id from @off on. */
bool trial_io_is(const struct trial *t, uint64_t id, uint64_t off, const void *p, size_t n);

/* A PUT, a GET of all of it; 0: it is there and right, else a sentence is in @text. [waits] */
int trial_io_put_get(struct trial *t, const char *name, uint64_t id, size_t len, char *text);

/* "WHAT: why", in the store's words if it has some. Returns @text (TRIAL_TEXT bytes). */
char *trial_io_why(struct trial *t, ssize_t err, const char *what, char *text);

/*
 * Deletes all that was written, and what else is found below the prefix. Returns how many objects
 * are left as far as is known; then a sentence is in @text. [waits]
 */
uint32_t trial_io_clean(struct trial *t, char *text);

#endif
