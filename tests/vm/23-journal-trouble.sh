# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 300
# vm-disk: files 512M
# vm-disk: bad 80M
# DESCRIPTION: trouble with a journal: not there, another volume's, cut short, damaged, on a read-only or full file system, used
# twice: each is refused with one line, and nothing is changed, neither in the store nor in the journal. --abandon-journal says
# what it gives up. A journal whose disk fails is given up: no I/O error, flushes wait for the store, and the next start goes on.
. tests/vm/lib.sh
z_setup
export STOREAWAY=$Z/away
Z_UNDER=(env "LD_PRELOAD=$ZT_TOP/build/tests/vm/storeaway.so")
mkdir -p "$Z/j"
mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 "$(zt_disk files)"
mount "$(zt_disk files)" "$Z/j"

create() { zerofs journal create --size 64M --key-file "$Z/key" "$(z_url "$1")" "$2" > /dev/null; }
serve() { # NAME JOURNAL: as arguments
	echo zerofs serve --key-file "$Z/key" --state-dir "$Z/state.$1" --memory 160M ${2:+--flush local --journal "$2"} "$(z_url "$1")"
}
# What no refusal may change.
sums() { find "$Z_STORE" "$Z/j" -type f -exec sha256sum {} + | sort; }
refused() { # PATTERN NAME JOURNAL
	local cmd
	read -r -a cmd <<< "$(serve "$2" "$3")"
	z_fails "$1" "${cmd[@]}"
	sums | cmp -s - "$Z/sums" || zt_fail "a refused serve changed something: $(sums | diff - "$Z/sums" | head -4)"
}

z_format m --size 64M
z_format o --size 64M
create m "$Z/j/m"
create o "$Z/j/o"
z_start m --flush local --journal "$Z/j/m"
dev=$(z_dev m)
z_put "$dev" 0 16 stored
z_flush "$dev"
zt_wait 30 sh -c "[ \$(zerofs stats --json m | jq .dirty_bytes) = 0 ]"
touch "$Z/away"
z_put "$dev" 16 16 only
z_flush "$dev"
[ "$(z_json m .dirty_bytes)" -gt 0 ] || zt_fail "the store was to be away"

zt_say "two at once"
z_fails 'another process uses it' zerofs serve --key-file "$Z/key" --state-dir "$Z/state.o" --flush local --journal "$Z/j/m" "$(z_url o)"
z_fails '(already|in use|served|serves)' zerofs serve --key-file "$Z/key" --state-dir "$Z/state.m" "$(z_url m)"
z_is m LIVE

zt_say "a dead daemon, and what may be done to its journal"
z_kill m
rm "$Z/away"
sums > "$Z/sums"
refused 'is open and is not here' m ''
refused 'is not there; is its disk mounted' m "$Z/j/nothing"
refused 'is not served: journal: it belongs to another volume' m "$Z/j/o"
truncate -s 32M "$Z/j/m"
sums > "$Z/sums"
refused 'is not served: journal: it is shorter than' m "$Z/j/m"
# What was cut off held nothing yet.
truncate -s 64M "$Z/j/m"
head -c 8192 "$Z/j/m" > "$Z/head"
dd if=/dev/urandom of="$Z/j/m" bs=8192 count=1 conv=notrunc status=none
sums > "$Z/sums"
refused '(damaged|not a journal)' m "$Z/j/m"
dd if="$Z/head" of="$Z/j/m" conv=notrunc status=none
sums > "$Z/sums"
mount -o remount,ro "$Z/j"
refused 'Read-only' m "$Z/j/m"
mount -o remount,rw "$Z/j"
z_fails 'another volume' zerofs serve --key-file "$Z/key" --state-dir "$Z/state.o" --flush local --journal "$Z/j/m" "$(z_url o)"
sums | cmp -s - "$Z/sums" || zt_fail "a refused serve of the other volume changed something"

