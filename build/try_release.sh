#!/bin/sh
# A reduced demo, for executables that run slowly: one node, a program, the end of
# each of them, and of the manager and the guard. Ends with status 0 if all recover.
set -u
cd /tmp && rm -rf n1 secret
mkdir -p /run/armor
export ARMOR_DATA_DIR=/tmp/n1

# Waits for a command to succeed, up to two minutes.
until_true() {
  tries=0
  until eval "$1" >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 120 ]; then
      echo "never: $1"
      cat node.log
      armor status
      armor events
      exit 1
    fi
    sleep 1
  done
  echo "ok: $1"
}

pid() {
  armor status | awk -v id="$1" '$1 == id { print $4 }'
}

armor --version
armor init --secret-file secret >/dev/null || exit 1
armor --role daemon --node n1 --listen 127.0.0.1:7101 --data-dir /tmp/n1 --secret-file secret >node.log 2>&1 &
until_true 'armor status | grep -qE "^execution@.* running "'
armor run --name sleeper -- sleep 100000 || exit 1
until_true 'armor status | grep -qE "^sleeper.0 .* running "'
kill -9 "$(pid sleeper.0)"
until_true 'armor events | grep -q "application.restarted "'
kill -9 "$(pid ftm)"
until_true 'armor events | grep -qE "ftm.takeover .* crashed"'
until_true 'armor status | grep -qE "^ftm .* running "'
kill -9 "$(cat n1/guard.lock)"
until_true 'armor events | grep -q "guard.recovered "'
armor status
armor down || exit 1
