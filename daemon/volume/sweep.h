/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Deletion of what nobody refers to any more. Threads: core lock. */
#ifndef VOLUME_SWEEP_H
#define VOLUME_SWEEP_H

struct volume;

/*
 * A head was made and found to be the newest: deletes the manifests before the previous one and the
 * runs of their age that neither of the two names, and what checkpoints that did not end have left
 * there. volume.sweeps counts the requests under way. No memory, or a store that fails: the next
 * sweep finds what is left.
 */
void sweep_start(struct volume *v);

#endif
