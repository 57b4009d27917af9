/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process: what a process has to be to serve a block device that the machine may swap or write back
 * to: it must not need that device to make progress, must not be the one that the OOM killer picks,
 * and must not leave keys in a core file.
 */
#ifndef SERVER_PROCESS_H
#define SERVER_PROCESS_H

#include <stddef.h>

/*
 * Before the first thread: reclaim on behalf of this process starts no I/O (inherited by threads),
 * no core dump, no tracing by others, small thread stacks, many descriptors, signals blocked in all
 * threads. What is not permitted is left out: 0, or 1 with one sentence on what that means in @err.
 */
int process_harden(char *err, size_t len);

/*
 * Keys are there and key derivation is over: nothing of this process is ever paged out from here
 * on. 0 or -errno.
 */
int process_lock_memory(void);

#endif
