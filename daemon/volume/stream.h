/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which READs are part of a sequential stream, and what should be read ahead for it. Only
 * arithmetic: who reads ahead is ahead.c. Modelled on the on-demand read-ahead of Linux
 * (mm/readahead.c), with several windows ahead, for a store that answers late.
 *
 * A place where a READ ended is a candidate; STREAM_READS of them in a row, in any order within
 * STREAM_NEAR and with no more than a third of the blocks left out, make it a stream. A stream's
 * window begins at STREAM_WINDOW_MIN and doubles whenever as much as a window has been read since,
 * up to the largest one. STREAM_DEPTH windows are kept ahead of the reader, but of the first size
 * only one: three READs of 4 KiB are no great promise.
 *
 * Blocks that were read ahead and that the reader skipped or never came to are waste. When more
 * than a third of what was read ahead proves waste, windows are kept smaller for all streams, in
 * the end there are none ("shadow": streams are followed, and what they would have wasted is
 * counted, but nothing is read ahead); when it is less than a tenth, larger again.
 *
 * Threads: core lock.
 */
#ifndef VOLUME_STREAM_H
#define VOLUME_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#define STREAM_WINDOW_MIN 32u		/* blocks: 128 KiB ... */
#define STREAM_LEVELS	  7u		/* ... 8 MiB */
#define STREAM_DEPTH	  4u
#define STREAM_PIECE	  256u		/* blocks that are wanted at once, at most: 1 MiB */
#define STREAM_READS	  3u
#define STREAM_NEAR	  256u		/* blocks */
#define STREAM_NR	  32u		/* candidates and streams */
#define STREAM_MAX	  16u		/* streams */

/*
 *          stream_read()                 STREAM_READS in a row
 *  (free) ----------------> CANDIDATE ------------------------------> STREAM
 *                               ^  another takes the place of one that    |
 *                               |  was not read meanwhile, or             |
 *                               +---  more than a third is left out ------+
 */
struct stream {
	uint64_t next;			/* behind the last block that was read */
	uint64_t start;			/* of the first */
	uint64_t head;			/* STREAM: read ahead up to here, if it is beyond next */
	uint64_t grown;			/* next when the window doubled last */
	uint64_t used;			/* streams.clock of its last READ ... */
	uint64_t since;			/* ... and of when counting them began */
	uint32_t dev;
	uint32_t holes;			/* blocks in [start, next) that were not read, at most */
	uint32_t reads;			/* up to STREAM_READS */
	uint32_t level;			/* window = STREAM_WINDOW_MIN << level */
	bool found;			/* STREAM, no candidate */
};

struct streams {
	struct stream s[STREAM_NR];
	uint32_t nr;			/* slots that were ever used */
	uint32_t nr_found;
	uint64_t clock;			/* READs */
	uint64_t budget;		/* blocks that may be ahead of all streams together */
	uint32_t max_level;		/* of the largest window that was asked for */
	uint32_t top;			/* levels that are in use now: 0 = shadow */
	uint64_t passed, waste;		/* blocks read ahead that the reader is past; of these */
};

/*
 * @budget: blocks ahead of all streams together, at most. @max_window: blocks, at most
 * STREAM_WINDOW_MIN << (STREAM_LEVELS - 1), rounded down to a power of two; less than
 * STREAM_WINDOW_MIN: nothing is ever read ahead.
 */
void stream_init(struct streams *s, uint64_t budget, uint32_t max_window);

/* Counts a READ. The stream that it moved forward; NULL: none. */
struct stream *stream_read(struct streams *s, uint32_t dev, uint64_t lba, uint32_t n);

/*
 * The next stretch that should be read ahead for @st on a device of @nblocks blocks: a window, or a
 * piece of one that is larger, as soon as there is room for it; less at the end of the device.
 * False: none now. The caller then says with stream_ahead() up to where it was planned, and asks
 * again.
 */
bool stream_wants(const struct streams *s, const struct stream *st, uint64_t nblocks,
		  uint64_t *ret_lba, uint32_t *ret_n);
void stream_ahead(struct stream *st, uint64_t to);

/* How many blocks are to be ahead of @st. */
uint64_t stream_reach(const struct streams *s, const struct stream *st);

/* Is nothing really to be read ahead? stream_ahead() is called all the same. */
bool stream_shadow(const struct streams *s);

#endif
