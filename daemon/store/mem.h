/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A store in memory for tests: single-threaded, deterministic. */
#ifndef STORE_MEM_H
#define STORE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

int mem_new(struct store **ret);	/* 0 or -ENOMEM */

/*
 * Carries out and completes the oldest request. False: none is under way. Requests take effect
 * here, not when they are submitted.
 */
bool mem_run(struct store *s);

/* Requests under way. */
unsigned int mem_pending(const struct store *s);

/*
 * For tests that damage things: the bytes of an object (NULL = none), to read or to change in
 * place; removal; replacement of an object by other bytes, which no PUT can do. 0 or -ENOENT,
 * -ENOMEM.
 */
uint8_t *mem_object(struct store *s, const char *name, size_t *ret_len);
int mem_drop(struct store *s, const char *name);
int mem_set(struct store *s, const char *name, const void *p, size_t len);

/* Bytes of all objects; a PUT that would exceed @limit gets -ENOSPC (~0 = none, the default). */
uint64_t mem_bytes(const struct store *s);
void mem_set_limit(struct store *s, uint64_t limit);

/* A copy of all objects, with nothing under way: what another host would find. */
int mem_clone(struct store *s, struct store **ret);

#endif
