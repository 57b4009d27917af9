/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * qfd: a queue's file descriptor: mmap, poll, ENTER. It holds its device and its rings, so it may
 * outlive the daemon's control device; the rings are dead then and ENTER says why.
 */
#ifndef _ZEROFS_QFD_H
#define _ZEROFS_QFD_H

struct file;
struct zerofs_conn;
struct zerofs_queue_fd;

/*
 * Rings for the queue named in @arg, bound to it, and a file for them, which is the caller's to
 * install or put. Fills in @arg but for the descriptor. May sleep.
 */
int zerofs_qfd_new(struct zerofs_conn *conn, struct zerofs_queue_fd *arg, struct file **ret_file);

#endif
