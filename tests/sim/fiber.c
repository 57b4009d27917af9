// SPDX-License-Identifier: GPL-2.0-or-later
#include "sim/fiber.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define STACK (1u << 20)

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#else
static void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size)
{
	(void)fake;
	(void)bottom;
	(void)size;
}

static void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size)
{
	(void)fake;
	(void)bottom;
	(void)size;
}
#endif

static void leave(struct fiber *f, bool last)
{
	__sanitizer_start_switch_fiber(last ? NULL : &f->fake, f->back_bottom, f->back_size);
	swapcontext(&f->ctx, &f->back);
	__sanitizer_finish_switch_fiber(f->fake, &f->back_bottom, &f->back_size);
}

static void enter(struct fiber *f)
{
	__sanitizer_start_switch_fiber(&f->back_fake, f->stack, STACK);
	swapcontext(&f->back, &f->ctx);
	__sanitizer_finish_switch_fiber(f->back_fake, NULL, NULL);
}

static void trampoline(unsigned int hi, unsigned int lo)
{
	struct fiber *f = (void *)((uintptr_t)hi << 32 | lo);

	__sanitizer_finish_switch_fiber(NULL, &f->back_bottom, &f->back_size);
	f->fn(f->arg);
	f->live = false;
	leave(f, true);
}

void fiber_start(struct fiber *f, void (*fn)(void *arg), void *arg)
{
	if (!f->stack)
		f->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (f->stack == MAP_FAILED)
		abort();
	f->fn = fn;
	f->arg = arg;
	f->live = true;
	f->kill = false;
	f->done = NULL;
	getcontext(&f->ctx);
	f->ctx.uc_stack.ss_sp = f->stack;
	f->ctx.uc_stack.ss_size = STACK;
	f->ctx.uc_link = NULL;
	makecontext(&f->ctx, (void (*)(void))trampoline, 2, (unsigned int)((uintptr_t)f >> 32),
		    (unsigned int)(uintptr_t)f);
	enter(f);
}

void fiber_resume(struct fiber *f)
{
	f->done = NULL;
	enter(f);
}

int fiber_wait(struct fiber *f, const bool *done)
{
	while (!*done) {
		if (f->kill)
			return -EINTR;
		f->done = done;
		leave(f, false);
	}
	return 0;
}

void fiber_free(struct fiber *f)
{
	if (f->stack)
		munmap(f->stack, STACK);
	f->stack = NULL;
}
