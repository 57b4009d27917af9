/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The questions of a trial that are answered yes or no. Threads: core lock. */
#ifndef STORE_TRIAL_CHECK_H
#define STORE_TRIAL_CHECK_H

#include <stdbool.h>

struct trial;

/*
 * Asks them one by one, and writes a row each, until trial_io_stopped() or one without which the
 * others make no sense was answered no. True: all were asked. [waits]
 */
bool trial_check(struct trial *t);

#endif
