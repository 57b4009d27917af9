// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/jdisk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/testrand.h"

#define SECTOR	512u
#define SECTORS (JDEV_BLOCK / SECTOR)

struct jdisk_block {
	uint8_t data[JDEV_BLOCK];
	bool bad[SECTORS]; /* cannot be read until it is written */
};

struct jdisk_copy {
	uint64_t nr;
	struct jdisk_block *blocks[];
};

/* ---- content ----------------------------------------------------------------------------- */

static struct jdisk_block *block_of(struct jdisk *d, uint64_t off)
{
	struct jdisk_block **b = &d->blocks[off / JDEV_BLOCK];

	assert(off < d->dev.size);
	if (!*b)
		*b = calloc(1, sizeof(**b));
	if (!*b)
		abort();
	return *b;
}

static struct jdisk_block *dup_block(const struct jdisk_block *b)
{
	struct jdisk_block *n = b ? malloc(sizeof(*n)) : NULL;

	if (b && !n)
		abort();
	if (b)
		*n = *b;
	return n;
}

uint8_t *jdisk_at(struct jdisk *d, uint64_t off)
{
	return block_of(d, off)->data + off % JDEV_BLOCK;
}

void jdisk_spoil(struct jdisk *d, uint64_t off)
{
	block_of(d, off)->bad[off % JDEV_BLOCK / SECTOR] = true;
}

uint64_t jdisk_sum(const struct jdisk *d)
{
	uint64_t sum = 0xcbf29ce484222325ull, word;

	for (uint64_t i = 0; i < d->dev.size / JDEV_BLOCK; i++) {
		for (uint32_t at = 0; d->blocks[i] && at < JDEV_BLOCK; at += sizeof(word)) {
			memcpy(&word, d->blocks[i]->data + at, sizeof(word));
			/* a block of zeros counts as much as one that is not there */
			if (word)
				sum = (sum ^ word ^ (i * JDEV_BLOCK + at)) * 0x100000001b3ull;
		}
	}
	return sum;
}

struct jdisk_copy *jdisk_save(const struct jdisk *d)
{
	uint64_t nr = d->dev.size / JDEV_BLOCK;
	struct jdisk_copy *c = calloc(1, sizeof(*c) + nr * sizeof(c->blocks[0]));

	if (!c)
		abort();
	c->nr = nr;
	for (uint64_t i = 0; i < nr; i++)
		c->blocks[i] = dup_block(d->blocks[i]);
	return c;
}

void jdisk_restore(struct jdisk *d, const struct jdisk_copy *c)
{
	assert(!c || c->nr == d->dev.size / JDEV_BLOCK);
	for (uint64_t i = 0; i < d->dev.size / JDEV_BLOCK; i++) {
		free(d->blocks[i]);
		d->blocks[i] = c ? dup_block(c->blocks[i]) : NULL;
	}
}

void jdisk_copy_free(struct jdisk_copy *c)
{
	for (uint64_t i = 0; c && i < c->nr; i++)
		free(c->blocks[i]);
	free(c);
}

static int read_all(struct jdisk *d, const struct jdev_req *r)
{
	uint8_t *to = r->buf;

	for (uint32_t at = 0; at < r->len; at += JDEV_BLOCK) {
		const struct jdisk_block *b = d->blocks[(r->off + at) / JDEV_BLOCK];

		for (unsigned int s = 0; b && s < SECTORS; s++)
			if (b->bad[s])
				return -EIO;
		if (b)
			memcpy(to + at, b->data, JDEV_BLOCK);
		else
			memset(to + at, 0, JDEV_BLOCK);
	}
	return 0;
}

static void write_sector(struct jdisk *d, const struct jdev_req *r, uint32_t at)
{
	struct jdisk_block *b = block_of(d, r->off + at);
	uint32_t in = (uint32_t)((r->off + at) % JDEV_BLOCK);

	memcpy(b->data + in, (const uint8_t *)r->buf + at, SECTOR);
	b->bad[in / SECTOR] = false;
}

static void write_all(struct jdisk *d, const struct jdev_req *r)
{
	for (uint32_t at = 0; at < r->len; at += SECTOR)
		write_sector(d, r, at);
}

void jdisk_set(struct jdisk *d, uint64_t off, const void *p, uint32_t len)
{
	struct jdev_req r = { .off = off, .buf = (void *)(uintptr_t)p, .len = len };

	write_all(d, &r);
}

static void spoil_sector(struct jdisk *d, uint64_t off)
{
	struct jdisk_block *b = block_of(d, off);
	uint8_t *p = b->data + off % JDEV_BLOCK;

	for (unsigned int i = 0; i < SECTOR; i++)
		p[i] = (uint8_t)testrand_u64();
	b->bad[off % JDEV_BLOCK / SECTOR] = d->unreadable && testrand_below(2);
}

/* Some of @r's sectors get there; with @garbage others are spoilt. */
static void write_torn(struct jdisk *d, const struct jdev_req *r, bool garbage)
{
	/* Few, half or most of them: a long record is hardly ever nearly whole by fair coins. */
	unsigned int new_pm = (unsigned int)(1 + testrand_below(3)) * 250;
	unsigned int bad_pm = garbage && testrand_below(2) ? 100 : 0;

	if (testrand_below(4) == 0)
		new_pm = 950;
	for (uint32_t at = 0; at < r->len; at += SECTOR) {
		if (testrand_below(1000) < bad_pm)
			spoil_sector(d, r->off + at);
		else if (testrand_below(1000) < new_pm)
			write_sector(d, r, at);
	}
}

