# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: the ground that the other tests stand on: the gateway keeps what it is given and tells a wrong key from a right one;
# a create-only PUT has one winner, 25 times of 6 writers.
. tests/s3/lib.sh

s3 PUT /ground > "$ZT_TMP/out"
s3 PUT /ground/a/b 'some bytes' > "$ZT_TMP/out"
[ "$(s3 GET /ground/a/b)" = 'some bytes' ] || fail "the gateway does not keep what it is given"
s3 GET /ground | grep -q '<Key>a/b</Key>' || fail "LIST does not show the object"
s3 DELETE /ground/a/b
! s3 GET /ground/a/b > "$ZT_TMP/out" 2>&1 || fail "a deleted object is there"
(cd tests/s3 && $python -c "
import sys
from s3req import S3
status, _, body = S3(sys.argv[1], secret='wrong').request('GET', '/ground')
assert status == 403 and b'AccessDenied' in body, (status, body)" "$ZT_S3") || fail "a wrong secret is taken"
tests/s3/race.py "$ZT_S3" ground 6 25
