package config

import "go.yaml.in/yaml/v3"

// The structs of this file are the format of the configuration file, one field
// a key. Tags: key is its name, doc what it means, example a value for error
// texts; required:"true" makes its absence a problem, unless the key that
// unless names is there.

type fileConfig struct {
	StateDir    path                        `key:"state_dir" example:"./state" doc:"folder of the journal; default $XDG_STATE_HOME/lockstep, else ~/.local/state/lockstep. Not on a network file system"`
	State       section[fileState]          `key:"state" example:"{postgres: {url: \"postgres://lockstep@db.example.com/lockstep\"}}" doc:"where the journal, schedules, tokens and notices are kept, if not in state_dir"`
	Repository  section[fileRepository]     `key:"repository" example:"{dir: ./backups}" required:"true" doc:"where backups are kept"`
	Copies      table[fileCopy]             `key:"copies" example:"{offsite: {restic: {location: \"s3:https://s3.example.com/bucket/folder\", password_file: offsite.password}}}" doc:"other repositories, by name, into which backups are copied with lockstep backups copy"`
	Deployments table[fileDeployment]       `key:"deployments" example:"{shop: {ssh: {user: ops}, instance_groups: [{name: db, instances: [{id: \"0\", host: 10.0.0.11}]}]}}" required:"true" doc:"what is backed up and restored, by name"`
	Schedules   table[fileSchedule]         `key:"schedules" example:"{forget-shop: {deployment: shop, operation: forget, cron: \"@daily\", keep: {daily: 7}}}" doc:"what a server does again and again, beside the schedules of deployments, by name"`
	Notify      list[section[fileReceiver]] `key:"notify" example:"[{name: ops, webhook: {url: \"https://example.com/hook\", secret_file: hook.secret}}]" doc:"who is told by a server what happens"`
	RemindEvery span                        `key:"remind_every" example:"1h" doc:"how often it is said again that something may still be locked. The default is 1h"`
	Memory      count                       `key:"transfer_memory" example:"256" doc:"memory, in MiB, for what all transfers together must remember of their artifacts; lists that are longer are sorted in files without names in state_dir. At least 16. The default is 128"`
	Server      section[fileServer]         `key:"server" example:"{listen: \"127.0.0.1:7420\"}" doc:"how lockstep serve listens"`
	Fleet       section[fileFleet]          `key:"fleet" example:"{temporal: {address: \"temporal.example.com:7233\"}}" doc:"have runs done by lockstep worker, near the instances, in place of this process; it needs state.postgres"`
	Access      section[fileAccess]         `key:"access" example:"{restore_approval: [\"prod-*\"]}" doc:"who may do what to a server, beside its tokens"`
}

func (f *fileConfig) read(d *decoder, n *yaml.Node, c crumb) { d.section(n, f, c) }

type fileRepository struct {
	Dir     path                 `key:"dir" example:"./backups" required:"true" unless:"restic" doc:"folder of plain tar files, one folder a backup"`
	Restic  section[fileRestic]  `key:"restic" example:"{location: ./backups, password_file: repository.password}" doc:"in place of dir: encrypted, deduplicated, in the format of restic, which can read it too"`
	Encrypt section[fileEncrypt] `key:"encrypt" example:"{recipients: [age1…], identity_file: backups.age-key}" doc:"of dir: encrypt new backups with age, and open those that are"`
	Keys    list[text]           `key:"trusted_keys" example:"[\"lockstep-audit+1a2b3c4d+AbCd\"]" doc:"public keys (audit.pub in the folder audit of a state_dir) of other orchestrators, whose signatures of backups count here; the own key always does"`
}

// fileReach are the keys that say how instances are reached: those of a deployment,
// or in place of it those of a group.
type fileReach struct {
	Local      section[fileLocal]      `key:"local" example:"{}" doc:"instances are folders of this machine"`
	SSH        section[fileSSH]        `key:"ssh" example:"{user: ops, identity_file: id_ed25519, known_hosts: known_hosts}" doc:"instances are machines reached over SSH; what is not said here is taken from ~/.ssh/config"`
	Docker     section[fileDocker]     `key:"docker" example:"{project: shop}" doc:"instances are containers of a Docker engine: those of a Compose project, those with a label, or those that are listed"`
	Kubernetes section[fileKubernetes] `key:"kubernetes" example:"{stateful_set: db}" doc:"instances are pods of a Kubernetes cluster: those of a StatefulSet or a Deployment, those of a selector, or those that are listed"`
}

