# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: making a journal, looking at one, saving what is in one and giving it up: what is refused leaves nothing behind and
# nothing changed; what the golden journal holds is found.
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

# What is in a journal that was set aside is saved, or given up.
truncate -s 64M journal
before=$(sha256sum journal)
refused 2 'usage' zerofs journal export --key-file key journal "$url"
refused 2 "goes with 'journal discard'" zerofs journal export --yes --key-file key journal "$url" saved
refused 2 "go with 'journal create'" zerofs journal export --force --key-file key journal "$url" saved
refused 1 'does not unlock' zerofs journal export --key-file otherkey journal "$url" saved
refused 1 'the journal of volume' zerofs journal export --key-file key journal "file://$dir/other" saved
refused 1 'not a journal' zerofs journal export --key-file key key "$url" saved
refused 1 'No such file' zerofs journal export --key-file key journal "$url" not/there/saved
refused 1 'in use' flock -x journal zerofs journal export --key-file key journal "$url" saved
refused 1 'File too large' bash -c 'trap "" XFSZ; ulimit -f 4; exec "$@"' - zerofs journal export --key-file key journal "$url" saved
[ ! -e saved ] || fail "a refused export left a folder"
zerofs journal export --key-file key journal "$url" saved/ > out
grep -q '^exported 4 operations, 8.0 KiB of data, writes 4294967311 to 4294967316, to saved/$' out || fail "export says: $(cat out)"
cat > want <<'END'
# wno device operation LBA blocks offset-in-data.bin
4294967311 1 write 7 1 0
4294967312 0 discard 9 5 -
4294967314 0 write 3 1 4096
4294967315 0 zeroes-keep 4 1048576 -
END
diff -u want saved/operations.txt || fail "the operations are others"
{ head -c 4096 /dev/zero | tr '\0' a; head -c 4096 /dev/zero | tr '\0' b; } | cmp - saved/data.bin || fail "the data is other data"
[ "$(stat -c %a saved saved/data.bin | xargs)" = '700 600' ] || fail "others may read it: $(stat -c %a saved saved/data.bin)"
refused 1 'is there already' zerofs journal export --key-file key journal "$url" saved
diff -u want saved/operations.txt || fail "a refused export changed a folder"
cp journal bad
printf x | dd of=bad bs=1 seek=70000 conv=notrunc status=none
rc=0
zerofs journal export --key-file key bad "$url" partly > out 2> err || rc=$?
[ $rc = 1 ] || fail "an export with a gap has status $rc"
grep -q '^zerofs: bad: .* breaks at position 0, ' err || fail "export says: $(cat err)"
grep -q '^exported 0 operations' out || fail "export says: $(cat out)"
grep -q '^# gap: .* position 0; .* position 12288$' partly/operations.txt || fail "the gap is: $(cat partly/operations.txt)"
zerofs journal discard --key-file key bad "$url" 2> err > out && fail "discard without --yes has status 0"
grep -q "breaks at position 0; what is damaged" out || fail "discard says: $(cat out)"

refused 1 'does not unlock' zerofs journal discard --yes --key-file otherkey journal "$url"
refused 1 'the journal of volume' zerofs journal discard --yes --key-file key journal "file://$dir/other"
refused 1 'in use' flock -s journal zerofs journal discard --yes --key-file key journal "$url"
rc=0
zerofs journal discard --key-file key journal "$url" > out 2> err || rc=$?
[ $rc = 1 ] || fail "discard without --yes has status $rc"
grep -q '^journal 11111111.* of volume golden holds 4 operations, 8.0 KiB of data, writes 4294967311 to 4294967316$' out ||
	fail "discard says: $(cat out)"
grep -q '^last saved .* UTC, .* ago$' out || fail "discard says: $(cat out)"
grep -q '^zerofs: nothing was changed; with --yes' err || fail "discard says: $(cat err)"
[ "$before" = "$(sha256sum journal)" ] || fail "export or a refused discard changed the journal"
for j in journal bad; do
	zerofs journal show --json --key-file key "$j" "$url" > was
	zerofs journal discard --yes --key-file key "$j" "$url" > out
	grep -q '^given up: the journal is empty$' out || fail "discard says: $(cat out)"
	zerofs journal show --json --key-file key "$j" "$url" > is
	[ "$(jq -c '[.clean, .records, .operations, .bytes]' is)" = '[true,0,0,0]' ] || fail "it is not empty: $(cat is)"
	keep='[.journal_uuid, .volume_uuid, .host, .size, .stored_wno, .epoch, .created_us]'
	[ "$(jq -c "$keep" is)" = "$(jq -c "$keep" was)" ] || fail "discard changed more than it should: $(cat was is)"
	[ "$(jq '.start > 65536 and .start % (.size - 65536) == 0' is)" = true ] || fail "it starts at $(jq .start is)"
	# The other superblock is what it was.
	printf x | dd of="$j" bs=1 seek=100 conv=notrunc status=none
	zerofs journal show --json "$j" | jq -e '.start == 0' > /dev/null || fail "both superblocks were written"
done

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
