/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A folder that a test may fill. */
#ifndef TEMPDIR_H
#define TEMPDIR_H

/* Makes one under $TMPDIR or /tmp; asserts. The string is the caller's to tempdir_remove(). */
char *tempdir_make(void);

/* Removes it with all that is in it, and frees the string. NULL does nothing. */
void tempdir_remove(char *path);

#endif
