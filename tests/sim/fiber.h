/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A function that can wait in the middle: what blocks in the core blocks in one of these. */
#ifndef SIM_FIBER_H
#define SIM_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <ucontext.h>

struct fiber {
	ucontext_t ctx, back;
	void *stack;
	void (*fn)(void *arg);
	void *arg;
	const bool *done;		/* it waits for this; NULL: it runs, or is not there */
	bool live;
	bool kill;			/* its waits end with -EINTR */
	/* the address sanitizer's */
	void *fake, *back_fake;
	const void *back_bottom;
	size_t back_size;
};

/* Starts @fn(@arg), up to its first wait or its end. */
void fiber_start(struct fiber *f, void (*fn)(void *arg), void *arg);

/* Goes on until the next wait or the end (live is false then). */
void fiber_resume(struct fiber *f);

/* From within: until *@done, or kill (-EINTR). */
int fiber_wait(struct fiber *f, const bool *done);

void fiber_free(struct fiber *f);	/* not live */

#endif
