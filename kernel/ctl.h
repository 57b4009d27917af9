/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ctl: /dev/zerofs-control. Checks what user space says before a session sees it.
 */
#ifndef _ZEROFS_CTL_H
#define _ZEROFS_CTL_H

int zerofs_ctl_register(void);
void zerofs_ctl_unregister(void);

#endif
