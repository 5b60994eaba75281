#!/usr/bin/env bash
# What the S3 servers of tests/servers need and pip does not bring: Ceph by apt, s3rver by npm. Quick when all is there.
# What cannot be installed is said, and the tests that need it are skipped.
set -uo pipefail
unset NODE_OPTIONS

lacking() {
  printf '\n!!! %s\n!!! TESTS THAT NEED IT ARE SKIPPED.\n\n' "$1"
}
has() {
  command -v "$1" >/dev/null
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

ceph() {
  has ceph-mon && has ceph-osd && has radosgw && has radosgw-admin && type -P ceph >/dev/null && return
  local install=(timeout 240 apt-get install -y --no-install-recommends ceph-mon ceph-osd radosgw ceph-common)
  export DEBIAN_FRONTEND=noninteractive
  if [[ $(id -u) != 0 ]] || ! has apt-get; then
    lacking 'Ceph is not installed: that needs root and apt-get.'
  elif ! "${install[@]}" >"$log" 2>&1 && ! { timeout 120 apt-get update && "${install[@]}"; } >"$log" 2>&1; then
    tail -n 5 "$log"
    lacking 'Ceph could not be installed by apt-get.'
  fi
}

s3rver() {
  local folder=${XDG_CACHE_HOME:-~/.cache}/molexp-tests/s3rver
  [[ -d $folder/node_modules/s3rver ]] && return
  if ! has node || ! has npm; then
    lacking 's3rver is not installed: that needs node and npm.'
  elif ! timeout 120 npm install --prefix "$folder" --no-audit --no-fund s3rver@3.7.1 >"$log" 2>&1; then
    tail -n 5 "$log"
    rm -rf "$folder"
    lacking 's3rver could not be installed by npm.'
  fi
}

ceph
s3rver
exit 0
