#!/bin/sh
# Fails where static/app.js, static/place.js or static/app.css is not what the sources make.
# Needs node and npm; touches nothing but node_modules and static/.
set -eu
cd "$(dirname "$0")"
npm ci --no-audit --no-fund --loglevel=error
npm run --silent check
before=$(cat static/app.js static/place.js static/app.css | sha256sum)
npm run --silent build
after=$(cat static/app.js static/place.js static/app.css | sha256sum)
if [ "$before" != "$after" ]; then
	echo "webui/static is not built from its sources: run 'npm run build' in webui/ and commit" >&2
	exit 1
fi
echo "webui/static is current"
