#!/usr/bin/env bash
# One node of Slurm on 127.0.0.1, until standard input ends. Needs root and what install.sh installs.
# Usage: slurm-up.sh FOLDER CONTROLLER_PORT NODE_PORT DATABASE_PORT accounting|plain     says "ready FOLDER/slurm.conf"
# Daemons and jobs live in a PID namespace, so all of them end with it, and jobs cannot see the processes of the tests, as on
# another machine.
set -euo pipefail
if [[ $$ != 1 ]]; then
  exec setpriv --pdeathsig KILL unshare --pid --fork --kill-child=KILL --mount-proc "$0" "$@"
fi
folder=$1 ports=("$2" "$3" "$4") accounting=$5
trap 'exit 1' HUP INT TERM
umask 022
mkdir -p "$folder"/{state,spool,log,munge,db}
host=$(hostname -s)
daemon() {
  "$@" >>"$folder/log/$(basename "$1").out" 2>&1 </dev/null &
}
until_true() {
  for _ in $(seq 6000); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.05
  done
  echo "$1 gave no answer" >&2
  tail -v -n 5 "$folder"/log/* >&2 || true
  exit 1
}

# Its own munged, whose key nobody else has: the system's may be down, or of another mind.
head -c 128 /dev/urandom >"$folder/munge/key"
chmod 700 "$folder/munge"
chmod 600 "$folder/munge/key"
chmod 755 "$folder/munge" # sockets
daemon munged --foreground --force --socket="$folder/munge/socket" --key-file="$folder/munge/key" \
  --pid-file="$folder/munge/pid" --seed-file="$folder/munge/seed" --log-file="$folder/log/munged.log"
until_true munge --socket="$folder/munge/socket" -n

storage=AccountingStorageType=accounting_storage/none
if [[ $accounting == accounting ]]; then
  storage="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=${ports[2]}
AccountingStoragePass=$folder/munge/socket"
  sql() {
    mariadb --no-defaults -S "$folder/db/socket" "$@"
  }
  mariadb-install-db --no-defaults --user=root --datadir="$folder/db/data" --auth-root-authentication-method=socket \
    --skip-test-db >"$folder/log/install-db.out" 2>&1
  daemon mariadbd --no-defaults --user=root --datadir="$folder/db/data" --socket="$folder/db/socket" \
    --pid-file="$folder/db/pid" --skip-networking --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900
  until_true sql -e 'select 1'
  sql -e "create database slurm_acct_db; grant all on slurm_acct_db.* to 'slurm'@'localhost' identified by 'slurm'"
  cat >"$folder/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
DbdHost=$host
DbdAddr=127.0.0.1
DbdPort=${ports[2]}
SlurmUser=root
LogFile=$folder/log/slurmdbd.log
PidFile=$folder/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
CommunicationParameters=NoInAddrAny
CONF
  chmod 600 "$folder/slurmdbd.conf"
fi

# DefMemPerCPU: a job would take all memory, and arrays would run one by one. config_overrides: there are fewer CPUs than that.
# NoCtldInAddrAny: it would listen everywhere. KillWait: seconds from SIGTERM to SIGKILL. MessageTimeout: seconds that commands
# and daemons wait for each other; tests/slurm/engine.py shortens it while the controller is away.
cat >"$folder/slurm.conf" <<CONF
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=128
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,defer_batch=0
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/linux
$storage
ReturnToService=2
MessageTimeout=100
SlurmctldTimeout=300
SlurmdTimeout=300
InactiveLimit=0
KillWait=4
MinJobAge=300
MaxArraySize=1001
MaxJobCount=20000
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=8 RealMemory=8000 State=UNKNOWN Feature=tests
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=ALL MaxTime=10 State=UP
CONF
export SLURM_CONF=$folder/slurm.conf
if [[ $accounting == accounting ]]; then
  export MYSQL_UNIX_PORT=$folder/db/socket
  daemon slurmdbd -D
  until_true bash -c "exec 3<>/dev/tcp/127.0.0.1/${ports[2]}"
fi
# A test kills it, and while the file "away" exists, it stays away.
controller() {
  while true; do
    slurmctld -D -f "$SLURM_CONF" || true
    while [[ -e $folder/away ]]; do sleep 0.05; done
  done
}
daemon controller
daemon slurmd -D -f "$SLURM_CONF"
is_up() {
  sinfo -h -o %T | grep -qE 'idle|mixed'
}
until_true is_up
echo "ready $SLURM_CONF"
cat >/dev/null
