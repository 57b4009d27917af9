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

# Removing: never the key at work, so never the last one; then it opens nothing, in no object.
refused 2 'which one' zerofs key remove --key-file key "$url"
refused 2 'not the ID' zerofs key remove --key-file key "$url" first
refused 2 'too many' zerofs key rotate --key-file key "$url" 1
before=$(sums vol)
refused 1 'the one that unlocked' zerofs key remove --key-file key "$url" 0
refused 1 'no key 7' zerofs key remove --key-file key "$url" 7
refused 1 'does not unlock' zerofs key remove --key-file otherkey "$url" 1
[ "$before" = "$(sums vol)" ] || fail "a refused removal changed the store"
cp -r vol vol.old
zerofs key remove --key-file key "$url" 1 > out
grep -q '^removed key 1; a versioned bucket' out || fail "key remove says: $(cat out)"
grep -q 'no daemon on this host' out || fail "key remove says: $(cat out)"
[ "$(find vol/keys -type f | wc -l)" = 1 ] || fail "older keys objects are still there"
refused 1 'does not unlock' zerofs key list --passphrase-file pass "$url"
refused 1 'removed already' zerofs key remove --key-file key "$url" 1
refused 1 'the one that unlocked' zerofs key remove --key-file key "$url" 0
# As if it had been killed before the old objects went: said by list, finished by the same command.
cp -r vol.old/keys/* vol/keys/
zerofs key list --key-file key "$url" 2> err > out
grep -q 'older keys object' err || fail "key list does not say that old objects are there"
zerofs key remove --key-file key "$url" 1 > out
grep -q '^finished removing key 1' out || fail "the second removal says: $(cat out)"
[ "$(find vol/keys -type f | wc -l)" = 1 ] || fail "the second removal left old objects"
# Rotating; several at once, of which none may be lost, and each says what became of it.
zerofs key rotate --key-file key "$url" > out
grep -q '^made data key 2; .* not encrypted again' out || fail "key rotate says: $(cat out)"
for i in 1 2 3 4 5 6; do
	(rc=0; zerofs key rotate --key-file key "$url" > "race$i" 2>&1 || rc=$?; echo $rc >> "race$i") &
done
wait
made=$(cat race? | grep -c '^made data key' || true)
late=$(cat race? | grep -c 'at the same time; nothing was done' || true)
[ "$made" -ge 1 ] || fail "races: $(cat race?)"
[ $((made + late)) = 6 ] || fail "races: $(cat race?)"
zerofs key rotate --key-file key "$url" | grep -q "^made data key $((made + 3));" || fail "a data key was lost"
[ "$(find vol/keys -type f | wc -l)" = 1 ] || fail "races left old objects"

# What a daemon that serves the volume may answer: one that stands in for it.
name=key-test-$$
if [ "$(id -u)" = 0 ]; then
	url2=file://$ZT_TMP/served
	zerofs format --size 1G --name "$name" --key-file key "$url2" > /dev/null
	cat > daemon.py <<-'END'
		import json, os, socket, sys
		os.makedirs("/run/zerofs", mode=0o700, exist_ok=True)
		s = socket.socket(socket.AF_UNIX)
		s.bind("/run/zerofs/" + sys.argv[2] + ".sock")
		s.listen()
		print("ready", flush=True)
		for answer in json.load(open(sys.argv[1])):
		    c, _ = s.accept()
		    req = json.loads(c.makefile().readline())
		    assert req["op"] == "keys" and req["version"] > 1 and len(req["uuid"]) == 36, req
		    c.sendall(json.dumps(answer).encode() + b"\n")
		    c.close()
	END
	stand_in() {
		echo "$1" > answers
		rm -f ready
		timeout 20 python3 daemon.py answers "$name" > ready &
		daemon=$!
		for ((n = 0; n < 100; n++)); do [ -s ready ] && break; sleep 0.05; done
	}
	trap 'rm -f "/run/zerofs/$name.sock"' EXIT
	stand_in '[{"ok": true, "in_head": 1}, {"ok": true, "in_head": 1}, {"ok": true, "in_head": 1000}]'
	zerofs key rotate --key-file key "$url2" | grep -q "the daemon of '$name' has taken that over" || fail "a daemon that obeys"
	wait $daemon || fail "the daemon was asked something else"
	rm "/run/zerofs/$name.sock"
	stand_in '[{"ok": true, "other": true}]'
	zerofs key rotate --key-file key "$url2" | grep -q "no daemon on this host" || fail "a daemon of another volume"
	wait $daemon
	rm "/run/zerofs/$name.sock"
	stand_in '[{"ok": false, "error": "it rains"}]'
	! zerofs key rotate --key-file key "$url2" > out 2> err || fail "a daemon that refuses: status 0"
	grep -q '^made data key' out || fail "a daemon that refuses: $(cat out err)"
	grep -q 'keys are changed, but .* it rains' err || fail "a daemon that refuses: $(cat out err)"
	wait $daemon
	rm "/run/zerofs/$name.sock"
	trap - EXIT
fi

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
