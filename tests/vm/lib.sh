# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For guest tests that serve volumes: `. tests/vm/lib.sh`. All state is in $Z, which is gone with the guest.
#
#   z_setup                      loads the module, makes the key; daemons that a test leaves behind die with it
#   z_format NAME [OPTION...]    makes a volume in $Z_STORE (file://$Z_STORE/NAME)
#   z_start NAME [OPTION...]     serves it; returns when it is ready. z_try_start: returns its failure instead.
#                                In two steps: z_launch NAME [OPTION...], z_ready NAME
#   z_stop NAME                  SIGTERM; the daemon must end with status 0
#   z_kill NAME [SIGNAL]         SIGKILL; returns when it is gone
#   z_replace NAME [OPTION...]   a new daemon takes over from the one that serves it
#   z_dev NAME [ID]              prints the device, /dev/zerofsN
#   z_state NAME                 prints the state (of device 0)
#   z_counter DEVICE ATTRIBUTE   prints a counter of /sys/block/zerofsN/zerofs/
#   z_fails PATTERN COMMAND...   the command must fail with one line on stderr that matches
#   z_eio COMMAND...             the command must fail, and with an I/O error
#   z_flush DEVICE               one FLUSH
#   z_count_copies               before z_start: the daemon's copies of whole blocks are counted; z_copied prints the bytes
#
# Most tests say with what bug in the daemon, or change of the test, they were seen to fail.

. tests/vm/guestlib.sh

Z=/tmp/z
Z_STORE=$Z/store
# Where a volume's state folder lies.
Z_STATE=$Z
# What serve gets besides what a test says. Small, so that tests reach the limits.
Z_SERVE=(--memory 160M)
# A program to run the daemon under, with its arguments.
Z_UNDER=()
declare -A Z_PID=()

z_cleanup() {
	local rc=$? name p
	trap - ERR EXIT
	set +e
	for p in "${Z_PID[@]}"; do
		kill -CONT "$p" 2>/dev/null
		kill -KILL "$p" 2>/dev/null && wait "$p" 2>/dev/null
	done
	if [ $rc != 0 ] && [ $rc != 77 ]; then
		for name in "$Z"/*.log; do
			[ -s "$name" ] && { echo "---- $name"; tail -30 "$name"; }
		done
	fi
	exit $rc
}

z_setup() {
	trap z_cleanup EXIT
	mkdir -p "$Z" "$Z_STORE"
	rm -f "$Z"/*.log
	[ -e "$Z/key" ] || (umask 077; head -c 32 /dev/urandom > "$Z/key")
	modprobe zerofs
}

z_url() { echo "file://$Z_STORE/$1"; }

z_format() {
	local name=$1
	shift
	rm -rf "${Z_STORE:?}/$name" "$Z_STATE/state.$name"
	zerofs format --name "$name" --key-file "$Z/key" "$@" "$(z_url "$name")" >> "$Z/$name.log" 2>&1 ||
		zt_fail "format $name: $(tail -1 "$Z/$name.log")"
}

z_launch() {
	local name=$1 ready=$Z/$1.ready
	shift
	# A plain file: nobody has to read it for the daemon to begin, or to go on.
	rm -f "$ready"
	"${Z_UNDER[@]}" zerofs serve --key-file "$Z/key" --state-dir "$Z_STATE/state.$name" --ready-fd 9 "${Z_SERVE[@]}" "$@" \
		"$(z_url "$name")" >> "$Z/$name.log" 2>&1 9> "$ready" < /dev/null &
	Z_PID[$name]=$!
}

# z_stuck NAME: what its daemon is at.
z_stuck() {
	local t
	timeout 5 zerofs status "$1" || true
	for t in /proc/"${Z_PID[$1]}"/task/*; do
		echo "$(cat "$t/comm"): $(cat "$t/wchan") $(tr '\n' ' ' < "$t/stack")"
	done 2> /dev/null
}

# z_gone NAME SECONDS: waits until its daemon has ended.
z_gone() {
	local end=$((SECONDS + $2))
	while kill -0 "${Z_PID[$1]}" 2> /dev/null; do
		[ $SECONDS -lt $end ] || { z_stuck "$1"; zt_fail "the daemon of $1 has not ended after $2 s"; }
		sleep 0.05
	done
}

# A line when it is served. A daemon that died, or says nothing for so long, is none.
z_ready() {
	local end=$((SECONDS + 120))
	until [ -s "$Z/$1.ready" ]; do
		if ! kill -0 "${Z_PID[$1]}" 2> /dev/null; then
			# It may have said so and died.
			[ -s "$Z/$1.ready" ] && break
			wait "${Z_PID[$1]}" || true
			unset "Z_PID[$1]"
			return 1
		elif [ $SECONDS -ge $end ]; then
			zt_say "the daemon of $1 is not ready after 120 s"
			z_stuck "$1"
			z_kill "$1"
			return 1
		fi
		sleep 0.05
	done
}

z_try_start() { z_launch "$@" && z_ready "$1"; }

z_start() { z_try_start "$@" || zt_fail "the daemon of $1 did not come up: $(tail -1 "$Z/$1.log")"; }

# z_replace NAME OPTION...: a new daemon in place of NAME's, which must end by itself, with status 0.
z_replace() {
	local old=${Z_PID[$1]} rc=0
	z_start "$@" --replace
	zt_wait 30 sh -c "! kill -0 $old"
	wait "$old" || rc=$?
	[ $rc = 0 ] || zt_fail "the daemon that was replaced ended with status $rc"
}

z_stop() {
	local rc=0
	kill -TERM "${Z_PID[$1]}"
	z_gone "$1" 120
	wait "${Z_PID[$1]}" || rc=$?
	unset "Z_PID[$1]"
	[ $rc = 0 ] || zt_fail "the daemon of $1 ended with status $rc: $(tail -1 "$Z/$1.log")"
}

z_kill() {
	kill "-${2:-KILL}" "${Z_PID[$1]}"
	z_gone "$1" 60
	wait "${Z_PID[$1]}" 2>/dev/null || true
	unset "Z_PID[$1]"
}

z_sys() { echo "/sys/block/${1#/dev/}/zerofs"; }

z_counter() { cat "$(z_sys "$1")/$2"; }

z_dev() {
	local d
	for d in /sys/block/zerofs*; do
		if [ -e "$d" ] && [ "$(cat "$d/zerofs/volume")" = "$1" ] && [ "$(cat "$d/zerofs/device_id")" = "${2:-0}" ]; then
			echo "/dev/${d##*/}"
			return
		fi
	done
	zt_fail "no device ${2:-0} of $1"
}

