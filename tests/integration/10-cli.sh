# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: words, options and what is typed wrongly: every subcommand has a help text, an unknown word is answered with the
# nearest known one, bad values are refused before anything is made; without the module each command says what to do.
. tests/integration/lib.sh
cd "$ZT_TMP"

commands="format serve status list stats detach fail clear device key probe"
zerofs help > all
for c in $commands version help; do
	grep -qE "^  $c " all || fail "'zerofs help' does not list $c"
	zerofs "$c" --help > "help.$c" || fail "zerofs $c --help"
	grep -q "^usage: zerofs $c" "help.$c" || fail "zerofs $c --help has no usage line"
	zerofs help "$c" | cmp - "help.$c" || fail "zerofs help $c says something else than zerofs $c --help"
done
zerofs --help | cmp - all
zerofs version | grep -qE '^zerofs [0-9]+\.[0-9]+\.[0-9]+ \(ABI 1\.0, format 1\)$' || fail "version: $(zerofs version)"
zerofs --version | cmp - <(zerofs version)

head -c 32 /dev/urandom > key
url=file://$ZT_TMP/v

# Words.
refused 2 "'serve'" zerofs serv
refused 2 "'format'" zerofs fromat
refused 2 "'detach'" zerofs detatch
refused 2 'zerofs help' zerofs frobnicate
refused 2 'zerofs help' zerofs
refused 2 'zerofs help' zerofs --frob
refused 2 "'list'" zerofs help lst
refused 2 '--size' zerofs format --siez 4G "$url"
refused 2 '--key-file' zerofs serve --keyfile key "$url"
refused 2 '--memory' zerofs serve --mem 1G "$url"
refused 2 '--help' zerofs serve --frobnicate "$url"
refused 2 '--json' zerofs status --jsno
refused 2 'key list' zerofs key lst "$url"
refused 2 'device list' zerofs device lsit v
refused 2 'no option' zerofs list -l
refused 2 'too many' zerofs list v
refused 2 'missing' zerofs stats
refused 2 'missing' zerofs format --size 4G
refused 2 'needs a value' zerofs format --size
refused 2 'needs a value' zerofs format --size= "$url"
refused 2 'takes no value' zerofs list --json=yes

# Values.
refused 2 '4096' zerofs format --size 1000001 --key-file key "$url"
refused 2 '4096' zerofs format --size 4097 --key-file key "$url"
for bad in 0 -1 4X G 1.5G '' 99999999999999999999 1e9; do
	refused 2 'size|value' zerofs format --size "$bad" --key-file key "$url"
done
refused 2 'how large' zerofs format --key-file key "$url"
refused 2 'number' zerofs format --size 1G --devices 0 --key-file key "$url"
refused 2 'number' zerofs format --size 1G --devices 257 --key-file key "$url"
refused 2 'number' zerofs format --size 1G --devices 2x --key-file key "$url"
refused 2 'journal' zerofs format --size 1G --flush local --key-file key "$url"
refused 2 'neither' zerofs format --size 1G --flush sotre --key-file key "$url"
refused 2 'name' zerofs format --size 1G --name 'a b' --key-file key "$url"
refused 2 'name' zerofs format --size 1G --name .hidden --key-file key "$url"
refused 2 'name' zerofs format --size 1G --name ../x --key-file key "$url"
refused 2 'name' zerofs format --size 1G --name "$(printf 'x%.0s' {1..64})" --key-file key "$url"
refused 2 'kdf' zerofs format --size 1G --kdf cheap --key-file key "$url"
refused 2 'one of them' zerofs format --size 1G --key-file key --passphrase-file key "$url"
refused 2 'store URL' zerofs format --size 1G --key-file key /srv/store
refused 2 'store URL' zerofs format --size 1G --key-file key http://example.org/x
refused 2 'store URL' zerofs format --size 1G --key-file key file://relative/x
for u in file://relative/x s3://b http://example.org/x; do
	refused 2 'store URL' zerofs key list --key-file key "$u"
	refused 2 'store URL' zerofs key add --key-file key --new-key-file key "$u"
	refused 2 'store URL' zerofs key remove --key-file key "$u" 0
	refused 2 'store URL' zerofs key rotate --key-file key "$u"
	refused 2 'store URL' zerofs journal create --size 64M --key-file key "$u" journal
	refused 2 'store URL' zerofs journal show --key-file key journal "$u"
	refused 2 'store URL' zerofs journal export --key-file key journal "$u" folder
	refused 2 'store URL' zerofs journal discard --yes --key-file key journal "$u"
done
[ ! -e journal ] && [ ! -e folder ] || fail "something was made"
refused 2 'size from' zerofs serve --memory 1K --key-file key "$url"
refused 2 'grace' zerofs serve --grace soon --key-file key "$url"
refused 2 'queues' zerofs serve --queues 2 --key-file key "$url"
refused 2 'queues' zerofs serve --queues 0,1 --key-file key "$url"
refused 2 'queues' zerofs serve --queues 60,5 --key-file key "$url"
refused 2 'depth' zerofs serve --depth 2000 --key-file key "$url"
refused 2 'zstd' zerofs serve --zstd-level 20 --key-file key "$url"
refused 2 'segment-size' zerofs serve --segment-size 1G --key-file key "$url"
refused 2 'read-ahead' zerofs serve --read-ahead 64K --key-file key "$url"
refused 2 'read-ahead' zerofs serve --read-ahead 16M --key-file key "$url"
refused 2 'segment-age' zerofs serve --segment-age 0 --key-file key "$url"
refused 2 'ready-fd' zerofs serve --ready-fd 77 --key-file key "$url"
refused 2 'on.*off' zerofs device read-only v 0 maybe
[ ! -e v ] || fail "something was made: $(find v)"

# Secrets.
refused 1 'No such file' zerofs format --size 1G --key-file nokey "$url"
head -c 15 key > short
refused 1 'too short' zerofs format --size 1G --key-file short "$url"
head -c 65537 /dev/zero > long
refused 1 'longer' zerofs format --size 1G --key-file long "$url"
: > empty
refused 1 'no passphrase' zerofs format --size 1G --passphrase-file empty "$url"
refused 1 '--passphrase-file or --key-file' setsid zerofs format --size 1G "$url"
[ ! -e v ] || fail "something was made: $(find v)"

# Without the module.
if [ ! -e /dev/zerofs-control ]; then
	for c in list status "status v" "stats v" "detach v" "fail v" "clear v" "device list v" "device read-only v 0 on"; do
		# shellcheck disable=SC2086
		refused 1 'modprobe zerofs' zerofs $c
	done
	mkdir nothing
	refused 1 'modprobe zerofs' zerofs serve --key-file key "file://$ZT_TMP/nothing"
fi
if zerofs help > /dev/full 2> stderr; then fail "a full disk goes unnoticed"; fi
grep -q 'output' stderr || fail "a full disk is not spoken of"
echo "all said in one line"
