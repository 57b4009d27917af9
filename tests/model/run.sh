#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Checks volume.pml with spin: the algorithm as it is must pass a complete search, and each planted fault must break an assertion.
# Each run is a PASS or FAIL line to descriptor 3. Usage: tests/model/run.sh [NAME...]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
[ -e /proc/self/fd/3 ] || exec 3>&1
top=$PWD
log=$top/build/check/model
mkdir -p "$log"
jobs=2
mem=900 # megabytes, of each of these

# NAME DEFINES...; the longest first. With a BUG_ among its defines a run must fail.
runs=(
	"delete -DCKPT -DDELETE -DOPS1=1"
	"delete-thawed -DCKPT -DDELETE -DOPS=0"
	"numbers -DCKPT -DADOPT -DOPS1=1 -DOPS=2"
	"lose-wide -DLOSE -DW=3 -DOPS1=3"
	"attach-wide -DW=3 -DOPS1=3"
	"heads-thawed -DCKPT -DOPS=0"
	"heads -DCKPT -DOPS1=1"
	"attach -DOPS1=3"
	"lose -DLOSE"
	"no-list-after-fence -DCKPT -DDELETE -DOPS1=1 -DBUG_NO_LIST_AFTER_FENCE"
	"no-relist -DCKPT -DDELETE -DOPS=0 -DBUG_NO_RELIST"
	"trust-version -DCKPT -DDELETE -DOPS=0 -DBUG_TRUST_VERSION"
	"delete-fence -DCKPT -DDELETE -DOPS1=1 -DBUG_DELETE_FENCE"
	"delete-before-head -DCKPT -DDELETE -DBUG_DELETE_BEFORE_HEAD"
	"delete-by-map -DCKPT -DDELETE -DBUG_DELETE_BY_MAP"
	"early-checkpoint -DCKPT -DADOPT -DOPS1=1 -DOPS=2 -DBUG_EARLY_CHECKPOINT"
	"forget-resume-wno -DOPS1=3 -DBUG_FORGET_RESUME_WNO"
	"next-slot -DOPS1=3 -DBUG_NEXT_SLOT"
	"fence-next-slot -DOPS1=3 -DBUG_FENCE_NEXT_SLOT"
	"count-window -DOPS1=3 -DBUG_COUNT_WINDOW"
	"answer-out-of-order -DOPS1=3 -DBUG_ANSWER_OUT_OF_ORDER"
	"any-412-is-mine -DOPS1=3 -DBUG_ANY_412_IS_MINE"
	"epoch-before-nonce -DOPS1=3 -DBUG_EPOCH_BEFORE_NONCE"
	"ignore-epoch -DOPS1=3 -DBUG_IGNORE_EPOCH"
	"no-fence -DOPS1=3 -DBUG_NO_FENCE"
	"resume-next -DOPS1=3 -DBUG_RESUME_NEXT"
	"no-proof -DLOSE -DBUG_NO_PROOF"
)

# search DEFINES...: says what is wrong with the outcome, or nothing.
search() {
	local opt=-O1 status=0
	case $* in *-DBUG_*) opt=-O0 ;; esac
	spin -a "$@" "$top/tests/model/volume.pml" > spin.log 2>&1 && [ -s pan.c ] || { echo "spin does not take it"; return; }
	gcc $opt -w -DSAFETY -DNOREDUCE -DMEMLIM=$mem -o pan pan.c > gcc.log 2>&1 || { echo "the verifier does not compile"; return; }
	# -E: an end where nothing is left to do is no error
	./pan -m1000 -E -w22 > pan.log 2>&1 || status=$?
	case $* in
	*-DBUG_*)
		grep -q '^pan:1: assertion violated' pan.log || echo "the fault was not found"
		return ;;
	esac
	if grep -q '^pan:1: ' pan.log; then
		grep -m1 '^pan:1: ' pan.log
	elif [ $status != 0 ] || grep -qiE 'max search depth too small|MEMLIM|out of memory|search not completed|truncated' pan.log ||
		! grep -q 'errors: 0$' pan.log || ! grep -q '^Full statespace search' pan.log; then
		echo "the search did not cover everything"
	fi
}

one() { # NAME DEFINES...
	local name=$1 s=$SECONDS why
	shift
	rm -rf "${log:?}/$name"
	mkdir -p "$log/$name" && cd "$log/$name" || exit 1
	why=$(search "$@")
	if [ -z "$why" ]; then
		printf 'PASS\tmodel:%s\t%s\t\n' "$name" $((SECONDS - s)) >&3
		rm -f pan pan.[bchmpt]
		return 0
	fi
	printf 'FAIL\tmodel:%s\t%s\t%s, see %s\n' "$name" $((SECONDS - s)) "$why" "$log/$name" >&3
	return 1
}

wanted() { [ $# = 1 ] || case " ${*:2} " in *" $1 "*) ;; *) return 1 ;; esac; }

for n in "$@"; do
	printf '%s\n' "${runs[@]}" | cut -d' ' -f1 | grep -qxF -- "$n" || { echo "run.sh: no such run: $n" >&2; exit 2; }
done
bad=0 running=0
for r in "${runs[@]}"; do
	read -ra words <<< "$r"
	wanted "${words[0]}" "$@" || continue
	if [ $running = $jobs ]; then
		wait -n || bad=1
		running=$((running - 1))
	fi
	one "${words[@]}" &
	running=$((running + 1))
done
while [ $running -gt 0 ]; do
	wait -n || bad=1
	running=$((running - 1))
done
exit $bad
