/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report_store: what a store was asked, what that took, and what is paid for, as JSON. */
#ifndef SERVER_REPORT_STORE_H
#define SERVER_REPORT_STORE_H

#include <jansson.h>
#include <stdint.h>

struct store;

/* Each a new object, or NULL. @s is a host's (store/stat.h). Core lock held. */

/* By kind of request, as the engine asked. */
json_t *report_store(struct store *s);

/* The same as it went over the network; JSON's null if nothing does. */
json_t *report_store_wire(struct store *s);

/* Of what a bill is made: since the start and over the last hour; @stored bytes are kept. */
json_t *report_store_usage(struct store *s, uint64_t stored);

#endif
