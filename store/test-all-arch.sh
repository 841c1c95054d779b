#!/bin/sh
# The store's contract suite over both engines: Badger and bbolt on this
# machine, bbolt on a 32-bit one, and bbolt on the processors of routers under
# Debian's qemu-user-static. Run it on amd64. Arguments go to go test.
set -eu
cd "$(dirname "$0")"
export CGO_ENABLED=0

for qemu in qemu-arm-static qemu-mipsel-static qemu-mips-static; do
	if ! command -v "$qemu" >/dev/null; then
		echo "$qemu is missing: apt-get install qemu-user-static" >&2
		exit 1
	fi
done

run() {
	echo "== $1"
	shift
	env "$@"
}

run 'amd64, Badger' GOARCH=amd64 go test "$@" .
run 'amd64, bbolt' GOARCH=amd64 go test -tags boltstore "$@" .
run '386, bbolt' GOARCH=386 go test "$@" .
run 'armv7, bbolt' GOARCH=arm GOARM=7 STORE_TEST_RUNNER=qemu-arm-static \
	go test -exec qemu-arm-static "$@" .
run 'mipsle softfloat, bbolt' GOARCH=mipsle GOMIPS=softfloat STORE_TEST_RUNNER=qemu-mipsel-static \
	go test -exec qemu-mipsel-static "$@" .
run 'mips softfloat, bbolt' GOARCH=mips GOMIPS=softfloat STORE_TEST_RUNNER=qemu-mips-static \
	go test -exec qemu-mips-static "$@" .
