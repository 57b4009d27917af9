/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notify: what a service manager is told (the sd_notify protocol), if there is one. */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

/*
 * Sends @state ("READY=1") to $NOTIFY_SOCKET; without one, or when it fails, does nothing. Any
 * thread.
 */
void notify_send(const char *state);

#endif
