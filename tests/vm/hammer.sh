# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For guest tests where daemons come and go: two writers that check what they read. `. tests/vm/hammer.sh` after lib.sh.
#
#   h_start NAME SEED    fio --verify on the first 24 MiB of device 0 of volume NAME, stamped writes on the first 16 of device 1
#   h_on WORDS           both still write, so neither has seen an error; the test fails with WORDS
#   h_end                both end; nobody has seen an error, neither they nor the kernel
#   h_check NAME         device 1 holds all that was stamped (also when NAME was served anew)

h_start() {
	local dev1
	H_DEV=$(z_dev "$1" 0)
	dev1=$(z_dev "$1" 1)
	H_STAMPS=(--tag 9 --seed "$2" --blocks 4096 --discard 5 --fua 2 --ops 1000000)
	rm -f "$Z/enough" "$Z/flushed"
	z_bg fio h_fio
	stamp write "${H_STAMPS[@]}" --read 20 --flush-every 25 --log "$Z/flushed" "$dev1" > "$Z/stamp.out" 2>&1 &
	H_STAMP=$!
}

h_fio() {
	local pass=0
	while [ ! -e "$Z/enough" ]; do
		fio --name=h --filename="$H_DEV" --rw=randwrite --bsrange=4k-64k --blockalign=4k --direct=1 --ioengine=libaio \
			--iodepth=32 --size=24M --randseed=$pass --fsync=200 --verify=crc32c --verify_fatal=1 --verify_backlog=64 --verify_state_save=0 \
			--output-format=terse --output="$Z/fio.terse" || { cat "$Z/fio.terse"; return 1; }
		pass=$((pass + 1))
	done
	echo "$pass passes of fio"
}

h_on() {
	z_running fio || { cat "$Z/fio.out"; zt_fail "fio ended: $1"; }
	kill -0 "$H_STAMP" || { cat "$Z/stamp.out"; zt_fail "the stamping writer ended: $1"; }
}

h_stamper_has_ended() { ! kill -0 "$H_STAMP"; }

h_end() {
	touch "$Z/enough"
	kill -TERM "$H_STAMP"
	zt_wait 60 h_stamper_has_ended
	wait "$H_STAMP" || { cat "$Z/stamp.out"; zt_fail "the stamping writer failed"; }
	z_rc fio 90
	[ "$Z_RC" = 0 ] || { cat "$Z/fio.out"; zt_fail "fio failed"; }
	if dmesg | grep -E 'zerofs.*(I/O error|critical)|I/O error, dev zerofs'; then zt_fail "the kernel logged I/O errors"; fi
	zt_say "$(cat "$Z/stamp.out"); $(cat "$Z/fio.out")"
}

h_check() { stamp check "${H_STAMPS[@]}" --flushed "$(sed -n 's/^issued //p' "$Z/flushed")" "$(z_dev "$1" 1)"; }
