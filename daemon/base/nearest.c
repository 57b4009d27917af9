// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/nearest.h"

#include <string.h>

#define NEAREST_MAX 32u /* longer words are cut: no word of ours is so long */

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int m = a < b ? a : b;

	return m < c ? m : c;
}

unsigned int nearest_distance(const char *a, const char *b)
{
	unsigned int d[NEAREST_MAX + 1][NEAREST_MAX + 1];
	unsigned int na = strnlen(a, NEAREST_MAX), nb = strnlen(b, NEAREST_MAX);

	for (unsigned int i = 0; i <= na; i++)
		d[i][0] = i;
	for (unsigned int j = 0; j <= nb; j++)
		d[0][j] = j;
	for (unsigned int i = 1; i <= na; i++) {
		for (unsigned int j = 1; j <= nb; j++) {
			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1,
				       d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[na][nb];
}

const char *nearest_word(const char *word, const void *words, size_t n, size_t stride)
{
	const char *best = NULL;
	unsigned int best_d = ~0u;

	for (size_t i = 0; i < n; i++) {
		const char *w = *(const char *const *)((const char *)words + i * stride);
		unsigned int dist = nearest_distance(word, w);

		/* What was begun and broken off is near, however much is missing. */
		if (strlen(word) >= 2 && !strncmp(word, w, strlen(word)))
			dist = 1;
		if (dist < best_d) {
			best_d = dist;
			best = w;
		}
	}
	/* Up to a third of the word may be wrong, and always one letter. */
	return best && best_d <= strlen(word) / 3 + 1 ? best : NULL;
}