type fileDeployment struct {
	fileReach
	BOSH             section[fileBOSH]        `key:"bosh" example:"{director: \"https://10.0.0.6:25555\", client: admin, client_secret_file: bosh.secret, ca_cert_file: bosh-ca.pem}" doc:"a director knows the instances and makes an SSH user on each for a run"`
	Identity         text                     `key:"identity" example:"prod-shop" doc:"makes the deployment's key, in place of the path of this file when it was first used: tells it from another one of the same name, and is the same wherever it is backed up from"`
	Zone             text                     `key:"zone" example:"eu-1" doc:"where it is, with a fleet: workers of that zone do its runs. The default is default"`
	ScriptLocation   text                     `key:"script_location" example:"/var/vcap/jobs/{job}/bin/bbr" doc:"folder of each job's scripts on instances; {job} stands for the job's name. The default is /var/vcap/jobs/{job}/bin/bbr"`
	ArtifactLocation text                     `key:"artifact_location" example:"/var/vcap/store/bbr-backup" doc:"folder on instances below which backup scripts leave their artifacts. The default is /var/vcap/store/bbr-backup"`
	LauncherLocation text                     `key:"launcher_location" example:"/run/lockstep" doc:"folder on instances for what runs the scripts; may be lost at a reboot. The default is /run/lockstep"`
	Helper           toggle                   `key:"helper" example:"false" doc:"lend instances a small program of ours for the length of a run, where large artifacts are faster with it; false leaves all to their shell. The default is true"`
	ClaimLocation    text                     `key:"claim_location" example:"/var/lib/lockstep" doc:"folder on instances for the claim; must survive a reboot. The default is /var/lib/lockstep"`
	Groups           list[section[fileGroup]] `key:"instance_groups" example:"[{name: db, instances: [{id: \"0\", host: 10.0.0.11}]}]" doc:"the instances, by group. A bosh director knows them, and so does an engine that is asked for a project or a label, and a cluster that is asked for more than single pods"`
	Jobs             table[fileJob]           `key:"jobs" example:"{web: {lock_before: [postgres]}}" doc:"what to add to, or put in place of, what jobs' metadata scripts say"`
	ScriptTimeout    span                     `key:"script_timeout" example:"1h" doc:"longest time for one script. The default is 1h"`
	MaxLock          spanOrOff                `key:"max_lock" example:"30m" doc:"longest time for the lock and backup scripts together; then they are stopped and all is unlocked. The default is off"`
	LockLease        spanOrOff                `key:"lock_lease" example:"10m" doc:"an instance unlocks itself when it has not heard of the orchestrator for this long; off is never. The default is 10m"`
	Schedule         when                     `key:"schedule" example:"\"0 3 * * *\"" doc:"when a server backs it up: a cron expression, or {cron: , zone: , jitter: , overlap: , missed: }"`
	OverdueAfter     spanOrOff                `key:"overdue_after" example:"26h" doc:"a server complains when there has been no good backup for this long; off is never. The default is twice the longest gap of its schedule"`
	Keep             section[fileKeep]        `key:"keep" example:"{daily: 7, weekly: 5}" doc:"which backups stay after each verified one, as with lockstep backups forget; the others are deleted. The default is all"`
	OnRestoreFailure failure                  `key:"on_restore_failure" example:"unlock" doc:"after a failed restore script: unlock, or hold the locks. The default is unlock"`
}

type fileLocal struct {
	Sudo toggle `key:"sudo" example:"true" doc:"run commands as root through sudo. The default is false"`
}

