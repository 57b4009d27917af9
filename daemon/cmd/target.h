/* SPDX-License-Identifier: GPL-2.0-or-later */
/* target: the volume of this host that a word on the command line means. */
#ifndef CMD_TARGET_H
#define CMD_TARGET_H

#include <jansson.h>

#include "transport/kdev.h"

#define TARGET_MAX	4096	/* sessions that are looked at */

/* Opens the control device. 0, or CMD_FAILED after one line on stderr. */
int target_open(struct kdev *kd);

/*
 * The session that @word means: a volume's name or UUID, or /dev/zerofsN. 0, or CMD_FAILED after
 * one line on stderr that names the nearest volume there is.
 */
int target_find(struct kdev *kd, const char *word, struct zerofs_session_info *ret);

/* Both: on failure @kd is closed. */
int target_open_find(struct kdev *kd, const char *word, struct zerofs_session_info *ret);

/* All sessions: how many, or -1 after one line on stderr. @ret is the caller's to free. */
int target_sessions(struct kdev *kd, struct zerofs_session_info **ret);

/* All devices of a session (~0: of all), as above. */
int target_devices(struct kdev *kd, uint32_t session, struct zerofs_dev_info **ret);

/*
 * Asks the session's daemon and takes its answer, the caller's. @patience_ms: 0 = for ever. 0, or
 * CMD_FAILED after one line on stderr (a refusal is printed as it came). Notes, which the daemon
 * sends if @req says "notes": true, are printed to stderr as they come, a line each.
 */
int target_ask(const struct zerofs_session_info *si, json_t *req, unsigned int patience_ms,
	       json_t **ret);

/*
 * Asks "@op" of an nbdkit on this host that serves a volume called @name, without the module. Its
 * answer, the caller's, or NULL: there is none that answers.
 */
json_t *target_try_nbd(const char *name, const char *op);

/*
 * Asks "@op" (stats, status) of whoever serves the volume that @word means: the daemon of the
 * module's session, or an nbdkit that serves a volume of that name. The rest as above.
 */
int target_ask_word(const char *word, const char *op, json_t **ret);

/* The same without words: NULL if the daemon does not answer. */
json_t *target_try(const struct zerofs_session_info *si, json_t *req, unsigned int patience_ms);

#endif
