// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/s3.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/s3/creds.h"
#include "store/s3/s3_io.h"
#include "store/s3/s3_shared.h"
#include "store/store.h"
#include "store/wire.h"

#define THREADS_MAX 4u

struct s3 {
	struct store store;
	struct s3_shared shared;
	unsigned int nr;
	struct s3_io *io[THREADS_MAX];
};

static void submit(struct store *st, struct store_req *r)
{
	struct s3 *s = container_of(st, struct s3, store);
	struct s3_io *best = s->io[0];

	/* Of several the first, whose connections are the warmest. */
	for (unsigned int i = 1; i < s->nr; i++)
		if (s3_io_load(s->io[i]) < s3_io_load(best))
			best = s->io[i];
	s3_io_submit(best, r);
}

static void why(struct store *st, char *out, size_t len)
{
	s3_shared_why(&container_of(st, struct s3, store)->shared, out, len);
}

static bool wire(struct store *st, struct wire *ret)
{
	struct s3 *s = container_of(st, struct s3, store);
	struct s3_opts o = s->shared.o;
	char region[33], *port;

	s3_shared_region(&s->shared, region);
	o.path_style = true; /* without the bucket */
	s3_opts_host(&o, region, ret->host, sizeof(ret->host));
	port = ret->host[0] == '[' ? strchr(ret->host, ']') : ret->host;
	port = port ? strchr(port, ':') : NULL;
	if (port)
		*port = '\0';
	for (unsigned int i = 0; i < s->nr; i++)
		s3_io_wire(s->io[i], ret);
	return true;
}

static void facts(struct store *st, struct store_facts *ret)
{
	s3_shared_facts(&container_of(st, struct s3, store)->shared, ret);
}

static void close_s3(struct store *st)
{
	struct s3 *s = container_of(st, struct s3, store);

	/* It calls into the threads. */
	creds_close(s->shared.creds);
	for (unsigned int i = 0; i < s->nr; i++)
		s3_io_free(s->io[i]);
	s3_shared_destroy(&s->shared);
	free(s);
}

static void renewed(void *priv)
{
	struct s3 *s = priv;

	for (unsigned int i = 0; i < s->nr; i++)
		s3_io_renewed(s->io[i]);
}

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_ALL);
}

static unsigned int nr_threads(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 2 ? 2 : n > (long)THREADS_MAX ? THREADS_MAX : (unsigned int)n;
}

int s3_open(struct store **ret, const struct s3_opts *o, struct core *core, struct clock *clock,
	    char *err, size_t err_len)
{
	static const struct store_ops ops = {
		.kind = "s3",
		.submit = submit,
		.close = close_s3,
		.why = why,
		.wire = wire,
		.facts = facts,
	};
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct creds_opts co;
	struct creds_chain *creds;
	unsigned int n = nr_threads();
	struct s3 *s;
	int rc;

	pthread_once(&once, init_curl);
	snprintf(err, err_len, "out of memory");
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	co = (struct creds_opts){
		.file = o->credentials,
		.profile = o->profile,
		/* another service's name of a region means nothing to Amazon's */
		.region = o->endpoint[0] ? NULL : o->region,
	};
	rc = creds_open(&creds, &co, clock, err, err_len);
	if (rc)
		goto err_free;
	s->store.ops = &ops;
	s3_shared_init(&s->shared, o, core, clock, creds);
	while (s->nr < n && !rc) {
		rc = s3_io_new(&s->io[s->nr], &s->shared);
		if (!rc)
			s->nr++;
	}
	if (rc) {
		snprintf(err, err_len, "cannot start threads");
		close_s3(&s->store);
		return rc;
	}
	creds_notify(creds, renewed, s);
	*ret = &s->store;
	return 0;

err_free:
	free(s);
	return rc;
}
