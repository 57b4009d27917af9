// SPDX-License-Identifier: GPL-2.0-only
#include "arena.h"

#include <linux/bio.h>
#include <linux/blk-mq.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>

#include "compat/compat.h"

#define PIN_BATCH 512
/* More than this kvmalloc() does not give, and complains aloud: 1 TiB of 4 KiB pages. */
#define MAX_PAGES (INT_MAX / sizeof(struct page *))

/* An arena is a shmem file that cannot be cut short under the daemon that inherits it. */
static bool file_ok(struct file *file, u64 offset, u64 length)
{
	struct inode *inode = file_inode(file);
	loff_t size = i_size_read(inode);

	if (!S_ISREG(inode->i_mode) || inode->i_sb->s_magic != TMPFS_MAGIC)
		return false;
	if ((file->f_mode & (FMODE_READ | FMODE_WRITE)) != (FMODE_READ | FMODE_WRITE))
		return false;
	if (!(SHMEM_I(inode)->seals & F_SEAL_SHRINK))
		return false;
	return size >= 0 && length <= (u64)size && offset <= (u64)size - length;
}

/* Each pinned page must be the file's own at that place: anything else could not be handed back. */
static bool page_ok(struct page *page, struct file *file, pgoff_t index)
{
	struct folio *folio = page_folio(page);

	return READ_ONCE(folio->mapping) == file->f_mapping &&
	       folio->index + folio_page_idx(folio, page) == index;
}

