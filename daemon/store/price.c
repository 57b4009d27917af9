// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/price.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"

#define NANO	     1000000000ull
#define MAX_NANO     (1000000 * NANO) /* a price beyond that is a mistake */
#define GB	     1000000000ull
#define LINE_MAX_LEN 512u

static const char *const item_keys[PRICE_NR_ITEMS] = {
	[PRICE_PUT] = "put-1000",
	[PRICE_LIST] = "list-1000",
	[PRICE_GET] = "get-1000",
	[PRICE_DELETE] = "delete-1000",
	[PRICE_STORAGE] = "storage-gb-month",
	[PRICE_EGRESS] = "egress-gb",
};

/* The other keys, as bits of price.seen behind those of the items. */
enum { KEY_MATCH = PRICE_NR_ITEMS, KEY_CURRENCY, KEY_AS_OF, KEY_GB, KEY_MIN_DAYS, NR_KEYS };

static const char *const other_keys[NR_KEYS] = {
	[KEY_MATCH] = "match", [KEY_CURRENCY] = "currency", [KEY_AS_OF] = "as-of",
	[KEY_GB] = "gb",       [KEY_MIN_DAYS] = "min-days",
};

struct parser {
	struct price_book *book;
	unsigned int line;
	char *err;
};

static int bad(const struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int bad(const struct parser *p, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(p->err, PRICE_ERR_LEN, "%s:%u: ", p->book->path, p->line);

	va_start(ap, fmt);
	vsnprintf(p->err + n, PRICE_ERR_LEN - (size_t)n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Without blanks before and behind; @s is changed. */
static char *trim(char *s)
{
	size_t n;

	while (is_blank(*s))
		s++;
	n = strlen(s);
	while (n && is_blank(s[n - 1]))
		n--;
	s[n] = '\0';
	return s;
}

/* Digits, and with a point up to nine more: billionths. No sign, no exponent. */
static int parse_nano(const char *s, uint64_t *ret)
{
	uint64_t v = 0, unit = NANO;
	bool point = false, digit = false;

	for (; *s; s++) {
		if (*s == '.' && !point && digit) {
			point = true;
			continue;
		}
		if (*s < '0' || *s > '9')
			return -EINVAL;
		digit = true;
		if (!point) {
			v = v * 10 + (uint64_t)(*s - '0') * NANO;
		} else {
			unit /= 10;
			if (!unit)
				return -EINVAL;
			v += (uint64_t)(*s - '0') * unit;
		}
		if (v > MAX_NANO)
			return -ERANGE;
	}
	if (!digit || (point && unit == NANO))
		return -EINVAL;
	*ret = v;
	return 0;
}

static int take_item(const struct parser *p, struct price *s, unsigned int i, const char *value)
{
	if (parse_nano(value, &s->nano[i]))
		return bad(p,
			   "%s: '%s' is not a price such as 0.005 (9 decimals and 1000000 at most)",
			   item_keys[i], value);
	return 0;
}

/* Into a field of @size bytes: visible ASCII. */
static int take_text(const struct parser *p, const char *key, const char *value, char *ret,
		     size_t size)
{
	if (strlen(value) >= size)
		return bad(p, "%s: longer than %zu characters", key, size - 1);
	for (const char *c = value; *c; c++)
		if ((*c < '!' || *c > '~') && !is_blank(*c))
			return bad(p, "%s: a character that is not ASCII", key);
	strcpy(ret, value);
	return 0;
}

static int take_other(const struct parser *p, struct price *s, unsigned int key, const char *value)
{
	uint64_t n;

	switch (key) {
	case KEY_MATCH:
		return take_text(p, "match", value, s->match, sizeof(s->match));
	case KEY_AS_OF:
		return take_text(p, "as-of", value, s->as_of, sizeof(s->as_of));
	case KEY_CURRENCY:
		if (strlen(value) != 3 || strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
			return bad(p, "currency: '%s' is not three capital letters such as USD",
				   value);
		strcpy(s->currency, value);
		return 0;
	case KEY_GB:
		if (parse_u64(value, GB, 1u << 30, &s->gb) || (s->gb != GB && s->gb != 1u << 30))
			return bad(p, "gb: '%s' is neither 1000000000 nor 1073741824", value);
		return 0;
	default:
		if (parse_u64(value, 0, 3650, &n))
			return bad(p, "min-days: '%s' is not a number from 0 to 3650", value);
		s->min_days = (uint32_t)n;
		return 0;
	}
}

static int take_key(const struct parser *p, const char *key, const char *value)
{
	unsigned int k = 0;
	struct price *s;

	if (!p->book->nr)
		return bad(p, "'%s' before any [section]", key);
	s = &p->book->price[p->book->nr - 1];
	while (k < NR_KEYS && strcmp(key, k < PRICE_NR_ITEMS ? item_keys[k] : other_keys[k]) != 0)
		k++;
	if (k == NR_KEYS)
		return bad(p, "there is no '%s'", key);
	if (s->seen & 1u << k)
		return bad(p, "%s a second time in section %s", key, s->section);
	if (!*value)
		return bad(p, "%s has no value", key);
	s->seen |= 1u << k;
	return k < PRICE_NR_ITEMS ? take_item(p, s, k, value) : take_other(p, s, k, value);
}

static int begin_section(const struct parser *p, char *line)
{
	size_t n = strlen(line);
	struct price_book *b = p->book;
	struct price *s;

	if (line[n - 1] != ']')
		return bad(p, "a [section] is not closed");
	line[n - 1] = '\0';
	line = trim(line + 1);
	n = strlen(line);
	if (!n || n >= PRICE_SECTION_MAX ||
	    strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-") != n)
		return bad(p, "a section's name is 1 to %u of a-z A-Z 0-9 . _ / -",
			   PRICE_SECTION_MAX - 1);
	for (unsigned int i = 0; i < b->nr; i++)
		if (!strcmp(b->price[i].section, line))
			return bad(p, "section %s a second time", line);
	if (b->nr == PRICE_SECTIONS)
		return bad(p, "more than %u sections", PRICE_SECTIONS);
	s = &b->price[b->nr++];
	strcpy(s->section, line);
	s->gb = GB;
	return 0;
}

static int take_line(const struct parser *p, char *line)
{
	char *eq;

	line = trim(line);
	if (!*line || *line == '#')
		return 0;
	for (char *c = line + 1; *c; c++) {
		if (*c == '#' && is_blank(c[-1])) {
			*c = '\0';
			line = trim(line);
			break;
		}
	}
	if (*line == '[')
		return begin_section(p, line);
	eq = strchr(line, '=');
	if (!eq || eq == line)
		return bad(p, "neither [section] nor KEY = VALUE");
	*eq = '\0';
	return take_key(p, trim(line), trim(eq + 1));
}

/* What may be left out, and whether all else is there. */
static void complete(struct price *s)
{
	static const unsigned int must[] = { PRICE_PUT, PRICE_GET, PRICE_STORAGE };

	if (!(s->seen & 1u << PRICE_LIST))
		s->nano[PRICE_LIST] = s->nano[PRICE_PUT];
	for (unsigned int i = 0; i < sizeof(must) / sizeof(must[0]) && !s->missing; i++)
		if (!(s->seen & 1u << must[i]))
			s->missing = item_keys[must[i]];
	if (!s->currency[0])
		s->missing = "currency";
}

int price_parse(struct price_book *ret, const char *path, const char *text, size_t len, char *err)
{
	struct parser p = { .book = ret, .err = err };
	const char *end = text + len;

	memset(ret, 0, sizeof(*ret));
	snprintf(ret->path, sizeof(ret->path), "%s", path);
	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((nl ? nl : end) - text);
		char line[LINE_MAX_LEN];
		int rc;

		p.line++;
		if (n >= sizeof(line))
			return bad(&p, "a line longer than %u bytes", LINE_MAX_LEN - 1);
		if (memchr(text, '\0', n))
			return bad(&p, "a NUL byte: this is no text");
		memcpy(line, text, n);
		line[n] = '\0';
		rc = take_line(&p, line);
		if (rc)
			return rc;
		text += n + (nl ? 1 : 0);
	}
	for (unsigned int i = 0; i < ret->nr; i++)
		complete(&ret->price[i]);
	return 0;
}

/* -ENOENT and -errno without a sentence. */
static int read_file(const char *path, char *buf, size_t room, size_t *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = 0;
	int rc = 0;

	if (fd < 0)
		return -errno;
	while (len < room) {
		ssize_t n = read(fd, buf + len, room - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	*ret = len;
	return rc;
}

static int load(struct price_book *b, const char *path, char *err)
{
	char *buf = malloc(PRICE_FILE_MAX + 1);
	size_t len = 0;
	int rc;

	snprintf(err, PRICE_ERR_LEN, "%s: out of memory", path);
	if (!buf)
		return -ENOMEM;
	rc = read_file(path, buf, PRICE_FILE_MAX + 1, &len);
	if (rc) {
		snprintf(err, PRICE_ERR_LEN, "%s: %s", path, strerror(-rc));
	} else if (len > PRICE_FILE_MAX) {
		rc = -EINVAL;
		snprintf(err, PRICE_ERR_LEN, "%s: larger than %u bytes", path, PRICE_FILE_MAX);
	} else {
		rc = price_parse(b, path, buf, len, err);
	}
	free(buf);
	return rc;
}

int price_load(struct price_book **ret, const char *path, char *err)
{
	static const char *const places[] = {
		"/etc/zerofs/prices.conf",
		"/usr/local/share/zerofs/prices.conf",
		"/usr/share/zerofs/prices.conf",
	};
	struct price_book *b = malloc(sizeof(*b));
	int rc = -ENOENT;

	snprintf(err, PRICE_ERR_LEN, "out of memory");
	if (!b)
		return -ENOMEM;
	if (path)
		rc = load(b, path, err);
	for (size_t i = 0; !path && rc == -ENOENT && i < sizeof(places) / sizeof(places[0]); i++)
		rc = load(b, places[i], err);
	if (!path && rc == -ENOENT)
		snprintf(err, PRICE_ERR_LEN,
			 "there is no file of prices: neither %s nor /usr/share/zerofs/prices.conf",
			 places[0]);
	if (rc)
		free(b);
	else
		*ret = b;
	return rc;
}

static bool matches(const struct price *p, const char *host)
{
	char list[PRICE_MATCH_MAX], *save = NULL;

	strcpy(list, p->match);
	for (char *m = strtok_r(list, " \t", &save); m; m = strtok_r(NULL, " \t", &save))
		if (!fnmatch(m, host, FNM_CASEFOLD))
			return true;
	return false;
}

int price_choose(const struct price_book *b, const char *section, const char *host,
		 const struct price **ret, char *err)
{
	const struct price *p = NULL;

	for (unsigned int i = 0; i < b->nr && !p; i++)
		if (section ? !strcmp(b->price[i].section, section) : matches(&b->price[i], host))
			p = &b->price[i];
	if (!p) {
		if (section)
			snprintf(err, PRICE_ERR_LEN, "%s has no section %s", b->path, section);
		else
			snprintf(err, PRICE_ERR_LEN,
				 "%s has no section for %s; --price-section chooses one", b->path,
				 host);
		return -ENOENT;
	}
	if (p->missing) {
		snprintf(err, PRICE_ERR_LEN, "%s: section %s has no %s yet", b->path, p->section,
			 p->missing);
		return -ENODATA;
	}
	*ret = p;
	return 0;
}

static uint64_t saturate(unsigned __int128 v)
{
	return v > UINT64_MAX ? UINT64_MAX : (uint64_t)v;
}

/* Per month, if @n came in @us. */
static uint64_t monthly(uint64_t n, uint64_t us)
{
	return us ? saturate((unsigned __int128)n * PRICE_MONTH_US / us) : 0;
}

static uint64_t times(uint64_t n, uint64_t nano, uint64_t per)
{
	return saturate(((unsigned __int128)n * nano + per / 2) / per);
}

void price_estimate(const struct price *p, const struct price_use *use, struct price_sums *ret)
{
	unsigned __int128 total = 0;

	for (unsigned int i = 0; i < PRICE_STORAGE; i++)
		ret->nano[i] = times(monthly(use->requests[i], use->us), p->nano[i], 1000);
	ret->nano[PRICE_STORAGE] = times(use->stored, p->nano[PRICE_STORAGE], p->gb);
	ret->nano[PRICE_EGRESS] =
		times(monthly(use->egress, use->us), p->nano[PRICE_EGRESS], p->gb);
	for (unsigned int i = 0; i < PRICE_NR_ITEMS; i++)
		total += ret->nano[i];
	ret->total = saturate(total);
}

const char *price_item_name(enum price_item i)
{
	static const char *const names[PRICE_NR_ITEMS] = {
		[PRICE_PUT] = "put",	   [PRICE_LIST] = "list",	[PRICE_GET] = "get",
		[PRICE_DELETE] = "delete", [PRICE_STORAGE] = "storage", [PRICE_EGRESS] = "egress",
	};

	return (unsigned int)i < PRICE_NR_ITEMS ? names[i] : "?";
}

char *price_str(char out[PRICE_STR], uint64_t nano, const char *currency)
{
	const uint64_t place = NANO / 10000;
	uint64_t n = nano / place + (nano % place >= place / 2);

	if (nano && !n)
		snprintf(out, PRICE_STR, "<0.0001 %s", currency);
	else
		snprintf(out, PRICE_STR, "%llu.%04llu %s", (unsigned long long)(n / 10000),
			 (unsigned long long)(n % 10000), currency);
	return out;
}
