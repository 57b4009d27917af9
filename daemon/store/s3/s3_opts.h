/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an s3:// URL says:
 *
 *   s3://bucket/prefix?endpoint=http://host:port&region=R&style=path|virtual&plain-http=yes
 *     &ca=/FILE&storage-class=C&sse=AES256|aws:kms&sse-kms-key=K&requester-pays=yes&profile=P
 *     &credentials=/FILE&up=MB_per_s&down=MB_per_s
 *
 * What it does not say is taken from the environment. A secret never stands in it.
 */
#ifndef S3_S3_OPTS_H
#define S3_S3_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S3_OPTS_PREFIX_MAX 512u /* with a name of STORE_NAME_MAX it fits S3's 1024 */

struct s3_opts {
	char bucket[64];
	char prefix[S3_OPTS_PREFIX_MAX + 1]; /* decoded, no slash at either end, "" = none */
	char endpoint[272];	/* scheme://host[:port]; "" = Amazon's, of the region */
	char region[33];	/* "" = not said */
	bool path_style;
	bool style_said;
	bool plain_http;	/* consented to */
	char ca[512];		/* "" = the system's */
	char storage_class[33];
	char sse[17];
	char sse_key[257];
	bool requester_pays;
	char profile[129];	/* "" = not said */
	char credentials[512];	/* a file, "" = not said */
	uint64_t up_bps, down_bps; /* bytes per second, 0 = no cap */
};

/*
 * Reads @s, which begins with "s3://". Pure. -EINVAL: @err says in one sentence what is wrong.
 */
int s3_opts_parse(struct s3_opts *ret, const char *s, char *err, size_t err_len);

/*
 * Fills what the URL left open: from @env (getenv), else defaults; checks what can only be checked
 * then (plain http). -EINVAL as above.
 */
int s3_opts_complete(struct s3_opts *o, char *(*env)(const char *name), char *err, size_t err_len);

/* Whether requests go over TLS. */
bool s3_opts_tls(const struct s3_opts *o);

/*
 * What requests to @region go to, of complete options: "https" or "http", and host[:port] (with the
 * bucket before it in virtual style), into @host. Returns whether it is TLS.
 */
bool s3_opts_host(const struct s3_opts *o, const char *region, char *host, size_t host_len);

/* Whether @s may be the name of a region. */
bool s3_opts_region_ok(const char *s);

#endif