static int pin_pages(struct zerofs_arena *arena, u64 address)
{
	unsigned long total = arena->length >> PAGE_SHIFT;
	pgoff_t index = arena->offset >> PAGE_SHIFT;
	int n, i;

	while (arena->nr_pages < total) {
		n = min_t(unsigned long, total - arena->nr_pages, PIN_BATCH);
		n = pin_user_pages_fast(address + ((u64)arena->nr_pages << PAGE_SHIFT), n,
					FOLL_WRITE | FOLL_LONGTERM, arena->pages + arena->nr_pages);
		if (n <= 0)
			return n ? n : -EFAULT;
		i = arena->nr_pages;
		arena->nr_pages += n;
		for (; i < arena->nr_pages; i++)
			if (!page_ok(arena->pages[i], arena->file, index + i))
				return -EINVAL;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

int zerofs_arena_pin(struct file *file, u64 offset, u64 address, u64 length,
		     struct zerofs_arena **ret)
{
	struct zerofs_arena *arena;
	int err;

	if (!length || !PAGE_ALIGNED(offset) || !PAGE_ALIGNED(address) || !PAGE_ALIGNED(length))
		return -EINVAL;
	if (address + length < address || length >> PAGE_SHIFT > MAX_PAGES)
		return -EINVAL;
	if (!file_ok(file, offset, length))
		return -EINVAL;
	arena = kzalloc(sizeof(*arena), GFP_KERNEL);
	if (!arena)
		return -ENOMEM;
	spin_lock_init(&arena->lock);
	arena->file = get_file(file);
	arena->offset = offset;
	arena->length = length;
	arena->pages = kvmalloc_array(length >> PAGE_SHIFT, sizeof(*arena->pages), GFP_KERNEL);
	err = arena->pages ? pin_pages(arena, address) : -ENOMEM;
	if (err) {
		zerofs_arena_free(arena);
		return err;
	}
	*ret = arena;
	return 0;
}

void zerofs_arena_free(struct zerofs_arena *arena)
{
	unsigned long done, n;

	if (!arena)
		return;
	for (done = 0; done < arena->nr_pages; done += n) {
		n = min_t(unsigned long, arena->nr_pages - done, PIN_BATCH);
		unpin_user_pages_dirty_lock(arena->pages + done, n, true);
		cond_resched();
	}
	kvfree(arena->pages);
	fput(arena->file);
	kfree(arena);
}

/* 1: the next BUF is @ext now, 0: none, -EPROTO. */
static int take(struct zerofs_arena *arena, struct zerofs_extent *ext)
{
	struct zerofs_buf buf;
	int ret;

	spin_lock(&arena->lock);
	ret = arena->broken ? -EPROTO : zerofs_ring_buf_take(arena->bufs, &buf);
	if (ret > 0 &&
	    (buf.len < ZEROFS_MIN_BUF || !zerofs_arena_has(arena, buf.buf, buf.len) ||
	     !IS_ALIGNED(buf.buf, ZEROFS_BLOCK_SIZE) || !IS_ALIGNED(buf.len, ZEROFS_BLOCK_SIZE)))
		ret = -EPROTO;
	if (ret < 0)
		arena->broken = true;
	spin_unlock(&arena->lock);
	if (ret > 0) {
		ext->pos = buf.buf;
		ext->end = buf.buf + buf.len;
		ext->id = buf.id;
		ext->open = true;
		ext->used = false;
	}
	return ret;
}

int zerofs_arena_alloc(struct zerofs_arena *arena, struct zerofs_extent *ext, u32 len, u64 *ret)
{
	int got;

	if (!ext->open || ext->end - ext->pos < len) {
		got = take(arena, ext);
		if (!got) {
			WRITE_ONCE(arena->starved, true);
			WRITE_ONCE(arena->bufs->k->starved, 1);
			/*
			 * Either we see the BUF that is being posted, or the poster's ENTER or
			 * KICK sees us starved: pairs with the smp_mb() in
			 * zerofs_arena_unstarve(), and with the daemon's fence after posting.
			 */
			smp_mb();
			got = take(arena, ext);
		}
		if (got <= 0)
			return got ? got : -EAGAIN;
	}
	*ret = ext->pos;
	ext->pos += len;
	ext->used = true;
	return 0;
}

int zerofs_arena_recall(struct zerofs_arena *arena, u32 *ret_id)
{
	struct zerofs_extent ext;
	int ret = take(arena, &ext);

	if (ret > 0)
		*ret_id = ext.id;
	return ret;
}

bool zerofs_arena_unstarve(struct zerofs_arena *arena)
{
	/* The BUFs posted before this call against `starved`: see zerofs_arena_alloc(). */
	smp_mb();
	if (!READ_ONCE(arena->starved) || !zerofs_ring_buf_posted(arena->bufs))
		return false;
	WRITE_ONCE(arena->starved, false);
	WRITE_ONCE(arena->bufs->k->starved, 0);
	return true;
}

void zerofs_arena_rewind(struct zerofs_cursor *cur, struct request *rq)
{
	cur->bio = rq->bio;
	cur->iter = rq->bio->bi_iter;
}

/* Up to @len bytes at @off and at the cursor, as far as both are contiguous; moves the cursor. */
static u32 copy_step(struct zerofs_arena *arena, u64 off, u32 len, struct zerofs_cursor *cur,
		     bool in)
{
	struct bio_vec bv = bio_iter_iovec(cur->bio, cur->iter);
	u32 n = min3((u32)bv.bv_len, len, (u32)(PAGE_SIZE - offset_in_page(off)));
	struct page *page = arena->pages[off >> PAGE_SHIFT];
	void *bio_mem = bvec_kmap_local(&bv);
	void *arena_mem = kmap_local_page(page) + offset_in_page(off);

	if (in)
		memcpy(arena_mem, bio_mem, n);
	else
		memcpy(bio_mem, arena_mem, n);
	kunmap_local(arena_mem);
	kunmap_local(bio_mem);
	flush_dcache_page(in ? page : bv.bv_page);
	bio_advance_iter_single(cur->bio, &cur->iter, n);
	if (!cur->iter.bi_size && cur->bio->bi_next) {
		cur->bio = cur->bio->bi_next;
		cur->iter = cur->bio->bi_iter;
	}
	return n;
}

void zerofs_arena_copy_in(struct zerofs_arena *arena, u64 off, u32 len, struct request *rq)
{
	struct zerofs_cursor cur;
	u32 n;

	zerofs_arena_rewind(&cur, rq);
	for (; len; len -= n, off += n)
		n = copy_step(arena, off, len, &cur, true);
}

void zerofs_arena_copy_out(struct zerofs_arena *arena, u64 off, u32 len, struct zerofs_cursor *cur)
{
	u32 n;

	for (; len; len -= n, off += n)
		n = copy_step(arena, off, len, cur, false);
}
