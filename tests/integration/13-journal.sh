# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: making a journal and looking at one: what is refused leaves nothing behind and nothing changed; what the golden
# journal holds is found.
. tests/integration/lib.sh
# In build/: /tmp may be memory, where no journal can be.
dir=$(mktemp -d -p "$ZT_TOP/build")
trap 'rm -rf "$dir"' EXIT
golden=$ZT_TOP/tests/format/golden
cp -r "$golden/volume" "$golden/key" "$golden/journal" "$dir"
cd "$dir"
chmod 600 key
head -c 32 /dev/urandom > otherkey
chmod 600 otherkey
url=file://$dir/volume
refused 2 'how large' zerofs journal create --key-file key "$url" j
refused 2 '64M at least' zerofs journal create --size 63M --key-file key "$url" j
refused 2 'not a size' zerofs journal create --size x --key-file key "$url" j
refused 2 'usage' zerofs journal create --size 64M --key-file key "$url"
refused 1 'does not unlock' zerofs journal create --size 64M --key-file otherkey "$url" j
refused 1 'No such file' zerofs journal create --size 64M --key-file key "$url" not/there/j
[ ! -e j ] || fail "a refused create left a file"
zerofs journal create --size 64M --key-file key "$url" j > out
grep -q '^made journal .* of volume golden, 64.0 MiB, in j$' out || fail "create says: $(cat out)"
[ "$(stat -c %s j)" = $((64 << 20)) ] || fail "its length is $(stat -c %s j)"
before=$(sha256sum j)
refused 1 'there is a file' zerofs journal create --size 64M --key-file key "$url" j
zerofs journal show j > out
grep -q '^state  *clean' out || fail "show says: $(cat out)"
! grep -q '^records' out || fail "show counts what it cannot read"
zerofs journal show --key-file key j "$url" | grep -q '^records  *0,' || fail "a new journal is not empty"
[ "$before" = "$(sha256sum j)" ] || fail "show or a refused create changed the journal"

zerofs journal show --json --key-file key journal "$url" > out
[ "$(jq -c '[.records, .operations, .bytes, .clean, .host]' out)" = '[1,4,20480,false,"golden-host"]' ] ||
	fail "the golden journal: $(cat out)"
refused 2 "needs the volume's URL" zerofs journal show --key-file key journal
refused 1 'does not unlock' zerofs journal show --key-file otherkey journal "$url"
zerofs format --size 1G --key-file key "file://$dir/other" > /dev/null
refused 1 'the journal of volume' zerofs journal show --key-file key journal "file://$dir/other"
refused 1 'not a journal' zerofs journal show key
refused 1 'No such file' zerofs journal show nothing
head -c 65536 /dev/zero > zeros
refused 1 'begins with zeros' zerofs journal show zeros
# A damaged record ends the count; a damaged superblock gives way to the other copy.
cp journal bad
printf x | dd of=bad bs=1 seek=70000 conv=notrunc status=none
zerofs journal show --key-file key bad "$url" | grep -q '^records  *0,' || fail "a damaged record was counted"
printf x | dd of=bad bs=1 seek=4200 conv=notrunc status=none
zerofs journal show bad | grep -q '^state  *clean' || fail "the other superblock was not taken"
printf x | dd of=bad bs=1 seek=100 conv=notrunc status=none
refused 1 'damaged' zerofs journal show bad

# A volume and its journal in one go, or neither.
zerofs format --size 1G --flush local --journal with --journal-size 64M --key-file key "file://$dir/w" > out
grep -q '^flush = local' out || fail "format says: $(cat out)"
zerofs journal show --key-file key with "file://$dir/w" | grep -q '^state  *clean' || fail "format made no journal"
refused 1 'there is a file' zerofs format --size 1G --flush local --journal with --journal-size 64M --key-file key "file://$dir/w2"
[ ! -e "$dir/w2/head" ] || fail "a volume was made without its journal"
refused 1 'already' zerofs format --size 1G --flush local --journal with3 --journal-size 64M --key-file key "file://$dir/w"
[ ! -e with3 ] || fail "a journal of no volume was left"
refused 2 'journal-size' zerofs format --size 1G --flush local --journal with3 --journal-size 1 --key-file key "file://$dir/w2"
refused 2 'flush local' zerofs format --size 1G --journal with3 --key-file key "file://$dir/w2"

# Block devices, where this machine has some to spare.
truncate -s 64M img
if loop=$(losetup --find --show img 2> /dev/null); then
	trap 'losetup -d "$loop"; rm -rf "$dir"' EXIT
	zerofs journal create --key-file key "$url" "$loop" > out
	grep -q "64.0 MiB, in $loop" out || fail "create says: $(cat out)"
	refused 1 'force' zerofs journal create --key-file key "$url" "$loop"
	zerofs journal create --force --key-file key "$url" "$loop" > /dev/null
	dd if=journal of="$loop" bs=4096 count=2 conv=fsync status=none
	refused 1 'open journal' zerofs journal create --force --key-file key "$url" "$loop"
	head -c 65536 /dev/urandom | dd of="$loop" conv=fsync status=none
	refused 1 'not a journal' zerofs journal create --force --key-file key "$url" "$loop"
fi
echo "journals are made and shown"
