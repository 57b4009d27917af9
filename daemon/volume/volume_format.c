// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making a volume: the store is asked whether it can hold one (probe.h), then manifest 1 (devices,
 * no runs), then head 1, which makes it one.
 */
#include "volume/volume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "format/fmt_head.h"
#include "format/fmt_manifest.h"
#include "format/fmt_name.h"
#include "volume/keys.h"
#include "volume/probe.h"
#include "volume/sio.h"
#include "volume/vol.h"

#define FORMAT_EPOCH 1u

/* -EEXIST if there is any head. [waits] */
static int check_empty(struct sio_ctx *c)
{
	struct sio *s = sio_list(c, FMT_PREFIX_HEAD, "", 1);
	int err;

	if (!s)
		return -ENOMEM;
	sio_start(s, 1);
	err = sio_wait(s);
	if (!err && s->res)
		err = s->res < 0 ? (int)s->res : -EEXIST;
	sio_drop(s);
	return err;
}

static void forget_probe(struct sio_ctx *c)
{
	struct sio *s = sio_new(c, STORE_DELETE, FMT_NAME_PROBE);

	if (!s)
		return;
	sio_start(s, 1);
	(void)sio_wait(s);
	sio_drop(s);
}

/* A volume is only made where it can be served. [waits] */
static int check_store(struct sio_ctx *c, const struct volume_format *f)
{
	struct probe p;
	int err;

	probe_start(&p, c, f->uuid, f->no_fencing, 1);
	err = probe_wait(&p);
	probe_cancel(&p);
	/* It has been made, and overwritten, by us. */
	if (err == -EOPNOTSUPP)
		forget_probe(c);
	return err;
}

static int put_manifest(struct sio_ctx *c, struct keyring *kr, const struct volume_format *f,
			struct fmt_head *h)
{
	struct fmt_manifest m = {
		.version = 1,
		.epoch = FORMAT_EPOCH,
		.created_us = h->created_us,
		.replay_from = h->replay_from,
		.next_dev_id = f->nr_devs,
		.nr_devs = f->nr_devs,
	};
	char name[FMT_NAME_MAX];
	struct buf b = BUF_INIT;
	uint32_t i;
	int err;

	m.devs = calloc(f->nr_devs, sizeof(*m.devs));
	if (!m.devs)
		return -ENOMEM;
	for (i = 0; i < f->nr_devs; i++) {
		m.devs[i] = (struct fmt_dev){ .id = i, .size = f->dev_size, .death = ~0ull };
		snprintf(m.devs[i].name, sizeof(m.devs[i].name), "%u", i);
	}
	randombytes_buf(&m.id, sizeof(m.id));
	err = fmt_manifest_seal(&b, &m, f->uuid, keys_get(kr, KEYS_MANIFEST), h->manifest_hash);
	free(m.devs);
	if (err) {
		buf_free(&b);
		return err;
	}
	h->manifest_version = m.version;
	h->manifest_id = m.id;
	fmt_name_manifest(name, m.version, m.id);
	return sio_create(c, name, b.data, b.len);
}

static int put_head(struct sio_ctx *c, struct keyring *kr, const struct fmt_head *h,
		    const uint8_t uuid[16])
{
	uint8_t *body = malloc(FMT_HEAD_LEN);
	char name[FMT_NAME_MAX];
	int err;

	if (!body)
		return -ENOMEM;
	err = fmt_head_seal(body, h, uuid, keys_get(kr, KEYS_HEAD));
	if (err) {
		free(body);
		return err;
	}
	fmt_name_head(name, h->version);
	return sio_create(c, name, body, FMT_HEAD_LEN);
}

int volume_format(const struct volume_env *env, struct keyring *kr, const struct volume_format *f)
{
	struct fmt_head h = {
		.version = 1,
		.epoch = FORMAT_EPOCH,
		.window = VOL_WINDOW,
		.flags = FMT_HEAD_CLEAN,
		.keys_version = keys_version(kr),
		.replay_from = VOL_FIRST_SEQ,
		.created_us = clock_real_us(env->clock),
	};
	struct sio_ctx c;
	int err;

	if (!f->nr_devs || f->nr_devs > VOLUME_MAX_DEVS || !f->dev_size ||
	    f->dev_size % IO_BLOCK_SIZE || f->dev_size >> IO_BLOCK_SHIFT > FMT_MAX_LBA)
		return -EINVAL;
	sio_ctx_init(&c, env);
	randombytes_buf(h.nonce, sizeof(h.nonce));
	err = check_empty(&c);
	if (!err)
		err = check_store(&c, f);
	if (!err)
		err = put_manifest(&c, kr, f, &h);
	if (!err)
		err = put_head(&c, kr, &h, f->uuid);
	return err;
}
