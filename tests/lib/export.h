/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Objects of a memory store as files. */
#ifndef EXPORT_H
#define EXPORT_H

#include <stddef.h>
#include <stdint.h>

struct store;

typedef void (*export_fn)(void *ctx, const char *name, const uint8_t *p, size_t len);

/* Calls @fn for every object, in order. */
void export_each(struct store *mem, export_fn fn, void *ctx);

/* Writes every object to a file of its name under folder @dir, as a file store has them. */
void export_to(struct store *mem, const char *dir);

/* All of a file, malloc'ed; NULL if it cannot be read. */
uint8_t *export_read(const char *path, size_t *ret_len);

/* Writes a file, making its folders. Asserts. */
void export_write(const char *path, const void *p, size_t len);

#endif
