# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: making a volume, its keys, and what is refused: a volume that is there, a wrong key or passphrase, a store that is
# missing, full or not ours to write, damaged objects, which are named. Nothing refused changes a byte.
. tests/integration/lib.sh
cd "$ZT_TMP"
head -c 32 /dev/urandom > key
head -c 32 /dev/urandom > otherkey
echo 'correct horse' > pass
echo 'wrong horse' > wrongpass
url=file://$ZT_TMP/vol

zerofs format --size 1G --devices 3 --key-file key "$url" > out
grep -q "^formatted 'vol' (.*): 3 devices of 1.0 GiB at $url\$" out || fail "format says: $(cat out)"
grep -q 'flush = store' out || fail "format does not say what a FLUSH promises"
before=$(sums vol)
refused 1 'already' zerofs format --size 1G --key-file key "$url"
refused 1 'already' zerofs format --size 1G --key-file otherkey --name x "$url"
[ "$before" = "$(sums vol)" ] || fail "a refused format changed the store"

# Keys.
zerofs key list --key-file key "$url" > out
[ "$(grep -c key-file out)" = 1 ] || fail "key list says: $(cat out)"
refused 1 'does not unlock' zerofs key list --key-file otherkey "$url"
refused 1 'does not unlock' zerofs key list --passphrase-file pass "$url"
refused 1 'does not unlock' zerofs key add --key-file otherkey --new-key-file otherkey "$url"
[ "$before" = "$(sums vol)" ] || fail "a refused key command changed the store"
zerofs key add --key-file key --new-passphrase-file pass --kdf min --label 'for people' "$url"
zerofs key list --passphrase-file pass "$url" | grep -q 'passphrase .* for people' || fail "the new key is not listed"
printf 'correct horse' | zerofs key list --passphrase-file - "$url" > /dev/null || fail "a passphrase from standard input"
ZEROFS_PASSPHRASE_FILE=pass zerofs key list "$url" > /dev/null || fail "ZEROFS_PASSPHRASE_FILE"
zerofs key list --key-file key "$url" > /dev/null || fail "the old key works no more"
refused 1 'does not unlock' zerofs key list --passphrase-file wrongpass "$url"
[ "$(zerofs key list --json --key-file key "$url" | jq -r '.[].kind' | sort | tr '\n' ' ')" = 'key-file passphrase ' ] ||
	fail "key list --json"

# No volume, no store.
mkdir nothing
refused 1 'no volume' zerofs key list --key-file key "file://$ZT_TMP/nothing"
refused 1 'no such|No such' zerofs key list --key-file key "file://$ZT_TMP/missing"
refused 1 'no such|No such' zerofs format --size 1G --key-file key "file://$ZT_TMP/missing/vol"
refused 1 'directory|folder' zerofs format --size 1G --key-file key "file://$ZT_TMP/key"

# Damage: whatever happens to the keys object is told and named, and never unlocks.
keys=$(find vol/keys -type f | sort | tail -1)
cp "$keys" good
size=$(stat -c %s "$keys")
for at in 0 8 $((size / 2)) $((size - 1)); do
	byte=$(od -An -tu1 -j "$at" -N 1 good | tr -d ' ')
	# shellcheck disable=SC2059
	printf "\\$(printf %o $((byte ^ 1)))" | dd of="$keys" bs=1 seek="$at" conv=notrunc status=none
	refused 1 'damaged|unlock|later version' zerofs key list --key-file key "$url"
	cp good "$keys"
done
for len in 0 1 $((size / 2)) $((size - 1)); do
	truncate -s "$len" "$keys"
	refused 1 'damaged.*keys/' zerofs key list --key-file key "$url"
	cp good "$keys"
done
zerofs key list --key-file key "$url" > /dev/null || fail "put back, and does not unlock"

# No permission; a full disk.
if [ "$(id -u)" = 0 ]; then
	mkdir -m 700 locked
	chmod 755 "$ZT_TMP"
	chmod 644 key
	# A copy: the checkout itself may lie where only root gets to.
	install -m 755 "$(command -v zerofs)" zerofs-copy
	refused 1 '^zerofs: .*ermi' setpriv --reuid=65534 --regid=65534 --clear-groups "$ZT_TMP/zerofs-copy" format --size 1G --key-file key \
		"file://$ZT_TMP/locked/vol"
	mkdir small
	if mount -t tmpfs -o size=4k small small 2>/dev/null; then
		refused 1 'full|space' zerofs format --size 1G --key-file key "file://$ZT_TMP/small/vol"
		mount -o remount,size=1M small
		rm -rf small/vol
		zerofs format --size 1G --key-file key "file://$ZT_TMP/small/vol" > /dev/null || fail "room was made, and still no volume"
		umount small
	fi
fi
echo "nothing was lost"
