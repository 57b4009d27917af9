# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 240
# DESCRIPTION: what cannot be served is refused in one line and loses nothing: a volume that is being served, a wrong key or
# passphrase, no module, another ABI, no permission, no volume.
# Seen to fail when the second serve is of another volume.
. tests/vm/lib.sh
z_setup
z_format v --size 64M
url=$(z_url v)
serve=(zerofs serve --memory 160M --state-dir "$Z/state.v")

z_start v
dev=$(z_dev v)
z_put "$dev" 0 16 mine
z_flush "$dev"
z_fails '(serve|in use|busy)' "${serve[@]}" --key-file "$Z/key" "$url"
zt_say "with a state folder of its own it stops at the control socket, without that at the module"
other=(zerofs serve --memory 160M --state-dir "$Z/state.other" --key-file "$Z/key" "$url")
z_fails '(serve|in use|busy)' "${other[@]}"
z_fails '(serve|in use|busy)' unshare -m sh -c 'mount -t tmpfs none /run/zerofs && exec "$@"' sh "${other[@]}"
z_is v LIVE
z_same "$dev" 0 16 mine || zt_fail "the first daemon was harmed"
z_put "$dev" 16 16 more
z_flush "$dev"
z_stop v
before=$(find "$Z_STORE/v" -type f -exec sha256sum {} + | sort | sha256sum)

head -c 32 /dev/urandom > "$Z/otherkey"
z_fails 'key' "${serve[@]}" --key-file "$Z/otherkey" "$url"
z_fails '(no such|not found|does not exist|No such)' "${serve[@]}" --key-file "$Z/nokey" "$url"
z_fails 'no such folder' "${serve[@]}" --key-file "$Z/key" "file://$Z_STORE/nothing"
mkdir "$Z_STORE/empty"
z_fails 'no volume' "${serve[@]}" --key-file "$Z/key" "file://$Z_STORE/empty"
mkdir "$Z/full"
mount -t tmpfs -o size=4k none "$Z/full"
head -c 4096 /dev/zero > "$Z/full/it"
full=(zerofs serve --memory 160M --state-dir "$Z/full/state" --key-file "$Z/key" "$url")
z_fails "^zerofs: the disk that holds the state folder $Z/full/state is full; make room" "${full[@]}"
rm "$Z/full/it"
zt_say "only one of module and daemon was upgraded: both versions are said, and which to upgrade"
abi_of() { awk -v n="ZEROFS_ABI_$1" '$2 == n { print $3 }' uapi/zerofs.h; }
major=$(abi_of MAJOR) minor=$(abi_of MINOR)
other_abi() { # HOW MAJOR-OF-MODULE WHAT-TO-DO
	local how=$1 says="zerofs: the loaded zerofs module \\([0-9.]+\\) speaks ABI $2\\.$minor, this daemon \\([0-9.]+\\) ABI $major\\.$minor: $3"
	shift 3
	z_fails "^$says\$" env LD_PRELOAD="$ZT_TOP/build/tests/vm/otherabi.so" OTHERABI="$how" "$@"
}
other_abi older $((major - 1)) "upgrade the module and reload it .*" "${serve[@]}" --key-file "$Z/key" "$url"
other_abi newer $((major + 1)) "upgrade the daemon, .*" "${serve[@]}" --key-file "$Z/key" "$url"
other_abi newer $((major + 1)) "upgrade the daemon, .*" zerofs list
other_abi call "$major" "install module and daemon of one version, .*" "${serve[@]}" --key-file "$Z/key" "$url"
z_fails "module does not say its ABI, this daemon .* ABI $major\\.$minor: install module and daemon of one version" \
	env LD_PRELOAD="$ZT_TOP/build/tests/vm/otherabi.so" OTHERABI=none zerofs list
# A copy: the checkout itself may lie where only root gets to.
install -m 755 "$(command -v zerofs)" "$Z/zerofs-copy"
install -m 644 "$Z/key" "$Z/open-key"
z_fails '^zerofs: .*(root|permi|CAP_SYS_ADMIN|Permi)' setpriv --reuid=65534 --clear-groups "$Z/zerofs-copy" "${serve[@]:1}" \
	--key-file "$Z/open-key" "$url"
rmmod zerofs
z_fails 'modprobe' "${serve[@]}" --key-file "$Z/key" "$url"
z_fails 'modprobe' zerofs list
modprobe zerofs
after=$(find "$Z_STORE/v" -type f -exec sha256sum {} + | sort | sha256sum)
[ "$before" = "$after" ] || zt_fail "a refused serve wrote to the store"

echo right > "$Z/pass"
echo wrong > "$Z/wrongpass"
zerofs format --size 64M --name p --kdf min --passphrase-file "$Z/pass" "$(z_url p)"
z_fails 'passphrase' "${serve[@]}" --passphrase-file "$Z/wrongpass" "$(z_url p)"
z_fails '(passphrase|key)' "${serve[@]}" --key-file "$Z/key" "$(z_url p)"
z_fails '(exists|volume)' zerofs format --size 64M --name p --kdf min --passphrase-file "$Z/pass" "$(z_url p)"
z_fails '(4096|4 KiB|block)' zerofs format --size 1000001 --name q --key-file "$Z/key" "$(z_url q)"

zt_say "a state folder with room for its lock and nothing else"
z_fails "^zerofs: the disk that holds the state folder $Z/full/state is full; make room" "${full[@]}"
umount "$Z/full"

z_start v
dev=$(z_dev v)
z_same "$dev" 0 16 mine && z_same "$dev" 16 16 more || zt_fail "something was lost"
z_stop v
