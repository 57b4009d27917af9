// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * New keys while the volume is served: see volume_rekey.h.
 *
 * Happy path: GET of the object that was named, its MAC checked with the master, its data keys
 * unwrapped; what is sealed from here on uses the newest; a checkpoint makes the head that refuses
 * older keys objects. Failure modes: the object cannot be had or is not what it should be: the old
 * keys stay in use and whoever asked is told; he may ask again.
 */
#include "volume/volume_rekey.h"

#include <errno.h>

#include "format/fmt_keys.h"
#include "format/fmt_name.h"
#include "volume/checkpoint.h"
#include "volume/keys.h"
#include "volume/notice.h"
#include "volume/sio.h"
#include "volume/vol.h"

bool volume_rekey_wants_head(const struct volume *v)
{
	return v->head.keys_version < keys_version(v->kr);
}

void volume_rekey_free(struct volume *v)
{
	sio_drop(v->rekey);
	v->rekey = NULL;
}

static void on_get(struct sio *s)
{
	struct volume *v = s->priv;
	int err = s->res < 0 ? (int)s->res : 0;

	if (!err && (uint64_t)s->res != s->req.size)
		err = -EBADMSG; /* longer than any keys object */
	if (!err && !vol_serving(v))
		err = -ESTALE;
	if (!err)
		err = keys_adopt(v->kr, s->body, (size_t)s->res, v->rekey_version);
	if (err)
		notice_say(&v->env, NOTICE_WARN, "object %s cannot be used: %s", s->req.name,
			   notice_errno(err));
	else
		notice_say(&v->env, NOTICE_INFO, "keys object %llu is in use, data key %u",
			   (unsigned long long)keys_version(v->kr), keys_data_gen(v->kr));
	v->rekey_err = err;
	volume_rekey_free(v);
	if (!err)
		checkpoint_due(v);
}

static void start(struct volume *v, uint64_t version)
{
	char name[FMT_NAME_MAX];

	fmt_name_keys(name, version);
	v->rekey_version = version;
	v->rekey_err = 0;
	v->rekey = sio_get(&v->sio, name, 0, FMT_KEYS_MAX_LEN);
	if (!v->rekey) {
		v->rekey_err = -ENOMEM;
		return;
	}
	v->rekey->done = on_get;
	v->rekey->priv = v;
	sio_start(v->rekey, VOL_TRIES);
}

void volume_rekey(struct volume *v, uint64_t version, struct volume_keys *ret)
{
	int err = 0;

	/* what has failed is said once, before it is tried again */
	if (!v->rekey && version == v->rekey_version) {
		err = v->rekey_err;
		v->rekey_err = 0;
	}
	if (!err && !v->rekey && vol_serving(v) && version > keys_version(v->kr))
		start(v, version);
	*ret = (struct volume_keys){
		.version = keys_version(v->kr),
		.in_head = v->head.keys_version,
		.data_gen = keys_data_gen(v->kr),
		.busy = v->rekey,
		.err = err || v->rekey ? err : v->rekey_err,
	};
}
