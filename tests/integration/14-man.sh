# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: every subcommand has a man page that describes exactly the options that --help lists; zerofs(8) names every
# subcommand; the nbdkit plugin's page names its parameters.
. tests/integration/lib.sh

for c in format serve status list stats detach fail clear device key journal probe; do
	page=$ZT_TOP/man/zerofs-$c.8
	[ -e "$page" ] || fail "no man page for zerofs $c"
	zerofs "$c" --help | sed -nE 's/^  --([a-z-]+).*/\1/p' | grep -vx help | sort > "$ZT_TMP/help" || true
	sed -nE 's/^\.It Fl -([a-z-]+).*/\1/p' "$page" | sort > "$ZT_TMP/man"
	diff "$ZT_TMP/help" "$ZT_TMP/man" || fail "zerofs-$c(8) (>) and zerofs $c --help (<) list different options"
	grep -q "^\.It Cm $c\$" "$ZT_TOP/man/zerofs.8" || fail "zerofs(8) does not name $c"
done
# The plugin's parameters, and no others, stand in its page; each that serve has as an option is one of serve's.
sed -nE 's/^\t\{ "([a-z-]+)", PARAMS_.*/\1/p' "$ZT_TOP/daemon/nbd/params.c" | sort > "$ZT_TMP/params"
grep '^\.It Cm' "$ZT_TOP/man/nbdkit-zerofs-plugin.1" | grep -oE '[a-z-]+=' | tr -d = | sort > "$ZT_TMP/man"
[ "$(wc -l < "$ZT_TMP/params")" -gt 10 ] && diff "$ZT_TMP/params" "$ZT_TMP/man" || fail "nbdkit-zerofs-plugin(1) (>) and params.c (<) differ"
zerofs serve --help | sed -nE 's/^  --([a-z-]+).*/\1/p' | sort > "$ZT_TMP/help"
[ "$(comm -23 "$ZT_TMP/params" "$ZT_TMP/help" | xargs)" = 'device url' ] || fail "parameters that are no options: $(comm -23 "$ZT_TMP/params" "$ZT_TMP/help" | xargs)"
for page in "$ZT_TOP"/man/*.[1-9]; do
	if command -v groff > /dev/null; then
		groff -mdoc -Tutf8 -ww "$page" > /dev/null 2> "$ZT_TMP/groff" || true
		[ ! -s "$ZT_TMP/groff" ] || { cat "$ZT_TMP/groff"; fail "$page"; }
	fi
done
echo "man pages and --help agree"
