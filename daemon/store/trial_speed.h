/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How fast the store on trial is. Threads: core lock. */
#ifndef STORE_TRIAL_SPEED_H
#define STORE_TRIAL_SPEED_H

struct trial;

/* Latencies one after the other, then throughput; a row each. [waits] */
void trial_speed(struct trial *t);

#endif
