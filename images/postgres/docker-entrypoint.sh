#!/bin/bash
# The part of the official image's entry point that the demo uses: make the cluster on first start, then run the server.
set -euo pipefail

if [ "${1:0:1}" = '-' ]; then
	set -- postgres "$@"
fi

if [ "$1" = postgres ] && [ ! -e "$PGDATA/demo_initialized" ]; then
	: "${POSTGRES_PASSWORD_FILE:?must name the file with the password of the superuser}"
	mkdir -p "$PGDATA"
	chmod 0700 "$PGDATA"
	# A start that was killed half-way leaves files without the mark; initdb wants the folder empty.
	find "$PGDATA" -mindepth 1 -delete
	read -ra arguments <<<"${POSTGRES_INITDB_ARGS:-}"
	initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth-host=scram-sha-256 --auth-local=trust \
		--encoding=UTF8 "${arguments[@]}" >/dev/null
	printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
	: >"$PGDATA/demo_initialized"
fi

exec "$@"