# The module and the daemon write it in different cases.
z_state() { z_counter "$(z_dev "$1")" state | tr a-z A-Z; }

# z_is NAME STATE: fails the test if the volume is in another state.
z_is() {
	local s
	s=$(z_state "$1")
	[ "$s" = "$2" ] || zt_fail "$1 is $s, not $2"
}

z_fails() {
	local pattern=$1 rc=0 err=$Z/stderr
	shift
	timeout 60 "$@" > "$Z/stdout" 2> "$err" < /dev/null || rc=$?
	[ $rc != 0 ] || zt_fail "succeeded: $*"
	[ $rc != 124 ] && [ $rc -lt 128 ] || zt_fail "status $rc: $*"
	if [ "$(wc -l < "$err")" != 1 ] || ! grep -qE "$pattern" "$err"; then
		cat "$err"
		zt_fail "not one line that matches '$pattern': $*"
	fi
	zt_say "refused: $(cat "$err")"
}

z_eio() {
	local rc=0
	"$@" > "$Z/stdout" 2> "$Z/stderr" || rc=$?
	[ $rc != 0 ] || zt_fail "succeeded: $*"
	grep -qi 'input/output error' "$Z/stderr" || { cat "$Z/stderr"; zt_fail "failed, but not with EIO: $*"; }
}

z_flush() { sync -d "$1"; }

# z_put DEVICE BLOCK COUNT SEED: COUNT 4 KiB blocks of noise that follows from SEED, written past the page cache.
z_noise() { openssl enc -aes-128-ctr -nosalt -pass "pass:$1" -md sha256 < /dev/zero 2>/dev/null | head -c "$2" || true; }
z_put() { z_noise "$4" $(($3 * 4096)) | dd of="$1" bs=4096 seek="$2" count="$3" iflag=fullblock oflag=direct conv=notrunc status=none; }
# z_same DEVICE BLOCK COUNT SEED: true if the blocks hold what z_put put there.
z_same() { cmp -s <(dd if="$1" bs=4096 skip="$2" count="$3" iflag=direct status=none) <(z_noise "$4" $(($3 * 4096))); }
# z_zero DEVICE BLOCK COUNT: true if the blocks read as zero.
z_zero() { cmp -s <(dd if="$1" bs=4096 skip="$2" count="$3" iflag=direct status=none) <(head -c $(($3 * 4096)) /dev/zero); }

# z_bg NAME COMMAND...: in the background; its output in $Z/NAME.out, its status and time of end in $Z/NAME.rc.
z_bg() {
	local tag=$1
	shift
	rm -f "$Z/$tag.rc"
	(
		trap - ERR EXIT
		rc=0
		"$@" > "$Z/$tag.out" 2>&1 || rc=$?
		echo "$rc $EPOCHREALTIME" > "$Z/$tag.rc.new"
		mv "$Z/$tag.rc.new" "$Z/$tag.rc"
	) &
}
# z_rc NAME SECONDS: waits for it to end (the test fails if it does not), sets Z_RC to its status.
z_rc() {
	zt_wait "$2" test -e "$Z/$1.rc"
	# shellcheck disable=SC2034
	Z_RC=$(cut -d' ' -f1 "$Z/$1.rc")
}
# z_running NAME: true while it runs.
z_running() { [ ! -e "$Z/$1.rc" ]; }

# The count is tried out first, on a program that copies a known amount: a library that is not there, or that nobody calls,
# would count 0 for ever.
z_count_copies() {
	Z_UNDER=(env "LD_PRELOAD=$ZT_TOP/build/tests/vm/copies.so" "COPIES=$Z/copies")
	"${Z_UNDER[@]}" /usr/bin/python3 -c '
import ctypes, mmap
a, b = (ctypes.c_char.from_buffer(mmap.mmap(-1, 65536)) for _ in range(2))
ctypes.memmove(ctypes.addressof(a), ctypes.addressof(b), 65536)'
	[ "$(z_copied)" -ge 65536 ] || zt_fail "copies.so counted $(z_copied) of 65536 bytes"
}
z_copied() { od -An -tu8 -N8 "$Z/copies" | tr -d ' '; }

# z_json NAME FILTER: jq on `zerofs stats --json NAME`.
z_json() { zerofs stats --json "$1" | jq -r "$2"; }