zt_say "with its journal, on a file system that is full, all is there, though the kernel's copy is damaged"
arena m 0 64
dd if=/dev/zero of="$Z/j/filler" bs=1M status=none 2> /dev/null || true
[ "$(df --output=avail "$Z/j" | tail -1)" -lt 1024 ] || zt_fail "the file system is not full"
z_fails '(No space|full)' zerofs journal create --size 64M --key-file "$Z/key" "$(z_url m)" "$Z/j/new"
[ ! -e "$Z/j/new" ] || zt_fail "a create that failed left its file"
z_start m --flush local --journal "$Z/j/m"
z_is m LIVE
z_same "$dev" 0 16 stored && z_same "$dev" 16 16 only || zt_fail "what only the journal held is gone"
touch "$Z/away"
z_put "$dev" 32 16 full
z_flush "$dev"
[ "$(z_json m .dirty_bytes)" -gt 0 ] || zt_fail "the store was to be away"
rm "$Z/j/filler"

zt_say "given up"
z_kill m
arena m 0 64
rm "$Z/away"
mv "$Z/j/m" "$Z/j/away"
sums > "$Z/sums"
refused 'is open and is not here.*--abandon-journal' m ''
: > "$Z/m.log"
z_start m --abandon-journal
grep -q 'is given up: flushes that it answered after number [0-9]* was in the store are lost' "$Z/m.log" ||
	zt_fail "it does not say what is given up: $(cat "$Z/m.log")"
z_is m CACHE_LOST
z_eio z_flush "$dev"
zerofs clear m
z_is m LIVE
z_same "$dev" 0 16 stored || zt_fail "what was in the store is gone"
z_same "$dev" 32 16 full && zt_fail "the comparison is blind"
z_stop m
zt_say "the journal comes back too late"
sums > "$Z/sums"
refused '(left|another host|does not go on|owned)' m "$Z/j/away"

zt_say "a disk that fails under the journal"
modprobe dm-flakey
sectors=$(blockdev --getsz "$(zt_disk bad)")
table() { dmsetup "$@" --table "0 $sectors $table_kind"; }
table_kind="linear $(zt_disk bad) 0"
table create journal
dmsetup mknodes
bad=/dev/mapper/journal
# The first volume had some, when it was CACHE_LOST.
errors() { dmesg | grep -c 'I/O error, dev zerofs' || true; }
before=$(errors)
create o "$bad"
z_start o --flush local --journal "$bad"
dev=$(z_dev o)
z_put "$dev" 0 16 good
z_flush "$dev"
table_kind="flakey $(zt_disk bad) 0 0 3600 1 error_writes"
dmsetup suspend journal
table load journal
dmsetup resume journal
z_put "$dev" 16 16 bad
z_flush "$dev"
[ "$(z_json o .dirty_bytes)" = 0 ] || zt_fail "a FLUSH returned before the store had it"
zerofs status o | tee "$Z/status"
grep -q "TROUBLE:.*the journal's disk has failed" "$Z/status" || zt_fail "status does not say so"
[ "$(grep -c "journal's disk fails" "$Z/o.log")" = 1 ] || zt_fail "the log does not say it once"
touch "$Z/away"
z_put "$dev" 32 16 later
z_bg flush z_flush "$dev"
sleep 3
z_running flush || zt_fail "a FLUSH returned with neither a journal nor a store"
dmsetup suspend journal
table_kind="linear $(zt_disk bad) 0"
table load journal
dmsetup resume journal
z_put "$dev" 48 16 healed
sleep 1
z_running flush || zt_fail "a journal that had failed was used again"
rm "$Z/away"
z_rc flush 60
[ "$Z_RC" = 0 ] || zt_fail "the FLUSH failed"
z_kill o
z_start o --flush local --journal "$bad"
z_is o LIVE
zerofs status o | grep -q 'journal: ' || zt_fail "a healed journal is not used by the next daemon"
i=0
for seed in good bad later healed; do
	z_same "$dev" $((i * 16)) 16 $seed || zt_fail "$seed is gone"
	i=$((i + 1))
done
[ "$(errors)" = "$before" ] || zt_fail "the kernel logged I/O errors"
z_stop o
dmsetup remove journal
umount "$Z/j"
