# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 240
# DESCRIPTION: a bit flips, an object is cut short or missing under a served volume: EIO for what lay in it and nothing else,
# never a wrong byte; put back, all reads well again.
# Seen to fail with a daemon that decrypts without looking at the tag.
. tests/vm/lib.sh
z_setup
z_format c --size 64M
z_start c
dev=$(z_dev c)
store=$Z_STORE/c

objects() { find "$store" -type f | sort; }
# Three areas, each in segments of its own.
for area in 0 1 2; do
	objects > "$Z/before"
	z_put "$dev" $((area * 1000)) 256 area$area
	z_flush "$dev"
	objects | comm -13 "$Z/before" - | xargs ls -S | head -1 > "$Z/object.$area"
	[ "$(stat -c %s "$(cat "$Z/object.$area")")" -gt 1000000 ] || zt_fail "no segment holds area $area"
done
z_stop c

others() { # all areas but 1
	z_same "$dev" 0 256 area0 || zt_fail "$1: area 0"
	z_same "$dev" 2000 256 area2 || zt_fail "$1: area 2"
}
# Reads area 1 in pieces of 32 KiB: each is right or an error, in whose place dd leaves zeros. Prints how many were errors.
sums() { (cd "$1" && rm -f p.* && split -b 32k -a 2 - p. && sha1sum p.* | sort); }
mkdir -p "$Z/right" "$Z/found" "$Z/zero"
z_noise area1 $((256 * 4096)) | sums "$Z/right" > "$Z/right.sums"
head -c $((256 * 4096)) /dev/zero | sums "$Z/zero" > "$Z/zero.sums"
pieces() {
	local bad zero wrong
	{ dd if="$dev" bs=32k skip=125 count=32 iflag=direct conv=noerror,sync 2> "$Z/stderr" || true; } |
		sums "$Z/found" > "$Z/found.sums"
	bad=$(grep -ci 'input/output error' "$Z/stderr" || true)
	zero=$(comm -12 "$Z/found.sums" "$Z/zero.sums" | wc -l)
	wrong=$(comm -23 "$Z/found.sums" "$Z/right.sums" | comm -23 - "$Z/zero.sums" | wc -l)
	[ "$wrong" = 0 ] || zt_fail "WRONG BYTES in $wrong pieces"
	[ "$zero" = "$bad" ] || zt_fail "$bad pieces fail, but $zero read as zero"
	echo "$bad"
}

flip() { # FILE OFFSET: one bit of that byte
	local byte
	byte=$(dd if="$1" bs=1 skip="$2" count=1 status=none | od -An -tu1)
	# shellcheck disable=SC2059
	printf "\\$(printf %o $((byte ^ 4)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

object=$(cat "$Z/object.1")
cp "$object" "$Z/good"
size=$(stat -c %s "$object")

zt_say "a flipped bit in the middle"
z_start c
dev=$(z_dev c)
flip "$object" $((size / 2))
bad=$(pieces)
zt_say "$bad of 32 pieces fail"
[ "$bad" -ge 1 ] && [ "$bad" -le 4 ] || zt_fail "a flipped bit took $bad pieces of 32 KiB with it"
others "flipped"
[ "$(z_json c .corrupt_frames)" -ge 1 ] || zt_fail "nothing counts the damage"
z_is c LIVE
z_put "$dev" 3000 8 new
z_flush "$dev"
cp "$Z/good" "$object"
[ "$(pieces)" = 0 ] || zt_fail "restored, but does not read"
z_stop c

zt_say "cut short"
z_start c
dev=$(z_dev c)
truncate -s $((size / 2)) "$object"
bad=$(pieces)
zt_say "$bad of 32 pieces fail"
[ "$bad" -ge 14 ] && [ "$bad" -le 18 ] || zt_fail "half an object took $bad pieces of 32 with it"
others "cut short"
z_is c LIVE

zt_say "missing"
rm "$object"
others "missing"
z_is c LIVE
z_kill c
z_start c
z_is c LIVE
bad=$(pieces)
[ "$bad" = 32 ] || zt_fail "only $bad of 32 pieces fail with nothing there to read"
others "missing, after a restart"
cp "$Z/good" "$object"
[ "$(pieces)" = 0 ] || zt_fail "restored, but does not read"
others "restored"
z_same "$dev" 3000 8 new || zt_fail "what was written beside the damage is gone"
z_stop c

# The same in the part of the log that no manifest covers yet: an older image must not pass for the newest.
zt_say "damage in the log's tail"
z_format t --size 64M
store=$Z_STORE/t
z_start t
dev=$(z_dev t)
for area in 0 1 2; do
	objects > "$Z/before"
	z_put "$dev" $((area * 1000)) 64 tail$area
	z_flush "$dev"
	objects | comm -13 "$Z/before" - | grep /seg/ | tail -1 > "$Z/object.$area"
done
z_kill t
refused() { # AREA missing|short|flipped
	local object
	object=$(cat "$Z/object.$1")
	mv "$object" "$Z/good"
	case $2 in
	short) head -c 1000 "$Z/good" > "$object" ;;
	flipped) cp "$Z/good" "$object" && flip "$object" 40 ;;
	esac
	if z_try_start t; then zt_fail "segment of area $1 $2: served all the same"; fi
	zt_say "segment of area $1 $2: $(tail -1 "$Z/t.log")"
	grep -q '^zerofs: ' <(tail -1 "$Z/t.log") || zt_fail "no line that says why"
	mv "$Z/good" "$object"
}
for how in missing short flipped; do refused 1 $how; done
for how in short flipped; do refused 2 $how; done
z_start t
z_is t LIVE
for area in 0 1 2; do z_same "$dev" $((area * 1000)) 64 tail$area || zt_fail "area $area is gone"; done

# The very end of the log missing looks like a log that ends there; but the module knows what was flushed.
objects > "$Z/before"
z_put "$dev" 3000 64 tail3
z_flush "$dev"
z_kill t
objects | comm -13 "$Z/before" - | grep /seg/ | xargs rm
z_start t
z_is t CACHE_LOST
z_eio z_flush "$dev"
zerofs clear t
for area in 0 1 2; do z_same "$dev" $((area * 1000)) 64 tail$area || zt_fail "area $area is gone"; done
z_zero "$dev" 3000 64 || zt_fail "what is gone does not read as if it had never been"
z_stop t
