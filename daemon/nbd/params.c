// SPDX-License-Identifier: GPL-2.0-or-later
#include "nbd/params.h"

#include <errno.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/host.h"
#include "server/secret.h"
#include "store/url.h"

static const struct param {
	const char *key;
	enum params_kind kind;
	size_t at; /* of a pointer or a bool in struct params */
} table[] = {
	{ "url", PARAMS_TEXT, offsetof(struct params, url) },
	{ "device", PARAMS_TEXT, offsetof(struct params, device) },
	{ "passphrase-file", PARAMS_FILE, offsetof(struct params, passphrase_file) },
	{ "key-file", PARAMS_FILE, offsetof(struct params, key_file) },
	{ "state-dir", PARAMS_FILE, offsetof(struct params, state_dir) },
	{ "journal", PARAMS_FILE, offsetof(struct params, journal) },
	{ "memory", PARAMS_TEXT, offsetof(struct params, texts.memory) },
	{ "segment-size", PARAMS_TEXT, offsetof(struct params, texts.segment_size) },
	{ "segment-age", PARAMS_TEXT, offsetof(struct params, texts.segment_age) },
	{ "zstd-level", PARAMS_TEXT, offsetof(struct params, texts.zstd_level) },
	{ "read-ahead", PARAMS_TEXT, offsetof(struct params, texts.read_ahead) },
	{ "flush", PARAMS_TEXT, offsetof(struct params, texts.flush) },
	{ "max-dirty-bytes", PARAMS_TEXT, offsetof(struct params, texts.max_dirty_bytes) },
	{ "max-dirty-age", PARAMS_TEXT, offsetof(struct params, texts.max_dirty_age) },
	{ "stop-after", PARAMS_TEXT, offsetof(struct params, texts.stop_after) },
	{ "takeover", PARAMS_SWITCH, offsetof(struct params, takeover) },
	{ "abandon-journal", PARAMS_SWITCH, offsetof(struct params, abandon_journal) },
	{ "accept-loss", PARAMS_SWITCH, offsetof(struct params, accept_loss) },
	{ "unsafe-no-fencing", PARAMS_SWITCH, offsetof(struct params, no_fencing) },
};

static const struct param *find(const char *key)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (!strcmp(table[i].key, key))
			return &table[i];
	}
	return NULL;
}

enum params_kind params_kind(const char *key)
{
	const struct param *e = find(key);

	return e ? e->kind : PARAMS_UNKNOWN;
}

void params_take(struct params *p, const char *key, const char *text, bool on)
{
	const struct param *e = find(key);
	void *at = (char *)p + e->at;

	if (e->kind == PARAMS_SWITCH) {
		*(bool *)at = on;
		return;
	}
	if (e->kind == PARAMS_FILE)
		free(*(char **)at);
	*(const char **)at = text;
}

static int read_secret(struct params *p, char *err)
{
	const char *pass = p->passphrase_file;

	if (pass && p->key_file) {
		snprintf(err, HOST_ERR_LEN,
			 "a passphrase file and a key file were given; one of them is enough");
		return -EINVAL;
	}
	if (!pass && !p->key_file) {
		pass = getenv(PARAMS_SECRET_ENV);
		if (!pass || !*pass) {
			snprintf(err, HOST_ERR_LEN,
				 "no passphrase: give passphrase-file or key-file");
			return -EINVAL;
		}
	}
	if (sodium_init() < 0) {
		snprintf(err, HOST_ERR_LEN, "the crypto library does not start");
		return -EIO;
	}
	p->secret_buf = sodium_malloc(SECRET_MAX);
	if (!p->secret_buf) {
		snprintf(err, HOST_ERR_LEN,
			 "out of memory (locked memory for a key; see ulimit -l)");
		return -ENOMEM;
	}
	return secret_read(&p->secret, p->secret_buf, pass ? pass : p->key_file,
			   pass ? KEYS_PASSPHRASE : KEYS_KEYFILE, err, HOST_ERR_LEN);
}

int params_complete(struct params *p, struct served_conf *ret, char *err)
{
	struct url u;
	int rc;

	*ret = (struct served_conf){
		.url = p->url,
		.secret = &p->secret,
		.wipe = params_wipe,
		.wipe_ctx = p,
		.state_dir = p->state_dir,
		.journal = p->journal,
	};
	if (!p->url) {
		snprintf(err, HOST_ERR_LEN, "which volume? Give url=, as for: zerofs serve");
		return -EINVAL;
	}
	rc = url_parse(&u, p->url, err, HOST_ERR_LEN);
	if (rc)
		return rc;
	p->texts.journal = p->journal;
	rc = settings_take(&p->texts, &ret->volume, err);
	if (rc)
		return rc;
	ret->volume.write_queues = settings_queues();
	ret->volume.takeover = p->takeover;
	ret->volume.abandon_journal = p->abandon_journal;
	ret->volume.accept_loss = p->accept_loss;
	ret->volume.no_fencing = p->no_fencing;
	return read_secret(p, err);
}

int params_lock(struct params *p)
{
	return p->secret_buf && sodium_mlock(p->secret_buf, SECRET_MAX) < 0 ? -errno : 0;
}

void params_wipe(void *ctx)
{
	struct params *p = ctx;

	sodium_free(p->secret_buf);
	p->secret_buf = NULL;
	p->secret = (struct keys_secret){ 0 };
}

void params_free(struct params *p)
{
	params_wipe(p);
	free(p->passphrase_file);
	free(p->key_file);
	free(p->state_dir);
	free(p->journal);
	*p = (struct params){ 0 };
}
