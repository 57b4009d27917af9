/* SPDX-License-Identifier: GPL-2.0-or-later */
/* machine: which machine this is. */
#ifndef SERVER_MACHINE_H
#define SERVER_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/*
 * What stays the same over reboots and differs from other machines: from /etc/machine-id, without
 * one from the host's name. It does not give the machine-id away.
 */
void machine_id(uint8_t out[16]);

/* The host's name, cut to @len. Never empty. */
void machine_name(char *out, size_t len);

#endif
