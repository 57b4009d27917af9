/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A journal's device in memory that does what disks do: carries out requests in any order, tears
 * them when the power goes, fails, forgets, goes away. Keeps base/jdev.h's promises and not one
 * more. Single-threaded; randomness from testrand.
 *
 * An owner dies in two steps: jdisk_cut() or jdisk_die() settles what has reached the medium, and
 * from there on nothing does; jdisk_drop() lets the owner free its requests, and whatever it
 * submits on hearing of them. Then jdisk_revive() for the next owner.
 */
#ifndef JDISK_H
#define JDISK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/jdev.h"

struct jdisk_block;

struct jdisk {
	struct jdev dev;
	struct jdisk_block **blocks;	/* NULL: zeros */
	struct list_head queue;
	struct list_head doubtful;	/* WRITEs under way when another one failed */
	unsigned int queued;		/* in both */
	bool dead;			/* between jdisk_cut() or jdisk_die() and jdisk_revive() */
	bool gone;			/* every request fails with -ENODEV, nothing is changed */
	/*
	 * WRITEs fail so (0 = not), but for so many first ones. Any of their sectors may be there;
	 * of the WRITEs under way at that moment too, even of those that end with 0 later.
	 */
	int fail_writes;
	unsigned int fail_writes_skip;
	int fail_reads;			/* READs fail so (0 = not) */
	/* jdisk_cut(): sectors that are garbage may fail to be read */
	bool unreadable;
	unsigned int reads, writes;	/* carried out, without an error */
	uint64_t bytes_written;
	void (*wrote)(void *ctx);	/* after each WRITE carried out, before its done() */
	void *ctx;
};

/* @size bytes of zeros; only what is written takes memory. */
void jdisk_init(struct jdisk *d, uint64_t size);
void jdisk_free(struct jdisk *d);

/* Carries out one request, any of those that wait. False: none waits, or the owner is dead. */
bool jdisk_run(struct jdisk *d);

/*
 * The power goes: of the WRITEs under way each is there, or not, or each 512-byte sector of it is
 * old, new or garbage. No done() is called.
 */
void jdisk_cut(struct jdisk *d);

/* The process is killed: the same without garbage. */
void jdisk_die(struct jdisk *d);

/* Answers what waits with -EIO, after cut or death. Returns how many there were. */
unsigned int jdisk_drop(struct jdisk *d);

/* For the next owner. Nothing may wait. */
void jdisk_revive(struct jdisk *d);

/* What lies at @off, to look at or to damage: valid up to the end of that block. */
uint8_t *jdisk_at(struct jdisk *d, uint64_t off);

/* The sector at @off cannot be read until it is written. */
void jdisk_spoil(struct jdisk *d, uint64_t off);

/* As if @len bytes, whole sectors, had been written at @off. */
void jdisk_set(struct jdisk *d, uint64_t off, const void *p, uint32_t len);

/* A checksum of the content: has anybody written to it? */
uint64_t jdisk_sum(const struct jdisk *d);

/* A copy of the content, and going back to it: a disk restored from a backup. NULL: zeros. */
struct jdisk_copy;
struct jdisk_copy *jdisk_save(const struct jdisk *d);
void jdisk_restore(struct jdisk *d, const struct jdisk_copy *c);
void jdisk_copy_free(struct jdisk_copy *c);	/* NULL does nothing */

#endif