type fileSSH struct {
	User              text       `key:"user" example:"ops" doc:"user to log in as"`
	Port              count      `key:"port" example:"2222" doc:"port of instances whose host does not say"`
	Sudo              toggle     `key:"sudo" example:"true" doc:"run commands as root through sudo -n. The default is true unless user is root"`
	IdentityFile      paths      `key:"identity_file" example:"id_ed25519" doc:"private key, or a list of them"`
	CertificateFile   paths      `key:"certificate_file" example:"id_ed25519-cert.pub" doc:"certificate, or a list of them"`
	KnownHosts        paths      `key:"known_hosts" example:"known_hosts" doc:"file with host keys, or a list of them"`
	IdentitiesOnly    toggle     `key:"identities_only" example:"true" doc:"offer no other keys of the agent"`
	IdentityAgent     pathOrNone `key:"identity_agent" example:"none" doc:"socket of the agent, or none"`
	ProxyJump         text       `key:"proxy_jump" example:"ops@jump.example.com:22" doc:"[user@]host[:port] to go through, several with commas; none is a direct way"`
	ConfigFile        pathOrNone `key:"config_file" example:"none" doc:"in place of ~/.ssh/config; none means no such file"`
	DialTimeout       span       `key:"dial_timeout" example:"10s" doc:"longest time to connect. The default is 10s"`
	HandshakeTimeout  span       `key:"handshake_timeout" example:"10s" doc:"longest time to log in. The default is 10s"`
	KeepaliveInterval span       `key:"keepalive_interval" example:"10s" doc:"how often an idle connection is asked for a sign of life. The default is 10s"`
	KeepaliveMisses   count      `key:"keepalive_misses" example:"3" doc:"a connection silent for this many intervals is given up. The default is 3"`
	MaxSessions       count      `key:"max_sessions" example:"10" doc:"commands at once on one connection. The default is 10"`
	MaxConnections    count      `key:"max_connections" example:"4" doc:"connections at once to one instance. The default is 4"`
}

type fileGroup struct {
	fileReach
	Name      text                        `key:"name" example:"db" required:"true" doc:"name of the group"`
	Instances list[section[fileInstance]] `key:"instances" example:"[{id: \"0\", host: 10.0.0.11}]" doc:"its instances, in the order of their indexes; none where an engine or a cluster is asked which there are"`
}

type fileInstance struct {
	ID        text `key:"id" example:"\"0\"" required:"true" doc:"name of the instance in its group"`
	Host      text `key:"host" example:"10.0.0.11:22" doc:"where it is reached over SSH: a name or address, with or without a port, or an alias of ~/.ssh/config"`
	Container text `key:"container" example:"shop-db-1" doc:"name or id of the container; of a pod, which of its containers"`
	Pod       text `key:"pod" example:"db-0" doc:"name of the pod"`
	Index     text `key:"index" example:"\"0\"" doc:"artifacts are matched by group, index and job. The default is the position in the list, from 0"`
	Dir       path `key:"dir" example:"./instances/db-0" doc:"of a local instance: the folder its commands start in, which relative locations are relative to"`
}

// fileScripts are the scripts of a job that are files here, in the order of
// lockstep.ScriptKinds without the first.
type fileScripts struct {
	PreBackupLock     path `key:"pre-backup-lock" example:"./scripts/db-lock" doc:"file here that is brought along and run as the job's pre-backup-lock"`
	Backup            path `key:"backup" example:"./scripts/db-backup" doc:"the same for backup"`
	PostBackupUnlock  path `key:"post-backup-unlock" example:"./scripts/db-unlock" doc:"the same for post-backup-unlock"`
	PreRestoreLock    path `key:"pre-restore-lock" example:"./scripts/db-lock" doc:"the same for pre-restore-lock"`
	Restore           path `key:"restore" example:"./scripts/db-restore" doc:"the same for restore"`
	PostRestoreUnlock path `key:"post-restore-unlock" example:"./scripts/db-unlock" doc:"the same for post-restore-unlock"`
}

type fileJob struct {
	LockBefore      list[jobRef]         `key:"lock_before" example:"[postgres]" doc:"jobs that are locked after this one and unlocked before it, in backups and restores: names, or {job: NAME, release: NAME}"`
	Replace         toggle               `key:"replace" example:"true" doc:"do not ask the job's metadata script; only what is written here holds"`
	MayBeEmpty      toggle               `key:"may_be_empty" example:"true" doc:"a backup script that leaves nothing is a good one"`
	OneRestoreAll   toggle               `key:"backup_one_restore_all" example:"true" doc:"restore all instances of this job from the first one's artifact"`
	RestoreParallel toggle               `key:"restore_parallel" example:"true" doc:"restore scripts of this job may run on all its instances at once"`
	ScriptTimeout   span                 `key:"script_timeout" example:"2h" doc:"in place of the deployment's"`
	Skip            toggle               `key:"skip" example:"true" doc:"leave the job out"`
	Scripts         section[fileScripts] `key:"scripts" example:"{backup: ./scripts/db-backup, restore: ./scripts/db-restore}" doc:"files here that each run brings along, in place of what the job ships on the instances"`
	Groups          list[text]           `key:"groups" example:"[db]" doc:"the instance groups that scripts are for. The default is the one of the job's name"`
}
