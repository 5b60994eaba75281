#!/usr/bin/env bash
# One node of Ceph with its S3 gateway on 127.0.0.1, in memory, until standard input ends. Needs root and what
# install.sh installs.
# Usage: radosgw-up.sh FOLDER MONITOR_PORT PORT [ACCESS_KEY SECRET_KEY]...     says "ready PORT"
set -euo pipefail
folder=$1 monitor_port=$2 port=$3
shift 3
mkdir -p "$folder"/{mon,osd,rgw,log,run}
fsid=$(cat /proc/sys/kernel/random/uuid)
osd_id=$(cat /proc/sys/kernel/random/uuid)
monitor="[v2:127.0.0.1:$monitor_port]"

# crush chooseleaf type 0: one OSD may hold a pool. paxos: the monitor would let a second pass before each change. perf, debug,
# tracker and crc: what nobody reads takes a fourth of the computing; so do the handovers between 512 threads of the gateway.
cat >"$folder/ceph.conf" <<CONF
[global]
fsid = $fsid
mon host = $monitor
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 1
mon data avail crit = 1
osd crush chooseleaf type = 0
paxos propose interval = 0.02
paxos min wait = 0.01
run dir = $folder/run
admin socket = $folder/run/\$name.\$pid.asok
log file = $folder/log/\$name.log
pid file =
perf = false
throttler perf counter = false
osd enable op tracker = false
ms crc data = false
$(printf 'debug %s = 0\n' auth buffer context finisher heartbeatmap memstore mon monc ms objclass objecter optracker osd \
  paxos rados throttle timer tp)
[mon.a]
mon data = $folder/mon
[osd.0]
osd data = $folder/osd
osd objectstore = memstore
memstore device bytes = 8589934592
[client.rgw]
rgw data = $folder/rgw
rgw gc obj min wait = 5
rgw gc processor max time = 5
rgw gc processor period = 5
rgw dynamic resharding = false
rgw thread pool size = 8
debug rgw = 0
CONF
export CEPH_CONF=$folder/ceph.conf

# Each dies with this script, however that ends.
daemons=()
daemon() {
  setpriv --pdeathsig KILL "$@" >>"$folder/log/$1.out" 2>&1 </dev/null &
  daemons+=($!)
}
stop() {
  ((${#daemons[@]} == 0)) || kill -KILL "${daemons[@]}"
  wait
} 2>/dev/null
trap stop EXIT
trap 'exit 1' HUP INT TERM

monmaptool --create --fsid "$fsid" --addv a "$monitor" "$folder/monmap" >/dev/null
ceph-mon --mkfs -i a --monmap "$folder/monmap"
daemon ceph-mon -f -i a
ceph-osd --mkfs -i 0 --osd-uuid "$osd_id" >/dev/null 2>&1
ceph --connect-timeout 300 >/dev/null 2>&1 <<COMMANDS
osd new $osd_id
osd crush add-bucket host1 host
osd crush move host1 root=default
COMMANDS
daemon ceph-osd -f -i 0

# Without tcp_nodelay every GET takes 44 ms. Without authentication the gateway has to be told how to ask the monitor.
daemon radosgw -f -n client.rgw --ms_mon_client_mode=crc \
  "--rgw_frontends=beast endpoint=127.0.0.1:$port tcp_nodelay=1"
for _ in $(seq 3000); do
  (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
  kill -0 "${daemons[-1]}" || exit 1
  sleep 0.1
done
number=0
while (($#)); do
  number=$((number + 1))
  radosgw-admin user create --uid="user$number" --display-name="user$number" --access-key="$1" --secret-key="$2" >/dev/null
  shift 2
done
echo "ready $port"
cat >/dev/null
