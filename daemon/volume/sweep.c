// SPDX-License-Identifier: GPL-2.0-or-later
#include "volume/sweep.h"

#include "format/fmt_name.h"
#include "volume/vol.h"

#define SWEEP_MAX 256u

static struct volume *volume_of(const struct sio *s)
{
	return container_of(s->ctx, struct volume, sio);
}

static void start(struct sio *s, void (*done)(struct sio *s))
{
	volume_of(s)->sweeps++;
	s->done = done;
	sio_start(s, VOL_TRIES);
}

static void end(struct sio *s)
{
	struct volume *v = volume_of(s);

	sio_drop(s);
	if (!--v->sweeps)
		v->wake = true;
}

static bool in_image(const struct vol_image *img, uint64_t version, uint64_t id)
{
	uint32_t i;

	if (img->version == version && img->id == id)
		return true;
	for (i = 0; i < img->nr_runs; i++)
		if (img->runs[i].version == version && img->runs[i].id == id)
			return true;
	return false;
}

/* The version of a manifest or run, 0: not such a name. */
static uint64_t version_of(const char *name, uint64_t *ret_id)
{
	uint64_t version;

	if (fmt_name_parse_manifest(name, &version, ret_id) &&
	    fmt_name_parse_run(name, &version, ret_id))
		return 0;
	return version;
}

static void on_list(struct sio *s);

static void list(struct volume *v, const char *prefix, const char *after)
{
	struct sio *s = sio_list(&v->sio, prefix, after, SWEEP_MAX);

	if (s)
		start(s, on_list);
}

/* Names are in the order of versions, so behind the first that is young nothing is old. */
static void on_list(struct sio *s)
{
	struct volume *v = volume_of(s);
	const struct store_entry *ents = sio_entries(s);
	uint64_t version = 0, id;
	ssize_t i;

	for (i = 0; vol_serving(v) && i < s->res; i++) {
		struct sio *d;

		version = version_of(ents[i].name, &id);
		if (version >= v->image[1].version)
			break;
		if (!version || in_image(&v->image[0], version, id) ||
		    in_image(&v->image[1], version, id))
			continue;
		d = sio_new(&v->sio, STORE_DELETE, ents[i].name);
		if (d)
			start(d, end);
	}
	if (vol_serving(v) && i == SWEEP_MAX)
		list(v, s->req.name, ents[i - 1].name);
	end(s);
}

void sweep_start(struct volume *v)
{
	list(v, FMT_PREFIX_MANIFEST, "");
	list(v, FMT_PREFIX_RUN, "");
}
