/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * params: what stands on nbdkit's command line, key=value: the options of `zerofs serve` that make
 * sense without its devices, and which device. Main thread.
 */
#ifndef NBD_PARAMS_H
#define NBD_PARAMS_H

#include <stdbool.h>

#include "nbd/served.h"
#include "server/settings.h"

#define PARAMS_SECRET_ENV "ZEROFS_PASSPHRASE_FILE"

/**
 * struct params - all zero at first; strings are the caller's (nbdkit's live as long as it does)
 * but for those that name files, which are absolute and its own
 */
struct params {
	const char *url, *device;
	char *passphrase_file, *key_file, *state_dir, *journal;
	struct settings_texts texts;
	bool takeover, abandon_journal, accept_loss, no_fencing;
	struct keys_secret secret;
	unsigned char *secret_buf;
};

/* How a value of @key is to be read. */
enum params_kind {
	PARAMS_UNKNOWN,
	PARAMS_TEXT,
	PARAMS_FILE, /* to be made absolute: nbdkit leaves its folder */
	PARAMS_SWITCH,
};

enum params_kind params_kind(const char *key);

/*
 * Takes @key: @text for TEXT, and for FILE (absolute, malloc'd, @p's from then on), @on for SWITCH.
 */
void params_take(struct params *p, const char *key, const char *text, bool on);

/*
 * Checks what can be checked without the store, and reads the secret. 0, or -errno and one sentence
 * in @err (HOST_ERR_LEN bytes).
 */
int params_complete(struct params *p, struct served_conf *ret, char *err);

/*
 * After a fork: the child's memory is not locked, whatever the parent's was. Locks the secret
 * again.
 * -errno: it may be paged out.
 */
int params_lock(struct params *p);

/* Zeroes the secret; the served_conf's wipe. */
void params_wipe(void *p);

void params_free(struct params *p);

#endif
