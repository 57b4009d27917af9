/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The word somebody probably meant. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

/* Insertions, deletions, replacements and swaps of neighbours that turn @a into @b. Any thread. */
unsigned int nearest_distance(const char *a, const char *b);

/*
 * The word of @words (@n of them, @stride bytes from one `const char *` to the next) that is
 * nearest to @word, or NULL if none is near enough to be worth naming. Any thread.
 */
const char *nearest_word(const char *word, const void *words, size_t n, size_t stride);

#endif