/* What becomes of a WRITE that nobody will hear of, or that was said to have failed. */
static void write_perhaps(struct jdisk *d, struct jdev_req *r, bool prepared, bool garbage)
{
	uint64_t fate = testrand_below(4);

	if (!fate || (!prepared && r->prepare && r->prepare(r)))
		return;
	if (fate == 1)
		write_all(d, r);
	else
		write_torn(d, r, garbage);
}

/* ---- requests ---------------------------------------------------------------------------- */

static void submit(struct jdev *dev, struct jdev_req *r)
{
	struct jdisk *d = container_of(dev, struct jdisk, dev);

	assert(r->len && !(r->len % JDEV_BLOCK) && !(r->off % JDEV_BLOCK));
	assert(r->off <= dev->size && r->len <= dev->size - r->off);
	assert(!((uintptr_t)r->buf % JDEV_BLOCK));
	assert(r->op == JDEV_WRITE || (r->op == JDEV_READ && !r->prepare));
	list_add_tail(&r->link, &d->queue);
	d->queued++;
}

static void close_disk(struct jdev *dev)
{
	assert(!container_of(dev, struct jdisk, dev)->queued);
}

void jdisk_init(struct jdisk *d, uint64_t size)
{
	static const struct jdev_ops ops = { .submit = submit, .close = close_disk };

	assert(size && !(size % JDEV_BLOCK));
	memset(d, 0, sizeof(*d));
	d->dev.ops = &ops;
	d->dev.size = size;
	d->blocks = calloc(size / JDEV_BLOCK, sizeof(*d->blocks));
	if (!d->blocks)
		abort();
	list_init(&d->queue);
	list_init(&d->doubtful);
}

void jdisk_free(struct jdisk *d)
{
	assert(!d->queued);
	jdisk_restore(d, NULL);
	free(d->blocks);
}

static struct jdev_req *pick(struct jdisk *d, bool *doubtful)
{
	unsigned int at = (unsigned int)testrand_below(d->queued);
	struct list_head *p = d->queue.next;

	*doubtful = false;
	for (;;) {
		if (p == &d->queue) {
			p = d->doubtful.next;
			*doubtful = true;
		}
		if (!at--)
			break;
		p = p->next;
	}
	list_del(p);
	d->queued--;
	return list_entry(p, struct jdev_req, link);
}

/* A WRITE failed: of the others under way nothing is certain any more. */
static void doubt_writes(struct jdisk *d)
{
	struct jdev_req *r, *next;

	list_for_each_entry_safe(r, next, &d->queue, link) {
		if (r->op != JDEV_WRITE)
			continue;
		list_del(&r->link);
		list_add_tail(&r->link, &d->doubtful);
	}
}

static int do_write(struct jdisk *d, struct jdev_req *r, bool doubtful)
{
	int rc = r->prepare ? r->prepare(r) : 0;

	if (rc)
		return rc;
	if (doubtful) {
		write_perhaps(d, r, true, true);
		return testrand_below(2) ? 0 : -EIO;
	}
	if (d->fail_writes && !d->fail_writes_skip) {
		write_perhaps(d, r, true, true);
		doubt_writes(d);
		return d->fail_writes;
	}
	if (d->fail_writes)
		d->fail_writes_skip--;
	write_all(d, r);
	d->writes++;
	d->bytes_written += r->len;
	if (d->wrote)
		d->wrote(d->ctx);
	return 0;
}

static int do_read(struct jdisk *d, const struct jdev_req *r)
{
	int rc = d->fail_reads ? d->fail_reads : read_all(d, r);

	d->reads += !rc;
	return rc;
}

bool jdisk_run(struct jdisk *d)
{
	struct jdev_req *r;
	bool doubtful;

	if (!d->queued || d->dead)
		return false;
	r = pick(d, &doubtful);
	if (d->gone)
		r->res = -ENODEV;
	else if (r->op == JDEV_READ)
		r->res = do_read(d, r);
	else
		r->res = do_write(d, r, doubtful);
	r->done(r);
	return true;
}

/* ---- death ------------------------------------------------------------------------------- */

static void end_owner(struct jdisk *d, bool garbage)
{
	struct jdev_req *r;

	list_splice_tail(&d->doubtful, &d->queue);
	if (!d->dead && !d->gone)
		list_for_each_entry(r, &d->queue, link)
			if (r->op == JDEV_WRITE)
				write_perhaps(d, r, false, garbage);
	d->dead = true;
}

void jdisk_cut(struct jdisk *d)
{
	end_owner(d, true);
}

void jdisk_die(struct jdisk *d)
{
	end_owner(d, false);
}

unsigned int jdisk_drop(struct jdisk *d)
{
	unsigned int nr = 0;

	assert(d->dead);
	while (!list_empty(&d->queue)) {
		struct jdev_req *r = list_first_entry(&d->queue, struct jdev_req, link);

		list_del(&r->link);
		d->queued--;
		r->res = -EIO;
		r->done(r);
		nr++;
	}
	return nr;
}

void jdisk_revive(struct jdisk *d)
{
	assert(!d->queued);
	d->dead = false;
}
