#!/usr/bin/env bash
# What tests need and pip does not bring: Ceph and Slurm by apt and s3rver by npm for the servers of tests/servers, and Chromium by
# apt, which looks at pages and reports; zsh and fish by apt, whose completion is tested. Quick when all is there.
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

by_apt() {
  local name=$1
  local install=(timeout 900 apt-get install -y --no-install-recommends "${@:2}")
  export DEBIAN_FRONTEND=noninteractive
  if [[ $(id -u) != 0 ]] || ! has apt-get; then
    lacking "$name is not installed: that needs root and apt-get."
  elif ! "${install[@]}" >"$log" 2>&1 && ! { timeout 300 apt-get update && "${install[@]}"; } >"$log" 2>&1; then
    tail -n 5 "$log"
    lacking "$name could not be installed by apt-get."
  fi
}

ceph() {
  has ceph-mon && has ceph-osd && has radosgw && has radosgw-admin && type -P ceph >/dev/null && return
  by_apt Ceph ceph-mon ceph-osd radosgw ceph-common
}

# With the database of its accounting.
slurm() {
  has munged && has slurmctld && has slurmd && has sbatch && has slurmdbd && has mariadbd && return
  by_apt Slurm slurm-wlm munge slurmdbd mariadb-server
}

chromium() {
  type -P chromium >/dev/null && return
  by_apt Chromium chromium
}

s3rver() {
  local folder=${XDG_CACHE_HOME:-~/.cache}/molexp-tests/s3rver
  [[ -d $folder/node_modules/s3rver ]] && return
  if ! has node || ! has npm; then
    lacking 's3rver is not installed: that needs node and npm.'
  elif ! timeout 300 npm install --prefix "$folder" --no-audit --no-fund s3rver@3.7.1 >"$log" 2>&1; then
    tail -n 5 "$log"
    rm -rf "$folder"
    lacking 's3rver could not be installed by npm.'
  fi
}

shells() {
  has zsh && has fish && return
  by_apt 'zsh and fish' zsh fish
}

ceph
slurm
chromium
s3rver
shells
exit 0
