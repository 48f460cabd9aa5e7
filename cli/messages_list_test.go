package cli

// provokedMessages are in the order in which somebody would meet them.
var provokedMessages = []struct {
	title    string
	messages []provoked
}{
	{"The command line", []provoked{
		{"a command that is misspelled", "", "lockstep runs shwo"},
		{"no command of that name at all", "", "lockstep frobnicate"},
		{"a deployment is not named", "", "lockstep backup"},
		{"one word too many", "", "lockstep backup shop now"},
		{"a flag that does not exist", "", "lockstep backup shop --force"},
		{"a format that does not exist", "", "lockstep runs list -o yaml"},
		{"a log format that does not exist", "", "lockstep runs list --log-format xml"},
		{"nobody can be asked", "backup", "lockstep restore shop latest </dev/null"},
		{"a state that no run has", "", "lockstep runs list --state broken"},
		{"an operation that does not exist", "", "lockstep runs list --operation backups"},
		{"forget, without saying what", "", "lockstep backups forget"},
		{"an instance that is no GROUP/ID", "backup", "lockstep restore shop latest --yes --instance db"},
		{"a map that is none", "backup", "lockstep restore shop latest --yes --map db"},
		{"an acknowledgement without a job", "", "lockstep runs ack latest"},
		{"a raw output of nothing", "", "lockstep runs show latest --raw"},
		{"a schedule without a time", "", "lockstep schedules set nightly --deployment shop"},
	}},
	{"The configuration", []provoked{
		{"there is none", "rm lockstep.yaml", "lockstep status"},
		{"the file that is named is not there", "", "lockstep --config none.yaml status"},
		{"a folder in its place", "mkdir conf", "lockstep --config conf status"},
		{"no YAML", "printf 'deployments: [\n' >lockstep.yaml", "lockstep status"},
		{"a key that is misspelled", "sed -i 's/state_dir/stat_dir/' lockstep.yaml", "lockstep config validate"},
		{"no deployments", "printf 'state_dir: state\nrepository: {dir: backups}\n' >lockstep.yaml", "lockstep config validate"},
		{"no instances", "sed -i 's/instances: .*db.*/instances: []/' lockstep.yaml", "lockstep config validate"},
		{"a time that is none", "add 'script_timeout: soon'", "lockstep config validate"},
		{"a schedule that is none", "add 'schedule: \"at night\"'", "lockstep config validate"},
		{"a group twice", "sed -i 's/name: files/name: db/' lockstep.yaml", "lockstep config validate"},
		{"local instances and SSH at once", "add 'ssh: {user: ops}'", "lockstep config validate"},
		{"a value of two kinds", "sed -i 's/^repository: .*/repository: backups/' lockstep.yaml", "lockstep config validate"},
		{"a key file that is not there", "ssh_config 'identity_file: key, known_hosts: hosts' 127.0.0.1", "lockstep config validate"},
		{"jobs that lock one another", "sed -i 's/^      web: .*/      web: {lock_before: [postgres]}\\n      postgres: {lock_before: [web]}/' lockstep.yaml", "lockstep plan shop"},
	}},
	{"Names", []provoked{
		{"a deployment that is not configured", "", "lockstep backup shp"},
		{"its status", "", "lockstep status shp"},
		{"its plan", "", "lockstep plan shp"},
		{"a restore of it", "", "lockstep restore shp latest --yes"},
		{"a recovery of it", "", "lockstep recover shp"},
		{"a run that is not there", "", "lockstep runs show nope"},
		{"the latest run, and there was none", "", "lockstep runs show latest"},
		{"a run to watch that is not there", "", "lockstep runs watch nope"},
		{"a run to audit that is not there", "", "lockstep runs audit nope"},
		{"a step that is not in the plan", "backup", "lockstep runs show latest --output db/0/redis/backup"},
		{"a deployment whose backups are listed, and that is not configured", "", "lockstep backups list shp"},
		{"a topic of help that is not there", "", "lockstep help nope"},
		{"a backup that is not there", "", "lockstep backups show nope"},
		{"a backup to verify that is not there", "", "lockstep backups verify nope"},
		{"a backup to forget that is not there", "", "lockstep backups forget nope --yes"},
		{"a backup to export that is not there", "", "lockstep backups export nope out"},
		{"the latest backup, and there is none", "", "lockstep restore shop latest --yes"},
		{"a schedule that is not there", "", "lockstep schedules pause nightly"},
		{"a receiver that is not there", "", "lockstep notify test nobody"},
		{"a token that is not there", "", "lockstep tokens revoke nope"},
		{"an approval that is not there", "", "lockstep approvals show nope"},
		{"an instance to restore that is not there", "backup", "lockstep restore shop latest --yes --instance db/7"},
		{"a job to restore that is not there", "backup", "lockstep restore shop latest --yes --job redis"},
	}},
	{"Scripts", []provoked{
		{"a lock script fails and says why", "put db/jobs/postgres/bin/pre-backup-lock '#!/bin/sh\necho cannot freeze: too many connections >&2\nexit 3'", "lockstep backup shop"},
		{"a lock script fails and says nothing", "put db/jobs/postgres/bin/pre-backup-lock '#!/bin/sh\nexit 3'", "lockstep backup shop"},
		{"a backup script fails with a number", "put db/jobs/postgres/bin/backup '#!/bin/sh\necho 17 >&2\nexit 1'", "lockstep backup shop"},
		{"a backup script fails with several lines", "put db/jobs/postgres/bin/backup '#!/bin/sh\nprintf \"dumping shop\\nno space left\\nsee /var/log/pg\\n\" >&2\nexit 1'", "lockstep backup shop"},
		{"a backup script says more than is kept", "put db/jobs/postgres/bin/backup '#!/bin/sh\ni=0; while [ $i -lt 900 ]; do i=$((i+1)); echo \"line $i of the log\" >&2; done\nexit 1'", "lockstep backup shop"},
		{"a backup script is killed on its instance", "put db/jobs/postgres/bin/backup '#!/bin/sh\nkill -9 $$'", "lockstep backup shop"},
		{"a backup script runs too long", "add 'script_timeout: 1s'; put db/jobs/postgres/bin/backup '#!/bin/sh\nexec sleep 30'", "lockstep backup shop"},
		{"the lock window is too long", "add 'max_lock: 1s'; put db/jobs/postgres/bin/backup '#!/bin/sh\nexec sleep 30'", "lockstep backup shop"},
		{"a backup script leaves nothing", "put db/jobs/postgres/bin/backup '#!/bin/sh\nexit 0'", "lockstep backup shop"},
		{"a script's interpreter is not installed", "put db/jobs/postgres/bin/backup '#!/usr/bin/perl7\nexit 0'", "lockstep backup shop"},
		{"a script calls a program that is not installed", "put db/jobs/postgres/bin/backup '#!/bin/sh\npg_dump9 shop'", "lockstep backup shop"},
		{"a script cannot be executed", "chmod 644 shop/db/jobs/postgres/bin/backup", "lockstep backup shop"},
		{"two scripts fail", "put db/jobs/postgres/bin/backup '#!/bin/sh\necho disk full >&2\nexit 1'; put files/jobs/blobs/bin/backup '#!/bin/sh\nsleep 2; echo no such bucket >&2\nexit 2'", "lockstep backup shop"},
		{"a metadata script fails", "put db/jobs/postgres/bin/metadata '#!/bin/sh\necho boom >&2\nexit 1'", "lockstep backup shop"},
		{"a metadata script prints no YAML", "put db/jobs/postgres/bin/metadata '#!/bin/sh\necho \"lock_before: [\"'", "lockstep plan shop"},
		{"a metadata script prints a list", "put db/jobs/postgres/bin/metadata '#!/bin/sh\necho \"- a\"'", "lockstep plan shop"},
		{"a restore script fails", "backup; put db/jobs/postgres/bin/restore '#!/bin/sh\necho relation exists >&2\nexit 1'", "lockstep restore shop latest --yes"},
		{"a restore script fails, and locks are kept then", "backup; add 'on_restore_failure: hold'; put db/jobs/postgres/bin/restore '#!/bin/sh\nexit 1'", "lockstep restore shop latest --yes"},
		{"a script that is only a lock", "rm shop/db/jobs/postgres/bin/backup shop/files/jobs/blobs/bin/backup", "lockstep backup shop"},
		{"no scripts at all", "rm -r shop/*/jobs", "lockstep backup shop"},
	}},
	{"Instances", []provoked{
		{"an instance's folder is gone", "rm -r shop/web", "lockstep backup shop"},
		{"all instances are gone", "rm -r shop", "lockstep backup shop"},
		{"what an earlier backup left is in the way", "mkdir -p shop/db/store/postgres; touch shop/db/store/postgres/old", "lockstep backup shop"},
		{"a file in place of the artifact folder", "touch shop/db/store", "lockstep backup shop"},
		{"a file in place of the launcher's folder", "touch shop/db/run", "lockstep backup shop"},
		{"nobody listens", "ssh-keygen -q -t ed25519 -N '' -f key; touch hosts; ssh_config 'identity_file: key, known_hosts: hosts' 127.0.0.1:1", "lockstep backup shop"},
		{"the file with host keys is not there", "ssh-keygen -q -t ed25519 -N '' -f key; ssh_config 'identity_file: key, known_hosts: hosts' 127.0.0.1:1", "lockstep backup shop"},
		{"the file with host keys has a wrong line", "ssh-keygen -q -t ed25519 -N '' -f key; echo 'db ssh-ed25519 !' >hosts; ssh_config 'identity_file: key, known_hosts: hosts' 127.0.0.1:1", "lockstep backup shop"},
	}},
	{"The repository and what it keeps", []provoked{
		{"it is gone", "backup; mv backups elsewhere", "lockstep backup shop"},
		{"it is gone, and one looks", "backup; mv backups elsewhere", "lockstep backups list"},
		{"it is another one", "backup; mv backups elsewhere; sed -i 's/dir: backups/dir: other/; s/state_dir: state/state_dir: state2/' lockstep.yaml; backup; mv other backups; sed -i 's/dir: other/dir: backups/; s/state2/state/' lockstep.yaml", "lockstep backups list"},
		{"a file in its place", "touch backups", "lockstep backup shop"},
		{"an artifact was changed", "backup; for f in $(find backups -type f -name 'db-*.tar'); do printf x | dd of=\"$f\" bs=1 seek=600 conv=notrunc status=none; done", "lockstep restore shop latest --yes"},
		{"verify finds it", "backup; for f in $(find backups -type f -name 'db-*.tar'); do printf x | dd of=\"$f\" bs=1 seek=600 conv=notrunc status=none; done", "lockstep backups verify latest"},
		{"the damaged backup is the newest", "backup; for f in $(find backups -type f -name 'db-*.tar'); do printf x | dd of=\"$f\" bs=1 seek=600 conv=notrunc status=none; done; quietly lockstep backups verify latest || true", "lockstep restore shop latest --yes"},
		{"an artifact is gone", "backup; rm $(find backups -type f -name '*.tar*' | head -n 1)", "lockstep restore shop latest --yes"},
		{"the manifest was cut", "backup; truncate -s 100 $(find backups -name lockstep.json)", "lockstep restore shop latest --yes"},
		{"the backup is incomplete", "put db/jobs/postgres/bin/backup '#!/bin/sh\nexit 0'; backup || true", "lockstep restore shop latest --yes"},
		{"a job has disappeared since", "backup; rm -r shop/files/jobs/blobs", "lockstep backup shop"},
		{"an artifact has become very small", "head -c 4000000 /dev/zero >shop/db/data; backup; echo 1 >shop/db/data", "lockstep backup shop"},
		{"an export into what is there", "backup; mkdir out; touch out/x", "lockstep backups export latest out"},
	}},
	{"Locked, dead, at work", []provoked{
		{"a backup of what is held", "backup; add 'on_restore_failure: hold'; put db/jobs/postgres/bin/restore '#!/bin/sh\nexit 1'; quietly lockstep restore shop latest --yes || true", "lockstep backup shop"},
		{"a check of what is held", "backup; add 'on_restore_failure: hold'; put db/jobs/postgres/bin/restore '#!/bin/sh\nexit 1'; quietly lockstep restore shop latest --yes || true", "lockstep check shop"},
		{"a backup after half a restore", "backup; put db/jobs/postgres/bin/restore '#!/bin/sh\nexit 1'; quietly lockstep restore shop latest --yes || true", "lockstep backup shop"},
		{"an acknowledgement without a reason", "backup; add 'on_restore_failure: hold'; put db/jobs/postgres/bin/restore '#!/bin/sh\nexit 1'; quietly lockstep restore shop latest --yes || true", "lockstep runs ack latest --job postgres"},
		{"an acknowledgement of what is not held", "backup", "lockstep runs ack latest --job postgres --reason looked"},
		{"a backup of what is held, when the file has another name", "backup; add 'on_restore_failure: hold'; put db/jobs/postgres/bin/restore '#!/bin/sh\nexit 1'; quietly lockstep restore shop latest --yes || true; mv lockstep.yaml other.yaml", "lockstep --config other.yaml backup shop"},
		{"a deployment of that name has other instances", "backup; cp -r shop shop2; sed 's/dir: shop/dir: shop2/' lockstep.yaml >two.yaml", "lockstep --config two.yaml backup shop"},
		{"it has moved, and nobody knows it", "", "lockstep config moved shop"},
		{"another run is at work", atWork, "lockstep backup shop" + letGo},
		{"a cleanup while a run is at work", atWork, "lockstep cleanup shop" + letGo},
		{"a run to watch whose orchestrator died", killed, "lockstep runs watch latest"},
		{"the state folder is a file", "touch state", "lockstep status"},
		{"the journal is not a database", "backup; for f in state/*.db; do echo broken >\"$f\"; done; rm -f state/*-wal state/*-shm", "lockstep status"},
	}},
	{"Servers", []provoked{
		{"no server there", "", "lockstep --server http://127.0.0.1:1 status"},
		{"no URL", "", "lockstep --server nowhere status"},
		{"something else answers", "", "lockstep --server ftp://127.0.0.1 status"},
		{"a server without any rule of who may", "printf 'server: {listen: \"0.0.0.0:0\"}\\n' >>lockstep.yaml", "lockstep serve"},
		{"a certificate that is not there", "printf 'server: {listen: \"127.0.0.1:0\", tls: {cert_file: no.pem, key_file: no.key}}\\n' >>lockstep.yaml", "lockstep serve"},
	}},
	{"Ctrl-C", []provoked{
		{"while a backup script runs", "put db/jobs/postgres/bin/backup '#!/bin/sh\necho begun >\"${0%/jobs/*}/begun\"\nexec sleep 20'", "lockstep backup shop & until [ -e shop/db/begun ]; do sleep 0.05; done; kill -TERM $!; wait $!"},
	}},
}

// atWork is a backup whose script waits for the file go.
const atWork = `put db/jobs/postgres/bin/backup '#!/bin/sh
cd "${0%/jobs/*}"; touch begun; until [ -e ../../go ]; do sleep 0.05; done; cp data "$BBR_ARTIFACT_DIRECTORY"'
lockstep backup shop >/dev/null 2>&1 & echo $! >pid; until [ -e shop/db/begun ]; do sleep 0.05; done`

// letGo ends the run of atWork after what is asked.
const letGo = "; code=$?; touch go; while kill -0 $(cat pid) 2>/dev/null; do sleep 0.05; done; exit $code"

// killed is a backup whose orchestrator is killed while its script runs.
const killed = `put db/jobs/postgres/bin/backup '#!/bin/sh
cd "${0%/jobs/*}"; touch begun; exec sleep 3'
lockstep backup shop >/dev/null 2>&1 & until [ -e shop/db/begun ]; do sleep 0.05; done; kill -9 $!`
