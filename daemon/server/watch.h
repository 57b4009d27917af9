/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch: the daemon's watcher, a thread that takes signals and the control socket's requests, tells
 * the main thread what is wanted (struct serve), and answers at once what needs no store.
 */
#ifndef SERVER_WATCH_H
#define SERVER_WATCH_H

struct serve;

/* 0 or -errno; watch_stop() in any case. */
int watch_start(struct serve *s);

/* It looks again: at the control socket, at when to hurry. Any thread. */
void watch_poke(struct serve *s);

/* Ends the thread: no request is taken any more. Without the core lock. */
void watch_stop(struct serve *s);

#endif
