/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Uploads sealed segments, create-only, within the window: seq < lowest not durable + W. Threads:
 * core lock.
 */
#ifndef VOLUME_UPLOADER_H
#define VOLUME_UPLOADER_H

struct volume;

/* Starts the PUTs that may start. Call after anything has changed. */
void uploader_pump(struct volume *v);

#endif
