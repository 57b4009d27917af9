/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Object names. All numbers in fixed-width lower-case hex, so that LIST order is number order:
 *
 *	seg/<seq >> 12, 13 digits>/<seq & 0xfff, 3 digits>	also gc/...
 *	head/<~version, 16 digits>		the newest first
 *	manifest/<version, 16>/<id, 16>
 *	run/<version, 16>/<id, 16>
 *	keys/<version, 16>
 *	probe
 *	lease
 */
#ifndef FORMAT_FMT_NAME_H
#define FORMAT_FMT_NAME_H

#include <stdint.h>

#define FMT_NAME_MAX	64	/* longest object name, with its NUL */

#define FMT_PREFIX_SEG		"seg/"
#define FMT_PREFIX_GC		"gc/"
#define FMT_PREFIX_HEAD		"head/"
#define FMT_PREFIX_MANIFEST	"manifest/"
#define FMT_PREFIX_RUN		"run/"
#define FMT_PREFIX_KEYS		"keys/"
#define FMT_NAME_PROBE		"probe"
#define FMT_NAME_LEASE		"lease"

/* @name: room for FMT_NAME_MAX. Segments and fences share seg/. */
void fmt_name_seg(char *name, uint64_t seq);
void fmt_name_gc(char *name, uint64_t seq);
void fmt_name_head(char *name, uint64_t version);
void fmt_name_manifest(char *name, uint64_t version, uint64_t id);
void fmt_name_run(char *name, uint64_t version, uint64_t id);
void fmt_name_keys(char *name, uint64_t version);

/* 0, or -EINVAL if @name is not exactly what the function above makes. */
int fmt_name_parse_seg(const char *name, uint64_t *ret_seq);
int fmt_name_parse_gc(const char *name, uint64_t *ret_seq);
int fmt_name_parse_head(const char *name, uint64_t *ret_version);
int fmt_name_parse_manifest(const char *name, uint64_t *ret_version, uint64_t *ret_id);
int fmt_name_parse_run(const char *name, uint64_t *ret_version, uint64_t *ret_id);
int fmt_name_parse_keys(const char *name, uint64_t *ret_version);

#endif
